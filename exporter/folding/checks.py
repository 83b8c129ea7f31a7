"""Checks of parts of foreign origin: counts that rows can have, whatever the rows were.

What passes adds up to a state in which nothing overflows and every figure can be computed: shares are at most
1, and variances are not negative.
"""

from __future__ import annotations

import numpy as np

from exporter.aggregates.block import LATENCY_BOUNDS, Block
from exporter.aggregates.outcome_layout import ROW_FACTS, OutcomeLayout
from exporter.aggregates.outcomes import Outcomes
from exporter.errors import MalformedError
from exporter.folding.part import Counted, Part
from exporter.folding.reference_document import FoldingReference
from exporter.formats.row_fields import MAX_LATENCY_SECONDS
from exporter.measures.exact_sum import LIMB_BITS, LIMBS, total
from exporter.reference.profile import Reference
from exporter.typing import Ints

MAX_ROWS = 2**31 - 1  # of a part: counts of outcomes have 32 bits
_SLACK = 1e-6  # for sums of floats, relative to their bounds
# The second of a pair is the exact sum of squares of the first: (sum x)^2 <= rows * (sum x^2).
_SQUARES = {
    "log_loss": "log_loss2", "brier": "brier2", "e": "e2", "|e|": "e2", "y": "y2", "|e/y|": "(e/y)2",
}  # fmt: skip
_NOT_NEGATIVE = {*_SQUARES.values(), "log_loss", "brier", "|e|", "|e/y|", "e4", "y4", "e2y2"}


def check_part(part: Part, reference: FoldingReference, where: str) -> None:
    """Check a part of a request.

    Args:
        part: its counts, in the shapes of `reference` or not.
        reference: in whose bins they should be.
        where: its place in the request.

    Raises:
        MalformedError: rows cannot have these counts.
    """
    _require(part.seconds in (reference.block_seconds, reference.hour_seconds), "seconds of no block", where)
    _require(part.start % part.seconds == 0, "no start of a block", where)
    _require(part.start <= part.newest < part.start + part.seconds, "newest is not in the block", where)
    rows = part.rows
    _require(0 < rows <= MAX_ROWS, f"a part has 1 to {MAX_ROWS} rows", where)
    _require(0 <= part.labels <= rows, "more labels than rows", where)
    whole, layout = part.whole.block, reference.layout
    _check_block(whole, reference.reference, where)
    if part.whole.outcomes is not None and layout is not None:
        _check_outcomes(part.whole.outcomes, layout, rows, where)
        _require(_labelled(part.whole.outcomes) == part.labels, "labels differ from outcomes", where)
    else:
        _require(not part.labels or layout is None, "labels without outcomes", where)
    segments = {segment.name: segment for segment in reference.reference.segments}
    _require(part.segments.keys() <= segments.keys(), "a segment that the reference lacks", where)
    for name, segment in segments.items():
        inside = part.segments.get(name)
        expected = int(whole.counts[segment.cell])
        _require((inside.block.rows if inside else 0) == expected, f"rows of {name!r} differ", where)
        if inside is not None:
            _check_segment(inside, part, reference, where)


def _check_segment(inside: Counted, part: Part, reference: FoldingReference, where: str) -> None:
    block, whole, layout = inside.block, part.whole, reference.layout
    _check_block(block, reference.reference, where)
    _require(bool((block.counts <= whole.block.counts).all()), "more in a segment than in all", where)
    _require(not block.latency.any() and block.latency_sum == 0, "latency of a segment", where)
    if inside.outcomes is not None and layout is not None:
        _check_outcomes(inside.outcomes, layout, block.rows, where)
        counts = inside.outcomes.counts
        _require(not counts[layout.traffic_start :].any(), "scores of a segment", where)
        _require(whole.outcomes is not None, "outcomes of a segment alone", where)
        assert whole.outcomes is not None
        _require(bool((counts <= whole.outcomes.counts).all()), "more in a segment than in all", where)


def _check_block(block: Block, reference: Reference, where: str) -> None:
    counts, moments, rows = block.counts.astype(np.uint64), block.moments, np.uint64(block.rows)
    _require(len(counts) == reference.cells, "counts of other bins", where)
    _require(moments.shape == (len(reference.columns), 3), "moments of other columns", where)
    # First each count: sums of large ones could overflow.
    _require(bool((counts <= rows).all()), "a count above the rows", where)
    of_columns = np.add.reduceat(counts, reference.offsets[:-1])
    _require(bool((of_columns == rows).all()), "counts of a column do not add up to the rows", where)
    _check_moments(block, reference, where)
    _check_latency(block, where)


def _check_moments(block: Block, reference: Reference, where: str) -> None:
    moments, bins = block.moments, reference.numeric_bins
    _require(bool(np.isfinite(moments).all()), "moments are finite numbers", where)
    others = np.delete(moments, reference.numeric, axis=0)
    _require(not others.any(), "moments of a column without numbers", where)
    if not len(bins.columns):
        return
    present, sums, squares = moments[reference.numeric].T
    first = bins.offsets[:, 0]
    in_bins = [int(block.counts[a:b].sum()) for a, b in zip(first, bins.missing[:, 0], strict=True)]
    _require(present.tolist() == in_bins, "moments of other rows than the counts", where)
    ends = np.concatenate([bins.low - bins.center, bins.high - bins.center], axis=1) / bins.scale[:, :1]
    low, high = np.nan_to_num(ends.min(axis=1)), np.nan_to_num(ends.max(axis=1))
    most = np.maximum(np.abs(low), np.abs(high))
    with np.errstate(over="ignore", invalid="ignore"):
        slack = _SLACK * (1 + present * most)
        largest = np.nan_to_num(present * most**2)
        inside = (sums >= present * low - slack) & (sums <= present * high + slack)
        inside &= (squares >= 0) & (squares <= largest * (1 + _SLACK) + _SLACK)
        inside &= np.abs(sums) <= np.sqrt(present * squares) * (1 + _SLACK) + _SLACK * np.sqrt(present)
    _require(bool(inside.all()), "moments that no values have", where)


def _check_latency(block: Block, where: str) -> None:
    latency, seconds = block.latency, block.latency_sum
    _require(bool(((latency >= 0) & (latency <= block.rows)).all()), "latencies of no rows", where)
    _require(int(latency.sum()) <= block.rows, "more latencies than rows", where)
    upper = np.array([*LATENCY_BOUNDS, MAX_LATENCY_SECONDS])
    least, most = float(latency @ np.array([0.0, *LATENCY_BOUNDS])), float(latency @ upper)
    fits = np.isfinite(seconds) and least * (1 - _SLACK) <= seconds <= most * (1 + _SLACK)
    _require(bool(fits), "a sum of latencies that these do not have", where)


def _labelled(outcomes: Outcomes) -> int:
    rows, unusable = outcomes.counts[:2].tolist()
    return int(rows + unusable)


def _check_outcomes(outcomes: Outcomes, layout: OutcomeLayout, rows: int, where: str) -> None:
    counts, sums = outcomes.counts.astype(np.int64), outcomes.sums
    _require(bool(((counts >= 0) & (counts <= rows)).all()), "outcomes of no rows", where)
    facts = dict(zip(ROW_FACTS, counts[: len(ROW_FACTS)].tolist(), strict=True))
    labelled = facts["rows"]
    _require(labelled + facts["unusable"] <= rows, "more labels than rows", where)
    _require(max(facts["matches"], facts["scored"], facts["zeros"]) <= labelled, "more than labels", where)
    _require(not counts[layout.past_start :].any(), "predictions of expired blocks", where)
    _require(int(counts[layout.traffic_start : layout.past_start].sum()) <= rows, "too many scores", where)
    cells = counts[len(ROW_FACTS) : layout.confusion_start]
    of_outputs = np.add.reduceat(cells, layout.outputs.offsets[:-1])
    _require(bool((of_outputs == labelled).all()), "outputs do not add up to the labels", where)
    histogram = counts[layout.histogram_start : layout.traffic_start].reshape(4, layout.bins)
    _require(int(histogram.sum()) <= labelled, "more scores than labels", where)
    if layout.classifies:
        confusion = counts[layout.confusion_start : layout.histogram_start].reshape(layout.sides, -1)
        _require(int(confusion.sum()) == labelled, "the confusion matrix does not add up", where)
        known = int(np.trace(confusion)) - int(confusion[-1, -1])
        matches = known <= facts["matches"] <= int(np.trace(confusion))
        _require(matches, "matches differ from the confusion matrix", where)
        _require(facts["scored"] <= int(histogram.sum()), "more losses than scores", where)
    _check_sums(sums, layout, histogram.sum(axis=0), facts, where)


def _check_sums(sums: Ints, layout: OutcomeLayout, scores: Ints, facts: dict[str, int], where: str) -> None:
    units = sums[: layout.bins]
    bound = (scores if layout.probabilities else np.zeros_like(scores)) << LIMB_BITS
    _require(bool(((units >= 0) & (units <= bound)).all()), "sums of scores that these do not have", where)
    labelled = facts["scored"] if layout.classifies else facts["rows"]
    limbs = sums[layout.bins :].reshape(-1, LIMBS)
    # A square is summed as two numbers.
    most = (2 * labelled) << LIMB_BITS
    _require(bool(((limbs >= -most) & (limbs <= most)).all()), "sums of no rows", where)
    totals = {term: total(part) for term, part in zip(layout.terms, limbs, strict=True)}
    for term, value in totals.items():
        _require(value >= 0 or term not in _NOT_NEGATIVE, f"a negative sum of {term}", where)
        if term in _SQUARES:
            summed = labelled - facts["zeros"] if term == "|e/y|" else labelled
            fits = value**2 <= summed * totals[_SQUARES[term]]
            _require(fits, f"a sum of {term} that its squares do not have", where)


def _require(fits: bool, detail: str, where: str) -> None:
    if not fits:
        raise MalformedError(detail, where)
