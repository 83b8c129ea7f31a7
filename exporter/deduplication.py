"""Which rows of a commit are new, and which came before: by idempotency key, and by id and payload."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from exporter.arrays import Bools
from exporter.config import Settings
from exporter.ingest import Part
from exporter.schema import DAY_SECONDS, PredictionRow
from exporter.transaction import Transaction

# A row that got its time from us and is sent again just after midnight was first in yesterday's table.
RETRY_SECONDS = 900.0


class Keyed(Protocol):
    """A request that may have an idempotency key; both are hashes."""

    @property
    def key(self) -> bytes | None: ...

    @property
    def body(self) -> bytes: ...


@dataclass(frozen=True)
class Identity:
    """What became of the rows of a part: `keep` (rows,) are those that count.

    `conflicts` are among them: their ids came before with another payload.
    """

    keep: Bools
    duplicates: int
    conflicts: int


def find_repeated(transaction: Transaction, requests: Sequence[Keyed]) -> list[bytes | None]:
    """For each request the hash of the body that came before with its idempotency key, in an earlier commit
    or further up in this one; None where none did."""
    bodies: dict[bytes, bytes] = {}
    repeated: list[bytes | None] = []
    for request in requests:
        if request.key is None:
            repeated.append(None)
            continue
        before = bodies.get(request.key) or transaction.find_key(request.key)
        bodies.setdefault(request.key, before or request.body)
        repeated.append(before)
    return repeated


def identify(transaction: Transaction, parts: Sequence[Part], settings: Settings) -> list[Identity]:
    """Tell new rows from repeated ones by id, version and payload, and remember the new ones."""
    keeps = [np.ones(part.rows, np.bool_) for part in parts]
    conflicts = [0] * len(parts)
    days: dict[int, list[tuple[int, int, PredictionRow]]] = {}
    for number, part in enumerate(parts):
        for place, row in zip(part.prediction_rows.tolist(), part.predictions, strict=True):
            days.setdefault(int(row.at // DAY_SECONDS), []).append((number, place, row))
    for day, rows in days.items():
        first: dict[tuple[bytes, int], PredictionRow] = {}
        for _, _, row in rows:
            first.setdefault((row.id_hash, row.version_id), row)
        known = _find_yesterdays(transaction, day, rows, parts, settings)
        if known:  # some came again today already
            known |= transaction.find_predictions(day, [id_hash for id_hash, _ in known])
        known |= transaction.insert_predictions(day, [row for key, row in first.items() if key not in known])
        changed = {}
        for number, place, row in rows:
            key = (row.id_hash, row.version_id)
            if key not in known:
                known[key] = row.payload  # the first of its kind counts; later ones in this commit repeat it
            elif known[key] == row.payload:
                keeps[number][place] = False
            else:
                known[key] = row.payload
                changed[key] = row
                conflicts[number] += 1
        transaction.replace_predictions(day, list(changed.values()))
    return [
        Identity(keep, int(len(keep) - keep.sum()), count)
        for keep, count in zip(keeps, conflicts, strict=True)
    ]


def _find_yesterdays(
    transaction: Transaction,
    day: int,
    rows: Sequence[tuple[int, int, PredictionRow]],
    parts: Sequence[Part],
    settings: Settings,
) -> dict[tuple[bytes, int], int]:
    """What the day before knows of rows from shortly after midnight whose first try may have been before it.

    Without a time of its own a row gets that of its receipt; with one ahead of our clock likewise, and a
    later try the one it brings.
    """
    hashes = [
        row.id_hash
        for number, place, row in rows
        if row.at - day * DAY_SECONDS
        < (settings.max_future_seconds if parts[number].exact[place] else RETRY_SECONDS)
    ]
    return transaction.find_predictions(day - 1, hashes) if hashes else {}
