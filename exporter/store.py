"""The durable store: SQLAlchemy Core over SQLite (embedded, the default) or PostgreSQL.

A request is answered after one transaction that holds both the ids of its rows and the aggregates that they
are counted in. So there is no log to replay: after a crash the stored aggregates are what was acknowledged.
"""

from __future__ import annotations

import fcntl
import json
import logging
import threading
import time
import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

import numpy as np
import sqlalchemy as sa
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError, SQLAlchemyError

from exporter import schema
from exporter.aggregate import Aggregate, decode_aggregate
from exporter.errors import ConfigError, StoreError
from exporter.id_tables import IdTables
from exporter.migrations import migrate
from exporter.outcome_layout import OutcomeLayout
from exporter.outcomes import Outcomes, decode_outcomes
from exporter.page_reader import PageReader
from exporter.reference import Reference, decode_reference
from exporter.schema import (
    LABELS,
    PREDICTIONS,
    AliasMove,
    AuditEntry,
    SpooledRequest,
    StoredVersion,
    upsert,
)
from exporter.texts import redact
from exporter.transaction import Transaction

_SELECT_OWNER = sa.select(schema.meta.c.value).where(schema.meta.c.key == "owner").with_for_update()
_ADVISORY_LOCK = 0x6D6C666C  # any number, the same for every exporter
_SELECT_NUMBER = sa.text("SELECT pg_current_xact_id()::text")
_SELECT_STATUS = sa.text("SELECT pg_xact_status(CAST(:number AS xid8))")
_FACTS = "facts "  # and the id of a version: a key in `meta`
_UNANSWERED = "the database did not say whether the last commit took place: restart the exporter"
_PARTED = "the last commit was not taken over into memory: restart the exporter"

UNANSWERED_SECONDS = 60.0  # for so long it is asked whether a commit took place
RETRY_SECONDS = 0.2

log = logging.getLogger(__name__)


class Store:
    """One process' connection to its store.

    Raises:
        ConfigError: the URI cannot be used.
        StoreError: the database fails, or another exporter is using it; raised by every method.
        sqlalchemy.exc.DBAPIError: the database does not take a value; what it means is up to the caller.
    """

    def __init__(self, uri: str) -> None:
        try:
            url = sa.make_url(uri)
            usable = "\0" not in uri and "@" not in (url.host or "")
        except (SQLAlchemyError, ValueError):
            usable = False
        if not usable:
            raise ConfigError(
                "store is no URI such as sqlite:///exporter.db or postgresql://user:password@host/name (in a "
                "password @ is written %40)"
            )
        shown = redact(url.render_as_string())
        self._sqlite = url.get_backend_name() == "sqlite"
        if not self._sqlite and url.get_backend_name() != "postgresql":
            raise ConfigError(f"store {shown}: taken are sqlite and postgresql")
        if self._sqlite and url.database in (None, "", ":memory:"):
            raise ConfigError(f"store {shown}: a store in memory would lose what was acknowledged")
        if url.drivername == "postgresql":
            url = url.set(drivername="postgresql+psycopg")
        try:
            # Parameters are what was predicted and why, and errors are logged.
            self._engine = sa.create_engine(url, pool_size=2, max_overflow=2, hide_parameters=True)
        except (SQLAlchemyError, ImportError) as error:
            raise ConfigError(f"store {shown}: {error}") from error
        except ValueError as error:
            raise ConfigError(f"store {shown}: an option cannot be used: {error}") from error
        self._path = Path(str(url.database)) if self._sqlite else None
        self._lock_file: IO[str] | None = None
        self._lock_connection: sa.Connection | None = None
        self._owner = uuid4().hex
        self._closed = False
        self.lost = ""  # why memory may differ from the database, for good; empty while it does not
        self.was_lost = threading.Event()
        if self._sqlite:
            sa.event.listen(self._engine, "connect", _configure_sqlite)
        self._reader = PageReader(self._engine)
        self._predictions, self._labels = IdTables(PREDICTIONS, self._reader), IdTables(LABELS, self._reader)
        try:
            self._lock()
            with self._writing() as connection:
                self._open(connection)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the store; what comes later is refused."""
        self._closed = True
        if self._lock_connection is not None:
            self._lock_connection.close()
        self._reader.close()
        self._engine.dispose()
        if self._lock_file is not None:
            self._lock_file.close()

    @contextmanager
    def begin(self) -> Iterator[Transaction]:
        """A transaction: committed and on disk when the block ends, undone when it raises. One thread
        uses it: the writer's, once there is one."""
        with self._knowing(self._predictions, self._labels), self._owning() as connection:
            for tables in (self._predictions, self._labels):
                tables.begin(connection)
            yield Transaction(connection, self._predictions, self._labels)

    def seal_ids(self) -> None:
        """Sort what was appended since, where it is time to; between transactions, since it takes a while."""
        for tables in (self._predictions, self._labels):
            if tables.full:
                with self._knowing(tables), self._writing() as connection:
                    tables.begin(connection)
                    tables.seal(connection)

    @contextmanager
    def _knowing(self, *several: IdTables[Any]) -> Iterator[None]:
        """Tell tables of ids how the transaction ended that the block is."""
        committed = False
        try:
            yield
            committed = True
        finally:
            for tables in several:
                tables.end(committed=committed)

    @contextmanager
    def applying(self) -> Iterator[None]:
        """Change memory to what was just committed, in the block.

        Raises:
            StoreError: the block failed, so that memory is not what the store says. The store takes and gives
                nothing more, and the process has to end.
        """
        try:
            yield
        except BaseException as error:
            log.critical("%s", _PARTED, exc_info=True)
            raise self._lose(_PARTED) from error

    def _lose(self, reason: str) -> StoreError:
        self.lost = reason
        self.was_lost.set()
        return StoreError(reason)

    def size_bytes(self) -> int:
        """Bytes in use. A file of SQLite's keeps its size when something is deleted, and fills the gaps."""
        with self._reading() as connection:
            if not self._sqlite:
                return int(connection.scalar(sa.text("select pg_database_size(current_database())")) or 0)
            pages, free, size = (
                int(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())
                for name in ("page_count", "freelist_count", "page_size")
            )
            return (pages - free) * size

    def ensure_version(self, model: str, version: str, created_ms: int) -> StoredVersion:
        """A version as it is kept, from now on if it was not; of its names the one that is followed."""
        names = {"model": model, "version": version, "created_ms": created_ms}
        query = _select_versions().filter_by(**names)
        versions = schema.versions
        same = sa.and_(versions.c.model == model, versions.c.version == version)
        with self._owning() as connection:
            found = connection.execute(query).first()
            if found is None:
                connection.execute(versions.insert(), names)
                found = connection.execute(query).one()
            others = connection.scalar(
                sa.select(sa.func.max(versions.c.followed)).where(same, versions.c.id != found.key)
            )
            changed = sa.update(versions).where(versions.c.id == found.key).values(followed=(others or 0) + 1)
            connection.execute(changed)
        return StoredVersion(**found._mapping)

    def load_versions(self) -> list[StoredVersion]:
        """All versions ever monitored; the last of several with the same names was followed last."""
        versions = schema.versions.c
        with self._reading() as connection:
            rows = connection.execute(_select_versions().order_by(versions.followed, versions.id))
            return [StoredVersion(**row._mapping) for row in rows]

    def load_reference(self, version_id: int) -> tuple[int, Reference] | None:
        """The version's current reference with its id."""
        query = (
            sa.select(schema.references.c.id, schema.references.c.payload)
            .where(schema.references.c.version_id == version_id)
            .order_by(schema.references.c.id.desc())
            .limit(1)
        )
        with self._reading() as connection:
            row = connection.execute(query).first()
        return None if row is None else (int(row.id), decode_reference(bytes(row.payload)))

    def load_blocks(self, reference_id: int) -> tuple[dict[int, Aggregate], dict[int, Aggregate]]:
        """The fine and the coarse blocks that were counted in a reference's bins, by their start."""
        families: tuple[dict[int, Aggregate], dict[int, Aggregate]] = ({}, {})
        query = sa.select(schema.aggregates).filter_by(reference_id=reference_id, segment="")
        with self._reading() as connection:
            for row in connection.execute(query):
                families[row.family][row.start] = decode_aggregate(bytes(row.payload))
        return families

    def load_segment_blocks(self, reference_id: int) -> dict[str, dict[int, Aggregate]]:
        """The blocks of each segment that has any, by their start."""
        found: dict[str, dict[int, Aggregate]] = defaultdict(dict)
        blocks = schema.aggregates
        query = sa.select(blocks).where(blocks.c.reference_id == reference_id, blocks.c.segment != "")
        with self._reading() as connection:
            for row in connection.execute(query):
                found[row.segment][row.start] = decode_aggregate(bytes(row.payload))
        return found

    def load_segment_outcomes(
        self, reference_id: int, layout: OutcomeLayout
    ) -> dict[str, dict[int, Outcomes]]:
        """The outcomes of each segment that has any, by the start of their hour.

        Raises:
            StoreError: they were counted in another layout.
        """
        found: dict[str, dict[int, Outcomes]] = defaultdict(dict)
        hours = schema.outcomes
        query = sa.select(hours).where(hours.c.reference_id == reference_id, hours.c.segment != "")
        with self._reading() as connection:
            for row in connection.execute(query):
                found[row.segment][row.start] = decode_outcomes(layout, bytes(row.payload))
        return found

    def load_outcomes(self, reference_id: int, layout: OutcomeLayout) -> dict[int, Outcomes]:
        """The outcomes that were counted in a layout, by the start of their hour.

        Raises:
            StoreError: they were counted in another.
        """
        query = sa.select(schema.outcomes).filter_by(reference_id=reference_id, segment="")
        with self._reading() as connection:
            return {
                row.start: decode_outcomes(layout, bytes(row.payload)) for row in connection.execute(query)
            }

    def load_spooled(self, version_id: int) -> list[SpooledRequest]:
        """What waits for a version's reference, in order of arrival."""
        query = (
            sa.select(schema.spool).where(schema.spool.c.version_id == version_id).order_by(schema.spool.c.id)
        )
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
            rows = connection.execute(
                sa.select(schema.aliases).order_by(schema.aliases.c.since, schema.aliases.c.id)
            )
            return [AliasMove(row.model, row.alias, row.version, row.since) for row in rows]

    def add_alias_moves(self, moves: Sequence[AliasMove]) -> None:
        with self._owning() as connection:
            connection.execute(schema.aliases.insert(), [vars(move) for move in moves])

    def save_facts(self, version_id: int, facts: Mapping[str, Any]) -> None:
        """Keep what MLflow said of a version, as JSON, for a start at which it does not answer."""
        put = upsert(schema.meta, "value", self._engine.dialect.name)
        with self._owning() as connection:
            connection.execute(put, {"key": f"{_FACTS}{version_id}", "value": json.dumps(facts)})

    def load_facts(self) -> dict[int, dict[str, Any]]:
        """What was kept of versions, by their ids."""
        meta = schema.meta.c
        query = sa.select(meta.key, meta.value).where(meta.key.startswith(_FACTS, autoescape=True))
        with self._reading() as connection:
            rows = connection.execute(query)
            return {int(row.key.removeprefix(_FACTS)): json.loads(row.value) for row in rows}

    def load_audit(self, limit: int) -> list[AuditEntry]:
        """What was changed on purpose, newest first."""
        query = sa.select(*(schema.audit.c[item.name] for item in fields(AuditEntry)))
        with self._reading() as connection:
            rows = connection.execute(query.order_by(schema.audit.c.id.desc()).limit(limit))
            return [AuditEntry(**row._mapping) for row in rows]

    # -- opening --------------------------------------------------------------------------------------------

    @contextmanager
    def _owning(self) -> Iterator[sa.Connection]:
        with self._writing() as connection:
            # An advisory lock ends with its session, which a restart of PostgreSQL ends unnoticed.
            if connection.scalar(_SELECT_OWNER) != self._owner:
                raise StoreError("another exporter took over this database")
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        number, complete = None, False
        with self._translating():
            try:
                with self._engine.begin() as connection:
                    if self._sqlite:
                        # What reads first and then writes fails, without waiting, if another wrote meanwhile.
                        connection.exec_driver_sql("BEGIN IMMEDIATE")
                    else:
                        number = connection.scalar(_SELECT_NUMBER)
                    yield connection
                    complete = True
            except Exception as error:
                if not complete or not self._took_place(number, error):
                    raise

    def _took_place(self, number: str | None, error: Exception) -> bool:
        """Whether the database carried out a COMMIT that failed; what memory knows depends on it.

        Raises:
            StoreError: nobody can say. Nothing can be written any more.
        """
        if number is None:
            if isinstance(error, DBAPIError):  # SQLite said no
                return False
            raise self._lose(_UNANSWERED) from error
        deadline = time.monotonic() + UNANSWERED_SECONDS
        while not self._closed and time.monotonic() < deadline:
            try:
                with self._engine.connect() as connection:
                    status = connection.scalar(_SELECT_STATUS, {"number": number})
                if status != "in progress":
                    return bool(status == "committed")
            except DataError:  # a replica that took over never heard of it
                return False
            except SQLAlchemyError as unknown:
                log.warning("whether a commit took place is not known yet: %s", _cause(unknown))
            time.sleep(RETRY_SECONDS)
        raise self._lose(_UNANSWERED) from error

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        with self._translating(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def _translating(self) -> Iterator[None]:
        if self._closed:
            raise StoreError("the store is closed")
        if self.lost:
            raise StoreError(self.lost)
        try:
            yield
        except (DataError, IntegrityError, ProgrammingError):
            raise  # what was to be written is at fault, not the store
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

    def _open(self, connection: sa.Connection) -> None:
        migrate(connection, self._path.absolute().parent if self._path is not None else None)
        put = upsert(schema.meta, "value", connection.dialect.name)
        connection.execute(put, {"key": "owner", "value": self._owner})


def _select_versions() -> sa.Select[Any]:
    """The fields of `StoredVersion`."""
    versions, spool = schema.versions.c, schema.spool.c
    rows = sa.func.coalesce(sa.func.sum(spool.rows), 0)
    return sa.select(
        versions.id.label("key"),
        versions.model,
        versions.version,
        versions.created_ms,
        versions.last_prediction,
        versions.status,
        sa.select(rows).where(spool.version_id == versions.id).scalar_subquery().label("spooled_rows"),
    )


def _configure_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # we begin transactions ourselves, see Store._writing
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",  # a commit survives a power cut, not only a crash of ours
        "busy_timeout=10000",
        "cache_size=-4096",  # KiB; ids lie anywhere: a larger cache finds them no sooner
        "temp_store=MEMORY",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _cause(error: SQLAlchemyError) -> str:
    return str(getattr(error, "orig", None) or error).partition("\n")[0]
