"""Engines of SQLAlchemy for SQLite and PostgreSQL."""

from __future__ import annotations

import sqlite3
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from exporter.drivers import missing_driver
from exporter.errors import ConfigError
from exporter.formats.texts import first_line, redact

# Our longest pause between two statements of a transaction is a flush that merges SSTables: seconds, a minute
# on a machine that is overloaded. A process that was stopped would otherwise keep its row locked for good;
# a successor that may end its session does not wait for this, see `exporter.storage.sessions`.
IDLE_SECONDS = 300
# Unless the URI says otherwise: a server whose machine is gone is noticed within half a minute.
_SESSION = {
    "application_name": "mlflow-exporter",
    "connect_timeout": "5",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "25000",
}
_READ_ONLY = "25006"  # the server became a replica, and ends no sessions


def parse_uri(uri: str) -> sa.URL:
    """Return the URL of `Settings.store`.

    Raises:
        ConfigError: it cannot be used, or the driver is missing.
    """
    try:
        url = sa.make_url(uri)
        usable = "\0" not in uri and "@" not in (url.host or "")
    except (SQLAlchemyError, ValueError):
        usable = False
    if not usable:
        raise ConfigError(
            "EXPORTER_STORE is no URI such as sqlite:///exporter.db or "
            "postgresql://user:password@host/name (in a password @ is written %40)"
        )
    shown = redact(url.render_as_string())
    if url.get_backend_name() not in ("sqlite", "postgresql"):
        raise ConfigError(f"store {shown}: taken are sqlite and postgresql")
    if is_sqlite(url) and url.host:
        raise ConfigError(
            f"store {shown}: {url.host} is in the place of a host; a file has three slashes before its "
            "name, and four where its path is absolute: sqlite:///exporter.db, "
            "sqlite:////var/lib/exporter.db"
        )
    if is_sqlite(url) and url.database in (None, "", ":memory:"):
        raise ConfigError(f"store {shown}: a store in memory would lose what was acknowledged")
    if url.drivername != "postgresql":
        return url
    if missing := missing_driver("psycopg"):
        raise ConfigError(f"store {shown}: {missing}")
    return url.set(drivername="postgresql+psycopg")


def is_sqlite(url: sa.URL) -> bool:
    return url.get_backend_name() == "sqlite"


def make_engine(url: sa.URL, *, pool_size: int = 3, statement_seconds: float | None = None) -> sa.Engine:
    """Return an engine whose connections are set up.

    Args:
        url: of `parse_uri`.
        pool_size: connections that are kept; two more are opened when these are in use.
        statement_seconds: limit on a statement and on connecting, on PostgreSQL.

    Raises:
        ConfigError: an option of the URL cannot be used, or the driver is missing.
    """
    if not is_sqlite(url):
        session = dict(_SESSION)
        if statement_seconds is not None:
            session |= {"connect_timeout": str(max(2, round(statement_seconds)))}  # 1 counts as 2
            session |= {"tcp_user_timeout": str(round(1000 * statement_seconds))}
        url = url.update_query_dict({name: text for name, text in session.items() if name not in url.query})
    try:
        # Parameters are what was predicted and why, and errors are logged.
        engine = sa.create_engine(url, pool_size=pool_size, max_overflow=2, hide_parameters=True)
    except (SQLAlchemyError, ImportError) as error:
        raise ConfigError(f"store {redact(url.render_as_string())}: {error}") from error
    except ValueError as error:
        shown = redact(url.render_as_string())
        raise ConfigError(f"store {shown}: an option cannot be used: {error}") from error
    if is_sqlite(url):
        sa.event.listen(engine, "connect", _configure_sqlite)
    else:
        limits = {"idle_in_transaction_session_timeout": IDLE_SECONDS, "statement_timeout": statement_seconds}
        _configure_postgres(engine, {name: each for name, each in limits.items() if each is not None})
    return engine


def cause_of(error: SQLAlchemyError) -> str:
    """First line of the driver's message."""
    return first_line(getattr(error, "orig", None) or error)


def _configure_postgres(engine: sa.Engine, limits: dict[str, float]) -> None:
    def configure(connection: Any, _record: object) -> None:
        for name, seconds in limits.items():
            connection.execute(f"SET {name} = {round(1000 * seconds)}")
        connection.commit()

    def leave_replica(context: sa.engine.ExceptionContext) -> None:
        if getattr(context.original_exception, "sqlstate", None) == _READ_ONLY:
            context.is_disconnect = True  # the next connection may be to the server that took over

    sa.event.listen(engine, "connect", configure)
    sa.event.listen(engine, "handle_error", leave_replica)


def _configure_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # we begin transactions ourselves, see Database._transaction
    try:
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",  # a commit survives a power cut, not only a crash of the process
            "busy_timeout=10000",
            "cache_size=-4096",  # KiB; ids are random: a larger cache would not help
            "temp_store=MEMORY",
        ):
            connection.execute(f"PRAGMA {pragma}")
    except UnicodeDecodeError as error:  # SQLite quotes the damaged schema in its message
        damaged = sqlite3.DatabaseError("the schema is malformed")
        damaged.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise damaged from error
