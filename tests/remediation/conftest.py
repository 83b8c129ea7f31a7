"""Fixtures of remediation: a ledger on a store, with a clock."""

from __future__ import annotations

import pytest

from exporter.remediation.holds import Holds
from exporter.remediation.ledger import Ledger
from exporter.storage.store import Store
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
