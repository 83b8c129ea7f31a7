"""The queue: bounded, in the order of its kinds, and without a wait."""

from __future__ import annotations

from exporter.client.outbox import Entry, Kind, Outbox


def entry(kind: Kind = "prediction", rows: int = 1, at: float = 0.0, size_bytes: int = 10) -> Entry:
    return Entry(kind, rows, size_bytes, at, at, None)


def test_it_wakes_for_the_first_row_and_for_a_full_batch() -> None:
    outbox = Outbox(100, 10_000, batch_rows=3)
    woken = []
    for _ in range(5):
        outbox.put(entry())
        woken.append(outbox.wake.is_set())
        outbox.wake.clear()
    assert woken == [True, False, True, False, False]


def test_what_is_too_large_for_it_has_no_room() -> None:
    outbox = Outbox(10, 100, batch_rows=3)
    assert not outbox.put(entry(rows=11))
    assert not outbox.put(entry(size_bytes=101))
    assert outbox.put(entry(rows=10, size_bytes=100))
    assert not outbox.put(entry())
    outbox.take(1)
    assert outbox.put(entry())
    assert (outbox.rows, outbox.size_bytes) == (1, 10)


def test_kinds_that_alternate_are_taken_apart_the_oldest_first() -> None:
    outbox = Outbox(100, 10_000, batch_rows=50)
    for at in range(10):
        outbox.put(entry("label" if at % 2 else "prediction", at=float(at)))
    assert outbox.oldest == (0, 0.0)
    assert [each.queued_at for each in outbox.take(3)] == [0.0, 2.0, 4.0]
    assert outbox.oldest == (1, 1.0)
    assert [each.queued_at for each in outbox.take(50)] == [1.0, 3.0, 5.0, 7.0, 9.0]
    assert [each.queued_at for each in outbox.take(50)] == [6.0, 8.0]
    assert outbox.oldest == (10, None)
    assert outbox.take(50) == []
