"""Parquet files that do harm to their reader."""

from __future__ import annotations

import pyarrow as pa

from tests.support.wire import to_parquet

_REQUIRED, _CHILD, _LEAF = b"\x35\x00", b"\x15\x02\x00", b"\x15\x0a\x25\x00\x18\x01x\x00"
LEVELS = 100_000


def make_nested_parquet() -> bytes:
    """A schema (in Thrift's compact protocol) that is nested so deeply that pyarrow's stack overflows."""
    root, group = b"\x35\x00\x18\x01r" + _CHILD, _REQUIRED + b"\x18\x01a" + _CHILD
    schema = b"\x19\xfc" + _varint(LEVELS + 2) + root + LEVELS * group + _LEAF
    footer = b"\x15\x02" + schema + b"\x16\x02" + b"\x19\x0c" + b"\x00"
    return b"PAR1" + footer + len(footer).to_bytes(4, "little") + b"PAR1"


def make_explosive_parquet(megabytes: int) -> bytes:
    """A small file whose texts, encoded as what they share with the one before, unpack to so much."""
    texts = pa.array(["x" * 10_000] * 1000)  # 10 MB
    columns = {str(number): texts for number in range(megabytes // 10)}
    return to_parquet(
        pa.table({**columns, "prediction": pa.nulls(len(texts))}),
        use_dictionary=False,
        column_encoding=dict.fromkeys(columns, "DELTA_BYTE_ARRAY"),
    )


def _varint(number: int) -> bytes:
    parts = []
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    return bytes([*parts, number])
