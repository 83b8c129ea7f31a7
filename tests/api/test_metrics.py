"""`GET /metrics`."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import yaml
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.exposition.catalog import BY_NAME
from exporter.exposition.render import Format
from tests.prometheus.servers import running_prometheus, wait_for
from tests.support.api_server import Server, assert_problem, post
from tests.support.docs import page
from tests.support.fakes import BROKEN, TIMEOUT_SECONDS, FakeRegistry
from tests.support.programs import Program
from tests.support.rig import eventually, make_document, make_rows, make_table

Serve = Callable[..., Server]
SCRAPE_EXAMPLES = [
    yaml.safe_load(example)["scrape_configs"]
    for text in (page("README.md"), page("exporter/exposition/README.md"))
    for example in re.findall(r"```yaml\n(scrape_configs:\n.+?)```", text, re.S)
]


@pytest.fixture(scope="module")
def busy(serve_module: Serve) -> Server:
    """Versions in every state, with traffic that has been evaluated."""
    registry = FakeRegistry()
    registry.register("fraud", make_table(), alias="champion", run_metrics={"auc": 0.9})
    registry.register("spam", None, alias="champion")
    registry.register("team/ham", BROKEN, alias="champion")
    server = serve_module(registry, drift_distances=("ks", "jensen_shannon"))
    server.await_ready()
    eventually(lambda: len(server.service.fleet.versions) == 3)
    for model in ("fraud", "spam", "team/ham"):
        rows = make_rows(600, latency_seconds=0.01)
        assert post(server, make_document(rows, model, version="1")).status_code == 202
    eventually(lambda: 'window="1h"} 600' in server.client.get("/metrics").text)
    return server


def names(page: str) -> set[str]:
    return {line.split()[2] for line in page.splitlines() if line.startswith("# TYPE")}


@pytest.mark.needs("promtool")
def test_promtool_finds_nothing_to_complain_about(busy: Server, program: Program) -> None:
    page = busy.client.get("/metrics").content
    checked = subprocess.run(
        [program("promtool"), "check", "metrics"], input=page, capture_output=True, check=False
    )
    assert (checked.returncode, checked.stdout.decode() + checked.stderr.decode()) == (0, "")


@pytest.mark.needs("prometheus")
@pytest.mark.parametrize("jobs", [("mlflow-exporter",), ("mlflow-exporter", "mlflow-exporter-bins")])
def test_prometheus_takes_every_series_as_it_is_written(
    busy: Server, program: Program, free_port: int, tmp_path: Path, jobs: tuple[str, ...]
) -> None:
    target = f"127.0.0.1:{busy.address[1]}"
    [example] = [each for each in SCRAPE_EXAMPLES if tuple(job["job_name"] for job in each) == jobs]
    for job in example:
        job |= {"scrape_interval": "1s", "static_configs": [{"targets": [target]}]}
    config = tmp_path / "prometheus.yml"
    config.write_text(json.dumps({"scrape_configs": example}))

    def written() -> set[tuple[object, ...]]:
        return {
            (sample.name, *sorted((name, value) for name, value in labels.items() if value))
            for family in parse_text(busy.client.get("/metrics").text)
            for sample in family.samples
            for labels in ({**sample.labels, "job": "mlflow-exporter", "instance": target},)
        }

    assert len(written()) > 300

    with running_prometheus(program("prometheus"), config, free_port) as url:

        def taken(selector: str) -> set[tuple[object, ...]]:
            answer = httpx.get(f"{url}/api/v1/query", params={"query": selector}, timeout=TIMEOUT_SECONDS)
            found = [each["metric"] for each in answer.json()["data"]["result"]]
            return {(each.pop("__name__"), *sorted(each.items())) for each in found}

        wait_for("scrape by each job", lambda: len(taken("up == 1")) == len(jobs))
        # An evaluation meanwhile may add series.
        wait_for("scrape of the whole page", lambda: taken('{__name__=~"mlflow.+|p.+"}') == written())
        assert taken("up") == {("up", ("instance", target), ("job", job)) for job in jobs}


def test_it_is_text_unless_openmetrics_is_asked_for(busy: Server) -> None:
    text = busy.client.get("/metrics")
    assert text.headers["content-type"] == Format.TEXT.value
    assert text.headers["vary"] == "Accept, Accept-Encoding"
    asked = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
    openmetrics = busy.client.get("/metrics", headers={"accept": asked})
    assert openmetrics.headers["content-type"] == Format.OPENMETRICS.value
    assert openmetrics.text.endswith("# EOF\n")
    by_text = {family.name for family in parse_text(text.text)}
    by_openmetrics = {family.name for family in parse_openmetrics(openmetrics.text)}
    assert by_text == by_openmetrics


def test_all_that_it_has_is_in_the_catalogue(busy: Server) -> None:
    shown = names(busy.client.get("/metrics").text)
    assert shown <= BY_NAME.keys()
    assert {"mlflow_model_drift_score", "mlflow_model_values_total", "mlflow_model_version_metric"} <= shown


def test_it_is_compressed_where_that_is_taken(busy: Server) -> None:
    plain = busy.client.get("/metrics", headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    with busy.client.stream("GET", "/metrics", headers={"accept-encoding": "gzip"}) as packed:
        assert packed.headers["content-encoding"] == "gzip"
        raw = b"".join(packed.iter_raw())
    assert len(raw) < len(plain.content) / 4
    assert names(gzip.decompress(raw).decode()) == names(plain.text)


def test_it_is_filtered_by_name_and_group(busy: Server) -> None:
    wanted = ["mlflow_model_window_rows", "mlflow_up"]
    assert names(busy.client.get("/metrics", params={"name[]": wanted}).text) == set(wanted)
    bins = names(busy.client.get("/metrics", params={"collect[]": "bins"}).text)
    assert bins == {"mlflow_model_values_total", "mlflow_model_reference_ratio"}
    both = busy.client.get("/metrics", params={"collect[]": ["core", "process"]})
    assert "process_cpu_seconds_total" in names(both.text)
    assert not bins & names(both.text)
    assert busy.client.get("/metrics", params={"name[]": "no_such_metric"}).text == ""
    unknown = busy.client.get("/metrics", params={"collect[]": "everything"})
    assert_problem(unknown, 422, "Malformed", "unknown group 'everything'", "collect[]")


def test_a_head_has_no_body(busy: Server) -> None:
    answer = busy.client.head("/metrics")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"] == Format.TEXT.value


def test_before_anything_is_monitored_it_shows_the_exporter_itself(serve: Serve) -> None:
    page = serve(FakeRegistry()).client.get("/metrics")
    assert page.status_code == 200
    assert "mlflow_exporter_build_info" in names(page.text)
    assert not any(name.startswith("mlflow_model_") for name in names(page.text))


def test_while_a_reference_is_loading_it_shows_the_traffic(serve: Serve) -> None:
    registry = FakeRegistry()
    registry.loading.clear()
    registry.register("fraud", make_table(), alias="champion")
    server = serve(registry)
    eventually(lambda: ("fraud", "1") in server.service.fleet.versions)
    post(server, make_document(make_rows(5)))
    page = server.client.get("/metrics").text
    assert 'mlflow_model_predictions_total{model="fraud",model_version="1"} 5' in page
    assert "mlflow_model_drift_score" not in page
    registry.loading.set()
    server.await_ready()


def test_the_name_of_a_counter_can_be_asked_for_as_in_openmetrics(busy: Server) -> None:
    name = BY_NAME["mlflow_model_predictions_total"].openmetrics_name
    answer = busy.client.get("/metrics", params={"name[]": name})
    assert names(answer.text) == {"mlflow_model_predictions_total"}
