"""Reads the rows of a report: sampled live rows from JSON, reference rows from Parquet."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from exporter.sampling.rows import FEATURE_PREFIX, SampledRow


@dataclass(frozen=True)
class RowValues:
    """Rows as they came, by column; None is a missing value.

    `features` are (rows,) values by name. `scores` are one number, a list or a mapping by class each.
    """

    features: Mapping[str, list[Any]]
    predictions: list[Any]
    scores: list[Any]
    labels: list[Any]

    def __len__(self) -> int:
        return len(self.predictions)


def read_live(rows: Sequence[SampledRow], names: Sequence[str]) -> RowValues:
    """The features of these names, and the outputs, of sampled rows; a row that is no JSON is left out."""
    features: dict[str, list[Any]] = {name: [] for name in names}
    predictions, scores, labels = [], [], []
    for row in rows:
        content = _read_json(row.content)
        values = content.get("features") if isinstance(content, dict) else None
        if not isinstance(content, dict) or not isinstance(values, dict):
            continue
        for name, column in features.items():
            column.append(values.get(name))
        predictions.append(content.get("prediction"))
        scores.append(content.get("scores", content.get("score")))
        labels.append(row.label)
    return RowValues(features, predictions, scores, labels)


def _read_json(content: bytes) -> Any:
    """The content; None of what is no JSON."""
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        pass
    try:  # NaN, and halves of characters
        return json.loads(content.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None


def read_reference_rows(parquet: bytes, names: Sequence[str]) -> RowValues | None:
    """The same of reference rows; None where there are none."""
    if not parquet:
        return None
    table = pq.read_table(pa.BufferReader(parquet))
    if not table.num_rows:
        return None

    def column(*candidates: str) -> list[Any]:
        found = next((name for name in candidates if name in table.column_names), None)
        return [None] * table.num_rows if found is None else _values(table.column(found))

    return RowValues(
        features={name: column(FEATURE_PREFIX + name) for name in names},
        predictions=column("prediction"),
        scores=column("scores", "score"),
        labels=column("target"),
    )


def _values(column: pa.ChunkedArray) -> list[Any]:
    if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
        column = column.cast(pa.timestamp("us", column.type.tz), safe=False)  # Python's have no nanoseconds
    values: list[Any] = column.to_pylist()
    return values
