"""Live counts of one version; immutable except for the dictionaries of blocks and outcomes, see `fleet`."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field

import numpy as np

from exporter.aggregates.block import LATENCY_BOUNDS
from exporter.aggregates.outcome_layout import OutcomeLayout
from exporter.aggregates.outcomes import LABEL_DELAY_BOUNDS, Outcomes
from exporter.aggregates.timeline import Timeline
from exporter.errors import decoding
from exporter.reference.profile import Reference
from exporter.typing import Ints

_TOTALS = struct.Struct("<IIqdqd")


@dataclass(frozen=True)
class Totals:
    """Counters since the start of the process, in a partition since it exists.

    `values` (cells,) are in the layout of the reference, empty without one.
    """

    predictions: int = 0
    values: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    latency: Ints = field(default_factory=lambda: np.zeros(len(LATENCY_BOUNDS) + 1, np.int64))
    latency_sum: float = 0.0
    labels: int = 0
    label_delay: Ints = field(default_factory=lambda: np.zeros(len(LABEL_DELAY_BOUNDS) + 1, np.int64))
    label_delay_sum: float = 0.0

    def __add__(self, other: Totals) -> Totals:
        return Totals(
            predictions=self.predictions + other.predictions,
            values=self.values + other.values,
            latency=self.latency + other.latency,
            latency_sum=self.latency_sum + other.latency_sum,
            labels=self.labels + other.labels,
            label_delay=self.label_delay + other.label_delay,
            label_delay_sum=self.label_delay_sum + other.label_delay_sum,
        )

    def encode(self) -> bytes:
        """Bytes for the store, with zlib's checksum."""
        sizes = len(self.values), len(self.latency)
        header = _TOTALS.pack(*sizes, self.predictions, self.latency_sum, self.labels, self.label_delay_sum)
        arrays = np.concatenate([self.values, self.latency, self.label_delay])
        return zlib.compress(header + arrays.astype("<i8", copy=False).tobytes(), 1)


def decode_totals(data: bytes) -> Totals:
    """Decode the bytes of `Totals.encode`.

    Raises:
        StoreDamagedError: the bytes are damaged.
    """
    with decoding("stored totals"):
        body = zlib.decompress(data)
        cells, buckets, predictions, latency_sum, labels, label_delay_sum = _TOTALS.unpack_from(body)
        arrays = np.frombuffer(body, "<i8", offset=_TOTALS.size).astype(np.int64)
        end = cells + buckets
        values, latency, delays = arrays[:cells], arrays[cells:end], arrays[end:]
        if len(delays) != len(LABEL_DELAY_BOUNDS) + 1 or len(latency) != len(LATENCY_BOUNDS) + 1:
            raise ValueError("another number of buckets")
        return Totals(predictions, values, latency, latency_sum, labels, delays, label_delay_sum)


@dataclass(frozen=True)
class SegmentCounts:
    """Counts of one segment: coarse blocks only, and outcomes in the version's layout."""

    timeline: Timeline
    outcomes: dict[int, Outcomes] = field(default_factory=dict)


@dataclass(frozen=True)
class VersionCounts:
    """A version's reference and the blocks counted in its bins.

    `outcomes` of labelled rows are by the start of the coarse block of their prediction, in `layout`, which
    is None if the reference does not say what is predicted. Labels later than `maturation_seconds` after
    their prediction are not counted; 0 counts all, None is not decided yet. `segments` are by segment name.
    """

    reference_id: int
    reference: Reference
    timeline: Timeline
    layout: OutcomeLayout | None = None
    outcomes: dict[int, Outcomes] = field(default_factory=dict)
    maturation_seconds: float | None = None
    segments: dict[str, SegmentCounts] = field(default_factory=dict)
