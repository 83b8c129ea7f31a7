"""Write a store of the schema of the day: `python -m tests.stores.write`, with PostgreSQL's programs."""

from __future__ import annotations

import gzip
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from exporter.monitoring.rebaseline import Order
from exporter.settings import parse_window
from exporter.storage.lsm import tree
from exporter.storage.schema import SCHEMA_VERSION
from tests.stores import DIRECTORY
from tests.support.fakes import Clock, FakeRegistry
from tests.support.postgres import postgres_server
from tests.support.programs import get_program
from tests.support.rig import NOON, Rig, make_rows, make_table, over_a_day

ROWS, LABELS, OLDER, NEWER, WAITING = 600, 300, 640, 40, 30


def fill(uri: str) -> None:
    """Fill a store with all that it may have; `tests/storage/test_migrations.py` looks for it."""
    tree.MEMTABLE_ROWS = 400  # type: ignore[misc]
    registry, clock = FakeRegistry(), Clock(NOON)
    registry.register("fraud", make_table(), alias="champion")
    registry.register("churn", make_table(seed=5), alias="champion")
    registry.register("slow", make_table(), alias="champion")
    registry.tag("churn", team="growth", maturation="2h")
    rig = Rig(uri, registry, clock)
    rig.post_rows(make_rows(ROWS, prefix="r"), key="batch")
    rig.post_labels({f"r{number}": number % 2 for number in range(LABELS)})
    rig.post_rows(over_a_day(make_rows(2000, prefix="c")), model="churn", version="1")
    rig.service.rebaseliner.from_live(
        rig.version(model="churn"), parse_window("24h"), Order("ada", "prices are in cents now")
    )
    rig.post_rows(make_rows(OLDER, prefix="s"), model="slow", version="1")
    registry.delete("slow")
    registry.register("slow", make_table(), alias="champion")
    rig.poll()
    rig.post_rows(make_rows(NEWER, prefix="s"), model="slow", version="1")
    registry.loading.clear()
    registry.register("late", make_table(), alias="champion")
    rig.service.discovery.poll()
    rig.post_rows(make_rows(WAITING), model="late", version="1")
    rig.stop()


@contextmanager
def postgres() -> Iterator[str]:
    """The URI of an empty database."""
    server = postgres_server.__wrapped__()  # type: ignore[attr-defined] # a fixture
    try:
        yield next(server).create("store")
    finally:
        next(server, None)


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        uri = f"sqlite:///{directory}/exporter.db"
        fill(uri)
        with sqlite3.connect(Path(directory, "exporter.db")) as connection:
            save("sqlite", "\n".join(connection.iterdump()))
    with postgres() as uri:
        fill(uri)
        dump = subprocess.run(
            [get_program("pg_dump"), "--inserts", "--no-owner", uri], check=True, stdout=subprocess.PIPE
        )
        lines = dump.stdout.decode().splitlines()
        save("postgresql", "\n".join(line for line in lines if not line.startswith("\\")))


def save(database: str, script: str) -> None:
    path = DIRECTORY / f"schema_{SCHEMA_VERSION}.{database}.sql.gz"
    path.write_bytes(gzip.compress(script.encode(), mtime=0))
    print(f"{path}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
