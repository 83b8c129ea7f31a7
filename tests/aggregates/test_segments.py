"""Rows are counted in the segments that they are in."""

from __future__ import annotations

import json

import numpy as np

from exporter.aggregates.segments import coarse_starts, fold_segments, segments_of_rows
from exporter.formats.columns import encode_texts
from exporter.reference.binning import Binned, bin_columns
from exporter.reference.bins import Column
from exporter.reference.profile import Reference, Segment

COLUMNS = (
    Column("country", "feature", "category", categories=("DE", "FR")),
    Column("new", "feature", "boolean", categories=("0", "1")),
)


def make_reference() -> Reference:
    def profile(**more: tuple[Segment, ...]) -> Reference:
        return Reference(COLUMNS, np.zeros(12, np.int64), np.zeros((2, 3)), 0, "", "tests", **more)

    segments = (Segment("country=FR", 0, 1, profile()), Segment("new=true", 1, 7, profile()))
    return profile(segments=segments)


REFERENCE = make_reference()


def binned() -> Binned:
    values = {
        ("feature", "country"): encode_texts(["DE", "FR", "FR", None]),
        ("feature", "new"): encode_texts(["1", "1", "0", "0"]),
    }
    return bin_columns(REFERENCE, values, 4, np.zeros(4))


def test_a_row_counts_in_each_of_its_segments_by_block() -> None:
    found = list(fold_segments(REFERENCE, binned(), np.array([0, 0, 3600, 0])))

    assert [(name, start, block.rows) for name, start, block in found] == [
        ("country=FR", 0, 1),
        ("country=FR", 3600, 1),
        ("new=true", 0, 2),
    ]
    assert [int(block.counts.sum()) for *_, block in found] == [2, 2, 4]  # once in each column


def test_the_segments_of_a_row_are_named_in_one_text() -> None:
    texts = segments_of_rows(REFERENCE, binned())

    assert [json.loads(text) if text else [] for text in texts] == [
        ["new=true"],
        ["country=FR", "new=true"],
        ["country=FR"],
        [],
    ]


def test_coarse_blocks_start_at_or_before_their_rows() -> None:
    assert coarse_starts(np.array([0.0, 3599.9, 3600.0, -1.0]), 3600).tolist() == [0, 0, 3600, -3600]
