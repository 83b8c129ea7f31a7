"""Mergeable counts and sums of labelled rows: what came true of what was predicted.

    label batch -> join with the predictions -> fold -> Outcomes of the prediction's hour -> sum over a window

Outcomes are signed: a correction is what the new label says minus what the old one said. All of it are
integers, so nothing is left of what was taken back, whatever the order.
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
from exporter.aggregates.outcome_layout import FACTS, OutcomeLayout
from exporter.aggregates.sparse import Sparse, encode_each, pack
from exporter.errors import StoreError
from exporter.formats.columns import Values, take_rows
from exporter.formats.decoding import decoding
from exporter.measures.exact_sum import LIMBS, split, total
from exporter.typing import Floats, Ints

# Upper bounds in seconds of the buckets of label delays, a minute to a month; one more holds the rest.
LABEL_DELAY_BOUNDS = (
    60.0, 300.0, 900.0, 3600.0, 14400.0, 43200.0, 86400.0, 259200.0, 604800.0, 1209600.0, 2592000.0,
)  # fmt: skip
CODEC_VERSION = 2
SCORE_UNIT = 2.0**-32
SLICE_ROWS = 16_384  # folded at once: a large reference would take several times its size otherwise
ENCODED_AT_ONCE = 256
_HEADER = struct.Struct("<B16sI")


class Outcomes:
    """Of the labelled rows of one hour, or the change that a batch makes to them.

    `counts` (layout.counts,) and `sums` (layout.sums,) as the layout says. Arrays are never changed in place.
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
        """The same in less memory: most of an hour's counts are zero, and the others are small."""
        return self if self.is_packed else Outcomes(pack(self.counts), pack(self.sums))

    def __add__(self, other: Outcomes) -> Outcomes:
        return Outcomes(self.counts + other.counts, self.sums + other.sums)

    def __bool__(self) -> bool:
        """Whether there is anything in it; an hour whose labels were all taken back has nothing."""
        return bool(self.counts.any() or self.sums.any())

    def encode(self, layout: OutcomeLayout) -> bytes:
        """Bytes for the store."""
        return encode_outcomes(layout, [self])[0]


def encode_outcomes(layout: OutcomeLayout, parts: Sequence[Outcomes]) -> list[bytes]:
    """Bytes for the store of each: a batch of labels may be for hundreds of hours."""
    encoded = list[bytes]()
    for start in range(0, len(parts), ENCODED_AT_ONCE):
        some = parts[start : start + ENCODED_AT_ONCE]
        counts = encode_each(np.stack([part.counts for part in some]))
        sums = encode_each(np.stack([part.sums for part in some]))
        encoded += [
            _HEADER.pack(CODEC_VERSION, layout.digest, zlib.crc32(body)) + body
            for body in map(bytes.__add__, counts, sums)
        ]
    return encoded


def decode_outcomes(layout: OutcomeLayout, data: bytes) -> Outcomes:
    """Read what `Outcomes.encode` wrote.

    Raises:
        StoreDamagedError: they are broken, or cut short.
        StoreError: written by another version of the codec, or counted in another layout.
    """
    with decoding("stored outcomes"):
        codec, digest, checksum = _HEADER.unpack_from(data)
        if codec != CODEC_VERSION:
            raise StoreError(f"stored outcomes have format {codec}, this is {CODEC_VERSION}")
        if digest != layout.digest:
            raise StoreError("stored outcomes were counted in another layout")
        if zlib.crc32(data[_HEADER.size :]) != checksum:
            raise ValueError("their checksum is another")
        counts, end = Sparse.decode(data, _HEADER.size, layout.counts, np.int32)
        sums, _ = Sparse.decode(data, end, layout.sums, np.int64)
        return Outcomes(counts, sums)


@dataclass(frozen=True)
class Tally:
    """Outcomes of a window, taken apart.

    `rows` labelled rows, `unusable` further ones whose label is missing or no number, `matches` those whose
    label is the prediction, `scored` those with losses, `zeros` those whose label is 0. `cells` are in the
    layout of the outputs, and so is `past`; `confusion`, `histogram` and `traffic` as in the layout, `scores`
    (bins,) sums of the scores, `sums` by the layout's terms.
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
    """The sum of outcomes of one layout."""
    listed = list(parts) or [Outcomes.empty(layout)]
    counts: Ints = np.sum([part.counts for part in listed], axis=0, dtype=np.int64)
    sums: Ints = np.sum([part.sums for part in listed], axis=0)
    rows, unusable, matches, scored, zeros = counts[: len(FACTS)].tolist()
    limbs = sums[layout.bins :].reshape(-1, LIMBS)
    return Tally(
        rows=rows,
        unusable=unusable,
        matches=matches,
        scored=scored,
        zeros=zeros,
        cells=counts[len(FACTS) : layout.confusion_start],
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
    """Outcomes by hour of rows whose label and prediction were joined.

    Labels and predictions may be as they came or as canonical texts: 1, 1.0, true and "1" are one class, and
    "12.5" is a number. Rows without a usable label count as `unusable`, and as nothing else.

    Args:
        layout: of the version that predicted.
        labels: (rows,) what came true.
        predictions: (rows,) what was predicted.
        scores: (rows,) of the positive class, or of the predicted one where there are more than two; or
            (rows, classes) of each class. NaN where a row has none; None where no row has one.
        hours: (rows,) start of the hour of each prediction, or of whatever block outcomes are kept in.
        sign: 1 to count rows, -1 to take them back.
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
    """Scores of predictions by hour, from which their quality is estimated until labels come.

    Args:
        layout: what is counted.
        places: (rows,) as `place_scores` gives them; -1 for rows without a score, which are not counted.
        hours: (rows,) start of the hour of each, in seconds since the epoch.
    """
    known = places >= 0
    places, hours = places[known], hours[known]
    if not len(hours):
        return {}
    unique, block = hours[:1], np.zeros(1, np.int64)
    if (hours != unique).any():  # unusual: a batch is of one moment
        unique, block = np.unique(hours, return_inverse=True)
    width = 2 * layout.bins
    traffic = np.bincount(block * width + places, minlength=len(unique) * width).reshape(-1, width)
    folded = {}
    for place, hour in enumerate(unique.tolist()):
        folded[hour] = Outcomes.empty(layout)
        folded[hour].counts[layout.traffic_start : layout.past_start] = traffic[place]
    return folded


def past_predictions(layout: OutcomeLayout, cells: Ints) -> Outcomes:
    """Predictions of an hour whose block goes: (outputs.cells,) their counts, which coverage needs longer."""
    outcomes = Outcomes.empty(layout)
    outcomes.counts[layout.past_start :] = cells
    return outcomes


def only_predictions(layout: OutcomeLayout, hours: Mapping[int, Outcomes]) -> dict[int, Outcomes]:
    """What was counted of predictions by hour, without what labels added."""
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
    units = np.round(rows.scores[inside] / SCORE_UNIT)  # of a slice they add up to 2^46 at most: exactly
    sums = sign * np.bincount(places, units, minlength=count * layout.sums).astype(np.int64)
    by_hour = np.argsort(block, kind="stable")
    terms, rests = np.split(rows.terms[:, by_hour], [len(layout.terms)])
    limbs, low_limbs = (np.add.reduceat(split(part), first, axis=2) for part in (terms, rests))
    limbs[:, layout.squares] += low_limbs
    sums.reshape(count, -1)[:, layout.bins :] = sign * limbs.transpose(2, 1, 0).reshape(count, -1)
    # Copies: a part that is kept must not keep all the others.
    parts = zip(unique.tolist(), counts.reshape(count, -1), sums.reshape(count, -1), strict=True)
    return {hour: Outcomes(own_counts.copy(), own_sums.copy()) for hour, own_counts, own_sums in parts}


def _group(hours: Ints) -> tuple[Ints, Ints, Ints]:
    """The distinct hours, where each begins once rows are sorted by hour, and which is each row's."""
    unique, block, counts = np.unique(hours, return_inverse=True, return_counts=True)
    return unique, np.cumsum(counts) - counts, block
