"""Which rows of a commit are new, and which came before: by idempotency key, and by id and payload."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from exporter.ingest.prepare import Part
from exporter.settings import Settings
from exporter.storage.rows import StoredPrediction
from exporter.storage.schema import DAY_SECONDS
from exporter.storage.transaction import Transaction
from exporter.typing import Bools, Ints

# A row that got its time from us and is sent again just after midnight was first in yesterday's table.
RETRY_SECONDS = 900.0


@dataclass(frozen=True)
class IdempotencyKey:
    """Hashes of the `Idempotency-Key` of a request, within its model, and of the body that it came with."""

    key: bytes
    body: bytes

    @classmethod
    def of(cls, *scope: str, body: bytes) -> IdempotencyKey:
        """From what the key belongs to, and itself as the last."""
        scoped = "\0".join(scope).encode("utf-8", "surrogatepass")
        return cls(
            hashlib.blake2b(scoped, digest_size=16).digest(), hashlib.blake2b(body, digest_size=16).digest()
        )


@dataclass(frozen=True)
class Identity:
    """Result of the deduplication of a part: rows that count, and repeated ids among them.

    `keep` (rows,) are the rows that count; `conflicts` (rows,) those of them whose id came before with
    another payload.
    """

    keep: Bools
    conflicts: Bools


def identify(transaction: Transaction, parts: Sequence[Part], settings: Settings) -> list[Identity]:
    """Tell new rows from repeated ones by id, version and payload, and remember the new ones."""
    keeps = [np.ones(part.rows, np.bool_) for part in parts]
    conflicts = [np.zeros(part.rows, np.bool_) for part in parts]
    for day in sorted({day for part in parts for day in part.days}):
        rows = [row for part in parts if day in part.days for row in _rows(part, part.days[day])]
        keys = [row[:2] for row in rows]
        # The first of its kind counts; later ones in this commit repeat it.
        first = dict(zip(reversed(keys), reversed(rows), strict=True))
        known = _find_yesterdays(transaction, day, parts, settings)
        if known:  # some came again today already
            known |= transaction.find_predictions(day, [id_hash for id_hash, _ in known])
        fresh = rows if len(first) == len(rows) else list(first.values())
        if known:
            fresh = [row for row in fresh if row[:2] not in known]
        known |= transaction.insert_predictions(day, fresh)
        if not known and len(first) == len(rows):
            continue  # all new, as nearly always
        changed = {}
        for number, place, row in _numbered(parts, day):
            key = row[:2]
            if key not in known:
                known[key] = row.payload
            elif known[key] == row.payload:
                keeps[number][place] = False
            else:
                known[key] = row.payload
                changed[key] = row
                conflicts[number][place] = True
        transaction.replace_predictions(day, list(changed.values()))
    return list(map(Identity, keeps, conflicts))


def _rows(part: Part, numbers: Ints) -> Sequence[StoredPrediction]:
    if len(numbers) == len(part.predictions):
        return part.predictions
    return [part.predictions[number] for number in numbers.tolist()]


def _numbered(parts: Sequence[Part], day: int) -> Iterator[tuple[int, int, StoredPrediction]]:
    """The rows of a day with the numbers of their part and of the row in it."""
    for number, part in enumerate(parts):
        if day in part.days:
            places = part.prediction_rows[part.days[day]].tolist()
            for place, row in zip(places, _rows(part, part.days[day]), strict=True):
                yield number, place, row


def _find_yesterdays(
    transaction: Transaction, day: int, parts: Sequence[Part], settings: Settings
) -> dict[tuple[bytes, int], int]:
    """What the day before knows of rows from shortly after midnight whose first try may have been before it.

    Without a time of its own a row gets that of its receipt; with one ahead of our clock likewise, and a
    later try the one it brings.
    """
    hashes = []
    for part in parts:
        numbers = part.days.get(day, np.zeros(0, np.int64))
        places = part.prediction_rows[numbers]
        limit = np.where(part.exact[places], settings.max_future_seconds, RETRY_SECONDS)
        early = numbers[part.times[places] - day * DAY_SECONDS < limit]
        hashes += [part.predictions[number].id_hash for number in early.tolist()]
    return transaction.find_predictions(day - 1, hashes) if hashes else {}
