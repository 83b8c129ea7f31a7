"""The audit trail of a store, for tests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import orjson
import sqlalchemy as sa

from exporter.audit.record import Entry
from exporter.audit.trail import append, read
from exporter.storage import schema
from exporter.storage.store import Store


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
