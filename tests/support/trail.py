"""The audit trail of a store, for tests."""

from __future__ import annotations

from typing import Any

import orjson

from exporter.audit.trail import read
from exporter.storage.store import Store


def bodies(store: Store) -> list[dict[str, Any]]:
    """All records that are not erased, oldest first."""
    with store.reading() as connection:
        return [orjson.loads(record.body) for record in read(connection) if record.body is not None]
