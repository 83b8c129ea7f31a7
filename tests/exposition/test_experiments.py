"""What is kept of MLflow's runs, and what they show."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from exporter.exposition.experiments import (
    METRICS_PER_RUN,
    NEWEST_RUNS,
    Experiment,
    Run,
    RunLedger,
    experiment_families,
)
from exporter.exposition.render import Format, render

MANY = 100


def make_run(number: int, experiment: str = "e", **own: object) -> Run:
    """The `number`th run of an experiment, started at that time."""
    run = Run(f"{experiment}{number}", experiment, f"run {number}", "FINISHED", float(number), {"auc": 0.9})
    return replace(run, **own)  # type: ignore[arg-type] # of the fields' own types


def make_ledger(*runs: Run, experiments: tuple[str, ...] = ("e",), max_experiments: int = MANY) -> RunLedger:
    ledger = RunLedger(max_experiments)
    ledger.follow(experiments)
    ledger.update(runs, now=1)
    return ledger


def view(ledger: RunLedger) -> list[Experiment]:
    return ledger.view({key: key for key in ledger.experiment_ids})


def lines(experiments: list[Experiment], max_series: int = 1000, followed: int | None = None) -> list[str]:
    families = experiment_families(
        experiments, len(experiments) if followed is None else followed, max_series
    )
    return [line for line in render(families, Format.TEXT).decode().splitlines() if not line.startswith("#")]


def numbers(experiment: Experiment) -> list[int]:
    return [int(run.run_id.lstrip("abcdefgh")) for run in experiment.newest]


# What is kept


def test_every_run_counts_for_its_status() -> None:
    runs = [make_run(number, status="FAILED" if number < 3 else "FINISHED") for number in range(50)]
    (experiment,) = view(make_ledger(*runs))
    assert experiment.runs_by_status == {"FAILED": 3, "FINISHED": 47}


def test_a_run_that_is_read_again_counts_once_with_its_new_status_and_metrics() -> None:
    ledger = make_ledger(make_run(1, status="RUNNING", metrics={}))
    ledger.update([make_run(1, metrics={"auc": 0.8})], now=2)
    (experiment,) = view(ledger)
    assert experiment.runs_by_status == {"FINISHED": 1}
    assert experiment.newest[0].metrics == {"auc": 0.8}


def test_of_the_newest_runs_everything_is_kept_whatever_the_order_they_come_in() -> None:
    ledger = make_ledger(*(make_run(number) for number in [*range(10, 50), *range(10)]))
    (experiment,) = view(ledger)
    assert numbers(experiment) == list(range(49, 49 - NEWEST_RUNS, -1))
    assert experiment.last_run_at == 49


def test_a_run_that_is_gone_makes_room_for_an_older_one_once_that_was_read_again() -> None:
    ledger = make_ledger(*(make_run(number) for number in range(NEWEST_RUNS + 1)))
    ledger.remove([f"e{NEWEST_RUNS}"])
    assert numbers(view(ledger)[0]) == list(range(NEWEST_RUNS - 1, 0, -1))
    assert ledger.due(1) == ["e0"]
    ledger.update([make_run(0)], now=2)
    assert numbers(view(ledger)[0]) == list(range(NEWEST_RUNS - 1, -1, -1))


def test_the_runs_that_were_read_longest_ago_are_due_first() -> None:
    ledger = make_ledger(*(make_run(number) for number in range(4)))
    ledger.update([make_run(1), make_run(3)], now=2)
    assert set(ledger.due(2)) == {"e0", "e2"}
    assert set(ledger.due(MANY)) == {"e0", "e1", "e2", "e3"}


def test_runs_of_an_experiment_that_is_not_followed_are_passed_over() -> None:
    ledger = make_ledger(make_run(1, "f"))
    assert view(ledger) == [Experiment("e", view(ledger)[0].runs_by_status, 0.0, ())]
    assert not view(ledger)[0].runs_by_status


def test_an_experiment_that_is_gone_takes_its_runs_along() -> None:
    ledger = make_ledger(make_run(1), make_run(2, "f"), experiments=("e", "f"))
    ledger.follow(["f"])
    assert [experiment.name for experiment in view(ledger)] == ["f"]
    assert ledger.due(MANY) == ["f2"]


def test_the_experiments_that_ran_last_are_the_ones_that_are_shown() -> None:
    ledger = make_ledger(
        make_run(5, "a"),
        make_run(9, "b"),
        make_run(7, "c"),
        experiments=("a", "b", "c", "d"),
        max_experiments=2,
    )
    assert [experiment.name for experiment in view(ledger)] == ["b", "c"]
    assert set(ledger.due(MANY)) == {"b9", "c7"}


# Which metrics


def test_without_patterns_all_metrics_are_chosen_that_have_a_value() -> None:
    run = make_run(1, metrics={"a/b c.d": 1.0, "nan": math.nan, "inf": math.inf}).choose_metrics(())
    assert run.metrics == {"a/b c.d": 1.0, "inf": math.inf}
    assert run.metrics_left_out == 0


def test_with_patterns_only_metrics_that_match_one_of_them_are_chosen() -> None:
    run = make_run(1, metrics={"val_loss": 1.0, "val_auc": 2.0, "loss": 3.0, "Val_x": 4.0})
    assert run.choose_metrics(("val_*", "los?")).metrics == {"val_loss": 1.0, "val_auc": 2.0, "loss": 3.0}


def test_of_a_run_with_very_many_metrics_the_first_by_name_are_chosen() -> None:
    run = make_run(1, metrics={f"m{number:03d}": 0.0 for number in range(METRICS_PER_RUN + 3)})
    chosen = run.choose_metrics(())
    assert list(chosen.metrics) == [f"m{number:03d}" for number in range(METRICS_PER_RUN)]
    assert chosen.metrics_left_out == 3


# What they show


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
        'mlflow_run_metric{experiment="e",run_id="a1b2",run_name="bold owl",metric="val/f1 score"} 0.91',
        'mlflow_run_metric{experiment="e",run_id="a1b2",run_name="bold owl",metric="loss"} +Inf',
        "mlflow_exporter_dropped_run_series 0",
    ]


@pytest.mark.parametrize("runs", [[], [make_run(0)]], ids=["no run", "a run without a start"])
def test_without_a_start_there_is_no_time_of_the_last_run(runs: list[Run]) -> None:
    assert not [line for line in lines(view(make_ledger(*runs))) if "timestamp" in line]


def test_above_the_limit_the_newest_runs_of_every_experiment_stay() -> None:
    runs = [make_run(number, key, metrics={"a": 1, "b": 2}) for key in "ef" for number in range(1, 4)]
    found = lines(view(make_ledger(*runs, experiments=("e", "f"))), max_series=2 * 6 + 5)
    assert [line.split('"')[3] for line in found if line.startswith("mlflow_run_metric")] == [
        "f3",
        "f3",
        "e3",
        "e3",
    ]
    assert found[-1] == "mlflow_exporter_dropped_run_series 8"
    assert len(found) == 2 * 6 + 4 + 1


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
