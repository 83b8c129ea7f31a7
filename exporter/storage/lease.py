"""Lease of PostgreSQL: of several exporters with one database, one leads and the others stand by.

The lease is a row with the time until which it lasts, by the database's clock. Its holder renews it three
times in that time; when it has run out, whichever process asks first gets it. So a leader is followed within
the lease, whether it ended, was stopped or lost its network. The lease decides who acts; who may write is
decided in each transaction by the owner in `meta`, which holds however long a process was stopped (see
`exporter.storage.database`). An advisory lock would outlive a stopped holder.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError, ProgrammingError, SQLAlchemyError

from exporter.errors import ConfigError, StoreError
from exporter.storage.engine import cause_of, make_engine, parse_uri
from exporter.storage.schema import leases

NAME = "exporter"
RENEWALS = 3  # in the time of a lease
_UNDEFINED_TABLE = "42P01"

_NOW = sa.func.clock_timestamp()  # not now(), which is the beginning of a transaction

log = logging.getLogger(__name__)


class Lease:
    """Lease of one process, with a connection of its own. `transitions` counts how often the process took it
    over from another one.

    Args:
        uri: as in `Settings.store`, of PostgreSQL.
        seconds: for which it lasts without a renewal.
        shard: of the models, as text; a standby takes over the same shard only.
        monotonic: clock of this process, in seconds.

    Raises:
        ConfigError: the URI cannot be used.
        StoreError: the database failed; raised by every method.
    """

    def __init__(
        self, uri: str, seconds: float, shard: str = "1/1", monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.seconds = seconds
        self.transitions = 0
        self._pause_seconds = seconds / RENEWALS
        engine = make_engine(parse_uri(uri), pool_size=1, statement_seconds=self._pause_seconds)
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._shard = shard
        self._owner = f"{shard} {uuid4().hex}"
        self._monotonic = monotonic
        self._certain_until = float("-inf")
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def acquire(self) -> float:
        """Take the lease if it is free, or this process's already.

        Returns:
            0 if this process has it, else seconds until the next attempt.

        Raises:
            ConfigError: it is another shard's.
        """
        lasting = _lasting(self.seconds)
        new = insert(leases).values(name=NAME, owner=self._owner, until=lasting, transitions=0)
        other = leases.c.owner != new.excluded.owner
        taken = new.on_conflict_do_update(
            index_elements=[leases.c.name],
            set_={
                "owner": new.excluded.owner,
                "until": lasting,
                "transitions": leases.c.transitions + sa.cast(other, sa.Integer),
            },
            where=sa.or_(sa.not_(other), leases.c.until < _NOW),
        )
        held = self._hold(taken.returning(leases.c.transitions))
        if held is not None:
            self.transitions += held > 0
            return 0.0
        left = sa.func.extract("epoch", leases.c.until - _NOW)
        found = self._execute(sa.select(leases.c.owner, left.label("left")).where(leases.c.name == NAME))
        if found is None:  # its row was deleted just now
            return self._pause_seconds
        holder = str(found.owner).partition(" ")[0]
        if holder != self._shard:
            raise ConfigError(
                f"EXPORTER_STORE: an exporter with EXPORTER_SHARD={holder} uses this database, and this one "
                f"has {self._shard}: each shard needs a database of its own"
            )
        return min(max(float(found.left), 0.01), self._pause_seconds)

    def keep(self, on_lost: Callable[[], None]) -> None:
        """Renew the lease in a thread, until `release`.

        Args:
            on_lost: called in that thread, once, when another process has the lease.
        """
        self._thread = threading.Thread(target=self._renew, args=(on_lost,), name="lease", daemon=True)
        self._thread.start()

    def is_certain(self) -> bool:
        """True while no other process can have the lease, for another third of it at least.

        It is false, among others, after the process was stopped, until the lease was renewed.
        """
        return self._monotonic() < self._certain_until

    def release(self) -> None:
        """End the lease, so that the next process need not wait, and close the connection."""
        self._closing.set()
        self._certain_until = float("-inf")
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(2 * self._pause_seconds)
        own = sa.and_(leases.c.name == NAME, leases.c.owner == self._owner)
        with suppress(StoreError):
            self._execute(sa.update(leases).where(own).values(until=_NOW).returning(leases.c.transitions))
        self._engine.dispose()

    def _renew(self, on_lost: Callable[[], None]) -> None:
        own = sa.and_(leases.c.name == NAME, leases.c.owner == self._owner)
        lasting = _lasting(self.seconds)
        renewed = sa.update(leases).where(own).values(until=lasting).returning(leases.c.transitions)
        pause, failed = self._pause_seconds, False
        while not self._closing.wait(pause):
            started = self._monotonic()
            try:
                held = self._hold(renewed)
            except StoreError as error:
                if not failed:
                    log.warning("the lease is not renewed: %s", error)
                failed = True
            else:
                if held is None:
                    self._certain_until = float("-inf")
                    on_lost()
                    return
                if failed:
                    log.info("the lease is renewed again")
                failed = False
            pause = max(self._pause_seconds - (self._monotonic() - started), self._pause_seconds / 10)

    def _hold(self, statement: sa.Executable) -> int | None:
        """Changes of the holder so far, which the statement returns if this process has the lease then."""
        started = self._monotonic()  # before the database read its clock
        found = self._execute(statement)
        if found is None:
            return None
        self._certain_until = started + self.seconds - self._pause_seconds
        return int(found.transitions)

    def _execute(self, statement: sa.Executable) -> sa.Row[Any] | None:
        try:
            try:
                with self._engine.connect() as connection:
                    return connection.execute(statement).first()
            except ProgrammingError as error:
                if getattr(error.orig, "sqlstate", None) != _UNDEFINED_TABLE:
                    raise
            with self._engine.connect() as connection:
                with suppress(DBAPIError):  # another process created it at the same time
                    connection.execute(sa.schema.CreateTable(leases, if_not_exists=True))
                return connection.execute(statement).first()
        except SQLAlchemyError as error:
            raise StoreError(f"the lease cannot be had: {cause_of(error)}") from error


def _lasting(seconds: float) -> sa.ColumnElement[object]:
    return _NOW + sa.func.make_interval(0, 0, 0, 0, 0, 0, seconds)
