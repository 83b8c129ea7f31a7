"""Values for the tests of the store."""

from __future__ import annotations

import numpy as np
import sqlalchemy as sa

from exporter.aggregates.block import LATENCY_BOUNDS, Block
from exporter.profiling.build import build_reference
from exporter.profiling.data import ReferenceData
from exporter.reference.profile import Reference
from exporter.settings import Settings
from exporter.storage.rows import PREDICTIONS, StoredPrediction
from exporter.storage.schema import RawRows
from exporter.storage.store import Store
from tests.support.rig import make_table

DAY = 20_500


def make_reference() -> Reference:
    return build_reference(ReferenceData(make_table(200), "test"), Settings().windows, 500)


def make_aggregate(reference: Reference, rows: int) -> Block:
    return Block(
        rows=rows,
        counts=np.arange(reference.cells, dtype=np.uint32),
        moments=np.full((len(reference.columns), 3), 0.1 * rows),
        latency=np.arange(len(LATENCY_BOUNDS) + 1, dtype=np.int64),
        latency_sum=1.5,
    )


def make_prediction(number: int, payload: int = 1, version_id: int = 1, at: float = 0.0) -> StoredPrediction:
    return StoredPrediction(number.to_bytes(16, "big"), version_id, payload, at, "1", 0.5)


def make_waiting(rows: int, body: bytes = b"{}") -> RawRows:
    numbers = np.arange(rows, dtype=np.int64)
    return RawRows("application/json", {"model": "fraud"}, body, numbers, numbers + 0.5)


def insert(store: Store, *rows: StoredPrediction, day: int = DAY) -> dict[tuple[bytes, int], int]:
    with store.begin() as transaction:
        return transaction.insert_predictions(day, PREDICTIONS.pack_rows(rows))


def day_tables(store: Store) -> list[str]:
    with store.begin() as transaction:
        names = sa.inspect(transaction.connection).get_table_names()
    return sorted(name for name in names if name.startswith("predictions_"))
