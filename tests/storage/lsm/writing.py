"""Puts, replaces and flushes rows until it is killed: `python -m tests.storage.lsm.writing URI`.

It prints the number of each commit once that is acknowledged. Commit n puts the ids 10n to 10n + 9 with
payload 0, and replaces the payload of those of commit n - 3, which may be in an SSTable by now.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from exporter.storage.lsm import compaction, tree
from exporter.storage.rows import PREDICTIONS, StoredPrediction
from exporter.storage.store import Store

DAY = 20_500
BATCH, BEHIND = 10, 3


def make_rows(commit: int, payload: int) -> Iterator[StoredPrediction]:
    for number in range(BATCH * commit, BATCH * (commit + 1)):
        yield StoredPrediction(
            (number * 0x9E3779B97F4A7C15 % 2**64).to_bytes(8, "little") * 2, 1, payload, 0.0, "1", 0.5
        )


def write(uri: str) -> None:
    """Commit after commit, from the one after the last in the store."""
    tree.MEMTABLE_ROWS = 2 * BATCH  # type: ignore[misc]
    compaction.TABLE_ROWS = 20 * BATCH  # type: ignore[misc]
    store = Store(uri)
    with store.begin() as transaction:
        commit = sum(map(len, transaction.predictions.scan(DAY))) // BATCH
    while True:
        store.flush()
        with store.begin() as transaction:
            transaction.predictions.put(DAY, PREDICTIONS.pack_rows(make_rows(commit, 0)))
            if commit >= BEHIND:
                transaction.predictions.replace(DAY, PREDICTIONS.pack_rows(make_rows(commit - BEHIND, 1)))
        print(commit, flush=True)
        commit += 1


if __name__ == "__main__":
    write(sys.argv[1])
