"""A PostgreSQL whose replica takes over while it is in use."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from exporter.errors import StoreError
from exporter.storage.lease import Lease
from exporter.storage.store import Store
from tests.support.postgres import USER, PostgresServer, run
from tests.support.programs import get_program
from tests.support.rig import eventually
from tests.support.stored import insert, make_prediction

pytestmark = pytest.mark.needs("initdb", "pg_ctl", "pg_basebackup")


@pytest.fixture
def replica(postgres_server: PostgresServer) -> Iterator[PostgresServer]:
    """A replica of the server, which is stopped at the end; the server is started if it is not running."""
    directory = Path(tempfile.mkdtemp(prefix="pg-"))
    if USER is not None:
        shutil.chown(directory, USER)
    copied = ["-D", str(directory / "data"), "-h", str(postgres_server.directory), "-U", "exporter"]
    run(get_program("pg_basebackup"), *copied, "--write-recovery-conf", "--checkpoint=fast", "--no-sync")
    other = replace(postgres_server, directory=directory)
    other.start()
    try:
        yield other
    finally:
        other.stop()
        shutil.rmtree(directory)


def is_replica(server: PostgresServer) -> bool:
    with psycopg.connect(server.uri("postgres")) as connection:
        (found,) = connection.execute("SELECT pg_is_in_recovery()").fetchone() or (True,)
    return bool(found)


def wait_for_replica(server: PostgresServer, replica: PostgresServer) -> None:
    """Wait until the replica has all that was committed, as `synchronous_standby_names` has commits wait."""
    with psycopg.connect(server.uri("postgres")) as connection:
        (written,) = connection.execute("SELECT pg_current_wal_lsn()::text").fetchone() or ("",)

    def has_all() -> bool:
        with psycopg.connect(replica.uri("postgres")) as connection:
            query = "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn"
            (found,) = connection.execute(query, [written]).fetchone() or (False,)
        return bool(found)

    eventually(has_all)


def test_store_and_lease_go_on_with_the_replica_that_took_over(
    postgres_server: PostgresServer,
    postgres_uri: str,
    replica: PostgresServer,
    open_store: Callable[[str], Store],
) -> None:
    hosts = f"{postgres_server.directory},{replica.directory}"
    uri = f"{postgres_uri.partition('?')[0]}?host={hosts}&target_session_attrs=read-write"
    lease, lost = Lease(uri, 3.0), threading.Event()
    assert lease.acquire() == 0
    lease.keep(lost.set)
    store = open_store(uri)
    insert(store, make_prediction(1))
    wait_for_replica(postgres_server, replica)
    postgres_server.stop()
    try:
        with pytest.raises(StoreError):
            insert(store, make_prediction(2))
        replica.promote()
        eventually(lambda: not is_replica(replica))
        assert insert(store, make_prediction(1), make_prediction(2)) == {(make_prediction(1).id_hash, 1): 1}
        eventually(lease.is_certain)
        assert not store.lost
        assert not lost.is_set()
    finally:
        lease.release()
        store.close()
        postgres_server.start()
