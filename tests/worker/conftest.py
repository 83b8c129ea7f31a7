"""A group of workers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.group import Group
from tests.support.kafka import KafkaBroker


@pytest.fixture
def group(postgres_uri: str, kafka_broker: KafkaBroker, kafka_topic: str, tmp_path: Path) -> Group:
    """For tests that need("kafka", "initdb", "pg_ctl")."""
    found = Group(postgres_uri, kafka_broker, kafka_topic, tmp_path)
    found.monitor("1", found.reference)
    found.move_alias("champion", "1")
    return found
