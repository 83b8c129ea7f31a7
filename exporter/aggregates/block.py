"""Mergeable counts of one version's rows in one block of time.

Adding two blocks of the same reference gives the block of their rows together.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from exporter.errors import StoreError, decoding
from exporter.reference.binning import Binned
from exporter.reference.bins import BinLayout
from exporter.typing import Floats, Ints

# Upper bounds in seconds of the latency histogram's buckets; one more bucket holds the rest.
LATENCY_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


BLOCK_CODEC = 1


_HEADER = struct.Struct("<IIqd")


CellCounts: TypeAlias = npt.NDArray[np.unsignedinteger[Any]]


@dataclass(frozen=True)
class Block:
    """Counts of the rows of one block.

    `counts` (cells,) are in the reference's layout, 64 bits wide for 2^32 rows or more. `moments` (columns,
    3) are the count, sum and sum of squares of standardised, winsorised values, zeros for columns without
    numbers. `latency` (buckets,) is not cumulative. Arrays are never changed in place, since other threads
    read them.
    """

    rows: int
    counts: CellCounts
    moments: Floats
    latency: Ints
    latency_sum: float

    def __add__(self, other: Block) -> Block:
        rows = self.rows + other.rows
        return Block(
            rows=rows,
            counts=np.add(self.counts, other.counts, dtype=_count_type(rows)),
            moments=self.moments + other.moments,
            latency=self.latency + other.latency,
            latency_sum=self.latency_sum + other.latency_sum,
        )

    def encode(self) -> bytes:
        """Bytes for the store, with zlib's checksum."""
        parts = (
            _HEADER.pack(len(self.counts), len(self.moments), self.rows, self.latency_sum),
            self.counts.astype(_count_type(self.rows), copy=False).tobytes(),
            self.moments.astype("<f8", copy=False).tobytes(),
            self.latency.astype("<i8", copy=False).tobytes(),
        )
        return bytes([BLOCK_CODEC]) + zlib.compress(b"".join(parts), 1)


def _count_type(rows: int) -> np.dtype[Any]:
    """Type of counts: no cell exceeds the rows, so 4 bytes suffice for an hour of a million rows a second."""
    return np.dtype("<u4") if rows < 2**32 else np.dtype("<u8")


def decode_block(data: bytes, max_bytes: int = 0) -> Block:
    """Decode the bytes of `Block.encode`.

    Args:
        data: the bytes.
        max_bytes: that they may unpack to, see `unpacked_bytes`; 0 for any number.

    Raises:
        StoreDamagedError: the bytes are damaged.
        StoreError: another version of the codec wrote them.
    """
    if data[:1] != bytes([BLOCK_CODEC]):
        raise StoreError(f"a stored aggregate has format {data[:1].hex()}, this is {BLOCK_CODEC:02x}")
    with decoding("a stored aggregate"):
        unpacking = zlib.decompressobj()
        body = memoryview(unpacking.decompress(data[1:], max_bytes and max_bytes + 1))
        if not unpacking.eof or (max_bytes and len(body) > max_bytes):
            raise ValueError("it breaks off, or is too large")
        cells, columns, rows, latency_sum = _HEADER.unpack_from(body)
        width = _count_type(rows)
        moments_start = _HEADER.size + cells * width.itemsize
        latency_start = moments_start + columns * 24
        return Block(
            rows=rows,
            counts=np.frombuffer(body[_HEADER.size : moments_start], width).copy(),
            moments=np.frombuffer(body[moments_start:latency_start], "<f8").reshape(columns, 3).copy(),
            latency=np.frombuffer(body[latency_start:], "<i8").reshape(len(LATENCY_BOUNDS) + 1).copy(),
            latency_sum=latency_sum,
        )


def unpacked_bytes(layout: BinLayout) -> int:
    """Most bytes that a block of a layout takes before it is compressed."""
    return _HEADER.size + 8 * layout.cells + 24 * len(layout.columns) + 8 * (len(LATENCY_BOUNDS) + 1)


def fold(
    layout: BinLayout,
    binned: Binned,
    starts: Ints,
    latency: Floats | None,
) -> dict[int, Block]:
    """Count a batch's rows by block; the keys are the blocks' starts.

    Args:
        layout: that `binned` is in.
        binned: the batch.
        starts: (rows,) start of the block of each row.
        latency: (rows,) seconds, NaN for rows without one; None if no row has one.
    """
    if not len(starts):
        return {}
    if (starts == starts[0]).all():  # the usual case: all rows of a batch are in one block
        return {int(starts[0]): _fold_block(layout, binned, latency)}
    order = np.argsort(starts, kind="stable")
    unique, first = np.unique(starts[order], return_index=True)
    folded = {}
    for start, rows in zip(unique.tolist(), np.split(order, first[1:]), strict=True):
        chosen = latency[rows] if latency is not None else None
        folded[start] = _fold_block(layout, binned.take(rows), chosen)
    return folded


def _fold_block(layout: BinLayout, binned: Binned, latency: Floats | None) -> Block:
    counts = np.bincount(binned.cells.ravel(), minlength=layout.cells).astype(np.uint32)
    moments = np.zeros((len(layout.columns), 3))
    moments[layout.numeric] = np.stack(
        [
            binned.present.sum(axis=1),
            binned.standard.sum(axis=1),
            np.einsum("cr,cr->c", binned.standard, binned.standard),
        ],
        axis=1,
    )
    return Block(binned.cells.shape[1], counts, moments, *latency_histogram(latency))


def latency_histogram(latency: Floats | None) -> tuple[Ints, float]:
    """(buckets,) counts by `LATENCY_BOUNDS`, not cumulative, and the sum in seconds; NaN is ignored."""
    if latency is None:
        return np.zeros(len(LATENCY_BOUNDS) + 1, np.int64), 0.0
    known = latency[~np.isnan(latency)]
    places = np.searchsorted(LATENCY_BOUNDS, known)
    return np.bincount(places, minlength=len(LATENCY_BOUNDS) + 1), float(known.sum())
