"""Memory says what the store says after every commit, or the store gives and takes nothing more."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from exporter.errors import ExporterError, RegistryUnreachableError, StoreError, UnavailableError
from exporter.fleet import Fleet, Status, Version
from exporter.ingest import writer
from exporter.ingest.commit import PredictionAnswer
from exporter.monitoring.rebaseline import Order
from exporter.settings import parse_window
from exporter.storage.store import Store
from exporter.storage.transaction import Transaction
from tests.support.fakes import TIMEOUT_SECONDS
from tests.support.rig import Rig, make_document, make_rows, make_table, over_a_day

Start = Callable[..., Rig]
RESTART = "restart the exporter"


def fail_to_assign(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Memory runs out when an attribute of a version is about to change."""

    def set_unless_named(self: Version, attribute: str, value: Any) -> None:
        if attribute == name and hasattr(self, name):
            raise MemoryError
        object.__setattr__(self, attribute, value)

    monkeypatch.setattr(Version, "__setattr__", set_unless_named, raising=False)


def run_out_of_memory_at_commit(store: Store) -> None:
    """The next COMMIT is carried out, and what comes after it in the driver fails."""
    dialect = store._engine.dialect
    commit = dialect.do_commit

    def fail_after(connection: Any) -> None:
        dialect.do_commit = commit  # type: ignore[method-assign]
        commit(connection)
        raise MemoryError

    dialect.do_commit = fail_after  # type: ignore[method-assign]


def restart(start: Start, rig: Rig) -> Rig:
    rig.stop()
    return start(registry=rig.registry, clock=rig.clock, store=rig.settings.store)


def assert_lost(rig: Rig) -> None:
    assert rig.service.store.was_lost.is_set()
    assert rig.service.fault()
    with pytest.raises(UnavailableError, match=RESTART):
        rig.post_rows(make_rows(3, prefix="later"))
    with pytest.raises(StoreError, match=RESTART):
        rig.service.store.load_versions()


@pytest.mark.parametrize("attribute", ["live", "last_prediction", "unknown_columns"])
def test_acknowledged_rows_are_all_there_though_memory_ran_out_after_the_commit(
    start: Start, store_uri: str, monkeypatch: pytest.MonkeyPatch, attribute: str
) -> None:
    rig = start(store=store_uri)
    assert rig.post_rows(make_rows(1, prefix="first")).accepted == 1
    with monkeypatch.context() as broken:
        fail_to_assign(broken, attribute)
        for answer in rig.together([make_document(make_rows(2, prefix=f"{k}-")) for k in range(3)]):
            with pytest.raises(UnavailableError, match=RESTART):
                answer.result(TIMEOUT_SECONDS)
    assert_lost(rig)
    again = restart(start, rig)
    assert again.window_rows() == 7
    for k in range(3):  # who was not answered posts again
        assert again.post_rows(make_rows(2, prefix=f"{k}-")) == PredictionAnswer(0, 2, 0, {})
    assert again.post_rows(make_rows(1, prefix="last")).accepted == 1
    assert again.window_rows() == 8
    assert restart(start, again).window_rows() == 8


def test_a_commit_whose_end_is_unknown_is_not_taken_for_one_that_failed(start: Start, store_uri: str) -> None:
    rig = start(store=store_uri)
    run_out_of_memory_at_commit(rig.service.store)
    rows = make_rows(5, prefix="a")
    if store_uri.startswith("sqlite"):
        with pytest.raises(UnavailableError, match="did not say"):
            rig.post_rows(rows)
        assert_lost(rig)
        rig = restart(start, rig)
        assert rig.post_rows(rows).duplicates == 5
    else:  # PostgreSQL knows
        assert rig.post_rows(rows).accepted == 5
    rig.post_rows(make_rows(2, prefix="b"))
    assert rig.window_rows() == 7


def rebaseline(rig: Rig) -> None:
    rig.service.rebaseliner.from_live(rig.version(), parse_window("24h"), Order("ada", "why not"))


def change_maturation(rig: Rig) -> None:
    rig.registry.tag("fraud", maturation="2h")
    rig.poll()


def grow_old(rig: Rig) -> None:
    rig.clock.advance(27 * 3600)
    rig.evaluate()


def register_without_a_reference(rig: Rig) -> None:
    rig.registry.register("plain", alias="champion")
    rig.poll()


def switch_off(rig: Rig) -> None:
    rig.registry.tag("fraud", enabled="false")
    rig.poll()


def reference_source(rig: Rig) -> object:
    counts = rig.version().counts
    return counts and counts.reference.source


def maturation(rig: Rig) -> object:
    counts = rig.version().counts
    return counts and counts.maturation_seconds


def blocks(rig: Rig) -> object:
    counts = rig.version().counts
    assert counts is not None
    return [
        [each.rows for each in family.values()] for family in (counts.timeline.fine, counts.timeline.coarse)
    ]


def status(rig: Rig) -> object:
    return rig.version(model="plain").status


def waiting(rig: Rig) -> object:
    return rig.version().waiting_rows


@pytest.mark.parametrize(
    ("change", "attribute", "look", "expected"),
    [
        (rebaseline, "live", reference_source, "live"),
        (change_maturation, "live", maturation, 7200.0),
        (grow_old, "live", blocks, [[], [2000]]),
        (register_without_a_reference, "status", status, Status.NO_REFERENCE),
        (switch_off, "waiting_rows", waiting, 0),
    ],
)
def test_so_it_is_with_every_other_change(
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Rig], None],
    attribute: str,
    look: Callable[[Rig], object],
    expected: object,
) -> None:
    rig = start()
    rows = make_rows(2000, prefix="r")
    rig.post_rows(over_a_day(rows) if change is rebaseline else rows)
    with monkeypatch.context() as broken:
        fail_to_assign(broken, attribute)
        with suppress(ExporterError):
            change(rig)
            rig.settle()
    assert_lost(rig)
    rig.registry.failure = RegistryUnreachableError("what is in the store has to do")
    assert look(restart(start, rig)) == expected


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_writer_that_fails_when_it_answers_ends_the_process(
    rig: Rig, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(writer, "count_answers", fail)
    rig.submit(make_document(make_rows(4, prefix="r")))
    assert rig.service.store.was_lost.wait(TIMEOUT_SECONDS)
    monkeypatch.undo()
    again = restart(start, rig)
    assert again.post_rows(make_rows(4, prefix="r")).duplicates == 4


def test_so_it_is_with_a_move_of_an_alias(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = start()
    rig.registry.register("fraud", make_table())
    rig.registry.set_alias("fraud", "champion", "2")

    def fail(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as broken:
        broken.setattr(Fleet, "record", fail)
        with pytest.raises(StoreError, match=RESTART):
            rig.poll()
    assert_lost(rig)
    assert restart(start, rig).service.fleet.current_aliases() == {("fraud", "champion"): "2"}


def test_a_failure_before_the_commit_costs_nothing(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as broken:
        broken.setattr(Transaction, "put_aggregates", fail)
        with pytest.raises(UnavailableError, match="MemoryError"):
            rig.post_rows(make_rows(4, prefix="r"))
    assert not rig.service.store.lost
    assert rig.post_rows(make_rows(4, prefix="r")).accepted == 4
    assert rig.window_rows() == 4
