import numpy as np
import pytest
from scipy.stats import binom

from exporter.measures.data_quality import degraded, hits, more_p_value, ratio
from tests.measures.tables import columns, layout_of


def verdict(
    check: str,
    found: float,
    rows: float,
    reference_share: float,
    *,
    reference_rows: float = 100_000,
    allowance: float = 0.0,
    design_effect: float = 1.0,
) -> bool | None:
    fired, known = degraded(
        check,
        np.array([found]),
        np.array([rows]),
        np.array([reference_share * reference_rows]),
        np.array([reference_rows]),
        np.array([allowance]),
        np.array([design_effect]),
    )
    assert known[0] or not fired[0]
    return bool(fired[0]) if known[0] else None


def test_missing_and_mismatched_are_shares_of_rows_the_others_of_values() -> None:
    layout = layout_of(["number", "category"], 4)
    cells = columns([10, 20, 30, 5, 25, 10], [10, 20, 30, 5, 25, 10])

    found, rows = hits(cells, layout)

    assert ratio(found["missing"], rows["missing"]).tolist() == [0.25, 0.25]
    assert ratio(found["type_mismatch"], rows["type_mismatch"]).tolist() == [0.1, 0.1]
    assert ratio(found["out_of_range"], rows["out_of_range"]) == pytest.approx([15 / 65, 0])
    assert ratio(found["unseen"], rows["unseen"]) == pytest.approx([0, 5 / 65])


def test_a_column_with_a_single_bin_has_no_range() -> None:
    found, _ = hits(columns([50, 0, 0]), layout_of(["number"], 1))

    assert found["out_of_range"].tolist() == [0]


def test_shares_of_nothing_are_unknown() -> None:
    found, rows = hits(np.zeros(6), layout_of(["number"], 4))

    assert all(np.isnan(ratio(found[check], rows[check])).all() for check in found)


def test_for_a_large_reference_the_p_value_is_nearly_the_binomial_one() -> None:
    p = more_p_value(np.array(7.0), np.array(500.0), np.array(2e6), np.array(1e9))

    assert p == pytest.approx(binom.sf(6, 500, 0.002), rel=0.05)


def test_thirty_percent_nulls_are_seen_within_forty_rows() -> None:
    assert verdict("missing", 12, 40, 0.02) is True


def test_a_few_nulls_more_are_not() -> None:
    assert verdict("missing", 60, 1000, 0.02) is False


def test_nulls_that_come_and_go_in_the_reference_are_allowed() -> None:
    assert verdict("missing", 120, 1000, 0.02) is True
    assert verdict("missing", 120, 1000, 0.02, allowance=0.06) is False


def test_gaps_that_are_filled_overnight_are_seen_too() -> None:
    assert verdict("missing", 0, 500, 0.3) is True
    assert verdict("unseen", 0, 500, 0.3) is False


def test_two_odd_values_in_forty_rows_are_no_reason() -> None:
    assert verdict("unseen", 2, 38, 0.0) is False
    assert verdict("out_of_range", 3, 38, 0.0) is False


def test_twelve_rows_never_fire() -> None:
    assert verdict("missing", 12, 12, 0.0) is None


def test_rows_in_bursts_count_once_each() -> None:
    assert verdict("type_mismatch", 100, 100, 0.0) is True
    assert verdict("type_mismatch", 100, 100, 0.0, design_effect=10.0) is None
    assert verdict("missing", 40, 400, 0.0) is True
    assert verdict("missing", 40, 400, 0.0, design_effect=10.0) is False


def test_there_is_no_verdict_without_a_reference_or_an_allowance() -> None:
    assert verdict("unseen", 50, 100, 0.0, reference_rows=0) is None
    assert verdict("missing", 50, 100, 0.0, allowance=np.nan) is None


def test_a_tiny_reference_proves_nothing() -> None:
    assert verdict("missing", 30, 100, 0.0, reference_rows=1) is False


def test_healthy_windows_stay_silent() -> None:
    draw = np.random.default_rng(6)
    for share in (0.0, 0.01, 0.1, 0.5):
        for rows in (30, 100, 1000):
            found = draw.binomial(rows, share, size=20_000).astype(np.float64)
            none, one = np.zeros(20_000), np.ones(20_000)
            fired, known = degraded("missing", found, rows * one, share * 1e5 * one, 1e5 * one, none, one)
            assert known.all()
            assert not fired.any()
