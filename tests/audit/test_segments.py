"""Old records are pruned by segments, as the retention says and never against the proof."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import sqlalchemy as sa

from exporter.audit import segments as module
from exporter.audit.checkpoint import checkpoints, make_checkpoint
from exporter.audit.segments import DAY_SECONDS, PrunedSegment, prune, segments
from exporter.audit.trail import append, digest_before, read
from exporter.audit.verification import verify_store
from exporter.errors import AuditError
from exporter.settings import Settings, find_warnings
from exporter.storage import schema
from tests.support.rig import NOON, Rig
from tests.support.trail import KEY, append_entries, bodies, make_entry, trail

Start = Callable[..., Rig]


@pytest.fixture
def connection() -> Iterator[sa.Connection]:
    """A trail with two records on each of ten days."""
    with trail() as connection:
        for day in range(10):
            append_entries(connection, 2, at=day * DAY_SECONDS)
        yield connection


def run(connection: sa.Connection, day: float) -> PrunedSegment | None:
    return prune(connection, day * DAY_SECONDS, 10 * DAY_SECONDS)


def numbers(connection: sa.Connection) -> list[int]:
    return [record.seq for record in read(connection)]


def test_records_from_before_a_time_are_deleted(connection: sa.Connection) -> None:
    last = digest_before(connection, 7)
    found = run(connection, 3)
    assert found == (1, 6, bytes(32), last, 0.0, 2 * DAY_SECONDS + 1, 10 * DAY_SECONDS)
    assert list(segments(connection)) == [found]
    assert numbers(connection) == list(range(7, 22))
    assert digest_before(connection, 7) == last
    assert verify_store(connection).intact


def test_the_deletion_is_on_record(connection: sa.Connection) -> None:
    run(connection, 3)
    run(connection, 6)
    assert numbers(connection)[0] == 13
    *_, first, second = read(connection)
    assert first.columns is not None
    assert (first.columns.kind, first.columns.actor, first.seq, second.seq) == ("pruned", "system", 21, 22)
    assert verify_store(connection).segments == 2


def test_what_is_less_than_a_day_too_old_waits(connection: sa.Connection) -> None:
    assert run(connection, 0.5) is None
    assert run(connection, 1) is None
    assert run(connection, 1.5) is not None
    assert run(connection, 2.5) is None
    assert numbers(connection)[0] == 5


def test_a_segment_ends_with_a_checkpoint(connection: sa.Connection) -> None:
    with trail() as connection:
        append_entries(connection, 3, at=0.0)
        kept = make_checkpoint(connection, KEY, 10.0)
        append_entries(connection, 3, at=20.0)
        append_entries(connection, 3, at=5 * DAY_SECONDS)
        later = make_checkpoint(connection, KEY, 5 * DAY_SECONDS)
        found = run(connection, 3)
        assert found is not None
        assert (found.last_seq, found.last_digest) == (kept.seq, kept.digest)
        assert list(checkpoints(connection)) == [later]
        assert run(connection, 3) is not None, "what is left of the day goes without one"
        assert numbers(connection)[0] == 8
        assert verify_store(connection).intact


def test_a_segment_has_a_bound(connection: sa.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PRUNED_ROWS", 4)
    ends = [found.last_seq for _ in range(3) if (found := run(connection, 6)) is not None]
    assert ends == [4, 8, 12]
    assert run(connection, 6) is None
    assert verify_store(connection).intact


def test_a_clock_that_was_ahead_keeps_what_follows(connection: sa.Connection) -> None:
    with trail() as connection:
        append_entries(connection, 2, at=0.0)
        append(connection, [make_entry()], 1e9)
        append_entries(connection, 2, at=10.0)
        assert run(connection, 5) is not None
        assert numbers(connection)[0] == 3
        assert run(connection, 5) is None


def test_records_that_were_changed_are_kept_as_evidence(connection: sa.Connection) -> None:
    records = schema.audit_records
    for change in (
        sa.update(records).where(records.c.seq == 3).values(actor="ada"),
        sa.delete(records).where(records.c.seq == 4),
        sa.delete(records).where(records.c.seq == 1),
    ):
        with connection.begin_nested() as savepoint:
            connection.execute(change)
            with pytest.raises(AuditError, match="kept although they are old"):
                run(connection, 3)
            assert not list(segments(connection))
            savepoint.rollback()


def test_a_trail_of_which_all_is_old_keeps_what_says_so() -> None:
    with trail() as connection:
        append_entries(connection, 3)
        assert run(connection, 9) is not None
        assert numbers(connection) == [4]
        assert verify_store(connection).intact
    with trail() as connection:
        assert run(connection, 9) is None


def test_what_is_missing_behind_a_segment_stays_missing(connection: sa.Connection) -> None:
    connection.execute(sa.delete(schema.audit_records).where(schema.audit_records.c.seq == 6))
    found = run(connection, 3)
    assert found is not None
    assert found.last_seq == 5
    assert verify_store(connection).faults[0] == (6, 6, "missing")


def test_the_service_prunes_what_is_past_its_retention(start: Start) -> None:
    rig = start(audit_retention_days=30)
    with rig.service.store.writing() as connection:
        append(connection, [make_entry()], NOON)
    rig.clock.advance(40 * DAY_SECONDS)
    rig.evaluate()
    found = bodies(rig.service.store)
    assert found[0]["seq"] > 1
    assert "pruned" in [body["kind"] for body in found]


def test_the_service_says_once_that_it_keeps_evidence(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    rig = start(audit_retention_days=30)
    with rig.service.store.writing() as connection:
        append(connection, [make_entry()], NOON)
        connection.execute(sa.update(schema.audit_records).values(kind="stopped"))
    rig.clock.advance(40 * DAY_SECONDS)
    rig.evaluate()
    rig.evaluate()
    assert caplog.text.count("kept although they are old: record 1: its kind differs") == 1
    assert bodies(rig.service.store)[0]["seq"] == 1


@pytest.mark.parametrize(("days", "warned"), [(182, True), (183, False)])
def test_a_retention_below_six_months_is_warned_about(days: int, warned: bool) -> None:
    assert bool(find_warnings(Settings(audit_retention_days=days))) is warned
