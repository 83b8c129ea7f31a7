"""Reads the columns of reference data that are not features: times, predictions, scores and labels."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from exporter.errors import ReferenceInvalidError
from exporter.formats.arrow_columns import MAX_SECONDS, from_arrow, is_text, scores_from_arrow
from exporter.formats.class_scores import MAX_CLASSES, Scores
from exporter.formats.columns import (
    Mixed,
    Times,
    Values,
    canonical_texts,
    read_numbers,
    read_times,
    take_rows,
)
from exporter.profiling.column_bins import category_counts, profile_column
from exporter.profiling.column_roles import Roles, choose_roles, doubt_score
from exporter.profiling.data import ReferenceData
from exporter.reference.classes import choose_classes
from exporter.reference.profile import ClassOrder
from exporter.typing import Floats, Ints

TASKS = ("binary", "multiclass", "regression")
MIN_SECONDS = 1e8  # 1973: smaller numbers count from something else than the epoch


@dataclass(frozen=True)
class OutputColumns:
    """Predictions, scores and labels of reference rows, None where there are none."""

    predictions: Values | None
    scores: Scores | None
    labels: Values | None

    @property
    def single_scores(self) -> Floats | None:
        """(rows,) scores, None where they are not one number a row."""
        if self.scores is None or self.scores.several is not None:
            return None
        return self.scores.single if isinstance(self.scores.single, np.ndarray) else None

    def take(self, rows: Ints) -> OutputColumns:
        """Values of the given rows."""
        return OutputColumns(
            predictions=None if self.predictions is None else take_rows(self.predictions, rows),
            scores=None if self.scores is None else self.scores.take(rows),
            labels=None if self.labels is None else take_rows(self.labels, rows),
        )


@dataclass(frozen=True)
class OwnColumns:
    """The row's own columns.

    `timestamps` (rows,) are seconds since the epoch, None without usable times. `monitored` are columns that
    the reference has as well, by role: predictions, and one score a row. `notes` are decisions and omissions.
    """

    roles: Roles
    timestamps: Floats | None
    outputs: OutputColumns
    monitored: dict[str, Values]
    task: str
    class_order: ClassOrder
    notes: tuple[str, ...]


def read_own_columns(data: ReferenceData) -> OwnColumns:
    """The row's own columns, as `choose_roles` finds them, and the task that they tell.

    Raises:
        ReferenceInvalidError: no rows.
    """
    table = data.table
    if table.num_rows == 0:  # a damaged file may announce more than it has
        raise ReferenceInvalidError("the reference has no rows")
    roles = choose_roles(table.column_names, data.named, data.inputs)
    notes = [*data.notes, *roles.notes]
    timestamps = _timestamps(table, roles, notes)
    predictions = read_column(table, roles.prediction) if roles.prediction else None
    labels = read_column(table, roles.target) if roles.target else None
    scores = scores_from_arrow(table.column(roles.score)) if roles.score else None
    doubted = scores is not None and "score" not in roles.certain
    if scores is not None and doubted and (doubt := doubt_score(scores, predictions)):
        scores = None
        notes.append(
            f"column {roles.score} is not monitored, for it may be a feature or the model's score: "
            f"{doubt}; the model's signature or monitoring.score would tell"
        )
        roles = replace(roles, score="", ignored=roles.ignored | {roles.score})
    if data.task and data.task not in TASKS:
        notes.append(f"task {data.task!r} is none of {', '.join(TASKS)}: inferred")
    task = data.task if data.task in TASKS else _infer_task(predictions, scores)
    order = _class_order(table, roles) if task in ("binary", "multiclass") else ""
    monitored = {} if predictions is None else {"prediction": predictions}
    if scores is not None:
        monitored["score"] = _reduce_scores(scores, predictions, labels, task, order, data.positive_class)
    outputs = OutputColumns(predictions, scores, labels)
    return OwnColumns(roles, timestamps, outputs, monitored, task, order, tuple(notes))


def read_column(table: pa.Table, name: str) -> Values:
    """Typed column of reference data."""
    column = table.column(name)
    values = from_arrow(column)
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    # Integers beyond 2^53 are names, not amounts.
    return values.texts if isinstance(values, Mixed) and pa.types.is_integer(kind) else values


def _timestamps(table: pa.Table, roles: Roles, notes: list[str]) -> Floats | None:
    """(rows,) seconds since the epoch; None without usable times."""
    name = roles.timestamp
    if not name:
        return None
    moments = read_times(read_column(table, name))
    problem = ""
    if len(moments.wrong):
        problem = "holds no times"
    elif not np.isfinite(moments.seconds).all():
        problem = "has gaps"
    elif np.abs(moments.seconds).max() > MAX_SECONDS:
        problem = "is not in seconds"
    if problem:
        notes.append(f"column {name} {problem}: no natural variation, verdicts are provisional")
    elif "timestamp" not in roles.certain and moments.seconds.max() < MIN_SECONDS:
        problem = (
            f"column {name} is not monitored, for it may be a feature or the row's time: its times are those "
            "of the years about 1970; the model's signature or monitoring.timestamp would tell"
        )
        notes.append(problem)
    return None if problem else moments.seconds


def _infer_task(prediction: Values | None, scores: Scores | None) -> str:
    """One of `TASKS`, from predictions and class scores; empty without usable predictions."""
    if prediction is None or isinstance(prediction, Times):
        return ""
    if isinstance(prediction, np.ndarray):
        known = prediction[~np.isnan(prediction)]
        classes = len(np.unique(known))
        whole = (known == np.floor(known)).all()
        if not (whole and (classes <= MAX_CLASSES or (scores is not None and scores.several is not None))):
            return "regression"
    else:
        classes = int(np.count_nonzero(category_counts(prediction)[1]))
    if not classes:  # nothing, or several outputs in one
        return ""
    return "binary" if max(classes, scores.most_classes if scores is not None else 0) <= 2 else "multiclass"


def _class_order(table: pa.Table, roles: Roles) -> ClassOrder:
    """Order of the classes, by the type of the predictions, or else of the labels."""
    for name in (roles.prediction, roles.target):
        kind = table.schema.field(name).type if name else pa.null()
        if not pa.types.is_null(kind):
            kind = kind.value_type if pa.types.is_dictionary(kind) else kind
            return "text" if is_text(kind) else "number"
    return ""


def _reduce_scores(
    scores: Scores,
    predictions: Values | None,
    labels: Values | None,
    task: str,
    order: ClassOrder,
    positive_class: str,
) -> Values:
    """One score a row: of several the one of the predicted class, of two the one of the positive class.

    Without predictions several scores are opaque.
    """
    if scores.several is None:
        return scores.single
    rows = len(scores)
    if predictions is None:
        nothing = np.full(rows, np.nan)
        return Mixed(nothing, canonical_texts(nothing), np.ones(rows, np.bool_))
    wanted: list[str | None] = [None] * rows
    classes: tuple[str, ...] = ()
    if task in ("binary", "multiclass"):
        prediction = profile_column("prediction", "prediction", "category", predictions, None)
        label = profile_column("label", "label", "category", labels, None) if labels is not None else None
        classes, positive = choose_classes(task, label, prediction, order, positive_class, {})
        wanted = [positive] * rows if task == "binary" else _predicted(predictions, classes)
    return read_numbers(scores.of_classes(wanted, classes))[0]


def _predicted(predictions: Values, classes: tuple[str, ...]) -> list[str | None]:
    """(rows,) predicted class, None where it is missing or none of the classes."""
    texts = canonical_texts(predictions)
    return texts.spread([text if text in classes else None for text in texts.texts])
