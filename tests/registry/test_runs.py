"""Runs as they are kept."""

from __future__ import annotations

import math

from exporter.registry.runs import METRICS_PER_RUN, NEWEST_RUNS, Experiment
from tests.support.runs import MANY, make_ledger, make_run, view


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
