"""Reference data -> Reference: its columns and their counts, and how much the data itself varies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa

from exporter.aggregates.block import Block, fold
from exporter.aggregates.chunks import cut
from exporter.aggregates.labelled_rows import class_scores, mean_ranks
from exporter.aggregates.outcome_layout import outcome_layout, why_no_layout
from exporter.aggregates.outcomes import fold_outcomes
from exporter.errors import ReferenceInvalidError
from exporter.evaluation.baselines import TRAINING_SPLITS
from exporter.evaluation.quality_variation import MAX_CHUNKS as MAX_QUALITY_CHUNKS
from exporter.evaluation.quality_variation import estimate_variation, quality_variation
from exporter.formats.arrow_columns import from_arrow, is_text
from exporter.formats.class_scores import (
    MAX_CLASSES,
    count_class_scores,
    has_class_scores,
    scores_from_arrow,
    single_scores,
)
from exporter.formats.columns import Texts, Times, Values, read_numbers, read_times, take_rows
from exporter.formats.limits import MAX_NAME_LENGTH, is_short_text
from exporter.formats.texts import listed
from exporter.measures.natural_variation import MAX_CHUNKS, MIN_CHUNKS, natural_variation
from exporter.model_config import Columns
from exporter.profiling.column_bins import category_counts, profile_column, quantile_edges, without_rare
from exporter.profiling.column_roles import Roles, choose_roles, doubt_score
from exporter.reference.binning import Binned, bin_columns, canonical_texts, category_cells
from exporter.reference.classes import choose_classes, with_classes
from exporter.reference.profile import (
    ClassOrder,
    Column,
    ColumnKind,
    Reference,
    Role,
    Segment,
    Variation,
    segment_name,
)
from exporter.settings import Window
from exporter.typing import Floats, Ints

MAX_SEGMENTS_PER_COLUMN = 10
MAX_SEGMENTS_PER_VERSION = 30
TASKS = ("binary", "multiclass", "regression")
SCORE_QUANTILES = 64  # with fewer, the area under the curve of scores that lie close together is .001 off
MAX_LISTED = 300  # names in a note
MIN_SECONDS = 1e8  # 1973: smaller numbers count from something else than the epoch
MAX_SECONDS = 1e11  # the year 5138; what is beyond is in milliseconds or finer
SLICE_VALUES = 2_000_000  # binned at once: a large reference would take several times its size otherwise
MAX_CHUNK_CELLS = 4_000_000


@dataclass(frozen=True)
class ReferenceData:
    """A reference as it was found: the table, and what its owner says of it.

    `task` and `positive_class` may be empty: the task is then inferred, and the positive class is found as
    `with_classes` says. `target`, `prediction`, `score` and `timestamp` name columns; where they are empty,
    `choose_roles` says which those are. `inputs` are the model's inputs by its signature, with their types,
    empty where it has none. `columns` says which features are looked at, `segments` which of them slice the
    rows.
    """

    table: pa.Table
    source: str
    task: str = ""
    target: str = ""
    split: str = ""
    notes: tuple[str, ...] = ()
    positive_class: str = ""
    columns: Columns = field(default_factory=Columns)
    segments: tuple[str, ...] = ()
    prediction: str = ""
    score: str = ""
    timestamp: str = ""
    inputs: Mapping[str, str] = field(default_factory=dict)

    @property
    def named(self) -> dict[str, str]:
        """Columns that the owner named, by role."""
        names = {role: getattr(self, role) for role in ("prediction", "score", "timestamp", "target")}
        return {role: name for role, name in names.items() if name}


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
    raw = {
        role: _read(table, name, role)
        for role, name in (("prediction", roles.prediction), ("score", roles.score))
        if name
    }
    doubted = "score" in raw and "score" not in roles.certain
    if doubted and (doubt := doubt_score(raw["score"], raw.get("prediction"))):
        del raw["score"]
        notes.append(
            f"column {roles.score} is not monitored, for it may be a feature or the model's score: "
            f"{doubt}; the model's signature or monitoring.score would tell"
        )
        roles = replace(roles, score="", ignored=roles.ignored | {roles.score})
    if data.task and data.task not in TASKS:
        notes.append(f"task {data.task!r} is none of {', '.join(TASKS)}: inferred")
    scores = raw.get("score")
    task = data.task if data.task in TASKS else _infer_task(raw.get("prediction"), scores)
    labels = _read(table, roles.target, "label") if roles.target else None
    order = _class_order(table, roles) if task in ("binary", "multiclass") else ""
    if isinstance(scores, list) and has_class_scores(scores) and "prediction" in raw:
        single = _single_scores(scores, raw["prediction"], labels, task, order, data.positive_class)
        raw["score"], _ = read_numbers(single)
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
        column_values = raw[role] if role in raw else _read(table, name, role)
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
        counts=np.zeros(1, np.int64),
        moments=np.zeros((len(columns), 3)),
        rows=table.num_rows,
        task=task,
        source=data.source,
        split=data.split,
        target=data.target or roles.target,
        notes=tuple(notes),
        class_order=order,
        named={role: name for role, name in data.named.items() if role != "target"},
        score_edges=_score_quantiles(raw.get("score")) if task in ("binary", "multiclass") else np.empty(0),
    )
    counted = _count(reference, values, timestamps, windows)
    with_profile = counted if labels is None else _with_labels(counted, labels, timestamps, windows)
    outputs = Outputs(raw.get("prediction"), scores, labels)
    whole = _with_classes(with_profile, outputs, data.positive_class)
    reason = why_no_layout(whole)
    if reason and ("prediction" in raw or labels is not None):  # otherwise only features are to be monitored
        whole = replace(whole, notes=(*whole.notes, f"no quality: {reason}"))
    chosen, more = _choose_segments(whole, data.segments)
    found = []
    for segment in chosen:
        column = whole.columns[segment.column]
        cells = category_cells(column, values["feature", column.name]) + whole.offsets[segment.column]
        rows = np.flatnonzero(cells == segment.cell)
        part = {key: take_rows(column_values, rows) for key, column_values in values.items()}
        times = timestamps[rows] if timestamps is not None else None
        found.append(replace(segment, reference=_slice(whole, part, outputs.take(rows), times, windows)))
    labelled = _with_outcomes(whole, outputs, timestamps, windows, estimates=True)
    return replace(labelled, segments=tuple(found), notes=(*whole.notes, *more))


# -- segments -----------------------------------------------------------------------------------------------


def _choose_segments(reference: Reference, names: tuple[str, ...]) -> tuple[list[Segment], list[str]]:
    """The slices by the given columns, each without a profile of its own yet, and what is left out."""
    chosen: list[Segment] = []
    notes = []
    for name in names:
        index = next(
            (i for i, c in enumerate(reference.columns) if (c.role, c.name) == ("feature", name)), None
        )
        if index is None or reference.columns[index].numeric:
            notes.append(f"column {name} has no categories to slice by")
            continue
        column = reference.columns[index]
        first = int(reference.offsets[index])
        counts = reference.counts[first : first + len(column.categories)]
        filled = [place for place, rows in enumerate(counts.tolist()) if rows]
        taken = filled[: min(MAX_SEGMENTS_PER_COLUMN, MAX_SEGMENTS_PER_VERSION - len(chosen))]
        rarer = int(reference.counts[first + len(column.categories)])
        if len(taken) < len(filled) or rarer:
            notes.append(f"segments of column {name} are its {len(taken)} most frequent categories")
        for place in taken:
            segment = Segment(segment_name(column, place), index, first + place, reference)
            if any(each.name == segment.name for each in chosen):  # `a=b` is c, and a is `b=c`
                notes.append(f"a segment of column {name} is left out: another is called {segment.name}, too")
            else:
                chosen.append(segment)
    return chosen, notes


def _slice(
    whole: Reference,
    values: Mapping[tuple[str, str], Values],
    outputs: Outputs,
    timestamps: Floats | None,
    windows: tuple[Window, ...],
) -> Reference:
    """The profile of some rows, in the columns and bins of the whole."""
    rows = len(next(iter(values.values())))
    part = _count(replace(whole, rows=rows, notes=()), values, timestamps, windows)
    if whole.labels is not None and outputs.labels is not None:
        of_labels = {("label", ""): outputs.labels}
        part = replace(part, labels=_count(replace(whole.labels, rows=rows), of_labels, timestamps, windows))
    return _with_outcomes(part, outputs, timestamps, windows, estimates=False)


# -- reading ------------------------------------------------------------------------------------------------


def _read(table: pa.Table, name: str, role: str) -> Values:
    return (scores_from_arrow if role == "score" else from_arrow)(table.column(name), as_arrow=True)


def _timestamps(table: pa.Table, roles: Roles, notes: list[str]) -> Floats | None:
    """(rows,) seconds since the epoch, or None where the reference has no usable times."""
    name = roles.timestamp
    if not name:
        return None
    moments = read_times(_read(table, name, "timestamp"))
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


def _infer_task(prediction: Values | None, scores: Values | None) -> str:
    """One of `TASKS`, from predictions and class scores; empty where there are no usable predictions."""
    if prediction is None or isinstance(prediction, Times):
        return ""
    if isinstance(prediction, np.ndarray):
        known = prediction[~np.isnan(prediction)]
        classes = len(np.unique(known))
        whole = (known == np.floor(known)).all()
        if not (whole and (classes <= MAX_CLASSES or has_class_scores(scores))):
            return "regression"
    else:
        classes = int(np.count_nonzero(category_counts(prediction)[1]))
    if not classes:  # nothing, or several outputs in one
        return ""
    return "binary" if max(classes, count_class_scores(scores)) <= 2 else "multiclass"


def _kind(arrow_type: pa.DataType, values: Values, role: Role, task: str) -> ColumnKind | None:
    """How a column is binned, None where it is neither numbers nor texts nor dates."""
    if isinstance(values, Times):
        return "time" if role == "feature" else None
    if isinstance(values, list):
        return None
    if role in ("prediction", "label") and task in ("binary", "multiclass"):
        return "category"
    if pa.types.is_boolean(arrow_type):
        return "boolean"
    if isinstance(values, Texts) or pa.types.is_null(arrow_type):
        return "category"  # integers beyond 2^53 are texts as well: names, not amounts
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


def _single_scores(
    scores: list[object],
    predictions: Values,
    labels: Values | None,
    task: str,
    order: ClassOrder,
    positive_class: str,
) -> Values:
    """Of several scores, that of the predicted class; of two, that of the positive one."""
    if task not in ("binary", "multiclass"):
        return single_scores(scores, [None] * len(scores), ())
    prediction = profile_column("prediction", "prediction", "category", predictions, None)
    label = profile_column("label", "label", "category", labels, None) if labels is not None else None
    classes, positive = choose_classes(task, label, prediction, order, positive_class, {})
    if task == "binary":
        return single_scores(scores, [positive] * len(scores), classes)
    texts = canonical_texts(predictions)
    places = texts.places({name: place for place, name in enumerate(classes)})
    wanted: list[str | None] = [*classes, None]  # the last is of what is no class, or missing
    return single_scores(scores, [wanted[place] for place in np.append(places, -1)[texts.codes]], classes)


# -- counting -----------------------------------------------------------------------------------------------


def _count(
    reference: Reference,
    values: Mapping[tuple[str, str], Values],
    timestamps: Floats | None,
    windows: tuple[Window, ...],
) -> Reference:
    """The reference with its own counts and moments, and its natural variation in windows of each length."""
    whole: Block | None = None
    columns = [_without_single(column, values) for column in reference.columns]
    unbiased = replace(reference, columns=tuple(columns))
    cuts = {}
    if timestamps is not None:
        limit = max(MIN_CHUNKS, min(MAX_CHUNKS, MAX_CHUNK_CELLS // reference.cells))
        cuts = {window.seconds: cut(timestamps, window.seconds, limit, pairs=True) for window in windows}
    counts = {
        seconds: np.zeros(found.count * reference.cells, np.int64)
        for seconds, found in cuts.items()
        if found.count >= MIN_CHUNKS
    }
    times = timestamps if timestamps is not None else np.zeros(reference.rows)
    step = max(1, SLICE_VALUES // len(reference.columns))
    for start in range(0, reference.rows, step):
        rows = np.arange(start, min(start + step, reference.rows))
        part = {key: take_rows(column, rows) for key, column in values.items()}
        binned = bin_columns(unbiased, part, len(rows), times[rows])
        block = fold(reference, binned, np.zeros(len(rows), np.int64), None)[0]
        whole = block if whole is None else whole + block
        for seconds, count in counts.items():
            count += _count_chunks(binned, cuts[seconds].place[rows], reference.cells, len(count))
    assert whole is not None
    variation: dict[int, Variation] = {}
    longer: dict[str, Floats] | None = None
    for seconds in sorted(counts, reverse=True):
        chunks, numbers = counts[seconds].reshape(-1, reference.cells), cuts[seconds].numbers
        measured = natural_variation(chunks, reference.layout, seconds, numbers, longer)
        if measured is not None:
            variation[seconds], longer = Variation(chunks=measured[0], **measured[1]), measured[1]
    return replace(
        reference,
        counts=whole.counts.astype(np.int64),
        moments=whole.moments,
        variation=dict(sorted(variation.items())),
    )


def _without_single(column: Column, values: Mapping[tuple[str, str], Values]) -> Column:
    """The column as it would be without the very row that is counted.

    A category that one row alone has would be unseen if that row were not in the reference. The share of
    such rows is what to expect of live ones (Good 1953); with none at all, a long tail of categories would
    look like drift for ever.
    """
    if column.numeric or not len(column.known):
        return column
    texts, counts = category_counts(values[column.role, column.name if column.role == "feature" else ""])
    return replace(column, known=np.setdiff1d(column.known, texts.hashes[counts == 1]))


@dataclass(frozen=True)
class Outputs:
    """What reference rows say of the model: predictions, scores and labels, None where they do not."""

    predictions: Values | None
    scores: Values | None
    labels: Values | None

    @property
    def single_scores(self) -> Floats | None:
        """One number a row, where that is what there is."""
        return self.scores if isinstance(self.scores, np.ndarray) else None

    def take(self, rows: Ints) -> Outputs:
        """Those of the given rows."""
        columns = (self.predictions, self.scores, self.labels)
        return Outputs(*(None if values is None else take_rows(values, rows) for values in columns))


def _with_classes(reference: Reference, outputs: Outputs, positive_class: str) -> Reference:
    """The reference with its classes."""
    predictions, score = outputs.predictions, outputs.single_scores
    if predictions is None:
        return reference
    means = {}
    column = next((column for column in reference.columns if column.role == "prediction"), None)
    if score is not None and column is not None and reference.task == "binary":
        means = mean_ranks(predictions, score, column)
    return with_classes(reference, positive_class, means)


# -- labels -------------------------------------------------------------------------------------------------


def _with_labels(
    reference: Reference, labels: Values, timestamps: Floats | None, windows: tuple[Window, ...]
) -> Reference:
    """The reference with the profile of its labels, if they are such as its task has."""
    classifies = reference.task in ("binary", "multiclass")
    if isinstance(labels, Times) or not (classifies or isinstance(labels, np.ndarray)):
        note = f"column {reference.target} holds no labels of a {reference.task or 'known'} task"
        return replace(reference, notes=(*reference.notes, note))
    column = profile_column(
        reference.target, "label", "category" if classifies else "number", labels, timestamps
    )
    profile = Reference(
        columns=(column,),
        counts=np.zeros(1, np.int64),
        moments=np.zeros((1, 3)),
        rows=reference.rows,
        task=reference.task,
        source=reference.source,
    )
    return replace(reference, labels=_count(profile, {("label", ""): labels}, timestamps, windows))


def _with_outcomes(
    reference: Reference,
    outputs: Outputs,
    timestamps: Floats | None,
    windows: tuple[Window, ...],
    *,
    estimates: bool,
) -> Reference:
    """The reference with what its labels say of its predictions, and how that varies; estimates on demand."""
    layout = outcome_layout(reference)
    if layout is None or reference.labels is None or outputs.labels is None or outputs.predictions is None:
        return reference
    score = outputs.single_scores
    if isinstance(outputs.scores, list) and layout.classifies:
        score = class_scores(outputs.scores, layout.classes)
        score = score[:, layout.positive] if layout.task == "binary" else score
    hours = np.zeros(reference.rows, np.int64)
    outcomes = fold_outcomes(layout, outputs.labels, outputs.predictions, score, hours)[0]
    variation, of_estimates = {}, {}
    if timestamps is not None and reference.split not in TRAINING_SPLITS:
        for window in windows:
            chunks = cut(timestamps, window.seconds, MAX_QUALITY_CHUNKS)
            used = np.flatnonzero(chunks.place >= 0)
            if chunks.count < MIN_CHUNKS:
                continue
            folded = fold_outcomes(
                layout,
                take_rows(outputs.labels, used),
                take_rows(outputs.predictions, used),
                score[used] if score is not None else None,
                chunks.place[used],
            )
            if measured := quality_variation(layout, folded):
                variation[window.seconds] = measured
            if estimates and (expected := estimate_variation(layout, folded)):
                of_estimates[window.seconds] = expected
    return replace(
        reference,
        outcomes=outcomes.encode(layout),
        quality_variation=variation,
        estimate_variation=of_estimates,
    )


def _count_chunks(binned: Binned, place: Ints, cells: int, length: int) -> Ints:
    """(chunks * cells,) counts of a part of the rows by chunk."""
    inside = place >= 0
    flat = binned.cells[:, inside] + place[inside] * cells
    return np.bincount(flat.ravel(), minlength=length)
