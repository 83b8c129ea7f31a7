"""Dashboards that are asked of a real Prometheus about models that something is the matter with."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from exporter.exposition.render import Format
from tests.grafana.dashboards import by_uid, charts, each_dashboard
from tests.grafana.frontend import Opened, Prometheus, open_dashboard
from tests.prometheus.servers import running_prometheus, serving_target, wait_for
from tests.support.fakes import Clock, FakeRegistry
from tests.support.programs import get_program
from tests.support.rig import Rig, make_rows, make_table, over_a_day

pytestmark = pytest.mark.needs("prometheus")

DEAD = 'credit "eu"'  # a column of it has no values
MANY = "many versions"
MONITORED = {2: "shadow", 9: "champion", 10: "challenger"}  # of many
SILENT, BARE, FILLING = "silent", "without reference", "filling"
HALTED = "halted"  # eight hours ago, before the exporter that keeps arrivals
STALE_SECONDS = 900


@dataclass(frozen=True)
class Planted:
    """A Prometheus, and times at which it knew nothing, what was, what is, and that the exporter is down."""

    url: str
    empty: float
    stale: float
    live: float
    down: float

    def open(self, uid: str, at: str = "live", **chosen: str) -> Opened:
        return open_dashboard(by_uid(uid), Prometheus(self.url, getattr(self, at)), **chosen)


@pytest.fixture(scope="module")
def planted(
    tmp_path_factory: pytest.TempPathFactory, free_ports: Callable[[int], list[int]]
) -> Iterator[Planted]:
    directory = tmp_path_factory.mktemp("planted")
    exporter, port = free_ports(2)
    config = directory / "prometheus.yml"
    config.write_text(
        f"""
global: {{scrape_interval: 200ms}}
scrape_configs:
  - {{job_name: mlflow-exporter, static_configs: [{{targets: ["127.0.0.1:{exporter}"]}}]}}
"""
    )
    rig = Rig(f"sqlite:///{directory}/exporter.db", registry(), Clock(time.time() - STALE_SECONDS))
    try:
        with (
            serving_target(exporter) as target,
            running_prometheus(get_program("prometheus"), config, port) as url,
        ):
            empty = time.time()

            def known_at(metric: str, page: str | None) -> float:
                """Time at which Prometheus knows the page, or that there is none."""
                target.exposition, shown = page, time.time()
                wait_for("scrape", lambda: Prometheus(url, time.time()).now(f"timestamp({metric}) > {shown}"))
                return time.time()

            send(rig)
            rig.evaluate()
            stale = known_at("mlflow_up", rig.service.scrape(Format.TEXT, (), ()).decode())
            rig.clock.now = time.time()
            rig.evaluate()
            page = rig.service.scrape(Format.TEXT, (), ()).decode()
            unrecorded = f'mlflow_model_silence_seconds{{model="{HALTED}"'
            assert unrecorded in page
            live = known_at(
                "mlflow_up", "".join(x for x in page.splitlines(True) if not x.startswith(unrecorded))
            )
            down = known_at("up == 0", None)
            yield Planted(url, empty, stale, live, down)
    finally:
        rig.stop()


def send(rig: Rig) -> None:
    """Predictions of the past day to all versions, except for one whose traffic ended two days ago."""
    now = rig.clock()
    for model in (DEAD, BARE):
        rows = [*over_a_day(make_rows(800), now), *make_rows(100)]  # enough in the last hour for a verdict
        for row in rows if model == DEAD else ():
            row["features"]["age"] = None
        rig.post_rows(rows, model=model)
    for version in MONITORED:
        rig.post_rows(over_a_day(make_rows(500 + version), now), model=MANY, version=str(version))
    rig.post_rows(over_a_day(make_rows(500), now - 2 * 86400), model=SILENT)
    rig.post_rows(over_a_day(make_rows(500), now - 8 * 3600), model=HALTED)
    rig.post_rows(over_a_day(make_rows(5), now), model=FILLING)


def registry() -> FakeRegistry:
    registry = FakeRegistry()
    for model in (DEAD, SILENT, HALTED, FILLING):
        registry.register(model, make_table(), alias="champion")
    registry.register(BARE, alias="champion")
    for number in range(1, 12):
        registry.register(MANY, make_table() if number in MONITORED else None)
    for number, alias in MONITORED.items():
        registry.set_alias(MANY, alias, str(number))
    return registry


def words(opened: Opened, title: str) -> str:
    """The text that a panel shows for its one value."""
    (panel,) = (panel for panel in charts(opened.dashboard) if panel["title"] == title)
    ((_, value),) = (series["value"] for series in opened.answer(title))
    texts = {
        key: option["text"]
        for mapping in panel["fieldConfig"]["defaults"]["mappings"]
        for key, option in mapping["options"].items()
    }
    return str(texts[value])


@pytest.mark.parametrize(
    ("at", "model", "expected"),
    [
        ("empty", DEAD, "Exporter down"),
        ("down", DEAD, "Exporter down"),
        ("stale", DEAD, "Evaluation stale"),
        ("live", "never seen", "Not monitored"),
        ("live", SILENT, "Silent"),
        ("live", HALTED, "Silent"),
        ("live", BARE, "No reference"),
        ("live", FILLING, "Filling"),
        ("live", DEAD, "Judged"),
    ],
)
def test_the_strip_says_why_verdicts_are_not_of_the_present(
    planted: Planted, at: str, model: str, expected: str
) -> None:
    opened = planted.open("mlflow-model", at, model=model, model_version="1", window="24h")
    assert words(opened, "Verdicts on version $model_version, $window").startswith(expected)


@pytest.mark.parametrize(
    ("at", "model"), [("empty", DEAD), ("down", DEAD), ("stale", DEAD), ("live", SILENT)]
)
def test_no_verdict_is_shown_while_nothing_is_known(planted: Planted, at: str, model: str) -> None:
    opened = planted.open("mlflow-model", at, model=model, model_version="1", window="24h")
    assert said(opened) == {f"{clause} unknown": -9 for clause in ("Quality", "Drift", "Data quality")}
    assert {math.floor(state) for state in states(opened).values()} <= {-3}
    assert len(opened.answer("Verdicts over time, $window", "C")) == 1  # an empty row, and not an error
    assert opened.answer("Alerts") == []  # shown as unknown: there are no rules


def test_the_verdicts_are_said_in_words(planted: Planted) -> None:
    clauses = said(planted.open("mlflow-model", model=DEAD, model_version="1", window="24h"))
    assert clauses["No column drifts"] == 0
    assert all(value in (reason, 0, 1) for value, reason in zip(clauses.values(), [-9] * 3, strict=True))


def test_a_column_whose_values_are_all_missing_stays_on_top(planted: Planted) -> None:
    found = states(planted.open("mlflow-model", model=DEAD, model_version="1", window="24h"))
    assert found.pop("age") == 1
    assert found
    assert max(found.values()) < 1


def said(opened: Opened) -> dict[str, float]:
    """Clauses of the sentence, and the values that are their colours."""
    answers = [series for ref in "ABC" for series in opened.answer("In words, $window", ref)]
    parts = ("what", "total", "worst", "since")
    return {
        "".join(each["metric"].get(part, "") for part in parts): float(each["value"][1]) for each in answers
    }


def states(opened: Opened) -> dict[str, float]:
    """States of the columns in the table."""
    return {
        each["metric"]["column"]: float(each["value"][1]) for each in opened.answer("Columns, $window", "B")
    }


def test_a_dashboard_opens_on_the_model_with_most_trouble_and_its_champion(planted: Planted) -> None:
    opened = planted.open("mlflow-model")
    assert (opened.values["model"], opened.values["model_version"]) == (DEAD, "1")


def test_versions_are_offered_by_traffic_the_champion_first(planted: Planted) -> None:
    offered = planted.open("mlflow-model", model=MANY).options["model_version"]
    assert offered == ["9", "10", "2"]


# Of the table of the fleet: the queries of two of its columns.
STATE, TROUBLE = "D", "E"


def test_the_fleet_shows_every_alias_and_gives_a_state_only_to_what_is_judged(planted: Planted) -> None:
    opened = planted.open("mlflow-fleet")
    (panel,) = (panel for panel in charts(opened.dashboard) if panel["id"] == 1)
    (texts,) = (
        option["value"][0]["options"]
        for override in panel["fieldConfig"]["overrides"]
        if override["matcher"]["options"] == "State"
        for option in override["properties"]
        if option["id"] == "mappings"
    )
    states = {
        (series["metric"]["model"], series["metric"]["alias"]): texts[series["value"][1]]["text"]
        for series in opened.answer(panel["title"], STATE)
    }
    expected = {(MANY, alias): "well" for alias in MONITORED.values()}
    expected |= {(DEAD, "champion"): "verdict", (HALTED, "champion"): "silent"}
    expected |= {(model, "champion"): "not judged" for model in (SILENT, BARE, FILLING)}
    assert states == expected


def test_the_fleet_gives_most_trouble_to_the_model_with_a_bad_verdict(planted: Planted) -> None:
    scores = planted.open("mlflow-fleet").answer("Models by trouble, $window", TROUBLE)
    worst = max(scores, key=lambda series: float(series["value"][1]))
    assert worst["metric"]["model"] == DEAD
    assert float(worst["value"][1]) > 0


@pytest.mark.parametrize("at", ["empty", "live", "down"])
def test_the_fleet_does_not_say_that_no_alert_fires_where_no_rules_are_loaded(
    planted: Planted, at: str
) -> None:
    opened = planted.open("mlflow-fleet", at)
    for title in ("Critical", "Warnings", "Pending"):
        assert opened.answer(title) == []


@pytest.mark.parametrize("at", ["empty", "live", "down"])
@each_dashboard
def test_prometheus_takes_every_query(planted: Planted, path: Path, at: str) -> None:
    """With a quote in the name of the model, and where variables have no values."""
    opened = planted.open(path.stem, at)
    for _, expression, instant in opened.queries():
        (opened.prometheus.now if instant else opened.prometheus.over_time)(expression)


@pytest.mark.parametrize(("model", "expected"), [(DEAD, ["1", "1"]), (SILENT, ["0", "0"])])
def test_bad_and_severe_verdicts_are_counted_for_the_chosen_model(
    planted: Planted, model: str, expected: list[str]
) -> None:
    opened = planted.open("mlflow-alerts", model=model)
    answers = [opened.answer("Did it help?", ref) for ref in ("B", "D")]  # failing checks, severe verdicts
    assert [series["values"][-1][1] for (series,) in answers] == expected


def test_without_rules_nothing_is_said_about_alerts(planted: Planted) -> None:
    opened = planted.open("mlflow-alerts")
    assert opened.answer("Firing, critical") == []
    ((_, value),) = {tuple(each) for series in opened.answer("What fired") for each in series["values"][-1:]}
    assert value == "-1"
