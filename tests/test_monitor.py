"""Following the registry: what is monitored, in which state, and what of it is seen."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import exporter.monitor
from exporter.api.views import models_view, version_detail
from exporter.committer import PredictionAnswer
from exporter.config import Settings
from exporter.errors import (
    ReferenceInvalidError,
    RegistryAuthError,
    RegistryUnreachableError,
    StoreError,
    UnavailableError,
    UnknownModelError,
)
from exporter.evaluation import evaluate
from exporter.exposition import Format
from exporter.fleet import Live, Status, Totals
from exporter.loader import RETRY_SECONDS
from exporter.service import Service
from tests.fakes import BROKEN, TIMEOUT_SECONDS, FakeRegistry
from tests.rig import NOON, Rig, eventually, make_rows, make_table

Start = Callable[..., Rig]
DAY = 86400.0
DOWN = RegistryUnreachableError("MLflow at http://mlflow:5000 cannot be reached: Connection refused")


def make_registry(*references: pa.Table | Exception | None, model: str = "fraud") -> FakeRegistry:
    """Versions 1, 2, ... of a model; the first is its champion."""
    registry = FakeRegistry()
    for reference in references:
        registry.register(model, reference)
    registry.set_alias(model, "champion", "1")
    return registry


def shown_versions(rig: Rig) -> set[tuple[str, str]]:
    """The (model, version) that have any series."""
    page = rig.service.scrape(Format.TEXT, (), ()).decode()
    found = set()
    for line in page.splitlines():
        if 'model="' in line and 'model_version="' in line:
            found.add(
                (line.split('model="')[1].split('"')[0], line.split('model_version="')[1].split('"')[0])
            )
    return found


def alias_series(rig: Rig) -> set[str]:
    return set(rig.series("mlflow_model_alias_info"))


def state(rig: Rig, version: str = "1", model: str = "fraud") -> tuple[str, str]:
    """Status and detail in `GET /v1/models`."""
    shown = models_view(rig.service.fleet, up=True, error="")
    versions = {(m.model, v.version): v for m in shown.models for v in m.versions}
    return versions[model, version].status, versions[model, version].detail


def errors(rig: Rig, version: str = "1", model: str = "fraud") -> dict[str, float]:
    name = "mlflow_exporter_evaluation_errors_total"
    labels = f'model="{model}",model_version="{version}"'
    stages = ("reference", "evaluation", "store")
    found = rig.series(name)
    counts = {stage: found[f'{name}{{{labels},stage="{stage}"}}'] for stage in stages}
    return {stage: count for stage, count in counts.items() if count}


# -- versions and aliases -----------------------------------------------------------------------------------


def test_a_version_with_an_alias_is_monitored(rig: Rig) -> None:
    assert shown_versions(rig) == {("fraud", "1")}
    assert alias_series(rig) == {
        'mlflow_model_alias_info{model="fraud",model_version="1",alias="champion",team=""}'
    }
    assert rig.sample('mlflow_model_alias_version{model="fraud",alias="champion"}') == 1
    assert state(rig) == ("ready", "")
    assert rig.post_rows(make_rows(3)) == PredictionAnswer(3, 0, 0, {})
    assert rig.post_rows(make_rows(3), alias="champion") == PredictionAnswer(3, 0, 0, {})
    assert rig.window_rows() == 6


def test_a_new_version_is_monitored_at_the_next_poll(rig: Rig) -> None:
    rig.registry.register("fraud", make_table(), alias="challenger")
    rig.registry.register("spam", make_table(), alias="champion")
    rig.poll()
    assert shown_versions(rig) == {("fraud", "1"), ("fraud", "2"), ("spam", "1")}
    assert rig.post_rows(make_rows(3), model="spam", version="1").accepted == 3


def test_an_alias_that_moved_takes_its_series_along_at_once(rig: Rig) -> None:
    rig.registry.register("fraud", make_table(), alias="champion")
    rig.clock.advance(60)
    rig.poll()
    assert alias_series(rig) == {
        'mlflow_model_alias_info{model="fraud",model_version="2",alias="champion",team=""}'
    }
    assert rig.sample('mlflow_model_alias_version{model="fraud",alias="champion"}') == 2
    assert shown_versions(rig) == {("fraud", "1"), ("fraud", "2")}
    rows = [*make_rows(2, timestamp=rig.clock() - 70), *make_rows(3)]
    assert rig.post_rows(rows, alias="champion").accepted == 5
    assert (rig.window_rows(version="1"), rig.window_rows(version="2")) == (2, 3)


def test_a_version_retires_when_its_alias_and_its_rows_are_long_gone(start: Start) -> None:
    rig = start(retire_after_seconds=3600.0)
    rig.registry.register("fraud", make_table(), alias="champion")
    rig.poll()
    rig.clock.advance(3000)
    rig.post_rows(make_rows(1), version="1")  # in flight when the alias moved
    rig.clock.advance(3000)
    rig.poll()
    assert shown_versions(rig) == {("fraud", "1"), ("fraud", "2")}
    rig.clock.advance(601)
    rig.poll()
    assert shown_versions(rig) == {("fraud", "2")}
    assert errors(rig, "2") == {}


def test_a_removed_alias_and_a_deleted_model_retire_likewise(start: Start) -> None:
    rig = start(retire_after_seconds=3600.0)
    rig.registry.register("spam", make_table(), alias="champion")
    rig.poll()
    rig.registry.delete_alias("fraud", "champion")
    rig.registry.delete("spam")
    rig.poll()
    assert alias_series(rig) == set()
    assert shown_versions(rig) == {("fraud", "1"), ("spam", "1")}
    assert rig.post_rows(make_rows(1)).accepted == 1
    with pytest.raises(UnknownModelError):
        rig.post_rows(make_rows(1), alias="champion")
    rig.clock.advance(3601)
    rig.poll()
    assert shown_versions(rig) == set()


def test_what_opts_out_goes_at_once_whatever_traffic_says(start: Start) -> None:
    registry = make_registry(make_table(), make_table())
    registry.set_alias("fraud", "challenger", "2")
    rig = start(registry=registry)
    rig.post_rows(make_rows(1))
    registry.tag("fraud", "1", enabled="false")
    rig.poll()
    assert shown_versions(rig) == {("fraud", "2")}
    with pytest.raises(UnknownModelError):
        rig.post_rows(make_rows(1))
    registry.tag("fraud", enabled="false")
    rig.poll()
    assert shown_versions(rig) == set()
    registry.tag("fraud", enabled="true")
    rig.poll()
    assert shown_versions(rig) == {("fraud", "2")}


def test_a_version_without_an_alias_is_monitored_when_traffic_names_it(start: Start) -> None:
    rig = start(registry=make_registry(make_table(), make_table()), mlflow_poll_interval_seconds=30.0)
    with pytest.raises(UnavailableError) as error:
        rig.post_rows(make_rows(1), version="2")
    assert error.value.retry_after_seconds == 30
    rig.poll()
    assert rig.post_rows(make_rows(1), version="2").accepted == 1
    with pytest.raises(UnknownModelError):
        rig.post_rows(make_rows(1), version="3")


def test_no_more_versions_than_the_limit_and_those_with_an_alias_first(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    registry = make_registry(*[make_table(50)] * 4)
    rig = start(registry=registry, max_versions=2)
    with pytest.raises(UnavailableError):
        rig.post_rows(make_rows(1), version="2")
    registry.set_alias("fraud", "zenith", "4")
    registry.set_alias("fraud", "yonder", "3")
    with caplog.at_level(logging.WARNING):
        rig.poll()
    assert shown_versions(rig) == {("fraud", "1"), ("fraud", "3")}
    assert "fraud version 4 is not monitored: 2 versions are" in caplog.text


def test_versions_without_an_alias_give_way_to_those_with_one(start: Start) -> None:
    registry = make_registry(*[make_table(50)] * 5)
    rig = start(registry=registry, max_versions=3)
    left_out = "mlflow_exporter_unmonitored_versions"
    for version in ("3", "2"):
        with pytest.raises(UnavailableError):
            rig.post_rows(make_rows(1), version=version)
        rig.poll()
        rig.clock.advance(10)
        rig.post_rows(make_rows(1), version=version)
    with pytest.raises(UnavailableError, match="version 4 of 'fraud' is not monitored: 3 are"):
        rig.post_rows(make_rows(1), version="4")
    registry.set_alias("fraud", "champion", "5")
    rig.poll()
    assert shown_versions(rig) == {("fraud", "1"), ("fraud", "2"), ("fraud", "5")}, "3 was silent longest"
    assert rig.sample(left_out) == 0
    for alias, version in (("yonder", "2"), ("xenon", "3"), ("willow", "4")):
        registry.set_alias("fraud", alias, version)
    rig.poll()
    assert shown_versions(rig) == {("fraud", "2"), ("fraud", "3"), ("fraud", "5")}
    assert rig.sample(left_out) == 1


def test_a_model_that_is_registered_anew_is_another_one(rig: Rig) -> None:
    rows = make_rows(5, prefix="r")
    rig.post_rows(rows)
    before = rig.version()
    rig.registry.delete("fraud")
    rig.registry.register("fraud", make_table(300, seed=9), alias="champion")
    rig.poll()
    after = rig.version()
    assert after.key != before.key
    assert after.binning is not None
    assert after.binning.reference.rows == 300
    assert rig.post_rows(rows) == PredictionAnswer(5, 0, 0, {})
    assert rig.window_rows() == 5


def test_tags_change_thresholds_at_the_next_poll(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    rig.registry.tag("fraud", drift_threshold="0.3", team="risk")
    rig.registry.tag("fraud", "1", **{"drift_threshold.age": "0.5", "drift_threshold.new": "much"})
    with caplog.at_level(logging.WARNING):
        rig.poll()
        rig.registry.tag("fraud", target="late")
        rig.poll()
    assert rig.version().facts.thresholds.drift == 0.3
    assert rig.version().facts.thresholds.drift_by_column == {"age": 0.5}
    problem = "tag monitoring.drift_threshold.new is 'much': has to be a number"
    assert rig.version().facts.problems == (problem,)
    assert caplog.text.count(problem) == 1
    assert rig.version().facts.config.target == "late"
    assert alias_series(rig) == {
        'mlflow_model_alias_info{model="fraud",model_version="1",alias="champion",team="risk"}'
    }


def test_metrics_of_the_source_run_are_shown(start: Start) -> None:
    registry = FakeRegistry()
    metrics = {"auc": 0.9, "nan": float("nan"), **{f"m{k:02}": 1.0 for k in range(60)}}
    registry.register("fraud", make_table(), alias="champion", run_metrics=metrics)
    rig = start(registry=registry)
    shown = rig.series("mlflow_model_version_metric")
    assert shown['mlflow_model_version_metric{model="fraud",model_version="1",metric="auc"}'] == 0.9
    assert len(shown) == 50


# -- MLflow in trouble --------------------------------------------------------------------------------------


@pytest.mark.parametrize("failure", [DOWN, RegistryAuthError("MLflow refuses us (HTTP 401)")])
def test_mlflow_failing_is_seen_and_changes_nothing_else(rig: Rig, failure: Exception) -> None:
    rig.post_rows(make_rows(3))
    assert rig.sample("mlflow_up") == 1
    rig.registry.failure = failure
    rig.clock.advance(100)
    rig.poll()
    assert rig.sample("mlflow_up") == 0
    assert rig.sample("mlflow_last_success_timestamp_seconds") == NOON
    assert rig.sample('mlflow_exporter_poll_errors_total{stage="ask"}') == 1
    assert rig.service.follower.error == str(failure)
    assert rig.post_rows(make_rows(3), alias="champion").accepted == 3
    assert rig.window_rows() == 6
    rig.registry.failure = None
    rig.poll()
    assert rig.sample("mlflow_up") == 1
    assert rig.service.follower.error == ""


def test_an_answer_that_cannot_be_followed_is_no_success(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise StoreError("database is locked")

    rig.registry.register("fraud", make_table(), alias="champion")
    rig.clock.advance(100)
    with monkeypatch.context() as failing:
        failing.setattr(rig.service.store, "add_alias_moves", fail)
        with pytest.raises(StoreError):
            rig.poll()
    assert rig.sample("mlflow_up") == 1, "MLflow answered"
    assert rig.sample("mlflow_last_success_timestamp_seconds") == NOON
    assert rig.service.follower.error == "what MLflow says cannot be followed: database is locked"
    assert rig.sample('mlflow_exporter_poll_errors_total{stage="follow"}') == 1
    rig.poll()
    assert rig.sample("mlflow_last_success_timestamp_seconds") == NOON + 100
    assert rig.service.follower.error == ""


def test_mlflow_down_at_the_start_leaves_what_was_known(start: Start) -> None:
    registry = make_registry(make_table(), make_table())
    rig = start(registry=registry)
    with pytest.raises(UnavailableError):
        rig.post_rows(make_rows(1), version="2")
    rig.poll()
    rig.post_rows(make_rows(4), version="1")
    rig.post_rows(make_rows(5), version="2")  # a shadow, without an alias
    rig.stop()

    registry.failure = DOWN
    again = start(registry=registry, clock=rig.clock)
    assert again.sample("mlflow_up") == 0
    assert shown_versions(again) == {("fraud", "1"), ("fraud", "2")}
    assert again.post_rows(make_rows(1), alias="champion").accepted == 1
    assert again.post_rows(make_rows(1), version="2").accepted == 1
    assert (again.window_rows(version="1"), again.window_rows(version="2")) == (5, 6)
    with pytest.raises(UnavailableError, match="MLflow has not answered since the start"):
        again.post_rows(make_rows(1), model="spam")


def test_mlflow_down_at_a_restart_leaves_a_version_without_reference_as_it_was(start: Start) -> None:
    registry = make_registry(None)
    rig = start(registry=registry)
    assert rig.version().status is Status.NO_REFERENCE
    rig.stop()
    registry.failure = DOWN
    again = start(registry=registry, clock=rig.clock)
    again.post_rows(make_rows(3))
    assert again.version().status is Status.NO_REFERENCE
    assert again.version().spooled_rows == 0, "nothing waits for what does not come"


def test_a_new_version_while_mlflow_fails_waits_and_says_why(start: Start) -> None:
    registry = make_registry(make_table())
    registry.loading.clear()
    rig = start(registry=registry, settle=False)
    registry.failure = DOWN
    registry.loading.set()
    rig.settle()
    assert state(rig) == ("pending", str(DOWN))
    assert errors(rig) == {}
    assert rig.post_rows(make_rows(3)).accepted == 3
    registry.failure = None
    rig.poll()
    assert state(rig) == ("ready", "")
    assert rig.window_rows() == 3


def test_a_restored_version_that_the_registry_does_not_have_retires(start: Start) -> None:
    rig = start(retire_after_seconds=3600.0)
    rig.stop()
    rig.clock.advance(1000)
    again = start(registry=FakeRegistry(), clock=rig.clock, retire_after_seconds=3600.0)
    assert shown_versions(again) == {("fraud", "1")}
    assert alias_series(again) == set()
    again.clock.advance(3601)
    again.poll()
    assert shown_versions(again) == set()


def test_a_restart_restores_neither_retired_versions_nor_more_than_the_limit(start: Start) -> None:
    registry = make_registry(*[make_table(50)] * 3)
    rig = start(registry=registry)
    for version in ("2", "3"):
        registry.set_alias("fraud", "champion", version)
        rig.clock.advance(10)
        rig.poll()
    rig.stop()
    registry.failure = DOWN
    limited = start(registry=registry, clock=rig.clock, max_versions=1)
    assert shown_versions(limited) == {("fraud", "3")}
    limited.stop()
    rig.clock.advance(DAY - 5)
    again = start(registry=registry, clock=rig.clock)
    assert shown_versions(again) == {("fraud", "2"), ("fraud", "3")}


# -- references ---------------------------------------------------------------------------------------------


def test_rows_that_come_before_the_reference_are_counted_once_it_is_there(start: Start) -> None:
    registry = make_registry(make_table())
    registry.loading.clear()
    rig = start(registry=registry, settle=False)
    assert state(rig) == ("pending", "")
    rows = make_rows(20, prefix="r", latency_seconds=0.02)
    assert rig.post_rows(rows) == PredictionAnswer(20, 0, 0, {})
    assert rig.post_rows(rows[:5]) == PredictionAnswer(0, 5, 0, {})
    traffic = 'mlflow_model_predictions_total{model="fraud",model_version="1"}'
    assert rig.sample(traffic) == 20
    assert rig.window_rows() is None
    registry.loading.set()
    rig.settle()
    assert rig.window_rows() == 20
    assert rig.sample(traffic) == 20
    values = rig.series("mlflow_model_values_total")
    assert sum(values.values()) == 20 * 5
    assert rig.sample('mlflow_model_latency_seconds_count{model="fraud",model_version="1"}') == 20
    assert rig.post_rows(rows) == PredictionAnswer(0, 20, 0, {})


def test_they_wait_over_a_restart_too(start: Start) -> None:
    registry = make_registry(make_table())
    registry.loading.clear()
    rig = start(registry=registry, settle=False)
    rig.post_rows(make_rows(20, prefix="r"))
    rig.stop()
    again = start(registry=registry, clock=rig.clock, settle=False)
    assert again.version().spooled_rows == 20
    registry.loading.set()
    again.settle()
    assert again.window_rows() == 20


def test_a_missing_reference_leaves_the_counters(start: Start) -> None:
    rig = start(registry=make_registry(None))
    assert state(rig) == ("no reference", "no reference found, looked at: everything")
    assert errors(rig) == {}
    assert rig.post_rows(make_rows(7, latency_seconds=0.02)).accepted == 7
    assert rig.sample('mlflow_model_predictions_total{model="fraud",model_version="1"}') == 7
    assert rig.sample('mlflow_model_latency_seconds_count{model="fraud",model_version="1"}') == 7
    (info,) = rig.series("mlflow_model_version_info")
    assert 'reference_source="none"' in info
    assert rig.window_rows() is None


def test_a_broken_reference_is_seen_and_hurts_nobody_else(start: Start) -> None:
    registry = make_registry(BROKEN)
    registry.register("spam", make_table(), alias="champion")
    rig = start(registry=registry)
    assert state(rig) == ("broken reference", str(BROKEN))
    assert errors(rig) == {"reference": 1}
    assert rig.post_rows(make_rows(3)).accepted == 3
    assert rig.post_rows(make_rows(3), model="spam", version="1").accepted == 3
    assert rig.window_rows(model="spam") == 3
    assert state(rig, model="spam") == ("ready", "")


@pytest.mark.parametrize(
    ("reference", "status", "detail"),
    [
        (make_table(0), "broken reference", "no rows"),
        (pa.table({"prediction": [1, 0]}), "broken reference", "no feature columns"),
        (pa.table({"age": [1.0], "prediction": [1]}), "ready", ""),
        (pa.table({"age": pa.nulls(50), "prediction": [1] * 50}), "ready", ""),
        (ZeroDivisionError("a bug"), "broken reference", "internal error: a bug"),
    ],
    ids=["empty", "no features", "one row", "all null", "a bug"],
)
def test_odd_references_have_a_state_and_take_rows(
    start: Start, reference: pa.Table | Exception, status: str, detail: str
) -> None:
    rig = start(registry=make_registry(reference))
    assert state(rig)[0] == status
    assert detail in state(rig)[1]
    assert rig.post_rows(make_rows(30)).accepted == 30
    rig.evaluate()
    assert errors(rig) == ({} if status == "ready" else {"reference": 1})


@pytest.mark.parametrize("before", [None, BROKEN])
def test_a_reference_that_appears_later_is_found(start: Start, before: Exception | None) -> None:
    rig = start(registry=make_registry(before))
    rig.post_rows(make_rows(3))
    rig.registry.set_reference("fraud", "1", make_table())
    rig.clock.advance(RETRY_SECONDS - 1)
    rig.poll()
    assert rig.version().status is not Status.READY
    rig.clock.advance(1)
    rig.poll()
    assert state(rig) == ("ready", "")
    rig.post_rows(make_rows(4))
    assert rig.window_rows() == 4, "what came before was counted as traffic only"


def test_a_changed_tag_makes_it_look_at_once(start: Start) -> None:
    rig = start(registry=make_registry(BROKEN))
    rig.registry.set_reference("fraud", "1", make_table())
    rig.registry.tag("fraud", "1", reference_uri="runs:/x/reference.parquet")
    rig.poll()
    assert rig.version().status is Status.READY


def test_the_first_live_rows_become_the_reference_where_that_is_allowed(start: Start) -> None:
    rig = start(registry=make_registry(None), reference_live_rows=100)
    assert rig.version().status is Status.COLLECTING
    assert "the first 100 live rows will be it" in state(rig)[1]
    (info,) = rig.series("mlflow_model_version_info")
    assert 'reference_source="collecting"' in info
    rig.post_rows(make_rows(60))
    rig.poll()
    assert rig.version().status is Status.COLLECTING
    rig.stop()

    rig.registry.failure = DOWN  # they need no MLflow
    again = start(registry=rig.registry, clock=rig.clock, reference_live_rows=100)
    assert again.version().status is Status.COLLECTING
    again.registry.failure = None
    again.poll()
    again.post_rows(make_rows(60, seed=2))
    again.registry.failure = DOWN
    again.poll()
    assert state(again) == ("ready", "")
    assert again.window_rows() == 120
    detail = version_detail(again.version())
    assert detail.reference is not None
    assert (detail.reference.source, detail.reference.rows) == ("live", 100)


def test_a_reference_that_appears_meanwhile_is_preferred(start: Start) -> None:
    rig = start(registry=make_registry(None), reference_live_rows=100)
    rig.post_rows(make_rows(60))
    rig.registry.set_reference("fraud", "1", make_table())
    rig.poll()
    detail = version_detail(rig.version())
    assert detail.reference is not None
    assert detail.reference.source == "extra_files"
    assert rig.window_rows() == 60


def test_a_store_that_fails_while_a_reference_is_kept_is_tried_again(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise StoreError("the store failed: database or disk is full")

    with monkeypatch.context() as broken:
        broken.setattr("exporter.loader.activate", fail)
        rig = start()
    assert state(rig) == ("pending", "the store failed: database or disk is full")
    assert errors(rig) == {"store": 1}
    rig.post_rows(make_rows(3))
    rig.poll()
    assert state(rig) == ("ready", "")
    assert rig.window_rows() == 3


def test_what_is_stored_of_one_version_may_be_unreadable(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = make_registry(make_table(), make_table())
    registry.set_alias("fraud", "challenger", "2")
    rig = start(registry=registry)
    rig.stop()
    load = type(rig.service.store).load_reference

    def load_one(self: object, key: int) -> object:
        if key == rig.version("1").key:
            raise ReferenceInvalidError("stored reference has format 99")
        return load(self, key)

    registry.failure = DOWN
    monkeypatch.setattr(type(rig.service.store), "load_reference", load_one)
    again = start(registry=registry, clock=rig.clock)
    assert state(again, "1")[0] == "pending"
    assert "format 99" in state(again, "1")[1]
    assert errors(again, "1") == {"store": 1}
    assert state(again, "2") == ("ready", "")


def test_a_hanging_reference_holds_up_nothing_else(start: Start) -> None:
    registry = make_registry(make_table())
    rig = start(registry=registry)
    registry.loading.clear()
    registry.register("slow", make_table(), alias="champion")
    rig.service.follower.poll()
    assert rig.post_rows(make_rows(3)).accepted == 3
    assert rig.window_rows() == 3
    assert rig.service.scrape(Format.TEXT, (), ())
    assert state(rig, model="slow") == ("pending", "")
    registry.loading.set()
    rig.settle()
    assert state(rig, model="slow") == ("ready", "")


def test_what_waits_for_a_version_that_opts_out_is_forgotten(start: Start) -> None:
    registry = make_registry(make_table())
    registry.loading.clear()
    rig = start(registry=registry, settle=False)
    rig.post_rows(make_rows(3))
    key = rig.version().key
    registry.tag("fraud", enabled="false")
    rig.service.follower.poll()
    eventually(lambda: rig.service.store.load_spooled(key) == [])
    registry.loading.set()


# -- evaluation ---------------------------------------------------------------------------------------------


def test_drift_is_seen_after_an_evaluation(rig: Rig) -> None:
    rows = make_rows(2000)
    for row in rows:
        row["features"]["age"] += 50
    rig.post_rows(rows)
    rig.evaluate()
    labels = 'model="fraud",model_version="1",column="age",role="feature",window="1h"'
    assert rig.sample(f"mlflow_model_drift_detected{{{labels}}}") == 1
    assert rig.sample(f"mlflow_model_drift_score{{{labels}}}") > 1
    assert models_view(rig.service.fleet, up=True, error="").models[0].versions[0].drifted == ["age"]


def test_an_evaluation_that_raises_hurts_only_its_version_and_its_gauges_go_away(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = make_registry(make_table(), make_table(300))
    registry.set_alias("fraud", "challenger", "2")
    rig = start(registry=registry, evaluation_interval_seconds=30.0)
    for version in ("1", "2"):
        rig.post_rows(make_rows(3), version=version)
    assert (rig.window_rows(version="1"), rig.window_rows(version="2")) == (3, 3)

    def evaluate_others(reference: object, *arguments: object) -> object:
        assert reference.rows != 300
        return evaluate(reference, *arguments)

    monkeypatch.setattr(exporter.monitor, "evaluate", evaluate_others)
    for missed in range(1, 7):
        rig.clock.advance(30)
        rig.evaluate()
        assert errors(rig, "2") == {"evaluation": missed}
        assert rig.shown_rows(version="1") == 3
        assert rig.shown_rows(version="2") == (3 if missed <= 5 else None)
    assert errors(rig, "1") == {}
    last = "mlflow_exporter_last_evaluation_timestamp_seconds"
    assert rig.sample(f'{last}{{model="fraud",model_version="2"}}') == NOON
    assert rig.sample('mlflow_model_predictions_total{model="fraud",model_version="2"}') == 3


def test_figures_of_quality_go_away_too_when_they_cannot_be_made_any_more(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = make_table()
    rig = start(registry=make_registry(table.append_column("label", table["prediction"])))
    rows = make_rows(300, prefix="a")
    rig.post_rows(rows)
    rig.post_labels({row["id"]: row["prediction"] for row in rows})
    assert rig.quality("accuracy") == 1

    def fail(*arguments: object, **options: object) -> object:
        raise ArithmeticError("no quality")

    monkeypatch.setattr(exporter.monitor, "evaluate_quality", fail)
    rig.clock.advance(30)
    rig.evaluate()
    last = 'mlflow_exporter_last_evaluation_timestamp_seconds{model="fraud",model_version="1"}'
    assert rig.sample(last) == NOON, "nothing of it is new"
    rig.clock.advance(6 * 30)
    assert rig.quality("accuracy") is None
    assert errors(rig) == {"evaluation": 2}


def test_a_version_that_cannot_be_shown_is_left_out_of_the_page(start: Start) -> None:
    registry = make_registry(make_table())
    registry.register("spam", make_table(), alias="champion")
    rig = start(registry=registry)
    version = rig.version(model="spam")
    version.live = Live(version.binning, Totals(values=np.zeros(3, np.int64)))
    total = "mlflow_model_predictions_total"
    assert rig.series(total) == {f'{total}{{model="fraud",model_version="1"}}': 0}
    labels = '{model="spam",model_version="1",stage="evaluation"}'
    assert rig.sample(f"mlflow_exporter_evaluation_errors_total{labels}") == 2, "one for each scrape"


def test_old_blocks_become_hours_and_go_after_their_retention(rig: Rig) -> None:
    for hours in range(30):
        rig.post_rows(make_rows(2, timestamp=NOON - 3600 * hours - 30))
        rig.post_rows(make_rows(2, timestamp=NOON - 3600 * hours - 630))
    assert rig.window_rows("7d") == 120
    rig.clock.advance(20 * 3600)
    assert rig.window_rows("7d") == 120
    binning = rig.version().binning
    assert binning is not None
    fine, coarse = rig.service.store.load_blocks(binning.reference_id)
    assert (fine.keys(), coarse.keys()) == (binning.timeline.fine.keys(), binning.timeline.coarse.keys())
    horizon = binning.timeline.horizon(rig.clock())
    assert all(start >= horizon for start in fine)
    assert all(start < horizon for start in coarse)
    assert sum(block.rows for block in (*fine.values(), *coarse.values())) == 120
    rig.clock.advance(46 * DAY)
    rig.evaluate()
    assert rig.service.store.load_blocks(binning.reference_id) == ({}, {})
    binning = rig.version().binning
    assert binning is not None
    assert (binning.timeline.fine, binning.timeline.coarse) == ({}, {})


def test_its_loops_run_until_it_is_stopped(tmp_path: Path) -> None:
    registry = make_registry(make_table())
    quick = {"evaluation_interval_seconds": 0.02, "mlflow_poll_interval_seconds": 0.02}
    service = Service(Settings(store=f"sqlite:///{tmp_path}/exporter.db", **quick), registry)
    service.start()
    try:
        registry.register("spam", make_table(), alias="champion")
        eventually(lambda: ("spam", "1") in service.fleet.versions)
        spam = service.fleet.versions["spam", "1"]
        eventually(lambda: spam.evaluation is not None)
        registry.failure = ZeroDivisionError("a bug in a poll")
        assert spam.evaluation is not None
        seen = spam.evaluation.at
        eventually(lambda: spam.evaluation is not None and spam.evaluation.at > seen)
        registry.failure = None
        registry.register("ham", make_table(), alias="champion")
        eventually(lambda: ("ham", "1") in service.fleet.versions)
        assert service.monitor.alive()
        assert service.writer.alive()
    finally:
        before = time.monotonic()
        registry.loading.clear()  # a loader that hangs does not keep it from ending
        registry.register("slow", make_table(), alias="champion")
        service.stop()
        registry.loading.set()
    assert time.monotonic() - before < TIMEOUT_SECONDS / 2
