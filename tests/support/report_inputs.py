"""Inputs of reports: ordinary ones, and what the world may send."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from exporter.reports.contents import ReportColumn, ReportInput
from exporter.sampling.rows import SampledRow

Rows = Mapping[str, Sequence[Any]]


def live_rows(
    columns: Rows, predictions: Sequence[Any], scores: Sequence[Any], labels: Sequence[Any]
) -> tuple[SampledRow, ...]:
    """Sampled rows, as the store has them: missing values are absent."""
    rows = []
    for place, prediction in enumerate(predictions):
        features = {name: values[place] for name, values in columns.items() if values[place] is not None}
        content = {"features": features, "prediction": prediction}
        if scores[place] is not None:
            content["score" if isinstance(scores[place], int | float) else "scores"] = scores[place]
        rows.append(SampledRow(1000.0 + place, json.dumps(content).encode(), labels[place]))
    return tuple(rows)


def reference_parquet(columns: Rows, **own: Sequence[Any]) -> bytes:
    """Parquet of reference rows; `own` are `prediction`, `score`, `scores` and `target`."""
    table = pa.table({**{f"features.{name}": values for name, values in columns.items()}, **own})
    written = io.BytesIO()
    pq.write_table(table, written)
    return written.getvalue()


def binary_rows(
    rows: int, seed: int, shift: float = 0.0
) -> tuple[dict[str, list[Any]], list[str], list[float], list[str]]:
    """Features, predictions, scores and labels of a classifier of two classes with a threshold of 0.3."""
    random = np.random.default_rng(seed)
    scores = random.random(rows)
    features = {
        "amount": random.lognormal(3 + shift, 1, rows).round(2).tolist(),
        "hour": random.integers(0, 24, rows).tolist(),
        "country": random.choice(["DE", "FR", "IT"], rows, p=[0.6, 0.3, 0.1]).tolist(),
    }
    predictions = np.where(scores >= 0.3, "1", "0").tolist()
    labels = np.where(random.random(rows) < scores, "1", "0").tolist()
    return features, predictions, scores.tolist(), labels


COLUMNS = (
    ReportColumn("amount", "feature", "number", 0.2, importance=0.75),
    ReportColumn("hour", "feature", "number", 0.1, importance=0.25),
    ReportColumn("country", "feature", "category", 0.1),
    ReportColumn("prediction", "prediction", "category", 0.1),
    ReportColumn("score", "score", "number", 0.1),
)


def binary_input(count: int = 400, reference_count: int = 1000, **changes: Any) -> ReportInput:
    """Input of a binary classifier whose amounts have drifted."""
    features, predictions, scores, labels = binary_rows(count, 1, shift=1.0)
    base, base_predictions, base_scores, base_labels = binary_rows(reference_count, 2)
    given: dict[str, Any] = {
        "model": "fraud",
        "version": "3",
        "start": 1.7e9,
        "end": 1.7e9 + 86400,
        "task": "binary",
        "classes": ("0", "1"),
        "positive_class": "1",
        "columns": COLUMNS,
        "rows": live_rows(features, predictions, scores, labels),
        "rows_counted": 10 * count,
        "reference_rows": reference_parquet(
            base, prediction=base_predictions, score=base_scores, target=base_labels
        ),
        "reference_digest": "d1ce" * 16,
    }
    return ReportInput(**{**given, **changes})
