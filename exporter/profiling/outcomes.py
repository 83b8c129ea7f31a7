"""Profiles the labels of a reference, and the quality of its predictions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from exporter.aggregates.chunks import cut_rows
from exporter.aggregates.labelled_rows import mean_ranks
from exporter.aggregates.outcome_layout import outcome_layout
from exporter.aggregates.outcomes import fold_outcomes
from exporter.evaluation.baselines import TRAINING_SPLITS
from exporter.evaluation.quality_variation import MAX_QUALITY_CHUNKS, estimate_variation, quality_variation
from exporter.formats.class_scores import scores_by_class
from exporter.formats.columns import Times, Values, take_rows
from exporter.measures.natural_variation import MIN_CHUNKS
from exporter.profiling.column_bins import profile_column
from exporter.profiling.counts import count_own
from exporter.profiling.own_columns import OutputColumns
from exporter.reference.bins import BinLayout
from exporter.reference.classes import with_classes
from exporter.reference.profile import Reference
from exporter.settings import Window
from exporter.typing import Floats


def add_classes(reference: Reference, outputs: OutputColumns, positive_class: str) -> Reference:
    """The reference with its classes."""
    predictions, score = outputs.predictions, outputs.single_scores
    if predictions is None:
        return reference
    means = {}
    column = next((column for column in reference.columns if column.role == "prediction"), None)
    if score is not None and column is not None and reference.task == "binary":
        means = mean_ranks(predictions, score, column)
    return with_classes(reference, positive_class, means)


def add_labels(
    reference: Reference, labels: Values, timestamps: Floats | None, windows: tuple[Window, ...]
) -> Reference:
    """The reference with the profile of its labels, if they fit its task."""
    classifies = reference.task in ("binary", "multiclass")
    if isinstance(labels, Times) or not (classifies or isinstance(labels, np.ndarray)):
        note = f"column {reference.target} holds no labels of a {reference.task or 'known'} task"
        return replace(reference, notes=(*reference.notes, note))
    column = profile_column(
        reference.target, "label", "category" if classifies else "number", labels, timestamps
    )
    own = count_own(BinLayout((column,)), {("label", ""): labels}, reference.rows, timestamps, windows)
    profile = Reference(
        columns=(column,),
        rows=reference.rows,
        task=reference.task,
        source=reference.source,
        **own._asdict(),
    )
    return replace(reference, labels=profile)


def add_outcomes(
    reference: Reference,
    outputs: OutputColumns,
    timestamps: Floats | None,
    windows: tuple[Window, ...],
    *,
    estimates: bool,
) -> Reference:
    """The reference with the outcomes of its labelled rows, and the natural variation of their quality.

    With `estimates`, also the variation of estimated quality.
    """
    layout = outcome_layout(reference)
    if layout is None or reference.labels is None or outputs.labels is None or outputs.predictions is None:
        return reference
    score = outputs.single_scores
    if outputs.scores is not None and outputs.scores.several is not None and layout.classifies:
        score = scores_by_class(outputs.scores.several, layout.classes)
        score = score[:, layout.positive] if layout.task == "binary" else score
    hours = np.zeros(reference.rows, np.int64)
    outcomes = fold_outcomes(layout, outputs.labels, outputs.predictions, score, hours)[0]
    variation, of_estimates = {}, {}
    if timestamps is not None and reference.split not in TRAINING_SPLITS:
        for window in windows:
            chunks = cut_rows(timestamps, window.seconds, MAX_QUALITY_CHUNKS)
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
