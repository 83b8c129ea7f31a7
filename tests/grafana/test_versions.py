"""Queries on versions and runs, asked of promtool about days of planted series."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.grafana.dashboards import by_uid
from tests.grafana.frontend import Opened, Prometheus

pytestmark = pytest.mark.needs("promtool")

DAY = 86400
NOW = 15 * DAY  # in seconds, as promtool begins at 0
NO_SERVER = Prometheus("", NOW)
MODEL = r'model="eu \"west\"",job="mlflow-exporter"'
VALUES = {
    "cluster": ".*",
    "namespace": ".*",
    "job": ".*",
    "__range": "1h",
    "__interval": "1h",
    "__interval_ms": str(DAY * 1000),
    "__to": str(NOW * 1000),
    "__rate_interval": "1h",
    "model": 'eu "west"',
    "champion": "production",
    "challenger": "canary",
    "window": "24h",
    "metric": "accuracy",
    "experiment": "training",
    "columns": ".+",
    "less_is_better": "^$",
    "model_version": "9",
}
# Version 2 was registered at the start, 9 on day 5 (production), 10 on day 10 (canary), 11 on day 14. The
# quality of each falls by 0.01 a day; that of 2 ends on day 6, and of 9 it was 0.9 at first.
CREATED = {"2": 0, "9": 5, "10": 10, "11": 14}
FIRST_QUALITY = {"2": 0.8, "9": 0.9, "10": 0.95, "11": 0.7}


def hourly(first_day: float, value: str, last_day: float = 15) -> str:
    """A series of one sample an hour, which `value` describes as promtool does."""
    before, samples = round(24 * first_day), round(24 * (last_day - first_day))
    return f"{f'_x{before} ' if before else ''}{value}x{samples}"


def planted() -> dict[str, str]:
    series = {}
    for version, day in CREATED.items():
        of_version = f'{MODEL},model_version="{version}"'
        last = 6 if version == "2" else 15
        fall = hourly(day, f"{FIRST_QUALITY[version]}-{0.01 / 24}", last)
        series[f'mlflow_model_quality{{{of_version},metric="accuracy",window="24h"}}'] = fall
        created = hourly(day, f"{day * DAY}+0", last)
        series[f"mlflow_model_version_created_timestamp_seconds{{{of_version}}}"] = created
        series[f"mlflow_model_version_info{{{of_version}}}"] = hourly(day, "1+0", last)
    for alias, version in (("canary", 10), ("production", 9), ("other", 11)):
        series[f'mlflow_model_alias_version{{{MODEL},alias="{alias}"}}'] = hourly(0, f"{version}+0")
    for run, (metrics, day) in {"a": ((0.7, 0.2), 9), "b": ((0.9, 0.4), 11.5)}.items():
        run_labels = f'job="mlflow-exporter",experiment="training",run_id="{run}",run_name="owl"'
        for name, figure in zip(("accuracy", "log_loss"), metrics, strict=True):
            series[f'mlflow_run_metric{{{run_labels},metric="{name}"}}'] = hourly(day, f"{figure}+0")
        start = f'mlflow_run_start_timestamp_seconds{{{run_labels},experiment_id="7",status="FINISHED"}}'
        series[start] = hourly(day, f"{round(day * DAY)}+0")
    return series


def panel(uid: str, title: str, ref: str = "A", **values: str) -> str:
    """Expression of a panel's query."""
    opened = Opened(by_uid(uid), NO_SERVER, {**VALUES, **values})
    (found,) = (text for place, text, _ in opened.queries() if place == f"{title} {ref}")
    return found


def variable(name: str) -> str:
    opened = Opened(by_uid("mlflow-versions"), NO_SERVER, VALUES)
    (found,) = (each for each in opened.dashboard["templating"]["list"] if each["name"] == name)
    return opened.fill_in(found["query"]["query"]).removeprefix("query_result(").removesuffix(")")


def columns(table: str) -> dict[str, str]:
    """Letters of the queries of the versions' table, by the title of their column."""
    (found,) = (each for each in by_uid("mlflow-versions")["panels"] if each["title"] == table)
    (arranged,) = (each["options"] for each in found["transformations"] if each["id"] == "organize")
    return {title: name[7] for name, title in arranged["renameByName"].items() if name.startswith("Value #")}


@pytest.fixture
def finds(tmp_path: Path, program: Callable[[str], str]) -> Callable[..., None]:
    def run(expression: str, expected: dict[str, float], at: int = NOW) -> None:
        samples = [{"labels": labels, "value": value} for labels, value in expected.items()]
        test: dict[str, Any] = {
            "interval": "1h",
            "input_series": [{"series": name, "values": values} for name, values in planted().items()],
            "promql_expr_test": [
                {"expr": f"round({expression}, 0.0001)", "eval_time": f"{at}s", "exp_samples": samples}
            ],
        }
        file = tmp_path / "test.yml"
        file.write_text(yaml.safe_dump({"rule_files": [], "tests": [test]}), encoding="utf-8")
        command = [program("promtool"), "test", "rules", str(file)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    return run


def test_the_champion_is_the_alias_that_serves_whatever_it_is_called(finds: Callable[..., None]) -> None:
    ranks = {'{alias="production"}': 1, '{alias="other"}': 0, '{alias="canary"}': -1}
    finds(variable("champion"), ranks)
    finds(variable("challenger"), {'{alias="canary"}': 1, '{alias="other"}': 0})


def test_versions_are_sorted_by_number_and_not_by_text_after_champion_and_challenger(
    finds: Callable[..., None],
) -> None:
    """Prometheus sorts series over time by their labels; the name in the legend is of the role."""
    expression = panel("mlflow-versions", "$metric by age of the version", "B", __range="10d")
    names = {"9": ("0", "champion, version 9"), "10": ("00", "challenger, version 10")}
    names |= {"11": ("2", "version 11")}
    labelled = {
        f'{{legend_order="{order}",model_version="{number}",series="{name}"}}': round(
            FIRST_QUALITY[number] - 0.01 * (15 - CREATED[number]), 4
        )
        for number, (order, name) in names.items()
    }
    finds(expression, labelled)


def test_the_table_has_the_champion_on_top_then_the_challenger_then_the_newest(
    finds: Callable[..., None],
) -> None:
    order = panel("mlflow-versions", "Versions", columns("Versions")["Order"])
    expected = {"9": 1e12 + 5 * DAY, "10": 1e11 + 10 * DAY, "11": 14 * DAY}
    finds(order, {f'{{model_version="{number}"}}': value for number, value in expected.items()})
    hidden = by_uid("mlflow-versions")["panels"]
    (table,) = (each for each in hidden if each["title"] == "Versions")
    steps = [each["id"] for each in table["transformations"]]
    assert steps[-2:] == ["sortBy", "organize"]  # sorted while the column is still there


def test_the_version_before_is_shown_at_the_age_that_the_champion_has(finds: Callable[..., None]) -> None:
    """On day 8 version 9 is three days old; version 2 was on day 3, long before the time range began."""
    column = columns("Versions")["At the same age"]
    expression = panel("mlflow-versions", "Versions", column, __to=str(8 * DAY * 1000))
    expected = {'{model_version="2"}': 0.8 - 0.03, '{model_version="9"}': 0.9 - 0.03}
    finds(expression, {labels: round(value, 4) for labels, value in expected.items()}, at=8 * DAY)


@pytest.mark.parametrize(("metric", "best"), [("accuracy", "b"), ("log_loss", "a")])
def test_the_best_run_is_first_whatever_the_direction_of_the_metric(
    finds: Callable[..., None], metric: str, best: str
) -> None:
    (choice,) = (
        each for each in by_uid("mlflow-runs")["templating"]["list"] if each["name"] == "less_is_better"
    )
    by_name = choice["current"]["value"]
    rank = panel("mlflow-runs", "Newest runs", "D", metric=metric, less_is_better=by_name)
    figures = {"accuracy": {"a": 0.7, "b": 0.9}, "log_loss": {"a": -0.2, "b": -0.4}}[metric]
    assert max(figures, key=figures.__getitem__) == best
    label = '{{metric="Rank",run_id="{}",run_name="owl"}}'
    finds(rank, {label.format(run): figure for run, figure in figures.items()})


def test_a_run_is_a_point_at_its_start(finds: Callable[..., None]) -> None:
    """By steps of a day, the one that began on day 11 and a half is at day 12, and on no other."""
    expression = panel("mlflow-runs", "$metric of the newest runs by their start", less_is_better="^$")
    finds(expression, {'{experiment_id="7",run_id="b",run_name="owl"}': 0.9}, at=12 * DAY)
    finds(expression, {}, at=13 * DAY)
