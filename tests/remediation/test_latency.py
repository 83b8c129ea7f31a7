"""Latency against the past week, as the rule of `ModelLatencyHigh` has it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from exporter.aggregates.block import LATENCY_BOUNDS, Block
from exporter.aggregates.timeline import Timeline
from exporter.remediation.latency import histogram_quantile, latency_verdict
from exporter.settings import DAY_SECONDS, Settings
from exporter.typing import Ints
from tests.support.rig import NOON

FAST, SLOW, SLOWER = (LATENCY_BOUNDS.index(bound) for bound in (0.05, 0.25, 1.0))


def latency(rows: int, bucket: int) -> Ints:
    counts = np.zeros(len(LATENCY_BOUNDS) + 1, np.int64)
    counts[bucket] = rows
    return counts


def block(rows: int, bucket: int) -> Block:
    return Block(rows, np.zeros(0, np.uint32), np.zeros((0, 3)), latency(rows, bucket), 0.0)


def verdict(now: int, *, rows: int = 100, latest: int | None = None, past: int | None = FAST) -> bool | None:
    """Verdict with rows in these buckets: in the half hour, in its last ten minutes, in the past week."""
    timeline = Timeline(Settings())
    for ago in range(300, 2100, 300):
        bucket = now if latest is None or ago > 600 else latest
        timeline.fine[int(NOON) - ago] = block(rows // 6 + 1, bucket)
    if past is not None:
        for hour in range(24, 8 * 24):
            timeline.coarse[int(NOON) - (hour + 1) * 3600] = block(1000, past)
    return latency_verdict(timeline, NOON)


def test_twice_the_usual_is_high() -> None:
    assert verdict(SLOW) is True
    assert verdict(FAST) is False


def test_below_a_tenth_of_a_second_nothing_is_high() -> None:
    assert verdict(FAST, past=0) is False


def test_a_slow_quarter_of_an_hour_that_is_over_is_not_high() -> None:
    assert verdict(SLOW, latest=FAST) is False
    assert verdict(SLOW, latest=SLOWER) is True


@pytest.mark.parametrize("lack", [{"rows": 10}, {"past": None}])
def test_without_rows_or_a_past_there_is_no_verdict(lack: dict[str, int | None]) -> None:
    assert verdict(SLOW, **lack) is None  # type: ignore[arg-type]


def test_the_latest_day_is_not_the_past() -> None:
    timeline = Timeline(Settings())
    timeline.fine[int(NOON) - 300] = block(1000, SLOW)
    timeline.coarse[int(NOON) - DAY_SECONDS + 7200] = block(1000, FAST)
    assert latency_verdict(timeline, NOON) is None


def test_a_quantile_is_interpolated_as_promql_does() -> None:
    assert histogram_quantile(latency(10, 0), 0.5) == 0.0005
    assert histogram_quantile(latency(10, 5) + latency(10, 6), 0.75) == pytest.approx(0.075)
    assert histogram_quantile(latency(10, len(LATENCY_BOUNDS))) == LATENCY_BOUNDS[-1]
    assert math.isnan(histogram_quantile(latency(0, 0)))
