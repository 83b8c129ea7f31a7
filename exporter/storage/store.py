"""The durable store: SQLAlchemy Core over SQLite (embedded, the default) or PostgreSQL.

A request is answered after one transaction that holds both the ids of its rows and the aggregates that they
are counted in. So there is no log to replay: after a crash the stored aggregates are what was acknowledged.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from exporter.aggregates.state import decode_totals
from exporter.errors import StoreFault, decoding
from exporter.storage import schema
from exporter.storage.database import Database
from exporter.storage.lsm.pages import PageReader
from exporter.storage.lsm.tree import LsmTree
from exporter.storage.partition import OFFSET, Partition, partition_values
from exporter.storage.reads import StoreReads
from exporter.storage.rows import LABELS, PREDICTIONS
from exporter.storage.schema import RETENTION_KEY, AliasMove, StoredVersion
from exporter.storage.transaction import Transaction


class Store(StoreReads):
    """Stored state of one process, in a `Database`, whose errors every method raises.

    Args:
        uri: as in `Settings.store`.
        check: check all pages of SQLite first.
        count_fault: called with the kind of every error.
        partition: whose rows are stored; None for those of all.
    """

    def __init__(
        self,
        uri: str,
        *,
        check: bool = True,
        count_fault: Callable[[StoreFault], None] = lambda _: None,
        partition: Partition | None = None,
    ) -> None:
        self.partition = partition
        self._database = Database(uri, check=check, count_fault=count_fault, partition=partition)
        super().__init__(self._database.reading)
        self._engine = self._database.engine
        self._reader = PageReader(self._engine)
        name = partition.schema if partition is not None else None
        self._predictions = LsmTree(PREDICTIONS, self._reader, name)
        self._labels = LsmTree(LABELS, self._reader, name)
        self.writing = self._database.writing
        self.applying, self.fault = self._database.applying, self._database.fault
        self.lose = self._database.lose

    @property
    def lost(self) -> str:
        """Reason why memory may differ from the store for good, or empty."""
        return self._database.lost

    @property
    def was_lost(self) -> threading.Event:
        """Set once `lost` is not empty."""
        return self._database.was_lost

    @property
    def unanswered(self) -> bool:
        """True while a commit waits for the database to say whether it took place."""
        return self._database.unanswered

    def call_when_unanswered(self, act: Callable[[], None]) -> None:
        """Have a function called when such a wait begins, in the thread of the commit."""
        self._database.on_unanswered = act

    def close(self) -> None:
        """Close the store; later calls are refused."""
        self._reader.close()
        self._database.close()

    @contextmanager
    def begin(self) -> Iterator[Transaction]:
        """Database transaction: durable when the block ends, rolled back when it raises. One thread uses it,
        that of the writer once there is one."""
        with self._within(self._predictions, self._labels) as connection:
            partitioned = self.partition is not None
            yield Transaction(connection, self._predictions, self._labels, partitioned=partitioned)

    def flush(self) -> None:
        """Flush memtables that are full, each in a transaction of its own, since it takes a while."""
        for tree in (self._predictions, self._labels):
            if tree.is_full:
                with self._within(tree):
                    tree.flush()

    @contextmanager
    def _within(self, *trees: LsmTree[Any]) -> Iterator[sa.Connection]:
        """Transaction in which trees take part."""
        committed = False
        try:
            with self.writing() as connection:
                for tree in trees:
                    tree.begin(connection)
                yield connection
            committed = True
        finally:
            for tree in trees:
                tree.end(committed=committed)

    def size_bytes(self) -> int:
        """Bytes in use; a SQLite file keeps its size when rows are deleted, and reuses the space."""
        with self.reading() as connection:
            if not self._database.is_sqlite:
                return int(connection.scalar(sa.text("select pg_database_size(current_database())")) or 0)
            pages, free, size = (
                int(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())
                for name in ("page_count", "freelist_count", "page_size")
            )
            return (pages - free) * size

    @contextmanager
    def _writing_in(self, connection: sa.Connection | None) -> Iterator[sa.Connection]:
        """The transaction of a caller, or one of its own."""
        if connection is not None:
            yield connection
        else:
            with self.writing() as own:
                yield own

    def ensure_version(
        self, model: str, version: str, created_ms: int, connection: sa.Connection | None = None
    ) -> StoredVersion:
        """Find or create a version, and mark it as the followed one of its names.

        This and the next writes take part in the transaction of `connection`, if it is given.
        """
        names = {"model": model, "version": version, "created_ms": created_ms}
        versions = schema.versions
        query = _select_versions().where(*(versions.c[name] == value for name, value in names.items()))
        same = sa.and_(versions.c.model == model, versions.c.version == version)
        with self._writing_in(connection) as connection:
            found = connection.execute(query).first()
            if found is None:
                connection.execute(versions.insert(), names)
                found = connection.execute(query).one()
            others = connection.scalar(
                sa.select(sa.func.max(versions.c.followed)).where(same, versions.c.id != found.key)
            )
            changed = sa.update(versions).where(versions.c.id == found.key).values(followed=(others or 0) + 1)
            connection.execute(changed)
        return _decode_version(found)

    def load_versions(self) -> list[StoredVersion]:
        """All versions ever monitored; of several with the same names the last was followed last."""
        versions = schema.versions.c
        with self.reading() as connection:
            rows = connection.execute(_select_versions().order_by(versions.followed, versions.id))
            return [_decode_version(row) for row in rows]

    def load_alias_moves(self) -> list[AliasMove]:
        """History of all aliases, in the order in which it was seen."""
        with self.reading() as connection:
            rows = connection.execute(sa.select(schema.aliases).order_by(schema.aliases.c.id))
            return [AliasMove(row.model, row.alias, row.version, row.since) for row in rows]

    def add_alias_moves(self, moves: Sequence[AliasMove], connection: sa.Connection | None = None) -> None:
        with self._writing_in(connection) as connection:
            connection.execute(schema.aliases.insert(), [vars(move) for move in moves])

    def save_facts(
        self,
        version_id: int,
        run_id: str,
        team: str,
        tags: Mapping[str, str],
        config_digest: str,
        connection: sa.Connection | None = None,
    ) -> None:
        """Keep what the registry said of a version, for a start at which it does not answer."""
        values = {
            "run_id": run_id,
            "team": team,
            "tags": json.dumps(dict(tags)),
            "config_digest": config_digest,
        }
        changed = sa.update(schema.versions).where(schema.versions.c.id == version_id).values(values)
        with self._writing_in(connection) as connection:
            connection.execute(changed)

    def load_offset(self) -> int | None:
        """Offset of a partition's first message that was not committed; None before the first commit."""
        with self.reading() as connection, decoding("the offset of a partition"):
            value = partition_values(connection, [OFFSET]).get(OFFSET)
            return None if value is None else int(value)

    def load_retention(self, now: float) -> float:
        """Time that retention had reached; that of the newest row where it was never stored."""
        newest = sa.select(sa.func.max(schema.version_states.c.last_prediction))
        kept = sa.select(schema.meta.c.value).where(schema.meta.c.key == RETENTION_KEY)
        with self.reading() as connection, decoding("the time that retention had reached"):
            value = connection.scalar(kept)
            at = float(value) if value is not None else connection.scalar(newest)
        return now if at is None else min(float(at), now)


def _select_versions() -> sa.Select[Any]:
    """The fields of `StoredVersion`."""
    versions, spool, references = schema.versions.c, schema.spool.c, schema.references.c
    states, counted = schema.version_states.c, schema.reference_states.c
    rows = sa.select(sa.func.coalesce(sa.func.sum(spool.rows), 0)).where(spool.version_id == versions.id)
    maturation = (
        sa.select(counted.maturation_seconds)
        .where(counted.reference_id == references.id, references.version_id == versions.id)
        .order_by(references.id.desc())
        .limit(1)
    )
    query = sa.select(
        versions.id.label("key"),
        versions.model,
        versions.version,
        versions.created_ms,
        states.last_prediction,
        versions.status,
        versions.run_id,
        versions.team,
        versions.tags,
        versions.config_digest,
        rows.scalar_subquery().label("waiting_rows"),
        maturation.scalar_subquery().label("maturation_seconds"),
        sa.func.coalesce(states.unknown_columns, "[]").label("unknown_columns"),
        states.totals,
    )
    return query.outerjoin_from(schema.versions, schema.version_states, states.version_id == versions.id)


def _decode_version(row: sa.Row[Any]) -> StoredVersion:
    with decoding("the state of a version"):
        decoded = {
            "tags": json.loads(row.tags),
            "unknown_columns": frozenset(json.loads(row.unknown_columns)),
            "totals": None if row.totals is None else decode_totals(bytes(row.totals)),
        }
        return StoredVersion(**{**row._mapping, **decoded})
