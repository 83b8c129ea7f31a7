"""Reads a store without its lock, beside the exporter that uses it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from exporter.errors import ConfigError, StoreError
from exporter.formats.texts import first_line, redact
from exporter.storage.migrations import find_schema
from exporter.storage.schema import SCHEMA_VERSION


@contextmanager
def reading(uri: str) -> Iterator[sa.Connection]:
    """Connection that sees the store as it is now, and cannot write.

    Args:
        uri: as in `Settings.store`.

    Raises:
        ConfigError: the URI cannot be used, or there is no store.
        StoreError: the store cannot be read, or has another schema than this program's.
    """
    engine = _engine(uri)
    try:
        with engine.connect() as connection:
            if connection.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN")
            found = find_schema(connection)
            if found != SCHEMA_VERSION:
                raise StoreError(
                    f"the store has schema {found}, and this program reads {SCHEMA_VERSION}: it belongs to "
                    "another version of the exporter"
                )
            yield connection
    except SQLAlchemyError as error:
        cause = first_line(getattr(error, "orig", None) or error)
        raise StoreError(f"the store cannot be read: {cause}") from error
    finally:
        engine.dispose()


def _engine(uri: str) -> sa.Engine:
    try:
        url = sa.make_url(uri)
    except (SQLAlchemyError, ValueError):
        raise ConfigError(f"{redact(uri)!r} is no URI such as sqlite:///exporter.db") from None
    kind = url.get_backend_name()
    if kind == "postgresql":
        url = url.set(drivername="postgresql+psycopg") if url.drivername == "postgresql" else url
        options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        return sa.create_engine(url, hide_parameters=True, execution_options=options)
    if kind != "sqlite" or not url.database:
        raise ConfigError(f"store {redact(uri)}: taken are sqlite and postgresql")
    path = Path(url.database).absolute()
    if not path.is_file():
        raise ConfigError(f"there is no store {path}")

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, isolation_level=None)

    return sa.create_engine("sqlite://", creator=connect, poolclass=sa.NullPool, hide_parameters=True)
