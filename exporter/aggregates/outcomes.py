"""Mergeable counts and sums of labelled rows.

    label batch -> join with the predictions -> fold -> Outcomes of the prediction's hour -> sum over a window

Outcomes are signed: a correction adds the new label's outcomes and subtracts the old one's. All counts and
sums are integers, so that subtraction is exact, in any order.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from exporter.aggregates.labelled_rows import read_rows
from exporter.aggregates.outcome_layout import ROW_FACTS, OutcomeLayout
from exporter.aggregates.sparse import Sparse, encode_each, pack
from exporter.errors import StoreError, decoding
from exporter.formats.columns import Values, take_rows
from exporter.measures.exact_sum import LIMBS, split, total
from exporter.typing import Floats, Ints

# Upper bounds in seconds of the label delay histogram, a minute to a month; one more bucket holds the rest.
LABEL_DELAY_BOUNDS = (
    60.0, 300.0, 900.0, 3600.0, 14400.0, 43200.0, 86400.0, 259200.0, 604800.0, 1209600.0, 2592000.0,
)  # fmt: skip
OUTCOMES_CODEC = 2
SCORE_UNIT = 2.0**-32
SLICE_ROWS = 16_384  # rows folded at once, which limits memory for a large reference
ENCODED_AT_ONCE = 256
_HEADER = struct.Struct("<B16sI")


class Outcomes:
    """Counts and sums of the labelled rows of one hour, or a batch's change to them.

    `counts` (layout.counts,) and `sums` (layout.sums,) are in an `OutcomeLayout`. Arrays are never changed in
    place.
    """

    __slots__ = ("_counts", "_sums")

    def __init__(
        self,
        counts: npt.NDArray[np.int32] | Sparse[np.int32],
        sums: Ints | Sparse[np.int64],
    ) -> None:
        self._counts = counts
        self._sums = sums

    @property
    def counts(self) -> npt.NDArray[np.int32]:
        return self._counts.dense() if isinstance(self._counts, Sparse) else self._counts

    @property
    def sums(self) -> Ints:
        return self._sums.dense() if isinstance(self._sums, Sparse) else self._sums

    @classmethod
    def empty(cls, layout: OutcomeLayout) -> Outcomes:
        return cls(np.zeros(layout.counts, np.int32), np.zeros(layout.sums, np.int64))

    @property
    def is_packed(self) -> bool:
        return isinstance(self._counts, Sparse)

    def packed(self) -> Outcomes:
        """Equal outcomes in less memory: most counts of an hour are zero, and the others are small."""
        return self if self.is_packed else Outcomes(pack(self.counts), pack(self.sums))

    def __add__(self, other: Outcomes) -> Outcomes:
        return Outcomes(self.counts + other.counts, self.sums + other.sums)

    def __bool__(self) -> bool:
        """True unless all counts and sums are zero, as in an hour whose labels were all taken back."""
        return bool(self.counts.any() or self.sums.any())

    def encode(self, layout: OutcomeLayout) -> bytes:
        """Bytes for the store."""
        return encode_outcomes(layout, [self])[0]


def encode_outcomes(layout: OutcomeLayout, parts: Sequence[Outcomes]) -> list[bytes]:
    """Bytes for the store, one entry per part; faster than one by one, for labels of hundreds of hours."""
    encoded = list[bytes]()
    for start in range(0, len(parts), ENCODED_AT_ONCE):
        some = parts[start : start + ENCODED_AT_ONCE]
        counts = encode_each(np.stack([part.counts for part in some]))
        sums = encode_each(np.stack([part.sums for part in some]))
        encoded += [
            _HEADER.pack(OUTCOMES_CODEC, layout.digest, zlib.crc32(body)) + body
            for body in map(bytes.__add__, counts, sums)
        ]
    return encoded


def decode_outcomes(layout: OutcomeLayout, data: bytes) -> Outcomes:
    """Decode the bytes of `Outcomes.encode`.

    Raises:
        StoreDamagedError: the bytes are damaged or truncated.
        StoreError: they are of another version of the codec, or of another layout.
    """
    with decoding("stored outcomes"):
        codec, digest, checksum = _HEADER.unpack_from(data)
        if codec != OUTCOMES_CODEC:
            raise StoreError(f"stored outcomes have format {codec}, this is {OUTCOMES_CODEC}")
        if digest != layout.digest:
            raise StoreError("stored outcomes were counted in another layout")
        if zlib.crc32(data[_HEADER.size :]) != checksum:
            raise ValueError("wrong checksum")
        counts, end = Sparse.decode(data, _HEADER.size, layout.counts, np.int32)
        sums, _ = Sparse.decode(data, end, layout.sums, np.int64)
        return Outcomes(counts, sums)


@dataclass(frozen=True)
class Tally:
    """Parts of a window's outcomes.

    `rows` is the number of labelled rows, `unusable` that of further rows whose label is missing or no
    number. Of the labelled rows, `matches` have the prediction as label, `scored` have losses, `zeros` have
    the label 0. `cells` and `past` are in the layout of the outputs; `confusion`, `histogram` and `traffic`
    are as in the layout; `scores` (bins,) are sums of scores, `sums` are by the layout's terms.
    """

    rows: int
    unusable: int
    matches: int
    scored: int
    zeros: int
    cells: Ints
    confusion: Ints
    histogram: Ints
    traffic: Ints
    past: Ints
    scores: Floats
    sums: tuple[Fraction, ...]


def tally(layout: OutcomeLayout, parts: Iterable[Outcomes]) -> Tally:
    """Sum outcomes of one layout, and split the sum into its parts."""
    listed = list(parts) or [Outcomes.empty(layout)]
    counts: Ints = np.sum([part.counts for part in listed], axis=0, dtype=np.int64)
    sums: Ints = np.sum([part.sums for part in listed], axis=0)
    rows, unusable, matches, scored, zeros = counts[: len(ROW_FACTS)].tolist()
    limbs = sums[layout.bins :].reshape(-1, LIMBS)
    return Tally(
        rows=rows,
        unusable=unusable,
        matches=matches,
        scored=scored,
        zeros=zeros,
        cells=counts[len(ROW_FACTS) : layout.confusion_start],
        confusion=counts[layout.confusion_start : layout.histogram_start].reshape(layout.sides, layout.sides),
        histogram=counts[layout.histogram_start : layout.traffic_start].reshape(2, 2, layout.bins),
        traffic=counts[layout.traffic_start : layout.past_start].reshape(2, layout.bins),
        past=counts[layout.past_start :],
        scores=sums[: layout.bins].astype(np.float64) * SCORE_UNIT,
        sums=tuple(total(term) for term in limbs),
    )


# -- folding ------------------------------------------------------------------------------------------------


def fold_outcomes(
    layout: OutcomeLayout,
    labels: Values,
    predictions: Values,
    scores: Floats | None,
    hours: Ints,
    sign: int = 1,
) -> dict[int, Outcomes]:
    """Count joined rows by the hour of their prediction.

    Labels and predictions may be raw values or canonical texts: 1, 1.0, true and "1" are one class, and
    "12.5" is a number. Rows without a usable label are counted as `unusable` only.

    Args:
        layout: of the version that predicted.
        labels: (rows,) true values.
        predictions: (rows,) predicted values.
        scores: (rows,) of the positive class, or of the predicted one where there are more than two; or
            (rows, classes) of each class. NaN where a row has none; None where no row has one.
        hours: (rows,) start of the coarse block of each prediction.
        sign: 1 to add rows, -1 to subtract them.
    """
    folded: dict[int, Outcomes] = {}
    for start in range(0, len(hours), SLICE_ROWS):
        rows = np.arange(start, min(start + SLICE_ROWS, len(hours)))
        whole = len(rows) == len(hours)
        part = _fold(
            layout,
            labels if whole else take_rows(labels, rows),
            predictions if whole else take_rows(predictions, rows),
            scores if scores is None or whole else scores[rows],
            hours[rows],
            sign,
        )
        for hour, outcomes in part.items():
            folded[hour] = folded[hour] + outcomes if hour in folded else outcomes
    return folded


def fold_predictions(layout: OutcomeLayout, places: Ints, hours: Ints) -> dict[int, Outcomes]:
    """Count scores of predictions by hour, from which quality is estimated until labels come.

    Args:
        layout: of the version that predicted.
        places: (rows,) from `place_scores`; rows with -1, without a score, are not counted.
        hours: (rows,) start of the hour of each, in seconds since the epoch.
    """
    known = places >= 0
    places, hours = places[known], hours[known]
    if not len(hours):
        return {}
    unique, block = hours[:1], np.zeros(1, np.int64)
    if (hours != unique).any():  # unusual: most batches are of one hour
        unique, block = np.unique(hours, return_inverse=True)
    width = 2 * layout.bins
    traffic = np.bincount(block * width + places, minlength=len(unique) * width).reshape(-1, width)
    folded = {}
    for place, hour in enumerate(unique.tolist()):
        folded[hour] = Outcomes.empty(layout)
        folded[hour].counts[layout.traffic_start : layout.past_start] = traffic[place]
    return folded


def past_predictions(layout: OutcomeLayout, cells: Ints) -> Outcomes:
    """Outcomes of an expired block from its predictions (outputs.cells,), which coverage still needs."""
    outcomes = Outcomes.empty(layout)
    outcomes.counts[layout.past_start :] = cells
    return outcomes


def only_predictions(layout: OutcomeLayout, hours: Mapping[int, Outcomes]) -> dict[int, Outcomes]:
    """Outcomes by hour without the counts of labelled rows."""
    found = {}
    for hour, outcomes in hours.items():
        if outcomes.counts[layout.traffic_start :].any():
            found[hour] = Outcomes.empty(layout)
            found[hour].counts[layout.traffic_start :] = outcomes.counts[layout.traffic_start :]
    return found


def _fold(
    layout: OutcomeLayout,
    labels: Values,
    predictions: Values,
    scores: Floats | None,
    hours: Ints,
    sign: int,
) -> dict[int, Outcomes]:
    rows = read_rows(layout, labels, predictions, scores)
    unique, first, block = _group(hours)
    count = len(unique)
    places = np.concatenate([np.where(cell >= 0, block * layout.counts + cell, -1) for cell in rows.cells])
    counts = sign * np.bincount(places[places >= 0], minlength=count * layout.counts).astype(np.int32)

    inside = rows.bins >= 0
    places = block[inside] * layout.sums + rows.bins[inside]
    units = np.round(rows.scores[inside] / SCORE_UNIT)  # sums of a slice are at most 2^46, which is exact
    sums = sign * np.bincount(places, units, minlength=count * layout.sums).astype(np.int64)
    by_hour = np.argsort(block, kind="stable")
    terms, rests = np.split(rows.terms[:, by_hour], [len(layout.terms)])
    limbs, low_limbs = (np.add.reduceat(split(part), first, axis=2) for part in (terms, rests))
    limbs[:, layout.squares] += low_limbs
    sums.reshape(count, -1)[:, layout.bins :] = sign * limbs.transpose(2, 1, 0).reshape(count, -1)
    # Copies, so that a part does not keep the memory of all parts.
    parts = zip(unique.tolist(), counts.reshape(count, -1), sums.reshape(count, -1), strict=True)
    return {hour: Outcomes(own_counts.copy(), own_sums.copy()) for hour, own_counts, own_sums in parts}


def _group(hours: Ints) -> tuple[Ints, Ints, Ints]:
    """Distinct hours, the first position of each in rows sorted by hour, and (rows,) indices of hours."""
    unique, block, counts = np.unique(hours, return_inverse=True, return_counts=True)
    return unique, np.cumsum(counts) - counts, block
