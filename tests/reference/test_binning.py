"""Every value has exactly one cell, and its own, whatever it comes with."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from exporter.formats.categories import MISMATCHED
from exporter.formats.columns import OPAQUE, Times, Values, from_python, text_hash
from exporter.profiling.column_bins import number_column
from exporter.reference.binning import (
    bin_columns,
)
from exporter.reference.bins import BinLayout, Column, ColumnKind
from exporter.typing import Floats
from tests.support.wire import bin_decoded, decode

NOW = 1.8e9
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
JSON = st.recursive(
    SCALARS | st.sampled_from(["1", "01", "true", "False", "2026-11-23T10:00Z", 2**60, float(2**60)]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=4,
)
KINDS: tuple[ColumnKind, ...] = ("number", "category", "boolean", "time")


def numbers(*edges: float, **more: Any) -> Column:
    return Column("x", "feature", "number", edges=np.array(edges, np.float64), **more)


def categories(
    *texts: str, known: tuple[str, ...] = (), complete: bool = True, kind: ColumnKind = "category"
) -> Column:
    hashes = np.array(sorted(map(text_hash, known)), np.uint64)
    return Column("x", "feature", kind, categories=texts, known=hashes, known_complete=complete)


def cell_names(column: Column, values: Values) -> list[str]:
    """The name of each value's cell, without its index."""
    layout = BinLayout((column,))
    binned = bin_columns(layout, {("feature", "x"): values}, len(values), np.full(len(values), NOW))
    return [column.cell_names[cell].partition(" ")[2] for cell in binned.cells[0]]


def cells_of(column: Column, *values: object) -> list[str]:
    return cell_names(column, from_python(values))


def column_of(kind: ColumnKind) -> Column:
    if kind in ("number", "time"):
        return Column("x", "feature", kind, edges=np.array([-1.0, 0.0, 1e6]), low=-5.0, high=5.0, scale=2.0)
    return categories(
        *(("0", "1") if kind == "boolean" else ("1", "a", "1152921504606846976")), known=("b",), kind=kind
    )


# -- one cell each ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@given(values=st.lists(JSON, min_size=1, max_size=8))
def test_every_value_has_one_cell_of_its_column(kind: ColumnKind, values: list[object]) -> None:
    columns = (column_of("category"), column_of(kind), column_of("number"))
    layout = BinLayout(tuple(columns))
    binned = bin_columns(
        layout, {("feature", "x"): from_python(values)}, len(values), np.full(len(values), NOW)
    )

    counts = np.bincount(binned.cells.ravel(), minlength=layout.cells)
    assert len(counts) == layout.cells
    assert np.add.reduceat(counts, layout.offsets[:-1]).tolist() == [len(values)] * 3
    assert binned.cells.shape == (3, len(values))
    assert np.isfinite(binned.standard).all()
    assert (binned.standard[~binned.present] == 0).all()


@pytest.mark.parametrize("kind", KINDS)
@given(values=st.lists(JSON, min_size=1, max_size=8))
def test_a_value_has_the_same_cell_whatever_it_comes_with(kind: ColumnKind, values: list[object]) -> None:
    alone = [cells_of(column_of(kind), value)[0] for value in values]

    assert cells_of(column_of(kind), *values) == alone


# -- numbers ------------------------------------------------------------------------------------------------


def test_an_edge_is_the_first_value_of_the_bin_above_it() -> None:
    below, between, above = "< 0", "[0, 10)", ">= 10"

    assert cells_of(numbers(0, 10), -1e-9, 0, 9.999, 10, 1e308) == [below, between, between, above, above]


def test_infinities_are_out_of_range_and_nan_is_missing() -> None:
    assert cells_of(numbers(0, 10), math.inf, -math.inf, math.nan, None) == [
        ">= 10",
        "< 0",
        "(missing)",
        "(missing)",
    ]


def test_what_is_no_number_is_a_mismatch() -> None:
    assert cells_of(numbers(0, 10), 5, "5", [5], {"five": 5}, "", None) == [
        "[0, 10)",
        *["(mismatch)"] * 4,
        "(missing)",
    ]
    assert cells_of(numbers(0, 10), "5", None) == ["(mismatch)", "(missing)"]
    assert cell_names(numbers(0, 10), Times(np.array([5.0, np.nan]))) == ["(mismatch)", "(missing)"]


def test_true_is_one_and_false_is_zero_where_numbers_should_be() -> None:
    assert cells_of(numbers(0.5), True, False, 1) == [">= 0.5", "< 0.5", ">= 0.5"]


def test_integers_without_end_are_out_of_range() -> None:
    assert cells_of(numbers(0, 10), 10**400, -(10**400), 2**60) == [">= 10", "< 0", ">= 10"]


def test_a_column_without_edges_has_one_bin() -> None:
    assert cells_of(numbers(), 1, -1e300, None) == ["(any)", "(any)", "(missing)"]


def test_columns_may_have_different_numbers_of_edges() -> None:
    columns = [
        Column(name, "feature", "number", edges=np.arange(float(edges)))
        for name, edges in (("a", 0), ("b", 57), ("c", 3), ("d", 300))
    ]
    layout = BinLayout(tuple(columns))
    values = {("feature", name): np.array([-1.0, 1.0, 1e9]) for name in "abcd"}
    binned = bin_columns(layout, values, 3, np.full(3, NOW))

    within = binned.cells - layout.offsets[:-1, np.newaxis]
    assert within.tolist() == [[0, 0, 0], [0, 2, 57], [0, 2, 3], [0, 2, 300]]


def test_values_are_standardised_and_winsorised() -> None:
    column = numbers(0, center=10.0, scale=2.0, low=0.0, high=20.0)
    binned = bin_columns(
        BinLayout((column,)),
        {("feature", "x"): np.array([10.0, 14.0, 1e308, -math.inf, math.nan])},
        5,
        np.full(5, NOW),
    )

    assert binned.standard[0].tolist() == [0.0, 2.0, 5.0, -5.0, 0.0]
    assert binned.present[0].tolist() == [True, True, True, True, False]


FLOATS = st.floats(-1e30, 1e30).filter(lambda value: value == 0 or abs(value) > 1e-30)


@given(st.lists(FLOATS, min_size=1, max_size=30))
def test_a_value_of_the_reference_keeps_its_bin_as_float32(values: list[float]) -> None:
    column = number_column("x", "feature", "number", np.array(values))
    rounded = np.array(values, np.float32).astype(np.float64)
    # values that float32 cannot tell apart cannot keep apart
    assume(len(set(rounded.tolist())) == len(set(values)))

    assert cell_names(column, rounded) == cell_names(column, np.array(values))


# -- categories ---------------------------------------------------------------------------------------------


def test_one_in_any_notation_is_one_category() -> None:
    assert cells_of(categories("1", "01"), 1, 1.0, True, "1", "01", 1.5) == [
        "1",
        "1",
        "1",
        "1",
        "01",
        "(unseen)",
    ]
    for one in (1, 1.0, True, "1"):
        assert cells_of(categories("1", "01"), one) == ["1"]


def test_zero_has_no_sign() -> None:
    assert cells_of(categories("0"), -0.0, 0, False) == ["0", "0", "0"]


@pytest.mark.parametrize("number", [2**53 - 1, 2**53, 10**15, 10**20, 2**100])
def test_a_whole_number_is_one_category_as_integer_and_as_float(number: int) -> None:
    column = categories(str(number))

    assert cells_of(column, number) == cells_of(column, float(number)) == [column.cell_names[0][3:]]
    assert cells_of(column, number, "text") == cells_of(column, float(number), "text")


def test_neighbours_among_large_integers_are_two() -> None:
    assert cells_of(categories(str(2**60)), 2**60, 2**60 + 1) == [str(2**60), "(unseen)"]


def test_text_in_another_case_or_with_space_is_another_category() -> None:
    assert cells_of(categories("de"), "de", "DE", "de ", "") == ["de", "(unseen)", "(unseen)", "(unseen)"]


def test_a_rare_category_of_the_reference_is_other_and_a_new_one_unseen() -> None:
    column = categories("a", known=("rare", "rarer"))

    assert cells_of(column, "a", "rare", "rarer", "new") == ["a", "(other)", "(other)", "(unseen)"]


def test_nothing_is_unseen_where_the_reference_had_too_many_to_know() -> None:
    assert cells_of(categories("a", complete=False), "a", "new") == ["a", "(other)"]


def test_missing_and_mismatched_are_no_categories() -> None:
    column = categories("None", "nan", "[]")

    assert cells_of(column, None, math.nan, [], {}, "nan") == [
        "(missing)",
        "(missing)",
        "(mismatch)",
        "(mismatch)",
        "nan",
    ]
    assert cell_names(column, Times(np.array([1.0, np.nan]))) == ["(mismatch)", "(missing)"]
    assert cell_names(column, from_python([OPAQUE, None])) == ["(mismatch)", "(missing)"]


def test_no_text_is_taken_for_a_mark_of_ours() -> None:
    marks = ["(other)", "(unseen)", "(missing)", "(mismatch)", "".join(MISMATCHED)]

    assert cells_of(categories("a"), *marks) == ["(unseen)"] * 5
    assert cells_of(categories("(missing)"), "(missing)", None) == ["(missing)", "(missing)"]
    assert cells_of(categories("(missing)"), "(missing)") != cells_of(categories("a"), "(missing)")


def test_a_switch_is_told_in_every_language_of_ours() -> None:
    column = categories("0", "1", kind="boolean")
    ons, offs = (
        [True, 1, 1.0, "1", "true", "True", "TRUE", "1.0"],
        [False, 0, 0.0, "0", "false", "False", "FALSE", "0.0"],
    )

    assert cells_of(column, *ons) == ["true"] * len(ons)
    assert cells_of(column, *offs) == ["false"] * len(offs)
    assert cells_of(column, 2, "yes", None) == ["(unseen)", "(unseen)", "(missing)"]
    assert cells_of(column, True, False, None) == ["true", "false", "(missing)"]


def test_true_as_text_is_a_category_of_its_own_where_switches_are_not_known() -> None:
    assert cells_of(categories("1", "true"), "true", True) == ["true", "1"]


# -- dates --------------------------------------------------------------------------------------------------

HOUR_OLD = [NOW - 3600, "2027-01-15T07:00:00+00:00", "2027-01-15T08:00:00+01:00"]


@pytest.mark.parametrize("value", HOUR_OLD)
def test_a_date_counts_by_its_age_in_any_notation(value: object) -> None:
    column = Column("x", "feature", "time", edges=np.array([0.0, 3600.0, 7200.0]))

    assert cells_of(column, value) == ["[3600, 7200)"]
    assert cells_of(column, value, None, "soon", [1]) == [
        "[3600, 7200)",
        "(missing)",
        "(mismatch)",
        "(mismatch)",
    ]


def test_an_age_is_taken_at_the_time_of_the_row() -> None:
    column = Column("x", "feature", "time", edges=np.array([0.0, 3600.0]))
    rows: Floats = np.array([NOW, NOW + 3600, NOW - 3600])
    binned = bin_columns(BinLayout((column,)), {("feature", "x"): Times(np.full(3, NOW))}, 3, rows)

    assert binned.cells[0].tolist() == [1, 2, 0]


# -- batches ------------------------------------------------------------------------------------------------


def batch_of(features: dict[str, list[Any]], prediction: list[Any], **own: list[Any]) -> Any:
    return decode(
        {"model": "m", "version": "1", "columns": {"features": features, "prediction": prediction, **own}}
    )


LAYOUT = BinLayout(
    (
        Column("age", "feature", "number", edges=np.array([18.0, 65.0])),
        Column("country", "feature", "category", categories=("DE", "FR")),
        Column("prediction", "prediction", "category", categories=("0", "1")),
        Column("score", "score", "number", edges=np.array([0.5])),
    )
)


def test_columns_are_found_by_name_and_not_by_place() -> None:
    age, country = [41, 17], ["DE", "FR"]
    one = bin_decoded(LAYOUT, batch_of({"age": age, "country": country}, [1, 0]), np.zeros(2))
    other = bin_decoded(
        LAYOUT, batch_of({"country": country, "new": [1, 1], "age": age}, [1, 0]), np.zeros(2)
    )

    np.testing.assert_array_equal(one.cells, other.cells)


def test_a_column_that_does_not_come_is_missing_in_every_row() -> None:
    binned = bin_decoded(LAYOUT, batch_of({"country": ["DE", "FR"]}, [1, 0]), np.zeros(2))
    names = [[column.cell_names[cell - offset][3:] for cell in cells] for column, cells, offset in zip(
        LAYOUT.columns, binned.cells, LAYOUT.offsets, strict=False)]  # fmt: skip

    assert names == [["(missing)"] * 2, ["DE", "FR"], ["1", "0"], ["(missing)"] * 2]


def test_a_feature_may_have_the_name_of_the_prediction() -> None:
    binned = bin_decoded(LAYOUT, batch_of({"prediction": [0], "score": [0]}, [1], score=[0.7]), np.zeros(1))
    within = binned.cells[:, 0] - LAYOUT.offsets[:-1]

    assert within.tolist() == [3, 4, 1, 1]


def test_rows_can_be_taken_alone() -> None:
    binned = bin_decoded(LAYOUT, batch_of({"age": [1, 20, 70]}, [1, 0, 1]), np.zeros(3))
    taken = binned.take(np.array([2, 0]))

    assert taken.cells[0].tolist() == [2, 0]
    np.testing.assert_array_equal(taken.standard, binned.standard[:, [2, 0]])
    np.testing.assert_array_equal(taken.present, binned.present[:, [2, 0]])


# -- texts --------------------------------------------------------------------------------------------------
