"""Fold labelled rows, and evaluate the quality of one version.

python tests/benchmarks/bench_quality.py
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).parents[2]))  # for the tables that the tests use

from exporter.aggregates.outcomes import fold_outcomes
from exporter.evaluation.context import EvaluationContext
from exporter.evaluation.model_quality import evaluate_quality
from exporter.evaluation.quality_reference import QualityReference
from exporter.formats.columns import encode_texts
from tests.support.labelled import (
    TASKS,
    fold_table,
    hours_of,
    make_quality_reference,
    make_table,
    make_traffic,
    scores_of,
    spread_times,
)
from tests.support.traffic import DAY, HOUR, NOW, WEEK

ROWS, BATCH = 100_000, 1000
REPEATS = 3


def cpu_seconds(work: Callable[[], object]) -> float:
    """Seconds of CPU of the fastest of several runs."""
    durations = []
    for _ in range(REPEATS):
        start = time.process_time()
        work()
        durations.append(time.process_time() - start)
    return min(durations)


def fold_batches(against: QualityReference, table: pa.Table, hours: int) -> None:
    """Fold canonical texts of rows spread over so many hours, the way labels arrive."""
    labels, predictions = (
        [str(value) for value in table[name].to_pylist()] for name in ("label", "prediction")
    )
    scores = scores_of(table)
    starts = np.random.default_rng(0).integers(0, hours, ROWS) * 3600

    def fold() -> None:
        for first in range(0, ROWS, BATCH):
            part = slice(first, first + BATCH)
            fold_outcomes(
                against.layout,
                encode_texts(labels[part]),
                encode_texts(predictions[part]),
                scores[part] if scores is not None else None,
                starts[part],
            )

    print(f"  {against.layout.task:11} over {hours:4d} hours {cpu_seconds(fold):8.3f} s")


def evaluate_windows(against: QualityReference, table: pa.Table) -> None:
    times = spread_times(table.num_rows, (0, 160))
    outcomes = fold_table(against.layout, table, hours_of(times))
    timeline = make_traffic(against.reference, table, times)

    def evaluate() -> None:
        evaluate_quality(against, outcomes, timeline, EvaluationContext((HOUR, DAY, WEEK), NOW))

    print(f"  {against.layout.task:11} {1000 * cpu_seconds(evaluate):24.1f} ms")


def main() -> None:
    print(f"fold {ROWS:,} labelled rows in batches of {BATCH:,}, CPU")
    for task in TASKS:
        against, table = make_quality_reference(task), make_table(task, ROWS)
        for hours in (1, 24, 720):
            fold_batches(against, table, hours)
    print("evaluate the quality of one version in windows of 1h, 24h and 7d, CPU")
    for task in TASKS:
        evaluate_windows(make_quality_reference(task), make_table(task, 20_000))


if __name__ == "__main__":
    main()
