"""Sessions of PostgreSQL that a former owner left behind."""

from __future__ import annotations

import logging

import sqlalchemy as sa
from sqlalchemy.exc import ProgrammingError

from exporter.storage.engine import IDLE_SECONDS, cause_of

# Row locks are not in `pg_locks`; the row has the number of the transaction that locked it, which is.
_END_WRITER = sa.text(
    "SELECT pg_terminate_backend(locks.pid) FROM meta JOIN pg_locks locks ON locks.transactionid = meta.xmax "
    "WHERE meta.key = 'owner' AND locks.locktype = 'transactionid' AND locks.granted "
    "AND locks.pid <> pg_backend_pid()"
)

log = logging.getLogger(__name__)


def end_writer(connection: sa.Connection) -> None:
    """End the session that holds the owner's row in a transaction, or a process that was stopped in it would
    keep the row for as long as it may be idle.

    Its transaction is rolled back, unless it has committed meanwhile; nothing of it was acknowledged.
    """
    try:
        with connection.begin_nested():
            if connection.scalars(_END_WRITER).all():
                log.warning("a transaction of the former owner of the store was ended")
    except ProgrammingError as error:  # it is another role's
        log.warning(
            "a transaction of the former owner cannot be ended, and is waited for, at most %d s: %s",
            *(IDLE_SECONDS, cause_of(error)),
        )
