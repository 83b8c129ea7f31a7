"""Counts that no rows can have are refused, and counts of rows are not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.aggregates.block import Block
from exporter.aggregates.outcome_layout import ROW_FACTS
from exporter.aggregates.outcomes import Outcomes
from exporter.errors import MalformedError
from exporter.folding.checks import check_part
from exporter.folding.fold import Folder
from exporter.folding.part import Counted, Part, read_part
from exporter.folding.reference_document import FoldingReference
from exporter.measures.exact_sum import LIMBS
from tests.support.folded import make_folding_reference, make_live_table
from tests.support.labelled import TASKS

REFERENCES = {task: make_folding_reference(task) for task in TASKS}


def one_part(task: str, rows: int = 300, seed: int = 1) -> Part:
    folder = Folder(REFERENCES[task], hourly=True)
    folder.add_rows(make_live_table(task, rows, seed, span_seconds=1800))
    return max(folder.parts, key=lambda part: part.rows)


@pytest.mark.parametrize("task", TASKS)
@settings(max_examples=15)
@given(rows=st.integers(1, 60), seed=st.integers(0, 1000))
def test_counts_of_rows_pass(task: str, rows: int, seed: int) -> None:
    part, reference = one_part(task, rows, seed), REFERENCES[task]
    check_part(read_part(part.to_json(reference), reference, ""), reference, "")
    both = part + part
    check_part(both + both, reference, "")


def with_block(part: Part, **changes: Any) -> Part:
    return replace(part, whole=replace(part.whole, block=replace(part.whole.block, **changes)))


def changed(values: np.ndarray[Any, Any], place: object, to: object) -> np.ndarray[Any, Any]:
    copy = values.copy()
    copy[place] = to
    return copy


def with_outcomes(part: Part, place: int, by: int) -> Part:
    """Another count of the outcomes at a place."""
    outcomes = part.whole.outcomes
    assert outcomes is not None
    counts = outcomes.counts.copy()
    counts[place] += by
    return replace(part, whole=Counted(part.whole.block, Outcomes(counts, outcomes.sums)))


def with_sums(part: Part, place: int, to: int) -> Part:
    outcomes = part.whole.outcomes
    assert outcomes is not None
    sums = changed(outcomes.sums, place, to)
    return replace(part, whole=Counted(part.whole.block, Outcomes(outcomes.counts, sums)))


def shifted(part: Part) -> Part:
    """A row in another column's cell."""
    counts = part.whole.block.counts.copy()
    counts[np.flatnonzero(counts)[0]] -= 1
    counts[-1] += 1
    return with_block(part, counts=counts)


def without_segment(part: Part) -> Part:
    name = next(iter(part.segments))
    return replace(part, segments={k: v for k, v in part.segments.items() if k != name})


def with_segment(part: Part, change: Callable[[Counted], Counted]) -> Part:
    name = next(iter(part.segments))
    return replace(part, segments={**part.segments, name: change(part.segments[name])})


def moment(row: int, column: int, to: float) -> Callable[[Part], Part]:
    return lambda part: with_block(part, moments=changed(part.whole.block.moments, (row, column), to))


def latency_of_segment(counted: Counted) -> Counted:
    return replace(counted, block=replace(counted.block, latency_sum=1.0))


LAYOUT = REFERENCES["binary"].layout
assert LAYOUT is not None
DAMAGE: dict[str, Callable[[Part], Part]] = {
    "no rows": lambda part: with_block(part, rows=0),
    "more rows": lambda part: with_block(part, rows=part.rows + 1),
    "negative rows": lambda part: with_block(part, rows=-part.rows),
    "too many rows": lambda part: with_block(part, rows=2**40),
    "a count that overflows": lambda part: with_block(
        part, counts=changed(part.whole.block.counts.astype(np.uint64), 0, 2**64 - 1)
    ),
    "a row in another column": shifted,
    "cells of another reference": lambda part: with_block(part, counts=part.whole.block.counts[:-1]),
    "moments of another reference": lambda part: with_block(part, moments=part.whole.block.moments[:-1]),
    "a NaN in the moments": moment(0, 1, np.nan),
    "an infinite moment": moment(0, 2, np.inf),
    "a moment of another number of values": moment(0, 0, 7.0),
    "a sum that no values have": moment(0, 1, 1e12),
    "a negative sum of squares": moment(0, 2, -1.0),
    "squares that the sum does not allow": moment(0, 2, 0.0),
    "negative latencies": lambda part: with_block(part, latency=changed(part.whole.block.latency, 0, -1)),
    "more latencies than rows": lambda part: with_block(part, latency=part.whole.block.latency + part.rows),
    "latencies that overflow": lambda part: with_block(
        part, latency=np.full_like(part.whole.block.latency, 2**62)
    ),
    "a sum of latencies that is infinite": lambda part: with_block(part, latency_sum=np.inf),
    "a sum of latencies that is NaN": lambda part: with_block(part, latency_sum=np.nan),
    "a sum of latencies that is negative": lambda part: with_block(part, latency_sum=-1.0),
    "a start within a block": lambda part: replace(part, start=part.start + 1, newest=part.newest + 1),
    "blocks of another length": lambda part: replace(part, seconds=7200),
    "a newest row after the block": lambda part: replace(part, newest=part.start + 3600.0),
    "a newest row that is NaN": lambda part: replace(part, newest=np.nan),
    "more labels": lambda part: replace(part, labels=part.labels + 1),
    "negative labels": lambda part: replace(part, labels=-1),
    "no outcomes of the labels": lambda part: replace(part, whole=replace(part.whole, outcomes=None)),
    "negative outcomes": lambda part: with_outcomes(part, 0, -10_000),
    "more labelled rows": lambda part: with_outcomes(part, ROW_FACTS.index("rows"), 1),
    "more matches": lambda part: with_outcomes(part, ROW_FACTS.index("matches"), 1),
    "more losses": lambda part: with_outcomes(part, ROW_FACTS.index("scored"), part.rows),
    "an output cell more": lambda part: with_outcomes(part, len(ROW_FACTS), 1),
    "a confusion more": lambda part: with_outcomes(part, LAYOUT.confusion_start, 1),
    "scores without rows": lambda part: with_outcomes(part, LAYOUT.traffic_start, part.rows),
    "labelled scores without labels": lambda part: with_outcomes(part, LAYOUT.histogram_start, part.rows),
    "past predictions": lambda part: with_outcomes(part, LAYOUT.past_start, 1),
    "a sum of scores too large": lambda part: with_sums(part, 5, 2**62),
    "a negative sum of scores": lambda part: with_sums(part, 5, -1),
    "a negative loss": lambda part: with_sums(part, LAYOUT.bins + LIMBS - 1, -(2**31)),
    "a loss that its squares do not have": lambda part: with_sums(part, LAYOUT.bins + 4, 2**35),
    "a limb that overflows": lambda part: with_sums(part, LAYOUT.bins, 2**62),
    "no segment": without_segment,
    "an unknown segment": lambda part: replace(
        part, segments={**part.segments, "other": next(iter(part.segments.values()))}
    ),
    "rows of another segment": lambda part: with_segment(
        part, lambda counted: replace(counted, block=part.whole.block)
    ),
    "latency of a segment": lambda part: with_segment(part, latency_of_segment),
    "outcomes of all in a segment": lambda part: with_segment(
        part, lambda counted: replace(counted, outcomes=part.whole.outcomes)
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_counts_that_no_rows_have_are_refused(damage: str) -> None:
    part = one_part("binary")
    with pytest.raises(MalformedError) as refused:
        check_part(DAMAGE[damage](part), REFERENCES["binary"], "parts[0]")
    assert refused.value.where == "parts[0]"


def test_bytes_that_unpack_to_more_than_a_block_are_refused(binary_reference: FoldingReference) -> None:
    part = one_part("binary")
    bomb = Block(part.rows, np.zeros(5_000_000, np.uint32), np.zeros((1, 3)), part.whole.block.latency, 0.0)
    document = replace(part, whole=Counted(bomb, None)).to_json(binary_reference)
    assert len(document["block"]) < 10**6
    with pytest.raises(MalformedError, match="too large"):
        read_part(document, binary_reference, "parts[0]")
