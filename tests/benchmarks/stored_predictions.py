"""Ten million stored predictions, written the quick way: SSTables as the service leaves them behind."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from exporter.settings import DAY_SECONDS
from exporter.storage.lsm.compaction import TABLE_ROWS
from exporter.storage.lsm.records import Records
from exporter.storage.rows import PREDICTIONS
from exporter.storage.store import Store


def write_predictions(store: Store, day: int, count: int, seed: int, ids: Sequence[bytes] = ()) -> None:
    """Predictions of version 1, at random times of a day: of the given hashes of ids, and of random ones."""
    random = np.random.default_rng(seed)
    known = np.frombuffer(b"".join(ids), "V16")
    hashes = random.permutation(
        np.concatenate([known, np.frombuffer(random.bytes(16 * count), "V16")])[:count]
    )
    for start in range(0, count, TABLE_ROWS):
        numbers = np.zeros(len(hashes[start : start + TABLE_ROWS]), PREDICTIONS.dtype)
        numbers["id_hash"] = hashes[start : start + TABLE_ROWS]
        numbers["version_id"] = 1
        numbers["at"] = (day + random.random(len(numbers))) * DAY_SECONDS
        numbers["score"] = random.random(len(numbers)).round(4)
        texts = [b'["1"]' if score > 0.5 else b'["0"]' for score in numbers["score"].tolist()]
        numbers["text_bytes"] = len(texts[0])
        with store.begin() as transaction:
            transaction.predictions.put(day, Records(numbers, texts))
            transaction.predictions.flush()
