"""Profiles a table of reference data: from its columns to a `Reference`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa

from exporter.aggregates.outcome_layout import why_no_layout
from exporter.errors import ReferenceInvalidError
from exporter.formats.columns import Mixed, Texts, Times, Values
from exporter.formats.texts import listed
from exporter.payloads.limits import MAX_NAME_LENGTH, is_short_text
from exporter.profiling.column_bins import profile_column, quantile_edges, without_rare
from exporter.profiling.counts import count_own
from exporter.profiling.data import ReferenceData
from exporter.profiling.outcomes import add_classes, add_labels, add_outcomes
from exporter.profiling.own_columns import OwnColumns, read_column, read_own_columns
from exporter.profiling.segments import profile_segments
from exporter.reference.bins import BinLayout, Column, ColumnKind, Role
from exporter.reference.profile import Reference
from exporter.settings import DAY_SECONDS, Window
from exporter.typing import Floats

SCORE_QUANTILES = 64  # with fewer, the area under the curve of scores that lie close together is .001 off
MAX_LISTED = 300  # names in a note


def build_reference(data: ReferenceData, windows: tuple[Window, ...], max_columns: int) -> Reference:
    """Profile reference data; as `read_own_columns` and `build_from`."""
    return build_from(data, read_own_columns(data), windows, max_columns)


def build_from(
    data: ReferenceData, own: OwnColumns, windows: tuple[Window, ...], max_columns: int
) -> Reference:
    """Profile reference data, of which the row's `own` columns have been read.

    `choose_roles` tells predictions, scores, times, the target and ids; all other columns are features, of
    which `max_columns` are taken. With a target, the reference has a profile of it and the quality of the
    predictions.

    Raises:
        ReferenceInvalidError: no usable columns.
    """
    rows = data.table.num_rows
    timestamps, outputs = own.timestamps, own.outputs
    columns, values, notes = _profile_columns(data, own, max_columns)
    score = own.monitored.get("score")
    reference = Reference(
        columns=tuple(columns),
        rows=rows,
        task=own.task,
        source=data.source,
        split=data.split,
        target=data.target or own.roles.target,
        notes=tuple(notes),
        class_order=own.class_order,
        named={role: name for role, name in data.named.items() if role != "target"},
        score_edges=_score_quantiles(score) if own.task in ("binary", "multiclass") else np.empty(0),
        **count_own(BinLayout(tuple(columns)), values, rows, timestamps, windows)._asdict(),
    )
    if timestamps is not None and reference.provisional:
        days = float(np.ptp(timestamps)) / DAY_SECONDS
        notes.append(f"its times span {days:.1f} days, with too few rows in windows of any length")
        reference = replace(reference, notes=tuple(notes))
    if outputs.labels is not None:
        reference = add_labels(reference, outputs.labels, timestamps, windows)
    whole = add_classes(reference, outputs, data.positive_class)
    reason = why_no_layout(whole)
    only_features = outputs.predictions is None and outputs.labels is None
    if reason and not only_features:
        whole = replace(whole, notes=(*whole.notes, f"no quality: {reason}"))
    segments, more = profile_segments(whole, data.segments, values, outputs, timestamps, windows)
    labelled = add_outcomes(whole, outputs, timestamps, windows, estimates=True)
    return replace(labelled, segments=tuple(segments), notes=(*whole.notes, *more))


def _profile_columns(
    data: ReferenceData, own: OwnColumns, max_columns: int
) -> tuple[list[Column], dict[tuple[str, str], Values], list[str]]:
    """Columns of the reference, their values by role and name as for `bin_columns`, and notes.

    Raises:
        ReferenceInvalidError: no features.
    """
    table, notes = data.table, list(own.notes)
    columns: list[Column] = []
    values: dict[tuple[str, str], Values] = {}
    features = 0
    left_out, beyond, unnameable = [], [], []
    for name in table.column_names:  # one by one, so that columns that are not monitored are freed
        role = own.roles.role_of(name)
        if role is None:
            continue
        if role == "feature" and not data.columns.select(name):
            left_out.append(name)
            continue
        if role == "feature" and not is_short_text(name):
            unnameable.append(f"{name[:60]}…")
            continue
        column_values = own.monitored[role] if role in own.monitored else read_column(table, name)
        arrow_type = table.schema.field(name).type
        kind = _kind(arrow_type, column_values, role, own.task)
        if kind is None:
            notes.append(f"column {name} is not monitored: its type is {arrow_type}")
            continue
        if role == "feature":
            features += 1
            if features > max_columns:
                beyond.append(name)
                continue
        shown = name if role == "feature" else role
        frozen = data.frozen.get(role)
        columns.append(frozen or profile_column(shown, role, kind, column_values, own.timestamps))
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
    return columns, values, notes


def _kind(arrow_type: pa.DataType, values: Values, role: Role, task: str) -> ColumnKind | None:
    """Kind of bins of a column; None if it holds neither numbers nor texts nor dates."""
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


def _score_quantiles(scores: Values | None) -> Floats:
    """Edges of bins with about the same number of scores each."""
    return quantile_edges(scores, SCORE_QUANTILES) if isinstance(scores, np.ndarray) else np.empty(0)
