"""The page of a version, behind HTTP."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pytest
from markupsafe import escape

from exporter.errors import StoreError
from exporter.formats.texts import printable
from exporter.monitoring.verdicts import Subject
from exporter.settings import DAY_SECONDS
from exporter.storage.reports import ReportState, StoredReport, add_report
from exporter.web.columns import MAX_PICTURES
from exporter.web.rendering import HEADERS
from tests.support.actions import ACTION, plan
from tests.support.api_server import Server, post
from tests.support.browser import Browser
from tests.support.fakes import FakeRegistry
from tests.support.rig import eventually, make_document

Serve = Callable[..., Server]

HOSTILE = '</svg><script>alert("ran")</script>\N{RIGHT-TO-LEFT OVERRIDE}'
MODEL = "team/fraud & co"
PAGE = f"/models/{quote(MODEL, safe='')}/versions/2"
MAX_BYTES = 600_000


def make_table(rows: int, seed: int, days: tuple[float, float], *, broken: bool = False) -> pa.Table:
    """Rows between two times, in days before now; broken ones are older, of other countries and wrong."""
    draw = np.random.default_rng(seed)
    score = draw.beta(1.2, 3, rows)
    countries = [HOSTILE, "FR", "AT"]
    return pa.table(
        {
            "age": draw.normal(70 if broken else 40, 12, rows).round(1),
            "country": draw.choice(countries, rows, p=[0.1, 0.1, 0.8] if broken else [0.5, 0.3, 0.2]),
            HOSTILE: draw.random(rows) < 0.2,
            "prediction": (score > 0.4).astype(np.int64),
            "score": score,
            "label": draw.integers(0, 2, rows) if broken else (draw.random(rows) < score).astype(np.int64),
            "timestamp": time.time() - DAY_SECONDS * np.sort(draw.uniform(*days, rows))[::-1],
        }
    )


def make_rows(table: pa.Table, prefix: str) -> list[dict[str, Any]]:
    rows = []
    for index, features in enumerate(table.to_pylist()):
        own = {name: features.pop(name) for name in ("prediction", "score", "label", "timestamp")}
        rows.append({"id": f"{prefix}{index}", "features": features, **own})
    return rows


@pytest.fixture(scope="module")
def fraud(serve_module: Serve, tmp_path_factory: pytest.TempPathFactory) -> Server:
    """A champion, version 2, whose inputs and quality are bad; version 1 is a good challenger."""
    registry = FakeRegistry()
    reference = make_table(4500, 0, (2, 32))  # enough a day to know how days differ
    for alias in ("challenger", "champion"):
        registry.register(MODEL, reference, alias=alias)
    registry.register("spam", None, alias="champion")
    registry.tag(MODEL, segments="country")
    config = tmp_path_factory.mktemp("config") / "exporter.yml"
    config.write_text("reports: {enabled: false}\n")  # they would take seconds
    # Evaluations of labels, over and over, would take most of the time.
    server = serve_module(registry, config=str(config), evaluation_interval_seconds=2.0)
    for version, broken in (("1", False), ("2", True)):
        server.await_ready(MODEL, version)
        rows = make_rows(make_table(1200, 1, (0.01, 1.9), broken=broken), f"v{version}-")
        assert post(server, make_document(rows, MODEL, version=version)).status_code == 202
    versions = server.service.fleet.versions
    eventually(lambda: "spam" in {model for model, _ in versions})
    eventually(lambda: all(_evaluated(server, version) for version in ("1", "2")))
    bad = {Subject("drift", "age", "24h"), Subject("quality", "accuracy", "24h")}
    eventually(lambda: bad <= versions[MODEL, "2"].bad_since.keys())
    return server


def _evaluated(server: Server, version: str) -> bool:
    """True once an evaluation has seen all rows and labels."""
    findings = server.service.fleet.versions[MODEL, version].findings
    if findings is None or not findings.quality:
        return False
    return (findings.evaluation.windows[-1].rows, findings.quality[-1].labels) == (1200, 1200)


def text_of(server: Server, path: str = PAGE, **query: str) -> str:
    """Text of a page without its markup."""
    answer = server.client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", answer.text)).split())


def test_it_says_what_is_bad_since_when_and_what_to_do(fraud: Server) -> None:
    text = text_of(fraud)
    assert "Needs attention since" in text
    assert "Quality is degraded:" in text
    assert re.search(r"2 of 3 features drifted: (age, country|country, age) \(24h, 7d\)", text)
    assert "Runbook ModelFeatureDrift" in text
    assert f"mlflow-exporter report '{MODEL}' 2 --window 7d" in text
    assert f"mlflow-exporter rebaseline '{MODEL}' 2 --live 28d" in text


def test_it_counts_the_processes_that_serve_the_version(fraud: Server) -> None:
    assert "served by" not in text_of(fraud)
    report = {"model": MODEL, "version": "2", "host": "web-1"}
    for process, shown in (("7-1", "served by 1 process "), ("8-1", "served by 2 processes ")):
        assert fraud.client.post("/v1/serving", json={**report, "process": process}).status_code == 204
        assert shown in text_of(fraud)


def test_it_has_no_script_and_may_load_nothing_foreign(fraud: Server) -> None:
    answer = fraud.client.get(PAGE)
    assert {name: answer.headers[name] for name in HEADERS} == HEADERS
    assert "<script" not in answer.text
    assert fraud.client.head(PAGE).status_code == 200


def test_columns_have_their_distributions_beside_the_references(fraud: Server) -> None:
    page = fraud.client.get(PAGE).text
    first, second = re.findall(r'<article class="card bad">.*?</article>', page, re.DOTALL)
    assert {re.findall(r"<h3>(\w+)", card)[0] for card in (first, second)} == {"age", "country"}
    country = next(card for card in (first, second) if "<h3>country" in card)
    assert re.search(r"<title>AT: (19|2\d).*? % of the reference, (7|8)\d.* % of the window</title>", country)
    assert '<rect class="reference"' in country
    assert '<rect class="live"' in country
    assert '<th scope="row">AT</th>' in country


def test_the_longest_window_with_a_bad_verdict_is_shown_unless_another_is_asked_for(fraud: Server) -> None:
    assert "rows in 7d" in text_of(fraud)
    assert "rows in 24h" in text_of(fraud, window="24h")
    assert "rows in 7d" in text_of(fraud, window="99y")
    good = "/".join((*PAGE.split("/")[:-1], "1"))
    assert "rows in 24h" in text_of(fraud, good)  # the middle one


def test_quality_has_intervals_baselines_and_reasons(fraud: Server) -> None:
    text = text_of(fraud, window="24h")
    assert re.search(r"accuracy 0\.\d+ 0\.\d+ to 0\.\d+ 0\.\d+", text)
    assert "Estimated from scores, without labels" in text
    assert "Confusion matrix" in text
    assert "labels, 200 are needed" in text_of(fraud, window="1h")


def test_it_compares_the_champion_with_the_challenger(fraud: Server) -> None:
    text = text_of(fraud)
    assert "Against version 1 challenger" in text
    assert "version 1 is better than the champion." in text
    assert "Against version 2 champion" in text_of(fraud, "/".join((*PAGE.split("/")[:-1], "1")))


def test_it_shows_segments_notes_reference_and_what_was_recorded(fraud: Server) -> None:
    text = text_of(fraud)
    version = fraud.service.fleet.versions[MODEL, "2"]
    assert version.counts is not None
    assert version.counts.reference.digest in text
    assert "country=AT" in text
    assert "verdict changed" in text
    assert "version monitored" in text
    assert "There is no report of this version yet." in text
    assert "nothing is on hold" in text


def test_it_lists_reports_actions_and_holds(fraud: Server) -> None:
    service = fraud.service
    version = service.fleet.versions[MODEL, "1"]
    report = StoredReport("ab" * 16, version.key, MODEL, "1", "24h", 0.0, 86400.0, "verdict", 86400.0)
    failed = replace(report, id="ac" * 16, state=ReportState.FAILED, problem="it needs <more> memory")
    with service.store.writing() as connection:
        add_report(connection, replace(report, state=ReportState.DONE, rows=10, counted=1200))
        add_report(connection, failed)
    action = replace(ACTION, action="retrain", model=MODEL, model_version="1", target_version="")
    plan(service.store, service.remediation.ledger, action)
    service.remediation.holds.place("ada", MODEL, "champion", reason="an audit")
    path = f"models/{quote(MODEL, safe='')}/versions/1"
    page = fraud.client.get(f"/{path}").text
    assert f'<a href="../../../{path}/reports/{report.id}">24h</a>' in page
    text = text_of(fraud, f"/{path}")
    assert "done verdict 10 of 1,200" in text
    assert "failed: it needs <more> memory" in text
    assert "retrain planned champion-rollback" in text
    assert "alias champion: an audit" in text
    service.remediation.holds.lift("ada", MODEL)


def test_a_column_that_is_asked_for_comes_first(fraud: Server) -> None:
    page = fraud.client.get(PAGE, params={"column": HOSTILE}).text
    shown = escape(printable(HOSTILE))
    assert re.findall(r"<h3>(.*?) *<span", page)[0].strip() == shown


def test_it_shows_what_is_in_memory_while_the_store_cannot_be_read(
    fraud: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise StoreError("the disk is away")

    monkeypatch.setattr(fraud.service.remediation.ledger, "search", fail)
    text = text_of(fraud)
    assert text.count("They cannot be read: the disk is away") == 2
    assert "3 features drifted" in text


def test_a_version_without_a_reference_says_what_it_lacks(fraud: Server) -> None:
    text = text_of(fraud, "/models/spam/versions/1")
    assert "It has no reference." in text
    assert "exporter.log_reference('models:/spam/1', held_out)" in text


@pytest.mark.parametrize("path", ["/models/eggs/versions/1", "/models/spam/versions/9"])
def test_what_is_not_monitored_is_a_page_that_says_what_is(fraud: Server, path: str) -> None:
    answer = fraud.client.get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    text = unescape(answer.text)
    assert "monitored are: spam" in text or "its versions are 1" in text
    assert 'href="../../../"' in text


@pytest.mark.parametrize("path", [PAGE, f"/models/{quote(MODEL)}/versions/2"], ids=["escaped", "slashes"])
def test_links_lead_to_the_root_however_the_name_is_written(fraud: Server, path: str) -> None:
    root = "../" * (path.count("/") - 1)
    page = fraud.client.get(path).text
    assert f'<a href="{root}">All models</a>' in page
    [styles] = re.findall(r'<link rel="stylesheet" href="([^"]+)">', page)
    assert fraud.client.get(f"{path.rpartition('/')[0]}/{styles}").status_code == 200


def test_records_of_the_audit_trail_need_their_scope(serve: Serve, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("reader: aaaaaaaaaaaaaaaa ingest\ngrace: bbbbbbbbbbbbbbbb audit\n")
    server = serve(api_tokens_file=str(tokens))
    shown = {}
    for token in ("aaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbb"):
        headers = {"Authorization": f"Bearer {token}"}
        page = server.client.get("/models/fraud/versions/1", headers=headers)
        assert page.status_code == 200
        shown[token] = "Recently recorded" in page.text
    assert shown == {"aaaaaaaaaaaaaaaa": False, "bbbbbbbbbbbbbbbb": True}
    assert server.client.get("/models/fraud/versions/1").status_code == 401


def test_a_version_with_five_hundred_columns_is_a_page_of_bounded_size(serve: Serve) -> None:
    draw = np.random.default_rng(0)
    names = [f"feature {k:03d} {'x' * 60}" for k in range(498)]
    table = pa.table({name: draw.normal(0, 1, 300) for name in names})
    registry = FakeRegistry()
    registry.register("wide", table, alias="champion")
    server = serve(registry, evaluation_interval_seconds=2.0)
    server.await_ready("wide")
    rows = [{"features": {**row, names[-1]: 40.0}, "prediction": 1} for row in table.to_pylist()]
    assert post(server, make_document(rows, "wide")).status_code == 202
    version = server.service.fleet.versions["wide", "1"]
    eventually(lambda: version.findings is not None and version.findings.evaluation.windows[1].rows == 300)
    answer = server.client.get("/models/wide/versions/1")
    assert len(answer.content) < MAX_BYTES
    assert answer.text.count('<svg class="bars"') == MAX_PICTURES
    assert answer.text.count('href="?window=') >= len(names) - MAX_PICTURES


@pytest.mark.needs("chromium")
def test_in_a_browser_hostile_names_are_texts_and_it_can_be_used_by_keyboard(
    fraud: Server, browser: Browser, tmp_path: Path
) -> None:
    port = fraud.address[1]
    with browser.open(f"http://127.0.0.1:{port}{PAGE}?window=24h") as page:
        assert (page.status, page.dialogs, page.errors, page.blocked) == (200, [], [], [])
        assert '</svg><script>alert("ran")</script>\\u202e' in page.text
        assert page.evaluate("document.querySelectorAll('svg.bars').length") >= 2
        assert page.evaluate("document.querySelectorAll('script').length") == 0
        assert page.press("Tab") == "Skip to the content"
        named = {name for role, name in page.accessible() if role in ("image", "img")}
        assert "Distribution of age" in named
        for width in (360, 1280):
            page.resize(width)
            assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
