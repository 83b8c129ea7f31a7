"""Fixtures of remediation: a ledger on a store, with a clock."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.remediation.holds import Holds
from exporter.remediation.ledger import Ledger
from exporter.storage.store import Store
from tests.support.engines import Bench
from tests.support.fakes import Clock
from tests.support.rig import NOON


@pytest.fixture
def clock() -> Clock:
    return Clock(NOON)


@pytest.fixture
def ledger(store: Store, clock: Clock) -> Ledger:
    return Ledger(store, clock)


@pytest.fixture
def holds(store: Store, clock: Clock) -> Holds:
    return Holds(store, clock)


@pytest.fixture
def bench(tmp_path: Path, open_store: Callable[[str], Store], clock: Clock) -> Bench:
    """An engine on SQLite with a registry in memory."""
    return Bench(open_store(f"sqlite:///{tmp_path}/exporter.db"), clock)
