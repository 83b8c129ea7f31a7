"""Batches of predictions: typed columns, from one request or from several that are alike.

A request is read by itself, so that its errors are its own, and typed together with others, since a numpy
call takes as long for one row as for a hundred. From here on a batch is only read.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from math import nan
from typing import Any, TypeAlias

import numpy as np

from exporter.formats.class_scores import Scores, read_scores
from exporter.formats.columns import Texts, Times, Values, canonical_texts, from_python, join_columns
from exporter.formats.texts import storable
from exporter.payloads.target import Target
from exporter.typing import Floats

MAX_STORED_LENGTH = 256  # of the text of a prediction or a label
RawValues: TypeAlias = list[Any]  # of JSON, not typed yet


@dataclass(frozen=True)
class Decoded:
    """Checked rows of one request; the fields are those of `Batch`, columns of JSON are not typed yet."""

    target: Target
    rows: int
    ids: list[str | None] | None
    timestamps: Sequence[float] | Floats | None
    naive_timestamps: int
    features: Mapping[str, Values | RawValues]
    prediction: Values | RawValues
    scores: Scores | RawValues | None
    labels: Values | RawValues | None
    latency: Sequence[float] | Floats | None

    @property
    def likeness(self) -> Hashable:
        """Equal for requests that can be assembled together."""
        scores = self.scores.single if isinstance(self.scores, Scores) else self.scores
        forms: tuple[Hashable, ...] = (scores is None, self.labels is None)
        if not isinstance(self.prediction, list):  # of JSON, columns of any values can be put together
            forms += tuple(map(_form, (*self.features.values(), self.prediction, scores, self.labels)))
        return self.target, tuple(self.features), self.ids is None, self.latency is None, forms

    def typed(self) -> Decoded:
        """The same with typed columns; for large requests, which the thread that reads them can type."""
        return replace(
            self,
            features={name: _join([values]) for name, values in self.features.items()},
            prediction=_join([self.prediction]),
            scores=None if self.scores is None else _join_scores([self.scores]),
            labels=None if self.labels is None else _join([self.labels]),
        )


def _form(values: object) -> Hashable:
    return type(values), isinstance(values, Times) and values.naive


@dataclass(frozen=True)
class Batch:
    """Columns of `rows` predictions.

    `timestamps` (rows,) seconds since the epoch, NaN where the row has none; `naive_timestamps` counts the
    ones without a zone, taken as UTC. `latency` (rows,) seconds, NaN where there is none. `labels` (rows,)
    texts as they are stored.
    """

    target: Target
    rows: int
    ids: list[str | None] | None
    timestamps: Floats
    naive_timestamps: int
    features: dict[str, Values]
    prediction: Values
    scores: Scores | None
    labels: list[str | None] | None
    latency: Floats | None


def assemble(requests: Sequence[Decoded]) -> Batch:
    """All rows, in order, of requests of one `likeness`."""
    first = requests[0]
    scores, labels = [each.scores for each in requests], [each.labels for each in requests]
    times = [np.full(r.rows, nan) if r.timestamps is None else r.timestamps for r in requests]
    latencies = [each.latency for each in requests if each.latency is not None]
    return Batch(
        target=first.target,
        rows=sum(each.rows for each in requests),
        ids=None if first.ids is None else list(chain.from_iterable(each.ids or () for each in requests)),
        timestamps=np.concatenate(times, dtype=np.float64),
        naive_timestamps=sum(each.naive_timestamps for each in requests),
        features={name: _join([each.features[name] for each in requests]) for name in first.features},
        prediction=_join([each.prediction for each in requests]),
        scores=None if first.scores is None else _join_scores(scores),
        labels=None if first.labels is None else stored_texts(_join(labels)),
        latency=np.concatenate(latencies, dtype=np.float64) if latencies else None,
    )


def _join(columns: Sequence[Any]) -> Values:
    """Typed column of all rows, from columns that are all typed or all raw."""
    if isinstance(columns[0], list):
        return from_python(columns[0] if len(columns) == 1 else list(chain.from_iterable(columns)))
    return join_columns(columns)


def _join_scores(columns: Sequence[Any]) -> Scores:
    if isinstance(columns[0], list):
        return read_scores(list(chain.from_iterable(columns)))
    return Scores.join(columns)


def stored_texts(values: Values) -> list[str | None]:
    """(rows,) canonical text of each prediction or label as it is stored, None where there is none."""
    return stored_column(values).rows()


def stored_column(values: Values) -> Texts:
    """The texts of `stored_texts` as a column."""
    texts = canonical_texts(values)
    return Texts(texts.codes, [storable(text[:MAX_STORED_LENGTH]) for text in texts.texts])
