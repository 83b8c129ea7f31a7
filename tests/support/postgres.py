"""One real PostgreSQL server for a session, on a socket of its own; each test gets a database."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy.exc import OperationalError

from exporter.storage.store import Store
from tests.support.programs import get_program

# It refuses to run as root, which tests in a container often do.
USER = "nobody" if os.geteuid() == 0 else None


@dataclass(frozen=True)
class PostgresServer:
    """A running server. `directory` holds its data and its socket."""

    pg_ctl: str
    directory: Path

    def uri(self, database: str) -> str:
        return f"postgresql://exporter@/{database}?host={self.directory}"

    def create(self, database: str) -> str:
        """Create a database and return its URI."""
        with psycopg.connect(self.uri("postgres"), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{database}"'.encode())
        return self.uri(database)

    def start(self) -> None:
        # Not on TCP, where ports are shared; a crash of the machine is not what is tested.
        options = f"-c listen_addresses= -c unix_socket_directories={self.directory} -c fsync=off"
        self._control("start", "-w", "-o", options, "-l", str(self.directory / "log"))

    def stop(self) -> None:
        """Stop at once, ending all sessions."""
        self._control("stop", "-w", "-m", "immediate")

    def promote(self) -> None:
        """Have a replica take over."""
        self._control("promote", "-w")

    def _control(self, *arguments: str) -> None:
        run(self.pg_ctl, "-D", str(self.directory / "data"), *arguments)


def run(*command: str) -> None:
    # Its environment may be for a server of the machine's own.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    subprocess.run(command, check=True, user=USER, env=environment, cwd="/", stdout=subprocess.DEVNULL)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """For tests that need("initdb", "pg_ctl")."""
    directory = Path(tempfile.mkdtemp(prefix="pg-"))  # a socket's path has to be short
    server = PostgresServer(get_program("pg_ctl"), directory)
    try:
        if USER is not None:
            shutil.chown(directory, USER)
        run(
            get_program("initdb"), "-D", str(directory / "data"), "-U", "exporter", "-A", "trust", "--no-sync"
        )
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(directory)


_databases = count()


@pytest.fixture
def postgres_uri(postgres_server: PostgresServer) -> str:
    """An empty database."""
    return postgres_server.create(f"test_{next(_databases)}")


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.needs("initdb", "pg_ctl"))])
def store_uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new store: the test runs once on each of the databases."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgres_uri"))
    return f"sqlite:///{tmp_path}/exporter.db"


def lose_answer(store: Store, *, done: bool) -> None:
    """The connection breaks at the next COMMIT, which was carried out or not."""
    dialect = store._engine.dialect
    commit = dialect.do_commit

    def break_off(connection: Any) -> None:
        dialect.do_commit = commit  # type: ignore[method-assign]
        if done:
            commit(connection)
        connection.driver_connection.close()
        raise OperationalError("COMMIT", {}, Exception("server closed the connection unexpectedly"))

    dialect.do_commit = break_off  # type: ignore[method-assign]
