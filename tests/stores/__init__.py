"""Stores that released schemas wrote, as SQL: `schema_<number>.<database>.sql.gz`.

Before a migration is added, `python -m tests.stores.write` keeps one of the schema of the day.
"""

from __future__ import annotations

import gzip
import sqlite3
from pathlib import Path

import psycopg

DIRECTORY = Path(__file__).parent


def restore(schema: int, uri: str) -> None:
    """Fill an empty database with the store of a schema."""
    database = uri.partition(":")[0]
    script = gzip.decompress((DIRECTORY / f"schema_{schema}.{database}.sql.gz").read_bytes()).decode()
    if database == "sqlite":
        connection = sqlite3.connect(uri.removeprefix("sqlite:///"))
        connection.executescript(script)
        connection.close()
        return
    with psycopg.connect(uri, autocommit=True) as server:
        server.execute(script.encode())
