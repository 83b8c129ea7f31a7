"""Shares of missing, mismatched, unseen and out-of-range values, and their verdicts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from exporter.aggregates.timeline import Timeline
from exporter.evaluation.comparison import STABLE
from exporter.evaluation.data_quality import QualityCheck
from exporter.reference.bins import ColumnKind
from exporter.reference.profile import Reference
from exporter.typing import Floats, Ints
from tests.support.traffic import (
    DAY,
    EVEN,
    HOUR,
    NOW,
    WEEK,
    cells_of,
    judge,
    make_aggregate,
    make_column,
    make_reference,
    make_timeline,
    variation_of,
)

AGE = make_column("age")


def checks_of(reference: Reference, cells: Ints) -> dict[tuple[str, str], QualityCheck]:
    """Checks of a day by column name and check."""
    checks = judge(reference, make_timeline(reference, {0: cells})).checks
    return {(reference.columns[check.column].name, check.check): check for check in checks}


def test_each_kind_of_column_has_the_checks_that_apply() -> None:
    kinds: tuple[ColumnKind, ...] = ("number", "time", "category", "boolean")
    reference = make_reference([make_column(kind, 4, kind) for kind in kinds], [[0.25] * 4] * 4)

    checks = checks_of(reference, cells_of([[0.25] * 4] * 4, 1000))

    assert sorted(checks) == sorted(
        [(kind, check) for kind in kinds for check in ("missing", "type_mismatch")]
        + [("number", "out_of_range"), ("category", "unseen"), ("boolean", "unseen")]
    )


def test_checks_are_of_the_shortest_window() -> None:
    reference = make_reference([AGE], [EVEN])
    days = {0: cells_of([EVEN], 1000), 3: cells_of([0 * EVEN], 1000)}

    checks = judge(reference, make_timeline(reference, days), (DAY, WEEK)).checks

    assert [check.ratio for check in checks if check.check == "missing"] == [0]


def test_checks_are_of_the_shortest_window_whose_variation_the_reference_tells() -> None:
    thin = make_reference([AGE], [EVEN], variation={DAY.seconds: variation_of(0.0)})
    days = {0: cells_of([0.7 * EVEN], 1000)}

    checks = judge(thin, make_timeline(thin, days), (HOUR, DAY, WEEK)).checks

    missing = next(check for check in checks if check.check == "missing")
    assert (missing.ratio, missing.degraded) == (0.3, True)


def last_hour(reference: Reference, cells: Ints, before: Ints) -> Timeline:
    """A day with the counts `cells` in its last hour and `before` in each other hour."""
    timeline = make_timeline(reference, {})
    first = int(NOW) - 24 * 3600
    rows = [*[before] * 23, cells]
    blocks = {first + 3600 * hour: make_aggregate(counts, 1) for hour, counts in enumerate(rows)}
    return Timeline(timeline.settings, blocks, {})


def thin_reference(share: Floats, variation: float = 0.0) -> Reference:
    """Dense enough for days, too thin for hours."""
    return make_reference([AGE], [share], variation={DAY.seconds: variation_of(0.0, share=variation)})


@pytest.mark.parametrize("shares", [(0.0, 0.508), (0.0, 1.0), (0.3, 0.95), (0.8, 0.1)])
def test_half_of_a_column_is_told_within_an_hour_whatever_window_is_judged(
    shares: tuple[float, float],
) -> None:
    usual, broken = shares
    reference = thin_reference((1 - usual) * EVEN, variation=0.3)
    timeline = last_hour(
        reference, cells_of([(1 - broken) * EVEN], 1000), cells_of([(1 - usual) * EVEN], 1000)
    )

    checks = judge(reference, timeline, (HOUR, DAY, WEEK)).checks

    missing = next(check for check in checks if check.check == "missing")
    assert (missing.window, missing.degraded) == (HOUR, True)
    assert missing.ratio == pytest.approx(broken, abs=0.001)
    assert {check.window for check in checks if check.check != "missing"} == {DAY}


@pytest.mark.parametrize(
    ("shares", "rows"),
    [((0.0, 0.45), 1000), ((0.3, 0.7), 1000), ((0.5, 1.0), 1000), ((0.0, 1.0), 20)],
    ids=["less than half", "from a third to two", "as rows vary", "few rows"],
)
def test_what_is_less_than_half_of_a_column_is_left_to_the_window_that_is_judged(
    shares: tuple[float, float], rows: int
) -> None:
    usual, broken = shares
    reference = thin_reference((1 - usual) * EVEN, variation=0.3)
    timeline = last_hour(
        reference, cells_of([(1 - broken) * EVEN], rows), cells_of([(1 - usual) * EVEN], rows)
    )

    checks = judge(reference, timeline, (HOUR, DAY, WEEK)).checks

    missing = next(check for check in checks if check.check == "missing")
    assert (missing.window, missing.degraded) == (DAY, False)


def test_an_hour_is_not_gross_that_is_so_in_the_reference_every_night() -> None:
    nights = {HOUR.seconds: replace(variation_of(0.0, share=0.7), chunks=2)}
    reference = thin_reference(0.7 * EVEN, variation=0.3)
    reference = replace(reference, variation=nights | reference.variation)
    night = last_hour(reference, cells_of([0 * EVEN], 1000), cells_of([0.7 * EVEN], 1000))

    missing = next(c for c in judge(reference, night, (HOUR, DAY)).checks if c.check == "missing")

    assert (missing.window, missing.degraded) == (DAY, False)


def test_a_check_without_a_verdict_says_why() -> None:
    unknown = make_reference([AGE], [EVEN], variation={WEEK.seconds: variation_of(0.0)})
    empty = make_reference([make_column("id", 4, "category", unjudged="looks like an id")], [[0, 0, 0, 0]])
    some = cells_of([0.7 * EVEN], 1000)

    def reasons(checks: Mapping[tuple[str, str], QualityCheck]) -> dict[str, str]:
        return {check: found.undecided for (_, check), found in checks.items()}

    assert set(reasons(checks_of(unknown, some)).values()) == {"its natural variation within 24h is unknown"}
    assert reasons(checks_of(make_reference([AGE], [EVEN]), cells_of([EVEN], 12)))["missing"] == (
        "12 effective rows, 30 are needed"
    )
    found = reasons(checks_of(empty, cells_of([[0, 0, 0, 0.5]], 1000)))
    assert found["unseen"] == "looks like an id"
    assert not any(reasons(checks_of(make_reference([AGE], [EVEN]), some)).values())


def test_nulls_degrade_a_column_without_drift() -> None:
    reference = make_reference([AGE], [EVEN])

    timeline = make_timeline(reference, {ago: cells_of([0.7 * EVEN], 1000) for ago in (0, 1)})
    evaluation = judge(reference, timeline)

    missing = next(check for check in evaluation.checks if check.check == "missing")
    assert (missing.ratio, missing.reference_ratio, missing.degraded) == (0.3, 0, True)
    assert evaluation.windows[0].verdict[0] == STABLE


def test_unseen_categories_and_values_out_of_range_degrade() -> None:
    columns = [make_column("city", 4, "category"), make_column("price", 4)]
    reference = make_reference(columns, [[0.5, 0.5, 0, 0], [0, 0.5, 0.5, 0]])

    checks = checks_of(reference, cells_of([[0.4, 0.4, 0, 0.2], [0.1, 0.4, 0.4, 0.1]], 1000))

    assert checks["city", "unseen"].degraded
    assert checks["city", "unseen"].ratio == pytest.approx(0.2)
    assert checks["price", "out_of_range"].degraded
    assert checks["price", "out_of_range"].ratio == pytest.approx(0.2)


def test_ids_and_clocks_may_have_new_values_but_not_go_missing() -> None:
    reference = make_reference(
        [make_column("id", 4, "category", unjudged="looks like an id")], [[0.1, 0.1, 0.8, 0]]
    )

    checks = checks_of(reference, cells_of([[0, 0, 0, 0.5]], 1000))

    assert checks["id", "unseen"].degraded is None
    assert checks["id", "missing"].degraded is True


def test_a_share_that_varies_in_the_reference_may_vary() -> None:
    steady = make_reference([AGE], [EVEN], variation={DAY.seconds: variation_of(0.0)})
    patchy = make_reference([AGE], [EVEN], variation={DAY.seconds: variation_of(0.0, share=0.4)})
    unknown = make_reference([AGE], [EVEN], variation={WEEK.seconds: variation_of(0.0)})

    verdicts = [
        checks_of(reference, cells_of([0.7 * EVEN], 1000))["age", "missing"].degraded
        for reference in (steady, patchy, unknown)
    ]

    assert verdicts == [True, False, None]


def test_a_share_that_is_there_may_vary_where_nobody_knows_how_much_it_does() -> None:
    whole, patchy = make_reference([AGE], [EVEN]), make_reference([AGE], [0.7 * EVEN])
    night = cells_of([0.4 * EVEN], 1000)

    assert [checks_of(reference, night)["age", "missing"].degraded for reference in (whole, patchy)] == [
        True,
        False,
    ]
    assert checks_of(patchy, cells_of([0.05 * EVEN], 1000))["age", "missing"].degraded


def test_a_share_of_few_rows_has_no_verdict() -> None:
    reference = make_reference([AGE], [EVEN])

    check = checks_of(reference, cells_of([0 * EVEN], 12))["age", "missing"]

    assert (check.ratio, check.degraded) == (1.0, None)
