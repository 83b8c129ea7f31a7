"""Damage Arrow and Parquet bodies at random; anything but a `RequestError` is a bug. In a process of its own:

python -m tests.fuzz_bodies SEED COUNT
"""

from __future__ import annotations

import random
import resource
import sys
from collections.abc import Iterator
from datetime import date

import numpy as np
import pyarrow as pa

from exporter.binning import bin_batch, with_single_outputs
from exporter.errors import RequestError
from exporter.identity import payload_hashes
from exporter.reference import Column, Kind, Reference
from exporter.samples import ARROW_TYPE, OWN_FIELDS, PARQUET_TYPE
from tests.wire import QUERY, decode, to_parquet, to_stream

ROWS = 20
MAX_ADDRESS_SPACE = 4 * 2**30  # what a body of some kilobytes makes of itself must fit by far


def make_table() -> pa.Table:
    """A column of every kind."""
    words = pa.array(["a", "bb" * 20, None, "c"] * (ROWS // 4))
    return pa.table(
        {
            "number": pa.array([k / 7 if k % 3 else None for k in range(ROWS)]),
            "small": pa.array(range(ROWS), pa.int8()),
            "large": pa.array([2**64 - 1 - k for k in range(ROWS)], pa.uint64()),
            "text": words,
            "large text": words.cast(pa.large_string()),
            "view": words.cast(pa.string_view()),
            "dictionary": words.dictionary_encode(),
            "switch": pa.array([True, False, None, True] * (ROWS // 4)),
            "time": pa.array([10**15 * k for k in range(ROWS)], pa.timestamp("ns", "UTC")),
            "date": pa.array([date(2026, 1, 1 + k) for k in range(ROWS)]),
            "list": pa.array([[1] * (k % 3) for k in range(ROWS)]),
            "texts": pa.array([["x"] * (k % 3) for k in range(ROWS)]),
            "structure": pa.array([{"a": 1, "b": "x"} for _ in range(ROWS)]),
            "map": pa.array([[("k", 1)]] * ROWS, pa.map_(pa.string(), pa.int8())),
            "binary": pa.array([b"ab"] * ROWS),
            "fixed": pa.array([b"ab"] * ROWS, pa.binary(2)),
            "decimal": pa.array(range(ROWS)).cast(pa.decimal128(30, 2)),
            "null": pa.nulls(ROWS),
            "runs": pa.RunEndEncodedArray.from_arrays([ROWS // 2, ROWS], ["a", "b"]),
            "list view": pa.array([[1]] * ROWS, pa.list_view(pa.int8())),
            "id": pa.array([str(k) for k in range(ROWS)]),
            "timestamp": pa.array(["2026-01-01"] * ROWS),
            "prediction": pa.array([0, 1] * (ROWS // 2)),
            "score": pa.array(np.linspace(0, 1, ROWS)),
        }
    )


def make_reference() -> Reference:
    """Every column as something that it is, or is not."""
    kinds: list[Kind] = ["number", "category", "boolean", "time"]
    names = [name for name in make_table().column_names if name not in OWN_FIELDS]
    columns = [
        Column(name, "feature", kinds[k % 4], edges=np.arange(5.0), categories=("0", "1"), low=0.0, high=1.0)
        for k, name in enumerate(names)
    ]
    columns.append(Column("prediction", "prediction", "category", categories=("0", "1")))
    return Reference(tuple(columns), np.zeros(0, np.int64), np.zeros((len(columns), 3)), 0, "", "fuzz")


def make_bodies() -> list[tuple[str, bytes]]:
    table = make_table()
    flat = table.drop_columns(["runs", "list view"])  # which Parquet cannot hold
    structure = table.select(["number", "text"]).to_struct_array()
    nested = pa.table({"features": structure, "prediction": table["prediction"]})
    return [
        (ARROW_TYPE, to_stream(table)),
        (ARROW_TYPE, to_stream(pa.concat_tables([table, table.slice(3)]))),
        (ARROW_TYPE, to_stream(nested)),
        (PARQUET_TYPE, to_parquet(flat)),
        (PARQUET_TYPE, to_parquet(flat, compression="zstd", use_dictionary=False)),
        (PARQUET_TYPE, to_parquet(flat, compression="none", data_page_version="2.0")),
        (PARQUET_TYPE, to_parquet(flat, row_group_size=7, write_page_index=True)),
        (PARQUET_TYPE, to_parquet(nested, compression="none")),
    ]


def damage(body: bytes, draw: random.Random) -> bytes:
    """Some bytes changed, cut out or put in; half of the time where the metadata is."""
    damaged = bytearray(body)
    start = draw.choice([0, 0, max(0, len(body) - 4000)])
    place = draw.randrange(start, len(body))
    how = draw.random()
    if how < 0.1:
        return bytes(damaged[:place])
    if how < 0.2:
        damaged[place : place + draw.randrange(50)] = draw.randbytes(draw.randrange(50))
        return bytes(damaged)
    for _ in range(draw.choice([1, 1, 2, 5, 20])):
        place = draw.randrange(start, len(body))
        flipped = damaged[place] ^ 1 << draw.randrange(8)
        damaged[place] = draw.choice([0, 127, 128, 255, draw.randrange(256), flipped])
    return bytes(damaged)


def damaged_bodies(seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    draw = random.Random(seed)
    bodies = make_bodies()
    for _ in range(count):
        content_type, body = draw.choice(bodies)
        yield content_type, damage(body, draw)


def main(seed: int, count: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MAX_ADDRESS_SPACE, MAX_ADDRESS_SPACE))
    reference = make_reference()
    for content_type, body in make_bodies():
        assert decode(body, None, content_type, **QUERY).rows >= ROWS
    for content_type, body in damaged_bodies(seed, count):
        try:
            batch = decode(body, None, content_type, **QUERY)
            bin_batch(reference, with_single_outputs(reference, batch), np.full(batch.rows, 1.8e9))
            payload_hashes(batch)
        except RequestError:
            continue
    print(f"{count} bodies")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
