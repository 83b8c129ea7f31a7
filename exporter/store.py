"""The durable store: SQLAlchemy Core over SQLite (embedded, the default) or PostgreSQL.

A request is answered after one transaction that holds both the ids of its rows and the aggregates that they
are counted in. So there is no log to replay: after a crash the stored aggregates are what was acknowledged.
"""

from __future__ import annotations

import fcntl
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from exporter.aggregate import Aggregate, decode_aggregate
from exporter.arrays import Floats, Ints
from exporter.errors import ConfigError, StoreError
from exporter.reference import Reference, decode_reference

SCHEMA_VERSION = 1
FINE, COARSE = 0, 1
DAY_SECONDS = 86400
_ADVISORY_LOCK = 0x6D6C666C  # any number, the same for every exporter
_PREDICTIONS = "predictions_"

_metadata = sa.MetaData()
_meta = sa.Table(
    "meta", _metadata, sa.Column("key", sa.String, primary_key=True), sa.Column("value", sa.String)
)
_versions = sa.Table(
    "versions",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("model", sa.String, nullable=False),
    sa.Column("version", sa.String, nullable=False),
    sa.Column("last_prediction", sa.Float),
    sa.UniqueConstraint("model", "version"),
)
_references = sa.Table(
    "reference_profiles",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("version_id", sa.Integer, nullable=False, index=True),
    sa.Column("digest", sa.String, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("payload", sa.LargeBinary, nullable=False),
)
_aggregates = sa.Table(
    "aggregates",
    _metadata,
    sa.Column("reference_id", sa.Integer, primary_key=True),
    sa.Column("family", sa.SmallInteger, primary_key=True),
    sa.Column("start", sa.BigInteger, primary_key=True),
    sa.Column("payload", sa.LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)
_aliases = sa.Table(
    "alias_history",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("model", sa.String, nullable=False),
    sa.Column("alias", sa.String, nullable=False),
    sa.Column("version", sa.String, nullable=False),  # empty: the alias was removed
    sa.Column("since", sa.Float, nullable=False),
)
_batches = sa.Table(
    "batches",
    _metadata,
    sa.Column("key", sa.LargeBinary(16), primary_key=True),
    sa.Column("at", sa.Float, nullable=False, index=True),
)
_spool = sa.Table(
    "spool",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("version_id", sa.Integer, nullable=False, index=True),
    sa.Column("content_type", sa.String, nullable=False),
    sa.Column("query", sa.String, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("row_numbers", sa.LargeBinary, nullable=False),
    sa.Column("times", sa.LargeBinary, nullable=False),
)


def _prediction_table(day: int, metadata: sa.MetaData) -> sa.Table:
    """Predictions of one UTC day, numbered from 1970.

    A table a day keeps the tree that random ids are inserted into small, and makes forgetting a day cheap.
    """
    return sa.Table(
        f"{_PREDICTIONS}{day}",
        metadata,
        sa.Column("id_hash", sa.LargeBinary(16), primary_key=True),
        sa.Column("version_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("payload", sa.BigInteger, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("prediction", sa.String),
        sa.Column("score", sa.Float),
        sqlite_with_rowid=False,
    )


@dataclass(frozen=True)
class PredictionRow:
    """What is kept of a prediction with an id: what a label will need."""

    id_hash: bytes
    version_id: int
    payload: int
    at: float
    prediction: str | None
    score: float | None


@dataclass(frozen=True)
class SpooledRequest:
    """A request that waits for its version's reference: its body, which of its rows, and their times."""

    content_type: str
    query: dict[str, str]
    body: bytes
    row_numbers: Ints
    times: Floats


@dataclass(frozen=True)
class AliasMove:
    """From `since` on the alias points to `version`; empty where it was removed."""

    model: str
    alias: str
    version: str
    since: float


class Transaction:
    """The writes of one commit. Nothing of it is visible before the store's `begin` block ends."""

    def __init__(self, store: Store, connection: sa.Connection) -> None:
        self._store = store
        self._connection = connection

    def insert_predictions(self, day: int, rows: Sequence[PredictionRow]) -> dict[tuple[bytes, int], int]:
        """Remember rows with distinct (id_hash, version_id); those that are there already are left alone.

        Returns:
            The stored payload hash of each row that was there already, by (id_hash, version_id).
        """
        table = self._store.prediction_table(day, self._connection)
        insert = self._store.insert_ignore(table)
        values = [
            {
                "id_hash": row.id_hash,
                "version_id": row.version_id,
                "payload": row.payload,
                "at": row.at,
                "prediction": row.prediction,
                "score": row.score,
            }
            for row in rows
        ]
        with self._connection.begin_nested() as savepoint:
            if self._connection.execute(insert, values).rowcount == len(rows):
                return {}  # all new, as nearly always: no look-up was needed
            savepoint.rollback()
        known = self.find_predictions(day, [row.id_hash for row in rows])
        fresh = [value for value in values if (value["id_hash"], value["version_id"]) not in known]
        if fresh:
            self._connection.execute(insert, fresh)
        return {(row.id_hash, row.version_id): known[row.id_hash, row.version_id] for row in rows
                if (row.id_hash, row.version_id) in known}  # fmt: skip

    def find_predictions(self, day: int, hashes: Sequence[bytes]) -> dict[tuple[bytes, int], int]:
        """Payload hash by (id_hash, version_id) of what is stored for the given ids on that day."""
        table = self._store.prediction_table(day, self._connection)
        query = sa.select(table.c.id_hash, table.c.version_id, table.c.payload)
        found = {}
        for start in range(0, len(hashes), 500):  # bounded: SQLite limits the variables of a statement
            part = query.where(table.c.id_hash.in_(hashes[start : start + 500]))
            for id_hash, version_id, payload in self._connection.execute(part):
                found[bytes(id_hash), version_id] = payload
        return found

    def replace_predictions(self, day: int, rows: Sequence[PredictionRow]) -> None:
        """Overwrite rows whose id came again with another payload: labels join the latest."""
        table = self._store.prediction_table(day, self._connection)
        for row in rows:
            self._connection.execute(
                sa.update(table)
                .where(table.c.id_hash == row.id_hash, table.c.version_id == row.version_id)
                .values(payload=row.payload, at=row.at, prediction=row.prediction, score=row.score)
            )

    def put_aggregates(self, reference_id: int, family: int, blocks: Mapping[int, Aggregate]) -> None:
        values = [
            {"reference_id": reference_id, "family": family, "start": start, "payload": block.encode()}
            for start, block in blocks.items()
        ]
        if values:
            self._connection.execute(self._store.upsert(_aggregates, "payload"), values)

    def delete_aggregates(self, reference_id: int, family: int, starts: Sequence[int]) -> None:
        for start in starts:
            self._connection.execute(
                sa.delete(_aggregates).where(
                    _aggregates.c.reference_id == reference_id,
                    _aggregates.c.family == family,
                    _aggregates.c.start == start,
                )
            )

    def set_last_prediction(self, version_id: int, at: float) -> None:
        update = sa.update(_versions).where(_versions.c.id == version_id)
        self._connection.execute(update.values(last_prediction=at))

    def has_key(self, key: bytes) -> bool:
        """Whether a batch with this idempotency key was committed."""
        return self._connection.scalar(sa.select(_batches.c.key).where(_batches.c.key == key)) is not None

    def remember_key(self, key: bytes, at: float) -> None:
        self._connection.execute(_batches.insert(), {"key": key, "at": at})

    def add_spooled(self, version_id: int, request: SpooledRequest) -> None:
        self._connection.execute(
            _spool.insert(),
            {
                "version_id": version_id,
                "content_type": request.content_type,
                "query": json.dumps(request.query),
                "body": zlib.compress(request.body, 1),
                "row_numbers": request.row_numbers.astype("<i8").tobytes(),
                "times": request.times.astype("<f8").tobytes(),
            },
        )

    def delete_spooled(self, version_id: int) -> None:
        self._connection.execute(sa.delete(_spool).where(_spool.c.version_id == version_id))

    def save_reference(self, version_id: int, reference: Reference, at: float) -> int:
        """Store a version's reference and make it the current one.

        Returns:
            Its id, under which aggregates are kept: other bins never meet.
        """
        values = {
            "version_id": version_id,
            "digest": reference.digest,
            "created_at": at,
            "payload": reference.encode(),
        }
        key = self._connection.execute(_references.insert(), values).inserted_primary_key
        assert key is not None
        return int(key[0])

    def forget(self, before: float, prediction_days_before: int) -> None:
        """Drop idempotency keys older than `before` and the days of predictions before the given one."""
        self._connection.execute(sa.delete(_batches).where(_batches.c.at < before))
        for name in sa.inspect(self._connection).get_table_names():
            day = name.removeprefix(_PREDICTIONS)
            if name.startswith(_PREDICTIONS) and day.isdigit() and int(day) < prediction_days_before:
                self._store.drop_prediction_table(int(day), self._connection)


class Store:
    """One process' connection to its store.

    Raises:
        ConfigError: the URI cannot be used.
        StoreError: the database fails, or another exporter is using it; raised by every method.
    """

    def __init__(self, uri: str) -> None:
        try:
            url = sa.make_url(uri)
            if url.get_backend_name() == "postgresql" and url.drivername == "postgresql":
                url = url.set(drivername="postgresql+psycopg")
            self._engine = sa.create_engine(url, pool_size=2, max_overflow=2)
        except (SQLAlchemyError, ImportError) as error:
            raise ConfigError(f"store {uri!r}: {error}") from error
        self._sqlite = url.get_backend_name() == "sqlite"
        self._path = Path(url.database) if self._sqlite and url.database else None
        if not self._sqlite and url.get_backend_name() != "postgresql":
            raise ConfigError(f"store {uri!r}: taken are sqlite and postgresql")
        if self._sqlite and self._path is None:
            raise ConfigError(f"store {uri!r}: a store in memory would lose what was acknowledged")
        self._lock_file: IO[str] | None = None
        self._lock_connection: sa.Connection | None = None
        self._prediction_tables: dict[int, sa.Table] = {}
        if self._sqlite:
            sa.event.listen(self._engine, "connect", _configure_sqlite)
            sa.event.listen(self._engine, "begin", _begin_immediate)
        try:
            self._lock()
            with self.begin() as transaction:
                self._create(transaction._connection)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._engine.dispose()
        if self._lock_connection is not None:
            self._lock_connection.close()
        if self._lock_file is not None:
            self._lock_file.close()

    @contextmanager
    def begin(self) -> Iterator[Transaction]:
        """A transaction: committed and on disk when the block ends, undone when it raises."""
        try:
            with self._engine.begin() as connection:
                yield Transaction(self, connection)
        except SQLAlchemyError as error:
            self._prediction_tables.clear()  # one of them may have been undone with the rest
            raise StoreError(f"the store failed: {_cause(error)}") from error

    def size_bytes(self) -> int:
        """Bytes on disk."""
        if self._path is not None:
            files = (self._path, Path(f"{self._path}-wal"))
            return sum(file.stat().st_size for file in files if file.exists())
        with self._reading() as connection:
            return int(connection.scalar(sa.text("select pg_database_size(current_database())")) or 0)

    def version_id(self, model: str, version: str) -> int:
        """The small number by which a version is known here, made at first sight."""
        query = sa.select(_versions.c.id).where(_versions.c.model == model, _versions.c.version == version)
        with self.begin() as transaction:
            connection = transaction._connection
            found = connection.scalar(query)
            if found is None:
                result = connection.execute(_versions.insert(), {"model": model, "version": version})
                assert result.inserted_primary_key is not None
                found = result.inserted_primary_key[0]
        return int(found)

    def last_prediction(self, version_id: int) -> float | None:
        """Time of the version's latest prediction, in seconds since the epoch."""
        with self._reading() as connection:
            found = connection.scalar(
                sa.select(_versions.c.last_prediction).where(_versions.c.id == version_id)
            )
        return None if found is None else float(found)

    def load_reference(self, version_id: int) -> tuple[int, Reference] | None:
        """The version's current reference with its id."""
        query = (
            sa.select(_references.c.id, _references.c.payload)
            .where(_references.c.version_id == version_id)
            .order_by(_references.c.id.desc())
            .limit(1)
        )
        with self._reading() as connection:
            row = connection.execute(query).first()
        return None if row is None else (int(row.id), decode_reference(bytes(row.payload)))

    def load_blocks(self, reference_id: int) -> tuple[dict[int, Aggregate], dict[int, Aggregate]]:
        """The fine and the coarse blocks that were counted in a reference's bins, by their start."""
        families: tuple[dict[int, Aggregate], dict[int, Aggregate]] = ({}, {})
        query = sa.select(_aggregates).where(_aggregates.c.reference_id == reference_id)
        with self._reading() as connection:
            for row in connection.execute(query):
                families[row.family][row.start] = decode_aggregate(bytes(row.payload))
        return families

    def load_spooled(self, version_id: int) -> list[SpooledRequest]:
        """What waits for a version's reference, in order of arrival."""
        query = sa.select(_spool).where(_spool.c.version_id == version_id).order_by(_spool.c.id)
        with self._reading() as connection:
            return [
                SpooledRequest(
                    content_type=row.content_type,
                    query=json.loads(row.query),
                    body=zlib.decompress(bytes(row.body)),
                    row_numbers=np.frombuffer(bytes(row.row_numbers), "<i8").astype(np.int64),
                    times=np.frombuffer(bytes(row.times), "<f8").astype(np.float64),
                )
                for row in connection.execute(query)
            ]

    def load_alias_moves(self) -> list[AliasMove]:
        """The history of all aliases, oldest first."""
        with self._reading() as connection:
            rows = connection.execute(sa.select(_aliases).order_by(_aliases.c.since, _aliases.c.id))
            return [AliasMove(row.model, row.alias, row.version, row.since) for row in rows]

    def add_alias_moves(self, moves: Sequence[AliasMove]) -> None:
        with self.begin() as transaction:
            transaction._connection.execute(_aliases.insert(), [vars(move) for move in moves])

    # -- for Transaction ------------------------------------------------------------------------------------

    def prediction_table(self, day: int, connection: sa.Connection) -> sa.Table:
        """The table of a day, created at first use."""
        table = self._prediction_tables.get(day)
        if table is None:
            table = _prediction_table(day, sa.MetaData())
            table.create(connection, checkfirst=True)
            self._prediction_tables[day] = table
        return table

    def drop_prediction_table(self, day: int, connection: sa.Connection) -> None:
        self._prediction_tables.pop(day, None)
        _prediction_table(day, sa.MetaData()).drop(connection)

    def insert_ignore(self, table: sa.Table) -> Any:
        return self._insert(table).on_conflict_do_nothing()

    def upsert(self, table: sa.Table, column: str) -> Any:
        statement = self._insert(table)
        return statement.on_conflict_do_update(
            index_elements=list(table.primary_key), set_={column: statement.excluded[column]}
        )

    def _insert(self, table: sa.Table) -> Any:
        if self._sqlite:
            from sqlalchemy.dialects.sqlite import insert
        else:
            from sqlalchemy.dialects.postgresql import insert  # type: ignore[assignment]
        return insert(table)

    # -- opening --------------------------------------------------------------------------------------------

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        try:
            with self._engine.connect() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise StoreError(f"the store failed: {_cause(error)}") from error

    def _lock(self) -> None:
        """Hold the store for this process; the lock ends with the process, however it ends."""
        try:
            if self._path is not None:
                self._lock_file = Path(f"{self._path}.lock").open("w")  # noqa: SIM115 - held as long as the store
                fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            else:
                self._lock_connection = self._engine.connect()
                if not self._lock_connection.scalar(sa.select(sa.func.pg_try_advisory_lock(_ADVISORY_LOCK))):
                    raise StoreError("another exporter uses this database")
                self._lock_connection.commit()
        except BlockingIOError:
            raise StoreError(f"another exporter uses {self._path}") from None
        except OSError as error:
            raise ConfigError(f"store {self._path}: {error.strerror}") from error
        except SQLAlchemyError as error:
            raise StoreError(f"the store cannot be opened: {_cause(error)}") from error

    def _create(self, connection: sa.Connection) -> None:
        _metadata.create_all(connection)
        query = sa.select(_meta.c.value).where(_meta.c.key == "schema_version")
        found = connection.scalar(query)
        if found is None:
            values = {"key": "schema_version", "value": str(SCHEMA_VERSION)}
            connection.execute(_meta.insert(), values)
        elif found != str(SCHEMA_VERSION):
            raise StoreError(f"the store has schema {found}, this exporter needs {SCHEMA_VERSION}")


def _configure_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # we begin transactions ourselves, see _begin_immediate
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",  # a commit survives a power cut, not only a crash of ours
        "busy_timeout=10000",
        "cache_size=-65536",
        "temp_store=MEMORY",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_immediate(connection: sa.Connection) -> None:
    # A transaction that reads and then writes fails at once, without waiting, when another wrote meanwhile.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _cause(error: SQLAlchemyError) -> str:
    return str(getattr(error, "orig", None) or error).partition("\n")[0]
