"""Fixtures for all tests: stores and free ports."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import hypothesis
import pytest

from exporter.storage.store import Store
from tests.support.ports import claim_ports

# A busy machine is no failure; and in CI the same examples every time, so that a change is what breaks it.
hypothesis.settings.register_profile(
    "tests",
    deadline=None,
    derandomize="CI" in os.environ,
    suppress_health_check=[hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.function_scoped_fixture],
)
hypothesis.settings.load_profile("tests")
hypothesis.settings.register_profile("quick", max_examples=20)

pytest_plugins = [
    "tests.support.programs",  # before those that import it, or its assertions are not rewritten
    "tests.support.browser",
    "tests.support.evidently_reports",
    "tests.support.garbage",
    "tests.support.guides",
    "tests.support.mlflow_server",
    "tests.support.mlflow_world",
    "tests.support.postgres",
    "tests.support.rig",
    "tests.support.exporter_process",
    "tests.support.kafka",  # it imports the one before
    "tests.support.api_server",
    "tests.support.unanswering",
    "tests.support.web_server",
]


@pytest.fixture(scope="session")
def free_ports() -> Iterator[Callable[[int], list[int]]]:
    """`web, smtp = free_ports(2)`: different free TCP ports on loopback, which no other test gets."""
    with ExitStack() as claims:
        yield lambda count: claims.enter_context(claim_ports(count))


@pytest.fixture
def free_port(free_ports: Callable[[int], list[int]]) -> int:
    """A free TCP port on loopback."""
    return free_ports(1)[0]


@pytest.fixture
def open_store() -> Iterator[Callable[[str], Store]]:
    """Stores that are closed after the test, if they were not before."""
    with ExitStack() as opened:

        def open_one(uri: str) -> Store:
            store = Store(uri)
            opened.callback(store.close)
            return store

        yield open_one


@pytest.fixture
def store(store_uri: str, open_store: Callable[[str], Store]) -> Store:
    return open_store(store_uri)
