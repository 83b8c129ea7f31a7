"""The chain of the audit trail in the store: appended to within the transaction that is described."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from exporter.audit.record import (
    GENESIS,
    SALT_BYTES,
    Columns,
    Entry,
    Head,
    StoredRecord,
    chain,
    digest_body,
    make_body,
)
from exporter.storage import schema

CHUNK_ROWS = 500  # of at most 64 kB

_records, _heads, _segments = schema.audit_records, schema.audit_head, schema.audit_segments
_SELECT_HEAD = sa.select(_heads.c.seq, _heads.c.digest)
_LOCK_HEAD = _SELECT_HEAD.with_for_update()
_MOVE_HEAD = sa.update(_heads).values(seq=sa.bindparam("last"), digest=sa.bindparam("by"))
_COLUMNS = tuple(_records.c[name] for name in Columns._fields)
_SELECT = sa.select(_records.c.seq, _records.c.body, _records.c.body_digest, _records.c.digest, *_COLUMNS)
_READ = (
    _SELECT.where(_records.c.seq >= sa.bindparam("first"), _records.c.seq <= sa.bindparam("last"))
    .order_by(_records.c.seq)
    .limit(CHUNK_ROWS)
)


def append(
    connection: sa.Connection,
    entries: Sequence[Entry],
    at: float,
    random: Callable[[int], bytes] = os.urandom,
) -> int:
    """Append entries to the chain.

    Args:
        connection: within the transaction that the entries describe; other appenders wait for its end.
        entries: in order.
        at: time of the event, in seconds since the epoch.
        random: bytes for the salts.

    Returns:
        Number of the last record of the chain.
    """
    if not entries:
        return head(connection).seq
    seq, digest = _lock_head(connection)
    rows = []
    for entry in entries:
        seq += 1
        body, columns = make_body(entry, seq, at, random(SALT_BYTES))
        body_digest = digest_body(body)
        digest = chain(digest, body_digest)
        rows.append(
            {"seq": seq, "body": body, "body_digest": body_digest, "digest": digest, **columns._asdict()}
        )
    connection.execute(_records.insert(), rows)
    connection.execute(_MOVE_HEAD, {"last": seq, "by": digest})
    return seq


def head(connection: sa.Connection) -> Head:
    """End of the chain."""
    row = connection.execute(_SELECT_HEAD).first()
    return Head(as_seq(row.seq), as_bytes(row.digest)) if row is not None else Head(0, GENESIS)


def read(connection: sa.Connection, first: int = 1, last: int | None = None) -> Iterator[StoredRecord]:
    """Stored records from `first` to `last` in order, in chunks."""
    last = head(connection).seq if last is None else last
    while first <= last:
        rows = connection.execute(_READ, {"first": first, "last": last}).all()
        for row in rows:
            yield decode_row(row)
        if len(rows) < CHUNK_ROWS:
            return
        first = rows[-1].seq + 1


def select_newest() -> sa.Select[Any]:
    """Query for records, newest first, whose rows `decode_row` takes."""
    return _SELECT.order_by(_records.c.seq.desc())


def decode_row(row: sa.Row[Any]) -> StoredRecord:
    """Record of a row of `select_newest`, whatever somebody has put into it."""
    seq, body, body_digest, digest, *columns = tuple(row)
    return StoredRecord(
        seq,
        as_bytes(body) if body is not None else None,
        as_bytes(body_digest),
        as_bytes(digest),
        Columns(*columns),
    )


def as_bytes(value: Any) -> bytes:
    """Bytes of a column; SQLite keeps values of other types in it as well."""
    if isinstance(value, bytes):
        return value
    return bytes(value) if isinstance(value, memoryview) else str(value).encode("utf-8", "replace")


def as_seq(value: Any) -> int:
    """Number of a record; 0, which none has, for anything else."""
    return value if isinstance(value, int) else 0


def digest_before(connection: sa.Connection, seq: int) -> bytes | None:
    """Digest of the record before `seq`, which may have been pruned; None if it is not stored."""
    if seq == 1:
        return GENESIS
    found = connection.scalar(sa.select(_records.c.digest).where(_records.c.seq == seq - 1))
    if found is None:
        found = connection.scalar(sa.select(_segments.c.last_digest).where(_segments.c.last_seq == seq - 1))
    return as_bytes(found) if found is not None else None


def _lock_head(connection: sa.Connection) -> Head:
    row = connection.execute(_LOCK_HEAD).first()
    if row is None:
        insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
        first = insert(_heads).values(id=1, seq=0, digest=GENESIS)
        connection.execute(first.on_conflict_do_nothing())
        row = connection.execute(_LOCK_HEAD).one()
    return Head(row.seq, bytes(row.digest))
