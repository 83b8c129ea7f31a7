"""Columns of raw sampled rows, whose JSON values may be of any type -> Arrow columns of known kinds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from exporter.formats.arrow_columns import join_as_arrow
from exporter.formats.class_scores import ClassScores, Scores, read_class_scores
from exporter.formats.columns import (
    Texts,
    Times,
    Values,
    canonical_texts,
    from_python,
    read_numbers,
    read_times,
)
from exporter.reference.bins import ColumnKind
from exporter.reference.classes import as_classes
from exporter.reference.profile import Reference
from exporter.typing import Floats

MISFITS = 0.5  # share of values of another type, above which a column has changed its type
_BOOLEANS = {"0": 0.0, "1": 1.0}


def feature_to_arrow(values: Sequence[object], kind: ColumnKind) -> tuple[pa.Array, int]:
    """Column of a kind, and the number of values that do not fit it and become missing.

    If most do not fit, the column has the type of its values.
    """
    typed, wrong = _as_kind(from_python(values), kind)
    if kind == "boolean" and isinstance(typed, np.ndarray) and np.isin(typed, (0, 1, np.nan)).all():
        return pa.array(typed == 1, mask=np.isnan(typed)), wrong
    return join_as_arrow([typed]), wrong


def _as_kind(values: Values, kind: ColumnKind) -> tuple[Values, int]:
    """Values of a column of some kind, and the number of those that do not fit it and become missing.

    If most do not fit, the values are as they were.
    """
    if kind == "category":
        return canonical_texts(values), 0
    if kind == "time":
        moments = read_times(values)
        fitting: Values = Times(moments.seconds)
        missing, wrong = np.isnan(moments.seconds), len(moments.wrong)
    else:
        numbers, odd = read_numbers(values)
        if kind == "boolean":
            texts = as_classes(canonical_texts(values), tuple(_BOOLEANS))
            numbers = np.array([_BOOLEANS.get(text or "", np.nan) for text in texts.rows()])
            odd = np.flatnonzero((texts.codes >= 0) & np.isnan(numbers))
        fitting, missing, wrong = numbers, np.isnan(numbers), len(odd)
    known = wrong + np.count_nonzero(~missing)
    return (values, 0) if wrong > MISFITS * known else (fitting, wrong)


def outputs_to_arrow(values: Values, former: Reference) -> pa.Array:
    """Predictions or labels, in the type that the former reference had, which orders its classes."""
    if former.task not in ("binary", "multiclass"):
        if former.task == "regression":
            values = _parse(values) if isinstance(values, Texts) else read_numbers(values)[0]
        return join_as_arrow([values])
    texts = as_classes(canonical_texts(values), former.classes)
    numbers = _parse(texts)
    is_numeric = former.class_order != "text" and not np.isnan(numbers[texts.codes >= 0]).any()
    return join_as_arrow([numbers if is_numeric else texts])


def _parse(texts: Texts) -> Floats:
    """(rows,) numbers that texts are, NaN of others and of missing ones."""
    numbers = []
    for text in texts.texts:
        try:
            numbers.append(float(text))
        except ValueError:
            numbers.append(np.nan)
    return np.array([*numbers, np.nan])[texts.codes]


def scores_to_classes(scores: Scores, former: Reference) -> Scores:
    """Scores by class; lists are in the order of the former classes, from which new ones may differ."""
    if scores.several is None:
        return scores
    named = [
        read_class_scores(dict(zip(former.classes, row.values, strict=True)))
        if row is not None and row.names is None and row.fits(former.classes)
        else row
        for row in scores.several
    ]
    return replace(scores, several=[row if isinstance(row, ClassScores) else None for row in named])
