"""The study itself: its worlds are what they say, its rules are the rules, and its tables are documented."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from prometheus_client.parser import text_string_to_metric_families

from exporter.aggregates.block import fold
from exporter.exposition.collector import SeriesCollector
from exporter.exposition.render import Format
from exporter.exposition.telemetry import Telemetry
from exporter.exposition.view import VersionView
from exporter.fleet import Findings
from exporter.formats.arrow_columns import from_arrow
from exporter.reference.binning import bin_columns
from exporter.settings import Settings
from tests.prometheus.alerting import RULE_FILES
from tests.study import frontier
from tests.study.figures import Row, alarms_table, habits_table, merge, per_quarter
from tests.study.flights import HELD_OUT as CARRIERS
from tests.study.flights import LATE_CLOCK
from tests.study.flights import ROWS as FLIGHTS
from tests.study.flights import TIMELESS as NO_TIMES
from tests.study.incidents import INCIDENTS
from tests.study.labelled import DAY, Break, LabelledWorld, watch
from tests.study.laws import ALL, MANY, ZEROS
from tests.study.quality import (
    FLIGHTS_ROW,
    LABEL_INCIDENTS,
    LABEL_SCENARIOS,
    LabelScenario,
    alerts_of,
    run_label_scenario,
)
from tests.study.replay import replay
from tests.study.rules import DATA_QUALITY, DRIFT, STUDIED, Alert, firing, pages, told
from tests.study.rules import MANY as MANY_FEATURES
from tests.study.scenarios import HELD_OUT, SCENARIOS, TIMELESS, Scenario
from tests.study.simulation import run_scenario
from tests.study.traffic import OUTAGES, SERVICES, Service, run_service
from tests.study.worlds import START, Change, World
from tests.support.docs import page, section

STEP_MINUTES = 120
SCRAPE_MINUTES = 5  # rules look back as long
RULE_MINUTES = 40
SCRAPES = STEP_MINUTES // SCRAPE_MINUTES


def test_shares_of_a_law_are_those_of_its_values() -> None:
    laws = dict(enumerate((*ALL, *ZEROS, *MANY)))
    world = World(columns=len(laws) + 2, laws=tuple(laws.values()), reference_rows=3000, missing=0)
    reference = world.draw(1, (1,)).reference
    latent = 0.3 + np.random.default_rng(2).standard_normal(50_000)
    values = {
        ("feature", f"feature{k:02d}"): from_arrow(pa.array(law.values(latent))) for k, law in laws.items()
    }
    binned = bin_columns(reference, values, len(latent), np.zeros(len(latent)))
    folded = fold(reference, binned, np.zeros(len(latent), np.int64), None)[0].counts / len(latent)

    for k, law in laws.items():
        start = reference.offsets[k]
        expected = law.shares(reference.columns[k], np.array([0.3]))[0]
        np.testing.assert_allclose(folded[start : start + reference.columns[k].bins], expected, atol=0.01)


def test_a_clean_model_gets_no_page() -> None:
    world = World(columns=5, rows_per_day=2000, reference_rows=5000, season=(0.3, 0.3, 0.1), replicas=2)

    row = run_scenario(Scenario("smoke", world, days=3, step_seconds=6 * 3600), 0, models=1)

    assert (row.pages, row.windows) == (0, 36)


def test_no_page_in_ten_weeks_is_not_no_page_ever() -> None:
    row = Row("quiet", 70, 1000, 0, {"PSI > 0.1": 7, "PSI > 0.2": 0, "p < 0.05": 70})

    assert per_quarter(row) == (0, pytest.approx(3.91, abs=0.01))
    assert "| quiet | 1,000 | 0.00 | 0.0 (< 3.9) | 10% | 0% | 100% |" in alarms_table([row])


@pytest.mark.needs("prometheus", "promtool")
def test_a_clean_model_whose_labels_come_gets_no_page() -> None:
    world = LabelledWorld(rows_per_day=1000, reference_rows=5000)

    row = run_label_scenario(LabelScenario("smoke", world, 1, days=4), 0, models=1)

    assert (row.pages, row.windows) == (0, 48)


@pytest.mark.needs("prometheus", "promtool")
def test_a_holiday_is_a_page_and_weekends_are_none() -> None:
    office = Service("office", hours=(8, 18), weekdays=(0, 1, 2, 3, 4), holidays=(23,), models=1, days=28)

    assert run_service(office, 0).pages == 1


@pytest.mark.needs("prometheus", "promtool")
def test_traffic_that_moves_to_another_version_is_no_page() -> None:
    assert run_service(Service("deployed", deploys=(15,), models=1, days=17), 0).pages == 0


@pytest.mark.needs("prometheus", "promtool")
def test_flipped_labels_are_told_by_the_rules() -> None:
    broken = Break(START + 4 * DAY, flipped=0.5)
    world = LabelledWorld(rows_per_day=1000, reference_rows=20_000, delay_days=0.05)
    reference, (rows,) = world.draw(8, (1,), broken)
    moments = range(START + 6 * 3600, START + 8 * DAY + 1, 6 * 3600)
    watched = list(watch(reference, rows, moments, "binary", 0.5, ("m", "1", "champion")))

    first = min(alerts_of({("m", "1"): watched}, moments)["m", "1"], key=lambda fired: fired.start)

    assert first.alert.name == "ModelQualityDegraded"
    assert first.start > broken.at


def test_rows_that_were_run_again_replace_those_of_the_same_name() -> None:
    def row(name: str, pages: int) -> Row:
        return Row(name, 70, 1000, pages)

    names = ["first", "second", "third"]
    before = merge("", [row("third", 0), row("first", 0)], [(habits_table, names)])
    after = merge(before, [row("second", 1), row("third", 2)], [(habits_table, names)])

    assert after == habits_table([row("first", 0), row("second", 1), row("third", 2)])


def test_alerts_of_one_version_are_one_page_until_all_have_ended() -> None:
    age, income = (Alert("ModelFeatureDrift", "warning", column, "feature") for column in ("age", "income"))
    moments = [
        (0.0, {age}),
        (3600.0, {age, income}),
        (7200.0, {income}),
        (10_800.0, set()),
        (14_400.0, {age}),
    ]

    found = pages(firing(moments, 3600))

    assert [(page.at, page.columns) for page in found] == [(60.0, ("age",)), (14_460.0, ("age",))]


def test_a_feed_that_brings_unseen_values_is_one_page_and_not_two() -> None:
    drift = Alert("ModelFeatureDrift", "warning", "city", "feature")
    unseen = Alert(DATA_QUALITY, "warning", "city", "feature", "unseen")

    assert [page.alert for page in pages(firing([(0.0, {drift, unseen})], 3600))] == [DATA_QUALITY]


# -- the rules ----------------------------------------------------------------------------------------------


def series_of(found_at: list[Findings]) -> dict[str, list[str]]:
    """Input series for promtool, by series of /metrics: a value or none for each of the findings."""
    collector = SeriesCollector(Settings(), Telemetry())
    found: dict[str, list[str]] = {}
    for place, findings in enumerate(found_at):
        evaluation = findings.evaluation
        reference = evaluation.reference
        view = VersionView(
            "flights",
            "1",
            ("champion",),
            reference=reference,
            evaluation=evaluation,
            bad=findings.bad or {},
            values=np.zeros(reference.cells, np.int64),
        )
        page = collector.collect([view], evaluation.at).render(Format.TEXT).decode()
        for family in text_string_to_metric_families(page):
            for sample in family.samples:
                if re.match(
                    "mlflow_model_(drift|change|data_quality|columns|alias_info|version_info)", sample.name
                ):
                    labels = ",".join(f"{name}={json.dumps(text)}" for name, text in sample.labels.items())
                    held = found.setdefault(f"{sample.name}{{{labels}}}", [f"_x{SCRAPES}"] * len(found_at))
                    held[place] = f"{sample.value!r}x{SCRAPES - 1}"
    return found


def spell(alerts: set[Alert]) -> list[dict[str, object]]:
    """The result of an expression, as promtool wants it."""
    labels = []
    for alert in sorted(alerts):
        pairs = {"alertname": alert.name, "check": alert.check, "column": alert.column, "role": alert.role}
        pairs["severity"] = alert.severity
        labels.append(", ".join(f"{name}={json.dumps(text)}" for name, text in pairs.items() if text))
    return [{"labels": f"{{{text}}}", "value": 1} for text in labels]


SHIFTED = [Change(30, f"feature{k:02d}", shift=1.5) for k in range(3)]
WORLDS = {
    "broken": (
        World(columns=8, reference_rows=20_000),
        [*SHIFTED, Change(36, "feature03", nulls=0.9), Change(10, "feature05", shift=0.4)],
        range(28, 76, 2),
    ),
    "changed": (World(columns=5, timestamps=False), [Change(20 * 24, shift=1.5)], range(20 * 24, 23 * 24, 2)),
}
EXPECTED = {
    "broken": {DRIFT["feature"], MANY_FEATURES, DATA_QUALITY},
    "changed": {
        DRIFT["feature"]
    },  # from the day on that two weeks have taught, the drift verdict is the news
}


@pytest.mark.needs("promtool")
@pytest.mark.parametrize("program", ["installed"], indirect=True)  # the rules' own tests run with both
@pytest.mark.parametrize("name", WORLDS)
def test_the_study_pages_as_the_rules_do(name: str, tmp_path: Path, program: Callable[[str], str]) -> None:
    world, changes, hours = WORLDS[name]
    model = world.draw(24, (7,), changes)
    found_at = list(replay(model.reference, model.blocks, [START + hour * 3600 for hour in hours]))
    first = found_at[0].evaluation.at
    met = [(at - first, alerts) for at, alerts in told(found_at)]
    fired = firing(met, 60 * STEP_MINUTES)
    names = "|".join(sorted(STUDIED))
    expectations = []
    for begin, _ in met:
        at = begin + 60 * (STEP_MINUTES - RULE_MINUTES)
        firing_then = {one.alert for one in fired if one.start <= at < one.end}
        expectations.append(
            {
                "expr": "count by (alertname, severity, column, role, check) "
                f'(ALERTS{{alertstate="firing", alertname=~"{names}"}})',
                "eval_time": f"{at:.0f}s",
                "exp_samples": spell(firing_then),
            }
        )
    inputs = [{"series": series, "values": " ".join(held)} for series, held in series_of(found_at).items()]
    test = {"interval": f"{SCRAPE_MINUTES}m", "input_series": inputs, "promql_expr_test": expectations}
    path = tmp_path / "study.test.yml"
    path.write_text(
        json.dumps(
            {
                "rule_files": [str(f) for f in RULE_FILES if f.stem in ("drift", "change")],
                "evaluation_interval": f"{RULE_MINUTES}m",
                "tests": [test],
            }
        )
    )

    done = subprocess.run([program("promtool"), "test", "rules", str(path)], capture_output=True, text=True)

    assert {one.alert.name for one in fired} == EXPECTED[name]
    assert done.returncode == 0, (done.stdout + done.stderr)[:5000]


# -- its tables ---------------------------------------------------------------------------------------------


def test_the_documentation_has_every_scenario_and_every_incident() -> None:

    def names(table: str) -> list[str]:
        return [line.split(" | ")[0].removeprefix("| ") for line in table.splitlines()[2:]]

    tables = [names(table) for table in section(page("prometheus/README.md"), "study").split("\n\n")]
    assert tables == [
        [*(scenario.name for scenario in SCENARIOS), *FLIGHTS],
        [*(scenario.name for scenario in HELD_OUT), *CARRIERS],
        [*(scenario.name for scenario in TIMELESS), *(name + NO_TIMES for name in (*FLIGHTS, *CARRIERS))],
        [
            *(scenario.name for scenario in LABEL_SCENARIOS),
            FLIGHTS_ROW,
            *(service.name for service in SERVICES),
        ],
        [
            *(incident.name for incident in INCIDENTS),
            LATE_CLOCK,
            *(name for name, _, _ in LABEL_INCIDENTS),
            *(name for name, _, _ in OUTAGES),
        ],
        [f"{climate}: {choice}" for climate in frontier.CLIMATES for choice in frontier.CHOICES],
        [f"{climate}: {choice}" for climate in frontier.LABEL_CLIMATES for choice in frontier.LABEL_CHOICES],
    ]
