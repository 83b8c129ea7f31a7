"""Windows are compared with a base, and judged by score, significance and confirmation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from exporter.evaluation.comparison import (
    DRIFTED,
    STABLE,
    UNDECIDED,
    Comparison,
    Undecided,
    compare,
    explain,
    judge,
)
from exporter.typing import Floats
from tests.support.traffic import EVEN, cells_of, make_column, make_reference

LIMIT, SIGNIFICANT = np.array([[0.5]]), np.array([[4.0]])


def comparison(excess: float, size: float = 1000.0, bins: int = 10, error: float = 0.01) -> Comparison:
    values: dict[str, Any] = {"rows": size, "effective": size, "size": size, "score": excess, "error": error}
    figures = {name: np.array([[value]]) for name, value in values.items()}
    return Comparison(bins=np.array([[bins]]), floor=np.zeros((1, 1)), p=np.zeros((1, 1)), **figures)


def verdict(now: Comparison, then: Comparison, significance: Floats = SIGNIFICANT, **more: Any) -> int:
    return int(judge(now, then, LIMIT, significance, **more)[0, 0])


@pytest.mark.parametrize(("bins", "rows"), [(10, 400), (32, 650)])
def test_the_ordinary_verdict_needs_more_rows_for_more_bins(bins: int, rows: int) -> None:
    assert comparison(0.0, bins=bins).needed[0, 0] == pytest.approx(rows)
    assert comparison(0.0, rows, bins).enough[0, 0]
    assert not comparison(0.0, rows - 1, bins).enough[0, 0]


@pytest.mark.parametrize(
    ("now", "then", "expected"),
    [
        (0.6, 0.6, DRIFTED),
        (0.6, 0.4, STABLE),
        (1.6, 0.0, DRIFTED),
        (0.4, 0.6, STABLE),
    ],
    ids=["confirmed", "not confirmed", "gross", "over"],
)
def test_drift_is_confirmed_or_gross(now: float, then: float, expected: int) -> None:
    assert verdict(comparison(now), comparison(then)) == expected


def test_drift_is_significant() -> None:
    assert verdict(comparison(1.6), comparison(1.6), np.array([[2.9]])) == STABLE


def test_a_window_before_with_too_few_rows_confirms_nothing() -> None:
    assert verdict(comparison(0.6), comparison(0.6, size=10)) == UNDECIDED


def test_reported_drift_lasts_until_three_quarters_of_the_limit() -> None:
    held = np.array([[True]])

    assert [verdict(comparison(now), comparison(0.0), held=held) for now in (0.4, 0.37)] == [DRIFTED, STABLE]


def test_gross_drift_has_to_be_confirmed_where_that_is_asked_for() -> None:
    assert verdict(comparison(1.6), comparison(0.0), confirmed=True) == STABLE


def test_without_a_limit_there_is_no_verdict() -> None:
    now = comparison(9.0)

    found = judge(now, now, np.array([[np.nan]]), SIGNIFICANT)

    assert found[0, 0] == UNDECIDED
    reasons = explain(now, np.array([[np.nan]]), SIGNIFICANT, found, [""])
    assert reasons == [(Undecided("variation", "its natural variation is unknown"),)]


@pytest.mark.parametrize(
    ("significance", "then", "code"),
    [(2.9, 0.6, "significance"), (4.0, 0.4, "persistence"), (4.0, 0.6, "")],
    ids=["by chance", "not before", "drifted"],
)
def test_few_rows_far_beyond_the_limit_lack_significance_or_persistence(
    significance: float, then: float, code: str
) -> None:
    now, adjusted = comparison(0.6, size=100), np.array([[significance]])

    found = judge(now, comparison(then), LIMIT, adjusted)

    assert explain(now, LIMIT, adjusted, found, [""])[0][0].code == code


def test_dependent_rows_of_either_side_make_a_comparison_smaller() -> None:
    layout = make_reference([make_column("age")], [EVEN]).cell_layout
    base, window = cells_of([EVEN], 1000), cells_of([EVEN], 1000)[None]

    sizes = [
        float(compare(layout, base, window, np.full((1, 1), effect), base_effect).size[0, 0])
        for effect, base_effect in ((1.0, 1.0), (2.0, 1.0), (2.0, 2.0))
    ]

    assert sizes == pytest.approx([500, 1000 / 3, 250])
