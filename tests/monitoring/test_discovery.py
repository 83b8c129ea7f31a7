"""Following the registry: what is monitored, in which state, and what of it is seen."""

from __future__ import annotations

import gc
import logging
import threading
import weakref
from collections import defaultdict
from collections.abc import Callable

import pytest

from exporter.config.models import ModelsConfig
from exporter.errors import (
    MisdirectedError,
    ReferenceInvalidError,
    RegistryAuthError,
    RegistryUnreachableError,
    StoreError,
    UnavailableError,
    UnknownModelError,
)
from exporter.exposition.render import Format
from exporter.fleet import Status, Version
from exporter.ingest.commit import PredictionAnswer
from exporter.monitoring import discovery
from exporter.shard import Shard
from exporter.storage.schema import StoredVersion
from exporter.storage.store import Store
from tests.support.fakes import BROKEN, FakeRegistry
from tests.support.monitored import DOWN, errors, make_registry, state
from tests.support.rig import NOON, Rig, make_rows, make_table
from tests.support.trail import bodies

Start = Callable[..., Rig]
DAY = 86400.0
FRAUDS = Shard(6, 8)  # the shard of `fraud`


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


def make_two_models() -> FakeRegistry:
    registry = FakeRegistry()
    for model in ("fraud", "churn"):
        registry.register(model, make_table(), alias="champion")
    return registry


def alias_series(rig: Rig) -> set[str]:
    return set(rig.series("mlflow_model_alias_info"))


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


def test_a_renamed_model_starts_anew_and_the_log_says_what_becomes_of_the_old_name(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    rig = start()
    rig.post_rows(make_rows(3))
    rig.registry.delete("fraud")
    rig.registry.register("fraud-2", make_table(), alias="champion")
    rig.poll()
    rig.poll()

    said = [record.getMessage() for record in caplog.records if "has no alias" in record.getMessage()]
    assert said == [
        "fraud has no alias in MLflow any more: it was renamed or deleted, or its aliases were; a renamed "
        "model starts anew. Rows that name fraud and a version are taken until none came for 24 h"
    ]
    assert rig.post_rows(make_rows(2, prefix="late")).accepted == 2
    assert (rig.window_rows(), rig.version(model="fraud-2").last_prediction) == (5, None)


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
    assert after.counts is not None
    assert after.counts.reference.rows == 300
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
    assert rig.service.discovery.error == str(failure)
    assert rig.post_rows(make_rows(3), alias="champion").accepted == 3
    assert rig.window_rows() == 6
    rig.registry.failure = None
    rig.poll()
    assert rig.sample("mlflow_up") == 1
    assert rig.service.discovery.error == ""


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
    assert rig.service.discovery.error == "what MLflow says cannot be followed: database is locked"
    assert rig.sample('mlflow_exporter_poll_errors_total{stage="follow"}') == 1
    rig.poll()
    assert rig.sample("mlflow_last_success_timestamp_seconds") == NOON + 100
    assert rig.service.discovery.error == ""


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


def test_mlflow_down_at_a_restart_leaves_the_incarnation_that_was_followed_last(
    start: Start, store_uri: str
) -> None:
    rig = start(store=store_uri)
    rig.post_rows(make_rows(640))
    first = rig.version().created_ms
    rig.registry.delete("fraud")
    rig.registry.register("fraud", make_table(), alias="champion")
    rig.poll()
    rig.post_rows(make_rows(40))
    assert rig.window_rows() == 40
    rig.registry.set_creation("fraud", "1", first)  # MLflow was restored from a backup
    rig.poll()
    assert rig.window_rows() == 640
    rig.stop()
    rig.registry.failure = RegistryUnreachableError("MLflow is down")
    again = start(store=store_uri, registry=rig.registry, clock=rig.clock)
    assert again.version().created_ms == first
    assert again.window_rows() == 640


def test_mlflow_down_at_a_restart_leaves_what_tags_say(start: Start) -> None:
    registry = make_registry(make_table())
    registry.tag("fraud", "1", team="credit", **{"drift_threshold.age": "20"})
    rig = start(registry=registry)
    before = rig.version().facts
    rig.stop()
    registry.failure = DOWN
    again = start(registry=registry, clock=rig.clock)
    assert (before.team, before.config.drift_thresholds) == ("credit", {"age": 20.0})
    assert again.version().facts == before


def test_mlflow_down_at_a_restart_leaves_a_version_without_reference_as_it_was(start: Start) -> None:
    registry = make_registry(None)
    rig = start(registry=registry)
    assert rig.version().status is Status.NO_REFERENCE
    rig.stop()
    registry.failure = DOWN
    again = start(registry=registry, clock=rig.clock)
    again.post_rows(make_rows(3))
    assert again.version().status is Status.NO_REFERENCE
    assert again.version().waiting_rows == 0, "nothing waits for what does not come"


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


# -- who is forgotten, and who writes -----------------------------------------------------------------------


def test_what_comes_late_of_a_version_that_was_forgotten_is_not_counted(start: Start) -> None:
    registry = make_registry(make_table())
    rig = start(registry=registry)
    registry.register("fraud", make_table(), alias="challenger")
    registry.loading.clear()
    rig.service.discovery.poll()
    registry.tag("fraud", "2", enabled="false")
    rig.service.discovery.poll()
    registry.set_reference("fraud", "2", ReferenceInvalidError("not Parquet"))
    registry.loading.set()
    rig.settle()
    rig.service.telemetry.count_evaluation_error("fraud", "2", "evaluation")  # of one that had begun
    assert shown_versions(rig) == {("fraud", "1")}
    registry.tag("fraud", "2", enabled="true")
    rig.poll()
    assert errors(rig, "2") == {"reference": 1}


def test_nothing_keeps_a_version_that_was_forgotten(start: Start) -> None:
    registry = make_registry(make_table())
    rig = start(registry=registry)
    registry.register("fraud", make_table(), alias="challenger")
    registry.loading.clear()
    rig.service.discovery.poll()
    late = weakref.ref(rig.version("2"))
    registry.tag("fraud", "2", enabled="false")
    rig.service.discovery.poll()
    registry.loading.set()
    rig.settle()
    gc.collect()
    assert late() is None


def test_every_field_of_a_version_has_one_writing_thread(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    writers: dict[str, set[str]] = defaultdict(set)

    class Watched(Version):
        def __init__(self, stored: StoredVersion) -> None:
            super().__init__(stored)
            self.made = True

        def __setattr__(self, name: str, value: object) -> None:
            if hasattr(self, "made"):
                writers[name].add(threading.current_thread().name.rstrip("0123456789 "))
            super().__setattr__(name, value)

    monkeypatch.setattr(discovery, "Version", Watched)
    registry = make_registry(RegistryUnreachableError("down"), None, BROKEN, make_table())
    rig = start(registry=registry)
    rig.post_rows(make_rows(3))
    rig.poll()  # which asks for the first one again, and fails again
    assert state(rig) == ("pending", "down")
    registry.set_reference("fraud", "1", make_table())
    registry.tag("fraud", drift_threshold="0.5")
    rig.poll()
    assert state(rig) == ("ready", "")
    rig.service.discovery.configure(ModelsConfig())
    rig.post_rows([{"features": {"age": 40, "surprise": 1}, "prediction": 1}])
    rig.evaluate()
    rig.stop()
    monkeypatch.setattr(Store, "load_reference", fail_to_read)
    rig = start(registry=registry, store=rig.settings.store)
    # By the loops, turned here.
    own = {
        "aliases", "unaliased_since", "facts", "recorded_config", "findings", "failures",
    }  # fmt: skip
    stored = {"status", "detail", "live", "last_prediction", "waiting_rows", "unknown_columns"}
    expected = {name: {"MainThread"} for name in own} | {name: {"writer"} for name in stored}
    assert writers == expected | {"run_metrics": {"reference"}}


def fail_to_read(self: Store, version_id: int) -> None:
    raise ValueError("a block that cannot be read")


# -- shards -------------------------------------------------------------------------------------------------


def test_models_of_other_shards_are_not_monitored_and_cost_nothing(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    registry = make_two_models()
    rig = start(registry=registry, shard=FRAUDS)
    rig.service.discovery.configure(ModelsConfig.model_validate({"models": {"churn": {}, "spma": {}}}))
    rig.poll()
    assert shown_versions(rig) == {("fraud", "1")}
    assert set(rig.service.fleet.known or ()) == {"fraud"}
    assert [move.model for move in rig.service.store.load_alias_moves()] == ["fraud"]
    with pytest.raises(MisdirectedError, match="'churn' is monitored by shard 5/8"):
        rig.post_rows(make_rows(1), model="churn", version="1")
    with pytest.raises(MisdirectedError):
        rig.post_labels({"a1": 1}, model="churn")
    assert rig.service.fleet.take_wanted() == frozenset()
    assert "churn" not in caplog.text.replace("model 'churn'", "")


def test_models_that_move_to_another_shard_are_told_and_their_history_waits_for_them(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    registry = make_two_models()
    rig = start(registry=registry)
    for model in ("fraud", "churn"):
        rig.post_rows(make_rows(5, prefix="a"), model=model)
    rig.stop()

    rig = start(registry=registry, shard=FRAUDS)
    assert shown_versions(rig) == {("fraud", "1")}
    assert rig.window_rows() == 5
    assert (
        "churn version 1 is monitored by shard 5/8 now, where it starts anew; what this shard, 6/8, has of "
        "it is kept until it expires"
    ) in caplog.text
    record = bodies(rig.service.store)[-1]
    assert (record["kind"], record["model"]) == ("version_forgotten", "churn")
    assert record["data"]["reason"] == "its model moved to shard 5/8"
    caplog.clear()
    rig.stop()
    rig = start(registry=registry, shard=FRAUDS)  # it is told once
    assert "churn" not in caplog.text
    rig.stop()

    rig = start(registry=registry)
    assert shown_versions(rig) == {("fraud", "1"), ("churn", "1")}
    assert rig.window_rows(model="churn") == 5
    assert rig.post_rows(make_rows(5, prefix="a"), model="churn").duplicates == 5
    moves = [move for move in rig.service.store.load_alias_moves() if move.model == "churn"]
    assert [move.version for move in moves] == ["1"]
