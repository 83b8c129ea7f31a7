"""Evaluate one version of 50 columns, with little traffic and with much.

python tests/benchmarks/bench_evaluate.py
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from timing import best_seconds

from exporter.aggregates.block import LATENCY_BOUNDS, Block
from exporter.aggregates.timeline import Timeline
from exporter.evaluation.context import EvaluationContext
from exporter.evaluation.drift import Evaluation, evaluate
from exporter.reference.bins import Column
from exporter.reference.profile import Reference, Variation
from exporter.settings import Settings, Window

COLUMNS, BINS = 50, 18
NOW = 1_800_000_000.0
HOUR, DAY, WEEK = Window(3600, "1h"), Window(86400, "24h"), Window(604800, "7d")
REPEATS = 25


def make_reference() -> Reference:
    columns = tuple(
        Column(f"column_{index}", "feature", "number", edges=np.arange(BINS - 1, dtype=np.float64))
        for index in range(COLUMNS)
    )
    share = np.full(COLUMNS, 0.05)
    variation = Variation(90, share, share, share, share, share)
    return Reference(
        columns=columns,
        counts=np.tile(np.array([0, *[10_000] * (BINS - 2), 0, 0, 0]), COLUMNS),
        moments=np.tile([160_000.0, 0.0, 160_000.0], (COLUMNS, 1)),
        rows=160_000,
        task="regression",
        source="bench",
        variation={window.seconds: variation for window in (HOUR, DAY, WEEK)},
    )


def make_timeline(rows_per_day: int) -> Timeline:
    """Fine blocks for the last 25 hours, coarse ones for the six weeks before."""
    random = np.random.default_rng(7)
    settings = Settings()
    horizon = Timeline(settings).horizon(NOW)
    even = np.full(BINS - 2, 1 / (BINS - 2))

    def blocks(start: int, end: int, length: int) -> dict[int, Block]:
        rows = rows_per_day * length // 86400
        found = {}
        for block in range(start, end, length):
            counts = np.pad(random.multinomial(rows, even, size=COLUMNS), ((0, 0), (1, 3)))
            found[block] = Block(
                rows=rows,
                counts=counts.ravel().astype(np.uint32),
                moments=np.tile([rows, 0.0, rows], (COLUMNS, 1)),
                latency=np.zeros(len(LATENCY_BOUNDS) + 1, np.int64),
                latency_sum=0.0,
            )
        return found

    fine = blocks(horizon, int(NOW), settings.block_seconds)
    return Timeline(settings, fine, blocks(horizon - 6 * WEEK.seconds, horizon, settings.coarse_seconds))


def main() -> None:
    reference = make_reference()
    print(f"evaluate one version of {COLUMNS} columns, {BINS} bins each, milliseconds of CPU")
    for rows in (2_880, 288_000, 288_000_000):
        timeline = make_timeline(rows)

        def evaluate_windows(*windows: Window, blocks: Timeline = timeline) -> Evaluation:
            fresh = replace(reference)  # has nothing cached
            return evaluate(fresh, blocks, EvaluationContext(windows, NOW).with_effects(fresh, blocks))

        first = EvaluationContext((HOUR, DAY, WEEK), NOW).with_effects(reference, timeline)
        again = replace(first, before=evaluate(reference, timeline, first))

        def evaluate_again(blocks: Timeline = timeline, again: EvaluationContext = again) -> Evaluation:
            return evaluate(reference, blocks, again.with_effects(reference, blocks))

        works = (lambda: evaluate_windows(DAY), lambda: evaluate_windows(HOUR, DAY, WEEK), evaluate_again)
        day, three, within_hour = (1000 * best_seconds(work, REPEATS) for work in works)
        print(
            f"  {rows:11,} rows a day: 24h {day:6.1f} ms, 1h, 24h and 7d {three:6.1f} ms,"
            f" again within the hour {within_hour:6.1f} ms"
        )


if __name__ == "__main__":
    main()
