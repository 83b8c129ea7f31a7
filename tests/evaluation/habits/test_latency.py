"""Unusual latencies of a version."""

from __future__ import annotations

import numpy as np
import pytest

from exporter.aggregates.block import LATENCY_BOUNDS, Block
from exporter.aggregates.timeline import Timeline
from exporter.evaluation.habits.latency import judge_latency, percentile95
from exporter.settings import Settings
from tests.support.arrivals import at

NOW = at(9, 12)


def block(seconds: float, rows: int = 100) -> Block:
    latency = np.zeros(len(LATENCY_BOUNDS) + 1, np.int64)
    latency[np.searchsorted(LATENCY_BOUNDS, seconds)] = rows
    return Block(rows, np.zeros(0, np.uint32), np.zeros((0, 3)), latency, 0.0)


def timeline(
    recent: dict[int, Block], past: float = 0.2, days: int = 9, slow_hour: int | None = None
) -> Timeline:
    coarse = {
        int(at(9 - day, hour)): block(9.0 if hour == slow_hour else past)
        for day in range(2, days)
        for hour in range(24)
    }
    return Timeline(Settings(), {int(NOW - 300 * k): each for k, each in recent.items()}, coarse)


def test_twice_the_slowest_hours_of_the_week_is_the_limit() -> None:
    found = judge_latency(timeline(dict.fromkeys(range(1, 7), block(0.9))), NOW)
    assert found.figure == pytest.approx(0.975)
    assert found.limit == pytest.approx(2 * 0.2425)


def test_a_slow_batch_every_night_is_usual() -> None:
    slow = timeline(dict.fromkeys(range(1, 7), block(9.0)), slow_hour=2)
    found = judge_latency(timeline(dict.fromkeys(range(1, 7), block(0.9)), slow_hour=2), NOW)
    assert found.limit == pytest.approx(2 * 0.2425), "one hour in 24 is not among the slowest 5 %"
    assert judge_latency(slow, NOW).figure == pytest.approx(9.75)


def test_one_slow_block_is_over_once_it_is_not_the_latest() -> None:
    quick = dict.fromkeys(range(1, 7), block(0.2))
    assert (judge_latency(timeline(quick | {4: block(9.0)}), NOW).figure or 9) < 0.25


def test_a_tenth_of_a_second_is_always_fast_enough() -> None:
    assert judge_latency(timeline({1: block(0.05)}, past=0.01), NOW).limit == 0.1


def test_few_predictions_have_no_figure_and_a_young_version_no_limit() -> None:
    assert judge_latency(timeline({1: block(5.0, 99)}), NOW).figure is None
    young = Timeline(Settings(), {int(NOW - 300): block(5.0)}, {int(NOW - 40 * 3600): block(0.2)})
    found = judge_latency(young, NOW)
    assert found.figure is not None
    assert found.limit is None


def test_the_percentile_is_interpolated_as_in_prometheus() -> None:
    assert percentile95(block(0.2).latency) == pytest.approx(0.1 + 0.95 * 0.15)
    assert percentile95(block(60.0).latency) == 10.0
    assert np.isnan(percentile95(np.zeros(14, np.int64)))
