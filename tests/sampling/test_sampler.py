"""The sample of raw rows as it is taken with what is counted."""

from __future__ import annotations

from collections.abc import Callable

import orjson

from exporter.storage.sampled_rows import StoredRow, load_sampled_blocks, load_sampled_rows
from tests.support.rig import NOON, Rig, make_rows

Start = Callable[..., Rig]


def sampled(rig: Rig, model: str = "fraud") -> list[StoredRow]:
    with rig.service.store.reading() as connection:
        return load_sampled_rows(
            connection, rig.version(model=model).key, 0, 2**40, limit=10**6, max_bytes=10**9
        )


def test_rows_of_a_quiet_block_are_all_in_the_sample(rig: Rig) -> None:
    rows = make_rows(30, prefix="a")
    rig.post_rows(rows)
    found = [orjson.loads(row.content) for row in sampled(rig)]
    expected = [{name: row[name] for name in ("features", "prediction", "score")} for row in rows]
    assert sorted(found, key=str) == sorted(expected, key=str)
    with rig.service.store.reading() as connection:
        (block,) = load_sampled_blocks(connection, rig.version().key, 0, 2**40)
    assert (block.start, block.rows, block.threshold) == (NOON, 30, None)
