"""Columns, the names of their cells, and where these lie side by side."""

from __future__ import annotations

import numpy as np
import pytest

from exporter.reference.bins import BinLayout, Column
from exporter.reference.profile import Reference
from tests.support.references import make_reference


@pytest.fixture(scope="module")
def reference() -> Reference:
    return make_reference()


def test_columns_lie_one_after_the_other_without_gaps(reference: Reference) -> None:
    sizes = [column.cells for column in reference.columns]

    assert reference.offsets.tolist() == [0, *np.cumsum(sizes)]
    assert reference.cells == len(reference.counts) == sum(sizes)
    for column in reference.columns:
        assert len(column.cell_names) == column.cells == column.bins + 2
        assert list(column.cell_names) == sorted(set(column.cell_names))


def test_numbers_have_a_bin_beyond_each_edge_of_their_range() -> None:
    column = Column("x", "feature", "number", edges=np.array([0.0, 2.5, 1000.0]))

    assert column.cell_names == (
        "00 < 0",
        "01 [0, 2.5)",
        "02 [2.5, 1000)",
        "03 >= 1000",
        "04 (missing)",
        "05 (mismatch)",
    )


def test_neighbouring_edges_are_told_apart() -> None:
    column = Column("x", "feature", "number", edges=np.array([1.0, 1.00001, 1.0000100001, 1.00001000010001]))

    assert len({name[3:] for name in column.cell_names}) == column.cells


def test_a_long_category_is_cut_and_cannot_collide() -> None:
    column = Column("x", "feature", "category", categories=("a" * 41, "a" * 42, "a" * 40, "(other)"))

    assert column.cell_names[:5] == (
        "00 " + "a" * 39 + "…",
        "01 " + "a" * 39 + "…",
        "02 " + "a" * 40,
        "03 (other)",
        "04 (other)",
    )


def test_numeric_columns_lie_side_by_side(reference: Reference) -> None:
    bins = reference.numeric_bins
    columns = [reference.columns[index] for index in bins.columns]

    assert [column.name for column in columns] == ["age", "seen", "score"]
    for place, column in enumerate(columns):
        edges = bins.edges[:, place, 0]
        np.testing.assert_array_equal(edges[: len(column.edges)], column.edges)
        assert np.isnan(edges[len(column.edges) :]).all()
        assert bins.missing[place, 0] == bins.offsets[place, 0] + column.bins


def test_a_reference_without_numbers_has_none_side_by_side() -> None:
    column = Column("x", "feature", "category", categories=("a",))
    bins = BinLayout((column,)).numeric_bins

    assert (len(bins.columns), bins.edges.shape) == (0, (0, 0, 1))
