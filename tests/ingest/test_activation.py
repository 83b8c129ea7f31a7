"""A version gets its reference, or the reason why it has none."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import sqlalchemy as sa

from exporter.errors import RegistryUnreachableError
from exporter.fleet import Status
from exporter.ingest.activation import do_without, let_go, set_detail
from exporter.storage import schema
from tests.support.fakes import TIMEOUT_SECONDS, FakeRegistry
from tests.support.rig import NOON, Rig, make_rows, make_table

Start = Callable[..., Rig]


@pytest.fixture
def waiting(start: Start) -> Rig:
    """A rig whose version waits for its reference, with three requests of two rows."""
    registry = FakeRegistry()
    registry.register("fraud", RegistryUnreachableError("down"), alias="champion")
    rig = start(registry=registry)
    for _ in range(3):
        rig.post_rows(make_rows(2))
    return rig


def in_writer(rig: Rig, job: Callable[[], None]) -> None:
    rig.service.writer.call(job).result(TIMEOUT_SECONDS)


def stored_rows(rig: Rig) -> int:
    return sum(len(each.times) for each in rig.service.store.load_waiting(rig.version().key))


def give_reference(rig: Rig) -> None:
    rig.registry.set_reference("fraud", "1", make_table())
    rig.poll()


def test_waiting_rows_are_counted_once(waiting: Rig) -> None:
    assert (waiting.version().waiting_rows, stored_rows(waiting)) == (6, 6)
    give_reference(waiting)
    assert (waiting.version().waiting_rows, stored_rows(waiting)) == (0, 0)
    assert waiting.window_rows() == 6
    assert waiting.sample('mlflow_model_predictions_total{model="fraud",model_version="1"}') == 6


def test_a_damaged_request_costs_its_own_rows_only(waiting: Rig, caplog: pytest.LogCaptureFixture) -> None:
    spool = schema.spool
    with waiting.service.store._engine.begin() as connection:
        first = connection.scalar(sa.select(sa.func.min(spool.c.id)))
        damaged = sa.update(spool).where(spool.c.id == first).values(content_type="text/csv")
        connection.execute(damaged)
    give_reference(waiting)
    assert waiting.window_rows() == 4
    assert "2 rows cannot be read any more" in caplog.text


@pytest.mark.parametrize(("status", "kept"), [(Status.BROKEN, 0), (Status.COLLECTING, 6)])
def test_without_a_reference_rows_are_kept_only_to_become_one(
    waiting: Rig, status: Status, kept: int
) -> None:
    version, store = waiting.version(), waiting.service.store
    in_writer(waiting, lambda: do_without(store, version, status, "no file", NOON, []))
    assert (version.status, version.detail) == (status, "no file")
    assert (version.waiting_rows, stored_rows(waiting)) == (kept, kept)


def test_a_version_that_has_its_reference_does_without_nothing(rig: Rig) -> None:
    version, store = rig.version(), rig.service.store
    in_writer(rig, lambda: do_without(store, version, Status.BROKEN, "late", NOON, []))
    in_writer(rig, lambda: set_detail(version, "late"))
    assert (version.status, version.detail) == (Status.READY, "")


def test_rows_of_a_version_that_is_let_go_are_deleted(waiting: Rig) -> None:
    in_writer(waiting, lambda: let_go(waiting.service.store, waiting.version(), NOON, []))
    assert (waiting.version().waiting_rows, stored_rows(waiting)) == (0, 0)
