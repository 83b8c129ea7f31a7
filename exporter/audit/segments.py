"""Retention: old records are deleted in segments, whose headers prove what follows them.

A header has the numbers of the first and last record that were deleted, and the digests before and after
them: so the chain goes on. Headers are chained in turn, and the record about each deletion has the end of
that chain, by which the newest such record proves all of them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from hashlib import sha256
from itertools import takewhile
from typing import NamedTuple

import rfc8785
import sqlalchemy as sa

from exporter.audit.checkpoint import verifier_keys
from exporter.audit.record import GENESIS, Entry, Head, format_time, show_time
from exporter.audit.trail import append, as_bytes, as_seq, head, read
from exporter.audit.walk import Walk
from exporter.errors import AuditError
from exporter.settings import DAY_SECONDS
from exporter.storage import schema
from exporter.storage.store import Store

MAX_PRUNED_ROWS = 5000  # so that a deletion keeps nobody waiting for long
_KEPT = "records of the audit trail are kept although they are old"

_records, _segments, _checkpoints = schema.audit_records, schema.audit_segments, schema.audit_checkpoints

log = logging.getLogger(__name__)


class PrunedSegment(NamedTuple):
    """Header of records that were deleted; times are the first and last of them, in seconds."""

    first_seq: int
    last_seq: int
    previous_digest: bytes
    last_digest: bytes
    first_at: float
    last_at: float
    pruned_at: float


def segments(connection: sa.Connection) -> Iterator[PrunedSegment]:
    """Headers, in the order of their records."""
    query = sa.select(*(_segments.c[name] for name in PrunedSegment._fields)).order_by(_segments.c.first_seq)
    for first, last, previous, end, *times in map(tuple, connection.execute(query)):
        yield PrunedSegment(as_seq(first), as_seq(last), as_bytes(previous), as_bytes(end), *times)


def chain_header(previous: bytes, segment: PrunedSegment) -> bytes:
    """Digest of a header, from that of the header before."""
    header = rfc8785.dumps(
        {
            "first_seq": segment.first_seq,
            "last_seq": segment.last_seq,
            "previous_digest": segment.previous_digest.hex(),
            "last_digest": segment.last_digest.hex(),
            "first_at": show_time(segment.first_at),
            "last_at": show_time(segment.last_at),
            "pruned_at": show_time(segment.pruned_at),
        }
    )
    return sha256(b"\x02" + previous + sha256(header).digest()).digest()


def prune(connection: sa.Connection, before: float, now: float) -> PrunedSegment | None:
    """Delete the oldest records, if they are from before a time.

    Nothing is deleted until the oldest record is a day older than that, so that headers stay few. A segment
    ends with a checkpoint where it has one: a witness of that then proves the header.

    Args:
        connection: within a transaction.
        before: seconds since the epoch; the first record from then or later ends the segment.
        now: the clock's time.

    Returns:
        The header; None if nothing is to be deleted.

    Raises:
        AuditError: the records are not as the chain says. They are evidence, and stay.
    """
    start = _start(connection)
    oldest = connection.scalar(sa.select(_records.c.at).where(_records.c.seq == start.seq + 1))
    if not isinstance(oldest, float | int | None):
        raise AuditError(f"{_KEPT}: record {start.seq + 1} has no time")
    if oldest is None and head(connection).seq > start.seq:
        raise AuditError(f"{_KEPT}: record {start.seq + 1} is missing")
    if oldest is None or oldest >= before - DAY_SECONDS:
        return None
    last = _find_end(connection, start.seq + 1, before)
    walk, times = Walk(start), []
    for record in read(connection, start.seq + 1, last):
        assert record.columns is not None
        walk.add(record)
        times.append(record.columns.at)
    found = walk.finish()
    if found.faults or found.last.seq != last:
        detail = str(found.faults[0]) if found.faults else f"record {last} is missing"
        raise AuditError(f"{_KEPT}: {detail}")
    segment = PrunedSegment(start.seq + 1, last, start.digest, found.last.digest, min(times), max(times), now)
    keys = verifier_keys(connection)
    connection.execute(_segments.insert(), segment._asdict())
    connection.execute(sa.delete(_records).where(_records.c.seq <= last))
    connection.execute(sa.delete(_checkpoints).where(_checkpoints.c.seq <= last))
    count, digest = 0, GENESIS
    for count, header in enumerate(segments(connection), 1):  # noqa: B007
        digest = chain_header(digest, header)
    data = {
        "first_seq": segment.first_seq,
        "last_seq": last,
        "last_digest": segment.last_digest.hex(),
        "before": format_time(before),
        "segments": count,
        "segments_digest": digest.hex(),
        "vkeys": keys,
    }
    append(connection, [Entry("pruned", "system", data=data)], now)
    return segment


class Pruner:
    """Prunes a store's records past their retention."""

    def __init__(self, store: Store, retention_days: int) -> None:
        self._store = store
        self._retention_seconds = retention_days * DAY_SECONDS
        self._complaint = ""

    def prune(self, retained: float, now: float) -> None:
        """Delete records that are older than their retention, a segment a call.

        Args:
            retained: the time that retention has reached, in seconds since the epoch.
            now: the clock's time.
        """
        try:
            with self._store.writing() as connection:
                segment = prune(connection, retained - self._retention_seconds, now)
        except AuditError as error:
            if str(error) != self._complaint:
                log.error("%s", error)
            self._complaint = str(error)
            return
        if segment is not None:
            log.info("records %d to %d of the audit trail were pruned", segment.first_seq, segment.last_seq)


def _start(connection: sa.Connection) -> Head:
    """End of what was pruned."""
    query = sa.select(_segments.c.last_seq, _segments.c.last_digest).order_by(_segments.c.first_seq.desc())
    row = connection.execute(query.limit(1)).first()
    return Head(row.last_seq, bytes(row.last_digest)) if row is not None else Head(0, GENESIS)


def _find_end(connection: sa.Connection, first: int, before: float) -> int:
    """Last record of the segment that begins with `first`."""
    rows = connection.execute(
        sa.select(_records.c.seq, _records.c.at)
        .where(_records.c.seq >= first)
        .order_by(_records.c.seq)
        .limit(MAX_PRUNED_ROWS)
    )
    last = max(
        row.seq for row in takewhile(lambda row: isinstance(row.at, float) and row.at < before, rows.all())
    )
    within = _checkpoints.c.seq.between(first, last)
    return int(connection.scalar(sa.select(sa.func.max(_checkpoints.c.seq)).where(within)) or last)
