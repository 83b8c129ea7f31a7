"""References and metrics of runs, as they are found for monitored versions."""

from __future__ import annotations

import gc
import io
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from exporter.errors import StoreError
from exporter.exposition.render import Format
from exporter.fleet import Status
from exporter.ingest.commit import PredictionAnswer
from exporter.monitoring.reference_loader import REFERENCE_RETRY_SECONDS
from exporter.profiling.data import ReferenceFile
from exporter.reference.profile import PROVISIONAL
from exporter.registry.models import RegisteredVersion
from exporter.storage import schema
from exporter.storage.reference_rows import load_reference_rows
from exporter.views.versions import version_detail
from tests.support.fakes import BROKEN, FakeRegistry
from tests.support.hostile import make_nested_parquet
from tests.support.monitored import DOWN, errors, make_registry, state
from tests.support.rig import Rig, eventually, make_rows, make_table

Start = Callable[..., Rig]
DAY = 86400.0


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
    assert again.version().waiting_rows == 20
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
    assert state(rig, model="spam") == ("ready", PROVISIONAL)


class FileRegistry(FakeRegistry):
    """Has the reference of version 1 as a file."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def load_reference(self, version: RegisteredVersion, config: Any, profile: Any) -> Any:
        if version.version != "1":
            return super().load_reference(version, config, profile)
        return profile(ReferenceFile(self._path, "extra_files"))


def test_a_reference_that_ends_its_reader_is_broken_and_the_next_one_is_profiled(
    start: Start, tmp_path: Path
) -> None:
    path = tmp_path / "reference.parquet"
    path.write_bytes(make_nested_parquet())
    registry = FileRegistry(path)
    registry.register("fraud", None, alias="champion")
    registry.register("fraud", make_table(), alias="challenger")
    rig = start(registry=registry)
    status, detail = state(rig)
    assert status == "broken reference"
    assert detail.startswith("'reference.parquet' cannot be ")
    assert errors(rig) == {"reference": 1}
    assert state(rig, "2") == ("ready", "")


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
    rig.clock.advance(REFERENCE_RETRY_SECONDS - 1)
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
        broken.setattr("exporter.ingest.activation.activate", fail)
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
            raise StoreError("the stored reference has format 99")
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
    rig.service.discovery.poll()
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
    rig.service.discovery.poll()
    eventually(lambda: not [*rig.service.store.load_waiting(key)])
    registry.loading.set()


class Cycle:
    """Something that refers to itself."""

    def __init__(self) -> None:
        self.itself = self


class CyclicRegistry(FakeRegistry):
    """Leaves a cycle for each reference, as MLflow's client does with the threads that download it."""

    def __init__(self) -> None:
        super().__init__()
        self.left_behind: list[weakref.ref[Cycle]] = []

    def load_reference(self, *arguments: Any) -> Any:
        self.left_behind.append(weakref.ref(Cycle()))
        return super().load_reference(*arguments)


def test_what_mlflows_client_leaves_behind_goes_with_the_reference(start: Start) -> None:
    registry = CyclicRegistry()
    for reference in (make_table(), None, ValueError("broken")):
        registry.register("fraud", reference)
    registry.set_alias("fraud", "champion", "1")
    registry.set_alias("fraud", "second", "2")
    registry.set_alias("fraud", "third", "3")
    gc.disable()  # the service looks for cycles rarely
    try:
        start(registry=registry).poll()
        assert len(registry.left_behind) >= 3
        assert [left() for left in registry.left_behind] == [None] * len(registry.left_behind)
    finally:
        gc.enable()


def test_columns_beyond_what_is_monitored_are_named_and_rows_with_them_count(start: Start) -> None:
    reference = make_table()
    long = "x" * 257
    for name in (long, "late"):
        reference = reference.append_column(name, reference["age"])
    features = list(make_rows(1)[0]["features"])
    rig = start(registry=make_registry(reference), max_columns=len(features))
    rows = make_rows(3)
    for row in rows:
        row["features"] |= {long: 1, "late": 2}

    assert rig.post_rows(rows).accepted == 3
    assert rig.window_rows() == 3
    counts = rig.version().counts
    assert counts is not None
    assert counts.reference.feature_names == {*features}
    assert any(note.endswith("late") for note in counts.reference.notes)
    assert any("longer than 256 characters" in note for note in counts.reference.notes)
    assert rig.version().unknown_columns == {long[:256], "late"}


def test_metrics_of_the_source_run_are_shown(start: Start) -> None:
    registry = FakeRegistry()
    metrics = {"auc": 0.9, "nan": float("nan"), **{f"m{k:02}": 1.0 for k in range(60)}}
    registry.register("fraud", make_table(), alias="champion", run_metrics=metrics)
    rig = start(registry=registry)
    shown = rig.series("mlflow_model_version_metric")
    assert shown['mlflow_model_version_metric{model="fraud",model_version="1",metric="auc"}'] == 0.9
    assert len(shown) == 50


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


class LameRegistry(FakeRegistry):
    """Lists versions, and gives no reference while it is `lame`."""

    def __init__(self) -> None:
        super().__init__()
        self.lame = False

    def load_reference(self, *arguments: Any) -> Any:
        if self.lame:
            raise DOWN
        return super().load_reference(*arguments)


# -- rows of references -------------------------------------------------------------------------------------


def kept(rig: Rig) -> pa.Table | None:
    """Rows of the reference of version 1 that are stored."""
    counts = rig.version().counts
    assert counts is not None
    with rig.service.store.reading() as connection:
        content = load_reference_rows(connection, counts.reference_id)
    return pq.read_table(io.BytesIO(content)) if content else None


def forget_rows(rig: Rig) -> None:
    """Have the store as an older version left it, and start again."""
    with rig.service.store.writing() as connection:
        connection.execute(sa.delete(schema.reference_rows))
    rig.stop()


def start_again(start: Start, rig: Rig, **options: Any) -> Rig:
    """A rig that has polled twice: at first the labels are counted again."""
    again = start(registry=rig.registry, clock=rig.clock, **options)
    again.poll()
    return again


def configured(directory: Path, sample: str) -> str:
    path = directory / "exporter.yml"
    path.write_text(f"models: {{fraud: {{sample: {sample}}}}}")
    return str(path)


def test_rows_of_a_reference_are_kept_with_it(start: Start) -> None:
    table = kept(start(registry=make_registry(make_table(50))))
    assert table is not None
    assert table["features.age"].to_pylist() == make_table(50)["age"].to_pylist()


def test_the_reference_of_an_older_store_is_read_once_more(start: Start) -> None:
    registry = make_registry(make_table(50))
    rig = start(registry=registry)
    forget_rows(rig)
    again = start_again(start, rig)
    table = kept(again)
    assert table is not None
    assert table.num_rows == 50
    registry.set_reference("fraud", "1", BROKEN)
    again.clock.advance(REFERENCE_RETRY_SECONDS)
    again.poll()
    assert kept(again) is not None


@pytest.mark.parametrize("now", [make_table(50, seed=9), None, BROKEN], ids=["another", "none", "broken"])
def test_rows_of_another_reference_are_not_taken_for_its_own(start: Start, now: Any) -> None:
    registry = make_registry(make_table(50))
    rig = start(registry=registry)
    forget_rows(rig)
    registry.set_reference("fraud", "1", now)
    again = start_again(start, rig)
    assert kept(again) is None
    assert again.version().status is Status.READY
    registry.set_reference("fraud", "1", make_table(50))
    again.clock.advance(REFERENCE_RETRY_SECONDS)
    again.poll()
    assert kept(again) is None  # it is not looked for again


def test_while_mlflow_is_down_they_are_looked_for_again(start: Start) -> None:
    registry = LameRegistry()
    registry.register("fraud", make_table(50), alias="champion")
    rig = start(registry=registry)
    forget_rows(rig)
    registry.lame = True
    again = start_again(start, rig)
    assert kept(again) is None
    registry.lame = False
    again.poll()
    assert kept(again) is None  # not at every poll
    again.clock.advance(REFERENCE_RETRY_SECONDS)
    again.poll()
    assert kept(again) is not None


def test_without_a_sample_no_rows_are_kept(start: Start, tmp_path: Path) -> None:
    registry = make_registry(make_table(50))
    rig = start(registry=registry)
    assert kept(rig) is not None
    rig.stop()
    off = start_again(start, rig, config=configured(tmp_path, "{rows: 0}"))
    assert kept(off) is None
    off.stop()
    on = start_again(start, off, config=configured(tmp_path, "{rows: 50}"))
    assert kept(on) is not None


def test_columns_that_are_left_out_or_hashed_later_are_so_in_stored_rows(
    start: Start, tmp_path: Path
) -> None:
    rig = start(registry=make_registry(make_table(50)))
    before = kept(rig)
    assert before is not None
    rig.stop()
    path = configured(tmp_path, "{leave_out: [age], hash: [country]}")
    again = start_again(start, rig, config=path)
    after = kept(again)
    assert after is not None
    assert after.column_names == [name for name in before.column_names if name != "features.age"]
    others = [name for name in after.column_names if name != "features.country"]
    assert after.select(others).equals(before.select(others))
    hashed = after["features.country"].to_pylist()
    assert len(set(hashed)) == 3
    assert {len(text) for text in hashed} == {16}
    again.stop()
    once_more = kept(start_again(start, again, config=path))
    assert once_more is not None
    assert once_more["features.country"].to_pylist() == hashed  # not hashed twice


def test_rows_of_a_version_without_traffic_expire(start: Start) -> None:
    rig = start(registry=make_registry(make_table(50)))
    rig.evaluate()
    assert kept(rig) is not None
    rig.post_rows(make_rows(5))
    rig.clock.advance(44 * DAY)
    rig.evaluate()
    assert kept(rig) is not None
    rig.clock.advance(2 * DAY)
    rig.evaluate()
    assert kept(rig) is None
