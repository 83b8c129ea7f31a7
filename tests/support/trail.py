"""The audit trail of a store, for tests."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import orjson
import sqlalchemy as sa

from exporter.audit.checkpoint import SigningKey, make_checkpoint
from exporter.audit.record import Entry, Head, chain, digest_body
from exporter.audit.trail import append, read
from exporter.storage import schema
from exporter.storage.store import Store

KEY = SigningKey("mlflow-exporter/tests", bytes(range(32)))
OTHER_KEY = SigningKey("mlflow-exporter/tests", bytes(32))


def bodies(store: Store) -> list[dict[str, Any]]:
    """All records that are not erased, oldest first."""
    with store.reading() as connection:
        return [orjson.loads(record.body) for record in read(connection) if record.body is not None]


@contextmanager
def trail(*records: tuple[float, Entry]) -> Iterator[sa.Connection]:
    """Connection to a database in memory whose trail has these records."""
    engine = sa.create_engine("sqlite://")
    schema.metadata.create_all(engine)
    with engine.connect() as connection:
        write(connection, records)
        yield connection
    engine.dispose()


def write(connection: sa.Connection, records: Sequence[tuple[float, Entry]]) -> None:
    for at, entry in records:
        append(connection, [entry], at)
    connection.commit()


def make_entry(number: int = 1, **own: Any) -> Entry:
    values = {"kind": "verdict_changed", "actor": "monitor", "model": "fraud", "model_version": "3"}
    return Entry(**{**values, "subject": "age", "data": {"score": number / 7}, **own})


def append_entries(connection: sa.Connection, count: int, at: float = 1000.0) -> None:
    """Append entries, one a second."""
    for number in range(count):
        append(connection, [make_entry(number)], at + number)


def rebuild(connection: sa.Connection, first: int, changed: dict[str, Any], previous: bytes) -> Head:
    """Change the body of a record and chain all that follow anew, as a thief of the store could."""
    records = schema.audit_records
    digest, seq = previous, first
    rows = connection.execute(sa.select(records).where(records.c.seq >= first).order_by(records.c.seq)).all()
    for row in rows:
        body, seq = bytes(row.body), row.seq
        if seq == first:
            body = orjson.dumps(orjson.loads(body) | changed, option=orjson.OPT_SORT_KEYS)
        digest = chain(digest, digest_body(body))
        values = {"body": body, "body_digest": digest_body(body), "digest": digest}
        if seq == first:
            values |= {name: text for name, text in changed.items() if name in records.c}
        connection.execute(sa.update(records).where(records.c.seq == seq).values(values))
    connection.execute(sa.update(schema.audit_head).values(seq=seq, digest=digest))
    return Head(seq, digest)


def resign(connection: sa.Connection, key: SigningKey, seqs: Sequence[int]) -> None:
    """Sign the checkpoints of these records anew."""
    records, notes = schema.audit_records, schema.audit_checkpoints
    for seq in seqs:
        connection.execute(sa.delete(notes).where(notes.c.seq == seq))
        digest = bytes(connection.scalar(sa.select(records.c.digest).where(records.c.seq == seq)) or b"")
        note = key.sign(f"{key.name}\n{seq}\n{base64.b64encode(digest).decode()}\n")
        connection.execute(notes.insert(), {"seq": seq, "at": 0.0, "note": note})


def sign(connection: sa.Connection, key: SigningKey, at: float) -> str:
    """Make a checkpoint, and return its note."""
    note = make_checkpoint(connection, key, at).note
    connection.commit()
    return note
