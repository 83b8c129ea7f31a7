"""Exclusive access of one process to its database, see also `exporter.storage.lease`."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError, SQLAlchemyError

from exporter.errors import ConfigError, StoreDamagedError, StoreError, StoreFault, StoreMissingError
from exporter.storage import schema
from exporter.storage.engine import cause_of, is_sqlite, make_engine, parse_uri
from exporter.storage.migrations import find_schema, migrate
from exporter.storage.partition import Partition, open_partition, search_first
from exporter.storage.schema import SCHEMA_VERSION, upsert
from exporter.storage.sessions import end_writer
from exporter.storage.store_files import StoreFiles

_SELECT_OWNER = sa.select(schema.meta.c.value).where(schema.meta.c.key == "owner").with_for_update()
_SELECT_NUMBER = sa.text("SELECT pg_current_xact_id()::text")
_SELECT_STATUS = sa.text("SELECT pg_xact_status(CAST(:number AS xid8))")
_UNANSWERED = "the database did not say whether the last commit took place: restart the exporter"
_PARTED = "the last commit was not taken over into memory: restart the exporter"
_RESTORE = "put a backup in its place, see Operations in exporter/README.md"
TAKEN_OVER = "another exporter took over this database"
_SQLITE_DAMAGED = (11, 26)  # SQLITE_CORRUPT and SQLITE_NOTADB
_POSTGRES_DAMAGED = ("XX001", "XX002")  # data_corrupted and index_corrupted

UNANSWERED_SECONDS = 120.0  # for so long it is asked whether a commit took place
POLL_SECONDS = 0.2

log = logging.getLogger(__name__)


class Database:
    """SQLite or PostgreSQL, with the tables of this program.

    A SQLite file is locked. PostgreSQL belongs to the process that opened it last: every transaction asks for
    the owner, so that those of a former one are refused, however long it was stopped.

    Args:
        uri: as in `Settings.store`.
        check: check all pages of SQLite first.
        count_fault: called with the kind of every error.
        partition: whose tables are used beside the shared ones of PostgreSQL; it is not locked, but taken
            over from a process that has it.

    Raises:
        ConfigError: the URI cannot be used, or the partition is not one of those in the database.
        StoreError: the database fails, or another exporter uses the file or took over the database; raised
            by every method.
        sqlalchemy.exc.DBAPIError: the database refuses a value, which the caller has to explain.
    """

    def __init__(
        self,
        uri: str,
        *,
        check: bool,
        count_fault: Callable[[StoreFault], None],
        partition: Partition | None = None,
    ) -> None:
        url = parse_uri(uri)
        self.is_sqlite = is_sqlite(url)
        if self.is_sqlite and partition is not None:
            raise ConfigError("EXPORTER_STORE: partitions are kept in postgresql only")
        self.engine = make_engine(url, pool_size=3 if partition is None else 1)
        if partition is not None:
            sa.event.listen(self.engine, "connect", search_first(partition.schema))
        self._files = StoreFiles(Path(str(url.database))) if self.is_sqlite else None
        self._count_fault = count_fault
        self._kept: sa.Connection | None = None  # of SQLite: the lock ends with its last connection
        self._owner = uuid4().hex
        self._closed = False
        self.lost = ""  # reason why memory may differ from the database for good, or empty
        self.was_lost = threading.Event()
        self.unanswered = False  # a commit waits for the database to say whether it took place
        self.on_unanswered: Callable[[], None] = lambda: None  # called in the thread of such a commit
        try:
            self._open()
            if check and self.is_sqlite:
                self._check_pages()
            with self._transaction() as connection:
                if partition is not None:
                    open_partition(connection, partition)
                    end_writer(connection)
                else:
                    found = None if self.is_sqlite else find_schema(connection)
                    if found is not None and found <= SCHEMA_VERSION:
                        # First, or a commit of the former owner and the migration could wait for each other.
                        end_writer(connection)
                        self._put_owner(connection)
                    migrate(connection, self._files.directory if self._files is not None else None)
                self._put_owner(connection)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close all connections; later calls are refused."""
        self._closed = True
        if self._kept is not None:
            self._kept.close()
        self.engine.dispose()
        if self._files is not None:
            self._files.release()

    def fault(self) -> str:
        """Reason why nothing can be stored any more; empty while it can."""
        try:
            if self._files is not None:
                self._files.check()
        except StoreMissingError as error:
            return str(error)
        return self.lost

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Connection for reading."""
        with self._translating(), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """Transaction that commits when the block ends, and rolls back when it raises."""
        with self._transaction() as connection:
            if connection.scalar(_SELECT_OWNER) != self._owner:
                raise self.lose(TAKEN_OVER)
            yield connection

    @contextmanager
    def applying(self) -> Iterator[None]:
        """Context in which memory takes over the last commit.

        Raises:
            StoreError: the block failed, so memory differs from the store. Reads and writes are refused from
                then on, and the process has to end.
        """
        try:
            yield
        except BaseException as error:
            log.critical("%s", _PARTED, exc_info=True)
            raise self.lose(_PARTED) from error

    def lose(self, reason: str) -> StoreError:
        """Refuse reads and writes from now on, and return the error that says why. Any thread may call it."""
        self.lost = reason
        self.was_lost.set()
        return StoreError(reason)

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        number, complete = None, False
        with self._translating():
            try:
                with self.engine.begin() as connection:
                    if self.is_sqlite:
                        # A deferred one that reads before it writes would fail if another has written.
                        connection.exec_driver_sql("BEGIN IMMEDIATE")
                    else:
                        number = connection.scalar(_SELECT_NUMBER)
                    yield connection
                    if self._files is not None:
                        self._files.check()
                    complete = True
            except Exception as error:
                if not complete or not self._took_place(number, error):
                    raise

    def _took_place(self, number: str | None, error: Exception) -> bool:
        """True if the database carried out a COMMIT that it answered with an error.

        Raises:
            StoreError: it is not known. Nothing can be written any more.
        """
        if number is None:
            if isinstance(error, DBAPIError):  # SQLite refused
                return False
            raise self.lose(_UNANSWERED) from error
        deadline = time.monotonic() + UNANSWERED_SECONDS
        try:
            while not self._closed and time.monotonic() < deadline:
                try:
                    with self.engine.connect() as connection:
                        status = connection.scalar(_SELECT_STATUS, {"number": number})
                    if status != "in progress":
                        return bool(status == "committed")
                except DataError:  # a replica that took over never heard of it
                    return False
                except SQLAlchemyError as unknown:
                    if not self.unanswered:
                        log.warning("whether a commit took place is not known yet: %s", cause_of(unknown))
                        self.unanswered = True
                        self.on_unanswered()
                time.sleep(POLL_SECONDS)
        finally:
            self.unanswered = False
        raise self.lose(_UNANSWERED) from error

    @contextmanager
    def _translating(self) -> Iterator[None]:
        if self._closed:
            raise StoreError("the store is closed")
        try:
            if self.lost:
                raise StoreError(self.lost)
            if self._files is not None:
                self._files.check()
            yield
        except StoreError as error:
            self._count(error)
            raise
        except SQLAlchemyError as error:
            if not _is_of_the_store(error):
                raise
            translated = _translate(error)
            self._count(translated)
            raise translated from error

    def _count(self, error: StoreError) -> None:
        if isinstance(error, StoreDamagedError):
            self._count_fault("damaged")
        elif isinstance(error, StoreMissingError):
            self._count_fault("missing")
        else:
            self._count_fault("lost" if self.lost else "failed")

    # -- opening --------------------------------------------------------------------------------------------

    def _open(self) -> None:
        """Connect; lock a SQLite file for this process, until it ends, however it ends."""
        try:
            if self._files is not None:
                self._files.directory.stat()
            connection = self.engine.connect()
            if self._files is None:
                connection.close()
                return
            self._kept = connection
            connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar()  # opens all files
            self._files.hold()
            connection.commit()
        except OSError as error:
            raise ConfigError(f"store {self.engine.url.database}: {error.strerror}") from error
        except SQLAlchemyError as error:
            translated = _translate(error)
            if isinstance(translated, StoreDamagedError):
                raise translated from error
            raise StoreError(f"the store cannot be opened: {cause_of(error)}") from error

    def _put_owner(self, connection: sa.Connection) -> None:
        """Have the next transaction of a former owner refused."""
        put = upsert(schema.meta, "value", connection.dialect.name)
        connection.execute(put, {"key": "owner", "value": self._owner})

    def _check_pages(self) -> None:
        """Have SQLite check its pages.

        Raises:
            StoreDamagedError: SQLite finds a mistake in its own structures.
        """
        started = time.monotonic()
        with self.reading() as connection:
            found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
            if found != "ok":
                mistake = str(found).strip().rpartition("\n")[2]
                raise StoreDamagedError(f"the store is damaged ({mistake}): {_RESTORE}")
        log.info("the store was checked in %.1f s", time.monotonic() - started)


def _is_of_the_store(error: SQLAlchemyError) -> bool:
    """True if the store failed, False if it refused a value."""
    if isinstance(error, ProgrammingError):  # its tables were dropped, or its rights taken away
        return str(getattr(error.orig, "sqlstate", None) or "")[:2] in ("3D", "3F", "42")
    return not isinstance(error, DataError | IntegrityError)


def _translate(error: SQLAlchemyError) -> StoreError:
    original = getattr(error, "orig", None)
    code = getattr(original, "sqlite_errorcode", None)
    if (code is not None and code & 0xFF in _SQLITE_DAMAGED) or (
        getattr(original, "sqlstate", None) in _POSTGRES_DAMAGED
    ):
        return StoreDamagedError(f"the store is damaged ({cause_of(error)}): {_RESTORE}")
    return StoreError(f"the store failed: {cause_of(error)}")
