"""Series of experiments and runs."""

from __future__ import annotations

import math

import pytest

from exporter.exposition.experiments import experiment_families
from exporter.exposition.render import Format, render
from exporter.registry.runs import Experiment, Run
from tests.support.runs import make_ledger, make_run, view


def lines(experiments: list[Experiment], max_series: int = 1000, followed: int | None = None) -> list[str]:
    families = experiment_families(
        experiments, len(experiments) if followed is None else followed, max_series
    )
    return [line for line in render(families, Format.TEXT).decode().splitlines() if not line.startswith("#")]


def test_an_experiment_shows_all_statuses_its_last_run_and_the_metrics_of_its_runs() -> None:
    run = make_run(
        1_800_000_000, run_id="a1b2", name="bold owl", metrics={"val/f1 score": 0.91, "loss": math.inf}
    )
    assert lines(view(make_ledger(run))) == [
        'mlflow_experiment_runs{experiment="e",status="RUNNING"} 0',
        'mlflow_experiment_runs{experiment="e",status="SCHEDULED"} 0',
        'mlflow_experiment_runs{experiment="e",status="FINISHED"} 1',
        'mlflow_experiment_runs{experiment="e",status="FAILED"} 0',
        'mlflow_experiment_runs{experiment="e",status="KILLED"} 0',
        'mlflow_experiment_last_run_timestamp_seconds{experiment="e"} 1800000000.0',
        'mlflow_run_start_timestamp_seconds{experiment="e",experiment_id="e",run_id="a1b2",'
        'run_name="bold owl",status="FINISHED"} 1800000000.0',
        'mlflow_run_metric{experiment="e",run_id="a1b2",run_name="bold owl",metric="val/f1 score"} 0.91',
        'mlflow_run_metric{experiment="e",run_id="a1b2",run_name="bold owl",metric="loss"} +Inf',
        "mlflow_exporter_dropped_run_series 0",
    ]


@pytest.mark.parametrize("runs", [[], [make_run(0)]], ids=["no run", "a run without a start"])
def test_without_a_start_there_is_no_time_of_the_last_run(runs: list[Run]) -> None:
    assert not [line for line in lines(view(make_ledger(*runs))) if "last_run" in line]


def test_a_run_without_metrics_shows_its_start_and_status() -> None:
    found = lines(view(make_ledger(make_run(7, status="RUNNING", metrics={}))))
    assert [line for line in found if line.startswith("mlflow_run_")] == [
        'mlflow_run_start_timestamp_seconds{experiment="e",experiment_id="e",run_id="e7",'
        'run_name="run 7",status="RUNNING"} 7.0'
    ]


def test_above_the_limit_the_newest_runs_of_every_experiment_stay() -> None:
    runs = [make_run(number, key, metrics={"a": 1, "b": 2}) for key in "ef" for number in range(1, 4)]
    found = lines(view(make_ledger(*runs, experiments=("e", "f"))), max_series=2 * 6 + 8)
    assert [line.split('"')[3] for line in found if line.startswith("mlflow_run_metric")] == [
        "f3",
        "f3",
        "e3",
        "e3",
    ]
    assert found[-1] == "mlflow_exporter_dropped_run_series 12"
    assert len(found) == 2 * 6 + 6 + 1


def test_what_the_limits_leave_out_is_counted() -> None:
    runs = [make_run(1, "e", metrics_left_out=3), make_run(2, "f")]
    experiments = view(make_ledger(*runs, experiments=("e", "f")))
    assert lines(experiments)[-1] == "mlflow_exporter_dropped_run_series 3"
    assert lines(experiments, followed=4)[-1] == "mlflow_exporter_dropped_run_series 15"
    assert lines(experiments, max_series=11)[-1] == "mlflow_exporter_dropped_run_series 6"


@pytest.mark.parametrize("limit", range(0, 40, 3))
def test_the_limit_holds(limit: int) -> None:
    runs = [make_run(number, key, metrics={"a": 1, "b": 2}) for key in "ef" for number in range(1, 4)]
    assert len(lines(view(make_ledger(*runs, experiments=("e", "f"))), max_series=limit)) <= limit + 1
