import numpy as np

from exporter.measures.layout import CellLayout

# a number with three bins, a category with two: (other) and (unseen)
OFFSETS = np.array([0, 5, 9])
CELLS = np.array([1, 2, 3, 4, 5, 6, 7, 8, 9])


def test_bins_are_padded_to_the_widest_column_and_quality_cells_are_left_out() -> None:
    layout = CellLayout.of(OFFSETS, ["number", "category"])

    assert layout.pad(CELLS).tolist() == [[1, 2, 3], [6, 7, 0]]
    assert layout.mask.tolist() == [[True, True, True], [True, True, False]]


def test_rows_of_a_column_include_missing_and_mismatched_ones() -> None:
    layout = CellLayout.of(OFFSETS, ["number", "category"])

    assert layout.rows(CELLS).tolist() == [15, 30]


def test_several_windows_are_padded_at_once() -> None:
    layout = CellLayout.of(OFFSETS, ["number", "category"])

    windows = np.stack([CELLS, 10 * CELLS])

    assert layout.pad(windows)[1].tolist() == [[10, 20, 30], [60, 70, 0]]
    assert layout.rows(windows).tolist() == [[15, 30], [150, 300]]


def test_only_numbers_and_times_are_ordered_only_numbers_bounded_only_lists_can_hold_unseen_values() -> None:
    layout = CellLayout.of(np.arange(5) * 5, ["number", "time", "category", "boolean"])

    assert layout.ordered.tolist() == [True, True, False, False]
    assert layout.bounded.tolist() == [True, False, False, False]
    assert layout.listed.tolist() == [False, False, True, True]
