from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from exporter.demo.client import Client
from exporter.demo.flights import FEATURES, TARGET
from exporter.demo.scenario import MODEL, WARM_UP_DAYS
from exporter.demo.traffic import Replay
from exporter.errors import ConfigError, DemoError
from tests.demo.conftest import NOW, PACE
from tests.support.api_server import Server
from tests.support.fakes import FakeRegistry
from tests.support.rig import eventually, make_rows, make_table
from tests.support.scripted_exporter import scripted_exporter

Connect = Callable[..., Client]


@pytest.fixture
def exporter(serve: Callable[..., Server]) -> Server:
    """An exporter that monitors version 1 of the demo's model."""
    registry = FakeRegistry()
    registry.register(MODEL, make_table(), alias="champion")
    server = serve(registry)
    server.await_ready(MODEL)
    return server


@pytest.fixture
def connect() -> Iterator[Connect]:
    """`connect(url, ...)`: clients that are closed after the test."""
    with ExitStack() as opened:

        def connect_one(address: str, **options: Any) -> Client:
            client = Client(address, **options)
            opened.callback(client.close)
            return client

        yield connect_one


def url(server: Server) -> str:
    return str(server.client.base_url)


def nowhere(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def test_a_version_has_its_reference_once_it_is_ready(exporter: Server, connect: Connect) -> None:
    client = connect(url(exporter))
    assert client.monitors(MODEL, "1")
    assert client.has_reference(MODEL, "1")
    assert not client.monitors(MODEL, "2")
    assert not client.has_reference(MODEL, "2")


def test_an_exporter_that_is_not_there_has_no_reference_yet(free_port: int, connect: Connect) -> None:
    assert not connect(nowhere(free_port)).has_reference(MODEL, "1")


def test_what_is_sent_is_taken(exporter: Server, connect: Connect) -> None:
    client = connect(url(exporter))
    monitor = client.monitor("1")
    for row in make_rows(3, prefix="flight"):
        monitor.predictions(row["features"], row["prediction"], score=row["score"], id=row["id"])
    client.flush(monitor)
    assert exporter.rows("accepted") == 3


def test_the_warm_up_is_one_request(connect: Connect, later_flights: pd.DataFrame) -> None:
    flights = Replay(later_flights, PACE, NOW).between(0, WARM_UP_DAYS * PACE.seconds_per_day)
    with scripted_exporter() as scripted:
        client = connect(scripted.url)
        monitor = client.monitor("1")
        monitor.predictions(
            flights[list(FEATURES)],
            flights[TARGET],
            score=flights[TARGET],
            id=flights["id"],
            timestamp=flights["timestamp"],
            latency_seconds=0.1,
        )
        client.flush(monitor)
        requests = [each for each in scripted.received if each.path == "/v1/predictions"]
    assert [len(each.columns["id"]) for each in requests] == [len(flights)]


def test_an_exporter_that_stays_away_ends_the_demo(free_port: int, connect: Connect) -> None:
    client = connect(nowhere(free_port), patience_seconds=0.1)
    monitor = client.monitor("1")
    monitor.predictions({"age": 41}, 1)
    with pytest.raises(DemoError, match=re.escape(f"{nowhere(free_port)} does not take")):
        client.flush(monitor)
    eventually(lambda: monitor.dropped)
    with pytest.raises(DemoError, match="did not take predictions or labels: 1 expired"):
        client.check(monitor)


def test_a_refusal_is_told(serve: Callable[..., Server], connect: Connect, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("sixteen-or-more-characters")
    (tmp_path / "other").write_text("another-of-that-length")
    server = serve(FakeRegistry(), api_token_file=str(tmp_path / "token"))
    assert not connect(url(server), token_file=str(tmp_path / "token")).monitors(MODEL, "1")
    with pytest.raises(DemoError, match=r"the exporter refused \(401\)"):
        connect(url(server), token_file=str(tmp_path / "other")).monitors(MODEL, "1")


@pytest.mark.parametrize("address", ["", "exporter:19464", "file:///etc/passwd"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match="is no address such as"):
        Client(address)
