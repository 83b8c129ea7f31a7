"""The lease of a real PostgreSQL, by which one of several processes leads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime

import pytest
import sqlalchemy as sa

from exporter.errors import ConfigError, StoreError
from exporter.storage.lease import Lease
from exporter.storage.schema import leases
from exporter.storage.store import Store
from tests.support.fakes import TIMEOUT_SECONDS, Clock
from tests.support.postgres import PostgresServer
from tests.support.rig import eventually

pytestmark = pytest.mark.needs("initdb", "pg_ctl")

SHORT = 0.5  # seconds: until the next process may have it
LONG = 600.0  # for as long as a test takes


@pytest.fixture
def lease(postgres_uri: str) -> Iterator[Callable[..., Lease]]:
    """Leases of processes with one database, which end with the test."""
    with ExitStack() as made:

        def make(seconds: float = LONG, **options: object) -> Lease:
            one = Lease(postgres_uri, seconds, **options)  # type: ignore[arg-type]
            made.callback(one.release)
            return one

        yield make


def find_end(lease: Lease) -> datetime:
    """Time until which the lease lasts, by the database's clock."""
    found = lease._execute(sa.select(leases.c.until))
    assert found is not None
    until = found.until
    assert isinstance(until, datetime)
    return until


def test_one_process_has_it(lease: Callable[..., Lease]) -> None:
    first, second = lease(), lease()
    assert first.acquire() == 0
    assert 0 < second.acquire() <= LONG
    assert (first.is_certain(), second.is_certain()) == (True, False)


def test_the_next_one_has_it_when_it_has_run_out(lease: Callable[..., Lease]) -> None:
    first, second = lease(SHORT), lease()
    assert first.acquire() == 0
    eventually(lambda: second.acquire() == 0)
    assert first.acquire() > 0
    assert (first.transitions, second.transitions) == (0, 1)


def test_it_is_kept_by_renewals_and_free_after_a_release(lease: Callable[..., Lease]) -> None:
    first, second = lease(3.0), lease(3.0)
    first.acquire()
    first.keep(lambda: None)
    for _ in range(2):
        before = find_end(first)
        eventually(lambda before=before: find_end(first) > before)
        assert second.acquire() > 0
    first.release()
    assert second.acquire() == 0
    assert not first.is_certain()


def test_of_many_that_race_for_an_empty_database_one_gets_it(lease: Callable[..., Lease]) -> None:
    racing = [lease() for _ in range(8)]
    start = threading.Barrier(len(racing))

    def race(one: Lease) -> float:
        start.wait(TIMEOUT_SECONDS)
        return one.acquire()

    with ThreadPoolExecutor(len(racing)) as threads:
        assert sorted(pause > 0 for pause in threads.map(race, racing)) == [False] + [True] * 7


def test_a_process_is_certain_for_less_than_the_lease_and_not_after_it_was_stopped(
    lease: Callable[..., Lease],
) -> None:
    monotonic = Clock(0)
    one = lease(30, monotonic=monotonic)
    assert not one.is_certain()
    one.acquire()
    monotonic.now = 19
    assert one.is_certain()
    monotonic.now = 20
    assert not one.is_certain()
    one.acquire()
    assert one.is_certain()


def test_a_holder_learns_that_another_process_took_over(lease: Callable[..., Lease]) -> None:
    stopped, lost = lease(SHORT), threading.Event()
    stopped.acquire()
    eventually(lambda: lease().acquire() == 0)
    stopped.keep(lost.set)
    assert lost.wait(TIMEOUT_SECONDS)
    assert not stopped.is_certain()


def test_a_holder_goes_on_when_the_database_is_back(
    lease: Callable[..., Lease], postgres_server: PostgresServer
) -> None:
    holder, lost = lease(SHORT), threading.Event()
    holder.acquire()
    holder.keep(lost.set)
    postgres_server.stop()
    try:
        eventually(lambda: not holder.is_certain())
        with pytest.raises(StoreError, match="lease cannot be had"):
            lease()._execute(sa.select(sa.literal(1)))
    finally:
        postgres_server.start()
    eventually(holder.is_certain)
    assert not lost.is_set()


def test_the_database_of_another_shard_is_refused(lease: Callable[..., Lease]) -> None:
    lease(shard="1/2").acquire()
    with pytest.raises(ConfigError, match="EXPORTER_SHARD=1/2 uses this database, and this one has 2/2"):
        lease(shard="2/2").acquire()


def test_it_is_there_before_the_store_and_the_store_finds_its_table(
    lease: Callable[..., Lease], postgres_uri: str, open_store: Callable[[str], Store]
) -> None:
    one = lease()
    assert one.acquire() == 0
    open_store(postgres_uri)
    assert one.acquire() == 0
    assert lease().acquire() > 0
