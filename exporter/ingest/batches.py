"""Small batches -> one of all their rows, which costs little more to bin and count than each of them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np

from exporter.formats.columns import Texts, Values
from exporter.formats.predictions import Batch


def likeness(batch: Batch) -> Hashable | None:
    """Batches that are equal in this can be merged; None: this one with no other.

    Rows with ids or labels are answered one by one; columns of neither numbers nor texts alone are rare.
    """
    if batch.ids is not None or batch.label is not None:
        return None
    columns = [*batch.features.values(), batch.prediction, batch.score, batch.latency]
    forms = tuple(map(type, columns))
    if not set(forms) <= {np.ndarray, Texts, type(None)}:
        return None
    return batch.target, tuple(batch.features), forms


def merge(batches: Sequence[Batch]) -> Batch:
    """All rows, in order, of batches that are alike."""
    first = batches[0]
    if len(batches) == 1:
        return first
    return replace(
        first,
        rows=sum(batch.rows for batch in batches),
        timestamps=np.concatenate([batch.timestamps for batch in batches]),
        naive_timestamps=sum(batch.naive_timestamps for batch in batches),
        features={name: _join([batch.features[name] for batch in batches]) for name in first.features},
        prediction=_join([batch.prediction for batch in batches]),
        score=_join([batch.score for batch in batches]),
        latency=_join([batch.latency for batch in batches]),
    )


def _join(columns: Sequence[Values | None]) -> Any:
    """Columns of one form; None where that is None."""
    if columns[0] is None:
        return None
    if not isinstance(columns[0], Texts):
        return np.concatenate(columns)  # type: ignore[arg-type] # all are arrays
    codes, texts = [], list[str]()
    for column in cast("Sequence[Texts]", columns):
        codes.append(np.where(column.codes < 0, -1, column.codes + len(texts)))
        texts += column.texts
    return Texts(np.concatenate(codes), texts)
