"""Series of MLflow's own experiments and runs, against a real MLflow server."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from prometheus_client.parser import text_string_to_metric_families

import exporter.monitoring.run_watcher
import exporter.registry.client
from exporter.errors import RegistryUnreachableError
from exporter.exposition.render import Format, render
from exporter.monitoring.run_watcher import FULL_INTERVAL_SECONDS, RunWatcher
from exporter.registry.registry import Registry
from exporter.service import Service
from exporter.settings import Settings
from tests.support.fakes import Clock
from tests.support.mlflow_world import World
from tests.support.rig import eventually


@dataclass
class Lab:
    """An experiment, and a watcher that a test turns by hand; the clock is that of the runs."""

    world: World
    name: str
    experiment: str
    clock: Clock
    watcher: RunWatcher

    def show(self) -> dict[str, dict[tuple[str, ...], float]]:
        """Series of the experiment: by metric, values by the values of the other labels."""
        families = self.watcher.families(self.clock())
        return {
            family.name: {
                tuple(value for label, value in sample.labels.items() if label != "experiment"): sample.value
                for sample in family.samples
                if sample.labels.get("experiment") == self.name
            }
            for family in text_string_to_metric_families(render(families, Format.TEXT).decode())
        }

    def poll(self) -> dict[str, dict[tuple[str, ...], float]]:
        self.clock.now = time.time()
        self.watcher.poll()
        return self.show()

    def counts(self) -> dict[str, float]:
        """Runs by status, after a poll."""
        return {status: count for (status,), count in self.poll()["mlflow_experiment_runs"].items() if count}

    def metrics(self) -> dict[tuple[str, ...], float]:
        """Values by run id and metric, after a poll."""
        found = self.poll().get("mlflow_run_metric", {})
        return {(run_id, metric): value for (run_id, _, metric), value in found.items()}


@pytest.fixture
def lab(registry: Registry, world: World) -> Lab:
    name = f'runs "{uuid4().hex[:8]}"'
    clock = Clock(time.time())
    watcher = RunWatcher(Settings(), registry, clock)
    return Lab(world, name, world.add_experiment(name), clock, watcher)


def test_an_experiment_shows_its_runs_by_status_and_when_it_ran_last(lab: Lab) -> None:
    lab.world.add_finished_run(lab.experiment, started_ms=1_700_000_000_000)
    lab.world.add_finished_run(lab.experiment, status="FAILED", started_ms=1_700_000_009_000)
    shown = lab.poll()
    assert shown["mlflow_experiment_runs"] == {
        ("FINISHED",): 1, ("FAILED",): 1, ("RUNNING",): 0, ("SCHEDULED",): 0, ("KILLED",): 0,
    }  # fmt: skip
    assert shown["mlflow_experiment_last_run_timestamp_seconds"] == {(): 1_700_000_009}


def test_any_name_of_a_metric_and_infinity_are_shown_and_nan_is_not(lab: Lab) -> None:
    metrics = {"val/f1 score.2": 0.5, "up": math.inf, "down": -math.inf, "none": math.nan}
    run_id = lab.world.add_finished_run(lab.experiment, metrics, name='say "hi"\\')
    assert lab.poll()["mlflow_run_metric"] == {
        (run_id, 'say "hi"\\', "val/f1 score.2"): 0.5,
        (run_id, 'say "hi"\\', "up"): math.inf,
        (run_id, 'say "hi"\\', "down"): -math.inf,
    }


def test_what_a_run_does_is_followed(lab: Lab) -> None:
    assert lab.counts() == {}
    run_id = lab.world.client.create_run(lab.experiment).info.run_id
    assert lab.counts() == {"RUNNING": 1}
    lab.world.client.log_metric(run_id, "loss", 0.5, step=1)
    assert lab.metrics() == {(run_id, "loss"): 0.5}
    lab.world.client.log_metric(run_id, "loss", 0.25, step=2)
    assert lab.metrics() == {(run_id, "loss"): 0.25}
    lab.world.client.set_terminated(run_id, "KILLED")
    assert lab.counts() == {"KILLED": 1}


def test_a_metric_that_is_logged_after_the_end_is_shown(lab: Lab) -> None:
    long_ago = 1_700_000_000_000
    run = lab.world.client.create_run(lab.experiment, start_time=long_ago).info.run_id
    lab.world.client.set_terminated(run, end_time=long_ago + 1000)
    assert lab.metrics() == {}
    lab.world.client.log_metric(run, "late", 1)
    assert lab.metrics() == {(run, "late"): 1}


def test_a_run_that_ends_long_after_others_started_is_counted_once(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporter.monitoring.run_watcher, "RUNS_READ_AGAIN", 0)
    first = lab.world.client.create_run(lab.experiment, start_time=1_700_000_000_000).info.run_id
    lab.world.add_finished_run(lab.experiment)
    assert lab.counts() == {"RUNNING": 1, "FINISHED": 1}
    lab.world.client.set_terminated(first)
    assert lab.counts() == {"FINISHED": 2}


def test_a_deleted_run_goes_away_and_comes_back_when_it_is_restored(lab: Lab) -> None:
    run_id = lab.world.add_finished_run(lab.experiment, {"auc": 0.9})
    assert lab.metrics() == {(run_id, "auc"): 0.9}
    lab.world.client.delete_run(run_id)
    assert lab.counts() == {}
    assert lab.metrics() == {}
    lab.world.client.restore_run(run_id)
    assert lab.metrics() == {(run_id, "auc"): 0.9}


def test_what_a_poll_does_not_see_is_found_when_everything_is_read_again(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporter.monitoring.run_watcher, "RUNS_READ_AGAIN", 0)
    monkeypatch.setattr(exporter.monitoring.run_watcher, "FULL_SHARE", 1)
    run_id = lab.world.add_finished_run(lab.experiment, started_ms=1_700_000_000_000)
    assert lab.counts() == {"FINISHED": 1}
    lab.world.client.delete_run(run_id)
    assert lab.counts() == {"FINISHED": 1}
    lab.clock.advance(FULL_INTERVAL_SECONDS + 60)
    lab.watcher.poll()
    assert set(lab.show()["mlflow_experiment_runs"].values()) == {0}


def test_experiments_come_go_and_change_their_names(lab: Lab) -> None:
    lab.poll()
    name = f"second {lab.name}"
    second = lab.world.add_experiment(name)
    run_id = lab.world.add_finished_run(second, {"auc": 0.9}, started_ms=1_700_000_000_000)
    lab.name = name
    assert lab.metrics() == {(run_id, "auc"): 0.9}
    lab.world.client.rename_experiment(second, f"renamed {name}")
    assert lab.metrics() == {}
    lab.name = f"renamed {name}"
    assert lab.metrics() == {(run_id, "auc"): 0.9}
    lab.world.client.delete_experiment(second)
    assert lab.poll()["mlflow_experiment_runs"] == {}
    lab.world.client.restore_experiment(second)
    assert lab.metrics() == {(run_id, "auc"): 0.9}


def test_more_runs_and_experiments_than_a_page_holds(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        lab.world.add_finished_run(lab.experiment, {"n": number})
    monkeypatch.setattr(exporter.registry.client, "EXPERIMENTS_PER_PAGE", 2)
    monkeypatch.setattr(exporter.registry.client, "RUNS_PER_PAGE", 2)
    assert lab.counts() == {"FINISHED": 5}
    assert set(lab.metrics().values()) == {0, 1, 2, 3, 4}


def make_watcher(lab: Lab, **settings: Any) -> RunWatcher:
    return RunWatcher(Settings(**settings), lab.watcher._registry, lab.clock)


def test_only_metrics_of_the_allow_list_are_shown(lab: Lab) -> None:
    run_id = lab.world.add_finished_run(lab.experiment, {"val_auc": 0.9, "system/cpu": 3})
    lab.watcher = make_watcher(lab, run_metrics=("val_*",))
    assert lab.metrics() == {(run_id, "val_auc"): 0.9}


def test_no_more_runs_are_read_than_allowed_the_newest_first(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(exporter.registry.client, "RUNS_PER_PAGE", 2)
    soon = round(time.time() * 1000)
    newest = [lab.world.add_finished_run(lab.experiment, {"n": 1}, started_ms=soon + n) for n in range(5)][
        -2:
    ]
    lab.watcher = make_watcher(lab, max_runs=2)
    assert {run_id for run_id, _ in lab.metrics()} == set(newest)
    assert "runs older than the newest 2 are not counted" in caplog.text


def test_while_mlflow_is_down_what_was_shown_stays_for_five_polls(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    shown = lab.poll()
    monkeypatch.setattr(lab.watcher._registry, "list_experiments", fail)
    for _ in range(5):
        lab.clock.advance(29)
        lab.watcher.poll()
        assert lab.show() == shown
    lab.clock.advance(29)
    assert lab.show() == {}
    assert caplog.text.count("MLflow is down") == 1
    monkeypatch.undo()
    lab.watcher.poll()
    assert lab.show() == shown


def fail(*_: object) -> Any:
    raise RegistryUnreachableError("MLflow is down")


@pytest.mark.parametrize("when", ["at the start", "later"])
def test_an_experiment_that_could_not_be_read_is_read_at_the_next_poll(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    if when == "later":
        lab.poll()
        lab.name += " later"
        lab.experiment = lab.world.add_experiment(lab.name)
    run_id = lab.world.add_finished_run(lab.experiment, {"auc": 0.9}, started_ms=1_700_000_000_000)
    with monkeypatch.context() as patch:
        patch.setattr(lab.watcher._registry, "list_runs", fail)
        lab.poll()
    assert lab.metrics() == {(run_id, "auc"): 0.9}


@pytest.mark.parametrize("runs", [True, False])
def test_runs_are_on_the_page_unless_they_are_switched_off(lab: Lab, tmp_path: Path, runs: bool) -> None:
    settings = Settings(store=f"sqlite:///{tmp_path / 'exporter.db'}", runs=runs)
    service = Service(settings, lab.watcher._registry)
    service.start()
    try:
        eventually(lambda: b"mlflow_up 1.0" in scrape(service))
        if runs:
            eventually(lambda: b"mlflow_experiment_runs{" in scrape(service))
        assert (b"mlflow_experiment_runs" in scrape(service)) == runs
    finally:
        service.stop()


def scrape(service: Service) -> bytes:
    return service.scrape(Format.TEXT, (), ())
