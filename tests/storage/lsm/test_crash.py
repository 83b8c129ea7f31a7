"""The tree after its process was killed: all that was acknowledged is there, and each commit as a whole."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Callable

from exporter.storage.rows import PREDICTIONS
from exporter.storage.store import Store
from tests.storage.lsm.writing import BATCH, BEHIND, DAY, make_rows

KILLS, COMMITS = 4, 15


def write_until_killed(uri: str, seconds: float) -> int:
    """Number of the last commit that was acknowledged; killed so long after the `COMMITS`-th."""
    program = [sys.executable, "-m", "tests.storage.lsm.writing", uri]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(COMMITS)]
        time.sleep(seconds)  # in the midst of whatever it does then
        process.kill()
        return int([*lines, *process.stdout.read().split("\n")[:-1]][-1])


def test_commits_are_there_as_a_whole_however_often_it_is_killed(
    store_uri: str, open_store: Callable[[str], Store]
) -> None:
    moments = random.Random(3)
    for _ in range(KILLS):
        acknowledged = write_until_killed(store_uri, moments.uniform(0, 0.05))
        store = open_store(store_uri)
        with store.begin() as transaction:
            parts = [PREDICTIONS.unpack(part) for part in transaction.predictions.scan(DAY)]
            rows = {row.id_hash: row.payload for part in parts for row in part}
            assert len(rows) == sum(map(len, parts)), "one is there twice"
            commits = len(rows) // BATCH
            assert acknowledged < commits <= acknowledged + 2, "one may have been on its way"
            expected = {
                row.id_hash: row.payload
                for commit in range(commits)
                for row in make_rows(commit, int(commit < commits - BEHIND))
            }
            assert rows == expected
            found = transaction.predictions.get_many(list(expected))
            assert {row.id_hash: row.payload for row in PREDICTIONS.unpack(found.records)} == expected
        store.close()
