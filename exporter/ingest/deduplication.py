"""Tells new rows from repeated ones, by idempotency key and by id and payload."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from exporter.ingest.prepare import Part
from exporter.settings import DAY_SECONDS, Settings
from exporter.storage.lsm.records import Records
from exporter.storage.rows import PREDICTIONS
from exporter.storage.transaction import Transaction
from exporter.typing import Bools, Ints

# Longest time after midnight for a second try of a row that got the time of its receipt, and was stored under
# the day before.
MIDNIGHT_RETRY_SECONDS = 900.0


@dataclass(frozen=True)
class IdempotencyKey:
    """Hashes of the `Idempotency-Key` of a request, within its model, and of the request's body."""

    key: bytes
    body: bytes

    @classmethod
    def of(cls, *scope: str, body: bytes) -> IdempotencyKey:
        """Hash a key and its body; `scope` is what the key is unique in, then the key itself."""
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


def identify(
    transaction: Transaction, parts: Sequence[Part], places: Sequence[Ints], settings: Settings
) -> list[Identity]:
    """Tell new rows from repeated ones by id, version and payload, and store the new ones.

    Args:
        transaction: in which they are stored.
        parts: of all requests of a commit.
        places: (parts,) (rows,) number of each row's request: an earlier one is the first with its id.
        settings: which times are taken.
    """
    keeps = [np.ones(part.rows, np.bool_) for part in parts]
    conflicts = [np.zeros(part.rows, np.bool_) for part in parts]
    for day in sorted({day for part in parts for day in part.days}):
        rows, owners = _rows_of_day(parts, places, day)
        keys = PREDICTIONS.keys_of(rows)
        # The first with its key counts; later ones in this commit repeat it.
        first = dict(zip(reversed(keys), range(len(keys) - 1, -1, -1), strict=True))
        known = _find_yesterdays(transaction, day, parts, settings)
        if known:  # some came again today already
            known |= transaction.find_predictions(day, [id_hash for id_hash, _ in known])
        fresh = rows
        if known or len(first) < len(rows):
            fresh = rows.take(np.array([k for key, k in first.items() if key not in known], np.int64))
        known |= transaction.insert_predictions(day, fresh)
        if not known and len(first) == len(rows):
            continue  # all new, as nearly always
        changed = {}
        payloads: list[int] = rows.numbers["payload"].tolist()
        for index, (key, payload, (number, row)) in enumerate(zip(keys, payloads, owners, strict=True)):
            if key not in known:
                known[key] = payload
            elif known[key] == payload:
                keeps[number][row] = False
            else:
                known[key] = payload
                changed[key] = index
                conflicts[number][row] = True
        transaction.replace_predictions(day, rows.take(np.array([*changed.values()], np.int64)))
    return list(map(Identity, keeps, conflicts))


def _rows_of_day(
    parts: Sequence[Part], places: Sequence[Ints], day: int
) -> tuple[Records, list[tuple[int, int]]]:
    """Rows with an id of a day in the order of their requests, and (rows,) the number of the part and of the
    row in it."""
    records, owners, found = [], [], []
    for number, (part, own) in enumerate(zip(parts, places, strict=True)):
        rows = part.days.get(day)
        if rows is not None and part.records is not None:
            records.append(part.records if len(rows) == part.rows else part.records.take(rows))
            owners += [(number, row) for row in rows.tolist()]
            found.append(own[rows])
    joined = Records.join(records)
    if len(records) > 1:
        order = np.argsort(np.concatenate(found), kind="stable")
        return joined.take(order), [owners[place] for place in order.tolist()]
    return joined, owners


def _find_yesterdays(
    transaction: Transaction, day: int, parts: Sequence[Part], settings: Settings
) -> dict[tuple[bytes, int], int]:
    """Predictions of the day before with the ids of rows from shortly after midnight, whose first try may
    have been before it.

    Without a time of its own a row gets that of its receipt; with one ahead of our clock likewise, and a
    later try the one it brings.
    """
    hashes = []
    for part in parts:
        rows = part.days.get(day)
        if rows is not None and part.records is not None:
            limit = np.where(part.exact[rows], settings.max_future_seconds, MIDNIGHT_RETRY_SECONDS)
            early = rows[part.times[rows] - day * DAY_SECONDS < limit]
            hashes += part.records.numbers["id_hash"][early].tolist()
    return transaction.find_predictions(day - 1, hashes) if hashes else {}
