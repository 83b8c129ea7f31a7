"""Reference data -> Reference: its columns and their counts, and how much the data itself varies."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa

from exporter.aggregates.outcome_layout import why_no_layout
from exporter.errors import ReferenceInvalidError
from exporter.formats.arrow_columns import from_arrow, is_text, scores_from_arrow
from exporter.formats.class_scores import MAX_CLASSES, Scores
from exporter.formats.columns import Mixed, Texts, Times, Values, read_times, take_rows
from exporter.formats.limits import MAX_NAME_LENGTH, is_short_text
from exporter.formats.texts import listed
from exporter.profiling.column_bins import category_counts, profile_column, quantile_edges, without_rare
from exporter.profiling.column_roles import Roles, choose_roles, doubt_score
from exporter.profiling.counts import count_own
from exporter.profiling.data import ReferenceData
from exporter.profiling.outcomes import OutputColumns, add_classes, add_labels, add_outcomes, reduce_scores
from exporter.profiling.segments import choose_segments, profile_segment
from exporter.reference.binning import category_cells
from exporter.reference.bins import BinLayout, Column, ColumnKind, Role
from exporter.reference.profile import ClassOrder, Reference
from exporter.settings import Window
from exporter.typing import Floats

TASKS = ("binary", "multiclass", "regression")
SCORE_QUANTILES = 64  # with fewer, the area under the curve of scores that lie close together is .001 off
MAX_LISTED = 300  # names in a note
MIN_SECONDS = 1e8  # 1973: smaller numbers count from something else than the epoch
MAX_SECONDS = 1e11  # the year 5138; what is beyond is in milliseconds or finer


def build_reference(data: ReferenceData, windows: tuple[Window, ...], max_columns: int) -> Reference:
    """Profile reference data.

    Predictions, scores, times and the target are the columns that `choose_roles` says, ids are left out, all
    others are features, of which `max_columns` are taken. Where there is a target, it is profiled by itself,
    and so is what it says of the predictions.

    Raises:
        ReferenceInvalidError: no rows, or no usable columns.
    """
    table = data.table
    if table.num_rows == 0:
        raise ReferenceInvalidError("the reference has no rows")
    roles = choose_roles(table.column_names, data.named, data.inputs)
    notes = [*data.notes, *roles.notes]
    timestamps = _timestamps(table, roles, notes)
    raw = {"prediction": _read(table, roles.prediction)} if roles.prediction else {}
    scores = scores_from_arrow(table.column(roles.score)) if roles.score else None
    doubted = scores is not None and "score" not in roles.certain
    if scores is not None and doubted and (doubt := doubt_score(scores, raw.get("prediction"))):
        scores = None
        notes.append(
            f"column {roles.score} is not monitored, for it may be a feature or the model's score: "
            f"{doubt}; the model's signature or monitoring.score would tell"
        )
        roles = replace(roles, score="", ignored=roles.ignored | {roles.score})
    if data.task and data.task not in TASKS:
        notes.append(f"task {data.task!r} is none of {', '.join(TASKS)}: inferred")
    task = data.task if data.task in TASKS else _infer_task(raw.get("prediction"), scores)
    labels = _read(table, roles.target) if roles.target else None
    order = _class_order(table, roles) if task in ("binary", "multiclass") else ""
    if scores is not None:
        raw["score"] = reduce_scores(scores, raw.get("prediction"), labels, task, order, data.positive_class)
    columns: list[Column] = []
    values: dict[tuple[str, str], Values] = {}
    features = 0
    left_out, beyond, unnameable = [], [], []
    for name in table.column_names:  # one by one, so that columns that are not monitored are freed
        role = roles.role_of(name)
        if role is None:
            continue
        if role == "feature" and not data.columns.select(name):
            left_out.append(name)
            continue
        if role == "feature" and not is_short_text(name):
            unnameable.append(f"{name[:60]}…")
            continue
        column_values = raw[role] if role in raw else _read(table, name)
        arrow_type = table.schema.field(name).type
        kind = _kind(arrow_type, column_values, role, task)
        if kind is None:
            notes.append(f"column {name} is not monitored: its type is {arrow_type}")
            continue
        if role == "feature":
            features += 1
            if features > max_columns:
                beyond.append(name)
                continue
        columns.append(
            profile_column(name if role == "feature" else role, role, kind, column_values, timestamps)
        )
        if role == "feature":
            values[role, name] = without_rare(columns[-1], column_values)
        else:
            values[role, ""] = column_values
    if left_out:
        notes.append(f"left out on demand: {', '.join(left_out)}")
    if not features:
        raise ReferenceInvalidError("; ".join(["the reference has no feature columns", *notes]))
    if unnameable:
        notes.append(
            f"left out, for their names are longer than {MAX_NAME_LENGTH} characters: "
            f"{listed(unnameable, MAX_LISTED)}"
        )
    if beyond:
        notes.append(
            f"left out, for at most {max_columns} columns are monitored (EXPORTER_MAX_COLUMNS): "
            f"{listed(beyond, MAX_LISTED)}"
        )
    reference = Reference(
        columns=tuple(columns),
        rows=table.num_rows,
        task=task,
        source=data.source,
        split=data.split,
        target=data.target or roles.target,
        notes=tuple(notes),
        class_order=order,
        named={role: name for role, name in data.named.items() if role != "target"},
        score_edges=_score_quantiles(raw.get("score")) if task in ("binary", "multiclass") else np.empty(0),
        **count_own(BinLayout(tuple(columns)), values, table.num_rows, timestamps, windows)._asdict(),
    )
    with_profile = reference if labels is None else add_labels(reference, labels, timestamps, windows)
    outputs = OutputColumns(raw.get("prediction"), scores, labels)
    whole = add_classes(with_profile, outputs, data.positive_class)
    reason = why_no_layout(whole)
    if reason and ("prediction" in raw or labels is not None):  # otherwise only features are to be monitored
        whole = replace(whole, notes=(*whole.notes, f"no quality: {reason}"))
    chosen, more = choose_segments(whole, data.segments)
    found = []
    for segment in chosen:
        column = whole.columns[segment.column]
        cells = category_cells(column, values["feature", column.name]) + whole.offsets[segment.column]
        rows = np.flatnonzero(cells == segment.cell)
        part = {key: take_rows(column_values, rows) for key, column_values in values.items()}
        times = timestamps[rows] if timestamps is not None else None
        found.append(
            replace(segment, reference=profile_segment(whole, part, outputs.take(rows), times, windows))
        )
    labelled = add_outcomes(whole, outputs, timestamps, windows, estimates=True)
    return replace(labelled, segments=tuple(found), notes=(*whole.notes, *more))


# -- reading ------------------------------------------------------------------------------------------------


def _read(table: pa.Table, name: str) -> Values:
    column = table.column(name)
    values = from_arrow(column)
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    # Integers beyond 2^53 are names, not amounts.
    return values.texts if isinstance(values, Mixed) and pa.types.is_integer(kind) else values


def _timestamps(table: pa.Table, roles: Roles, notes: list[str]) -> Floats | None:
    """(rows,) seconds since the epoch, or None where the reference has no usable times."""
    name = roles.timestamp
    if not name:
        return None
    moments = read_times(_read(table, name))
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
    """One of `TASKS`, from predictions and class scores; empty where there are no usable predictions."""
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


def _kind(arrow_type: pa.DataType, values: Values, role: Role, task: str) -> ColumnKind | None:
    """How a column is binned, None where it is neither numbers nor texts nor dates."""
    if isinstance(values, Times):
        return "time" if role == "feature" else None
    if isinstance(values, Mixed):
        return None
    if role in ("prediction", "label") and task in ("binary", "multiclass"):
        return "category"
    if pa.types.is_boolean(arrow_type):
        return "boolean"
    if isinstance(values, Texts) or pa.types.is_null(arrow_type):
        return "category"
    return "number"


def _class_order(table: pa.Table, roles: Roles) -> ClassOrder:
    """Order of the classes: by the type of the predictions, or without them of the labels."""
    for name in (roles.prediction, roles.target):
        kind = table.schema.field(name).type if name else pa.null()
        if not pa.types.is_null(kind):
            kind = kind.value_type if pa.types.is_dictionary(kind) else kind
            return "text" if is_text(kind) else "number"
    return ""


def _score_quantiles(scores: Values | None) -> Floats:
    """Edges of bins with about the same number of scores each."""
    return quantile_edges(scores, SCORE_QUANTILES) if isinstance(scores, np.ndarray) else np.empty(0)
