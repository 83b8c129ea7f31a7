"""Ten million stored predictions, written the quick way: sealed tables as the service leaves them behind."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import sqlalchemy as sa

from exporter.id_tables import TABLE_ROWS
from exporter.schema import DAY_SECONDS, PREDICTIONS, create_statement


def write_predictions(path: Path, day: int, count: int, seed: int, ids: Sequence[bytes] = ()) -> None:
    """Predictions of version 1, at random times of a day: of the given hashes of ids, and of random ones."""
    random = np.random.default_rng(seed)
    known = np.frombuffer(b"".join(ids), ">u8").reshape(-1, 2)
    others = np.frombuffer(random.bytes(16 * (count - len(known))), ">u8").reshape(-1, 2)
    hashes = random.permutation(np.concatenate([known, others]))
    dialect = sa.create_engine("sqlite://").dialect
    with sqlite3.connect(path) as connection:
        for number, start in enumerate(range(0, count, TABLE_ROWS)):
            part = hashes[start : start + TABLE_ROWS]
            part = part[np.lexsort((part[:, 1], part[:, 0]))]  # in order they are inserted quickly
            raw = part.astype(">u8").tobytes()
            times = day * DAY_SECONDS + random.random(len(part)) * DAY_SECONDS
            scores = random.random(len(part)).round(4)
            name = f"{PREDICTIONS.prefix}{day}_{number}"
            connection.execute(create_statement(PREDICTIONS.sealed(name), dialect))
            connection.executemany(
                f"INSERT INTO {name} VALUES (?, 1, 0, ?, ?, ?, NULL, NULL)",
                (
                    (raw[16 * k : 16 * k + 16], at, "1" if score > 0.5 else "0", score)
                    for k, (at, score) in enumerate(zip(times.tolist(), scores.tolist(), strict=True))
                ),
            )
        connection.commit()
    connection.close()
