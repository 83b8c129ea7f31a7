"""Read joined rows of labels and predictions: each row's positions in the outcomes, and its summed terms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from exporter.aggregates.outcome_layout import ROW_FACTS, OutcomeLayout
from exporter.formats.class_scores import ClassScores, scores_by_class
from exporter.formats.columns import Texts, Values, canonical_texts, read_numbers, take_rows
from exporter.measures.calibration import brier_terms, log_loss_terms
from exporter.measures.exact_sum import MAX_EXPONENT, on_grid, square
from exporter.measures.regression import terms
from exporter.reference.binning import bin_columns
from exporter.reference.bins import Column
from exporter.reference.classes import Outputs, as_classes
from exporter.typing import Bools, Floats, Ints

# Largest number, in the target's unit, whose fourth power can be summed exactly.
MAX_MAGNITUDE = 2.0 ** ((MAX_EXPONENT - 8) // 4)


@dataclass(frozen=True)
class LabelledRows:
    """Positions and summands of joined rows, (rows,) each; a position is -1 where nothing is counted.

    `cells` are positions in the counts, `bins` positions of the `scores` in the sums of scores. `terms`
    (terms + squares, rows) are the summands of the layout's terms, the rounding errors of its squares last.
    """

    cells: list[Ints]
    bins: Ints
    scores: Floats
    terms: Floats


def read_rows(
    layout: OutcomeLayout, labels: Values, predictions: Values, scores: Floats | None
) -> LabelledRows:
    """Read joined rows; the arguments are those of `fold_outcomes`."""
    if layout.classifies:
        return _read_classes(layout, labels, predictions, scores)
    return _read_numbers(layout, labels, predictions)


def _fact(name: str, where: Bools) -> Ints:
    return np.where(where, ROW_FACTS.index(name), -1)


def _output_cells(layout: OutcomeLayout, values: dict[str, Values], usable: Bools) -> list[Ints]:
    binned = bin_columns(
        layout.outputs,
        {(role, ""): column for role, column in values.items()},
        len(usable),
        np.zeros(len(usable)),
    )
    return [np.where(usable, len(ROW_FACTS) + cells, -1) for cells in binned.cells]


def _read_classes(
    layout: OutcomeLayout, labels: Values, predictions: Values, scores: Floats | None
) -> LabelledRows:
    label_texts = as_classes(canonical_texts(labels), layout.classes)
    prediction_texts = as_classes(canonical_texts(predictions), layout.classes)
    label, prediction = _classes(layout, label_texts), _classes(layout, prediction_texts)
    usable = label_texts.codes >= 0
    matches = usable & (label == prediction)
    unlisted = np.flatnonzero(matches & (label == len(layout.classes)))
    if len(unlisted):  # both are classes without a place, which may differ
        matches[unlisted] = _same(label_texts, prediction_texts, unlisted)
    came_true = label == layout.positive if layout.task == "binary" else matches
    score, predicted, bins = _read_scores(layout, prediction, scores)
    scored = usable & (bins >= 0)
    bins = np.where(scored, bins, -1)
    quarter = 2 * came_true + predicted
    losses, lossy = _losses(layout, label, score, scores, scored)
    values: dict[str, Values] = {"prediction": prediction_texts, "score": score, "label": label_texts}
    return LabelledRows(
        cells=[
            _fact("rows", usable),
            _fact("unusable", ~usable),
            _fact("matches", matches),
            _fact("scored", lossy),
            *_output_cells(layout, values, usable),
            np.where(usable, layout.confusion_start + label * layout.sides + prediction, -1),
            np.where(scored, layout.histogram_start + quarter * layout.bins + bins, -1),
        ],
        bins=bins if layout.probabilities else np.full(len(bins), -1),
        scores=score,
        terms=losses,
    )


def place_scores(layout: OutcomeLayout | None, outputs: Outputs) -> Ints | None:
    """(rows,) position of each prediction of a classification in the traffic, -1 without a score.

    None where scores are not counted: without a layout, of regressions, and where no row has one.
    """
    if layout is None or not layout.classifies or outputs.score is None:
        return None
    scores = read_numbers(outputs.score)[0]
    _, predicted, bins = _read_scores(layout, _classes(layout, outputs.texts), scores)
    return np.where(bins >= 0, predicted * layout.bins + bins, -1)


def choose_scores(
    layout: OutcomeLayout, outputs: Texts, single: Floats, several: Mapping[int, ClassScores]
) -> Floats | None:
    """Scores of predictions as `fold_outcomes` takes them.

    Args:
        layout: what is counted.
        outputs: (rows,) predicted values.
        single: (rows,) score of predictions with one score, else NaN.
        several: scores of predictions with several, by row.
    """
    rows = [*several]
    if rows and layout.classifies:
        found = scores_by_class([*several.values()], layout.classes)
        if layout.task != "binary":
            matrix = np.full((len(single), len(layout.classes)), np.nan)
            matrix[rows] = found
            names = as_classes(outputs, layout.classes).rows()
            for row in np.flatnonzero(~np.isnan(single)).tolist():  # the score of the predicted class alone
                index = layout.class_index.get(names[row] or "")
                if index is not None:
                    matrix[row, index] = single[row]
            return matrix
        single = single.copy()
        single[rows] = found[:, layout.positive]
    return single if not np.isnan(single).all() else None


def _read_scores(layout: OutcomeLayout, prediction: Ints, scores: Floats | None) -> tuple[Floats, Ints, Ints]:
    """(rows,) each: score for the histogram, 1 if the prediction is positive, and score bin or -1."""
    if layout.task == "binary":
        assert scores is None or scores.ndim == 1
        score, predicted = scores, (prediction == layout.positive).astype(np.int64)
    else:
        score, predicted = _of_predicted(scores, prediction), np.ones(len(prediction), np.int64)
    valid = _valid(layout, score, len(prediction))
    bins = np.searchsorted(layout.score_edges, valid, side="right")
    return valid, predicted, np.where(np.isnan(valid), -1, bins)


def _losses(
    layout: OutcomeLayout, label: Ints, score: Floats, scores: Floats | None, scored: Bools
) -> tuple[Floats, Bools]:
    """(terms + squares, rows) loss terms, 0 for rows without a loss, and (rows,) True for rows with one."""
    nothing = np.zeros((len(layout.terms) + len(layout.squares), len(label)))
    if not layout.probabilities:
        return nothing, np.zeros(len(label), np.bool_)
    if layout.task == "binary":
        lossy, came_true = scored, label == layout.positive
        given = np.where(lossy, score, 0.5)
        loss = log_loss_terms(np.where(came_true, given, 1 - given))
        brier = brier_terms(given, came_true.astype(np.float64))
    elif scores is None or scores.ndim == 1:
        return nothing, np.zeros(len(label), np.bool_)
    else:
        # No probability is given to a class that the model does not know, so there is no loss.
        lossy = scored & (label < len(layout.classes)) & ((scores >= 0) & (scores <= 1)).all(axis=1)
        given = np.where(lossy[:, None], scores, 0.5)
        one_hot = np.eye(layout.sides)[label][:, : len(layout.classes)]
        loss = log_loss_terms((given * one_hot).sum(axis=1))
        brier = brier_terms(given, one_hot)
    loss, brier = on_grid(loss), on_grid(brier)
    (loss2, loss2_rest), (brier2, brier2_rest) = square(loss), square(brier)
    return np.where(lossy, np.stack([loss, loss2, brier, brier2, loss2_rest, brier2_rest]), 0.0), lossy


def _of_predicted(scores: Floats | None, prediction: Ints) -> Floats | None:
    """(rows,) score of the predicted class."""
    if scores is None or scores.ndim == 1:
        return scores
    with_other = np.column_stack([scores, np.full(len(scores), np.nan)])
    return with_other[np.arange(len(scores)), prediction]


def _valid(layout: OutcomeLayout, score: Floats | None, rows: int) -> Floats:
    """(rows,) scores, NaN where a row has none or one outside the layout's range."""
    if score is None:
        return np.full(rows, np.nan)
    fits = (score >= 0) & (score <= 1) if layout.probabilities else np.isfinite(score)
    return np.where(fits, score, np.nan)


def _same(left: Texts, right: Texts, rows: Ints) -> Bools:
    """(rows,) True where the left and right text of the given rows are equal; no left text is missing."""
    a, b = take_rows(left, rows), take_rows(right, rows)
    assert isinstance(a, Texts)
    assert isinstance(b, Texts)
    hashes = np.append(b.hashes, np.uint64(0))  # -1, a missing text, is the last
    same: Bools = (b.codes >= 0) & (a.hashes[a.codes] == hashes[b.codes])
    return same


def _classes(layout: OutcomeLayout, texts: Texts) -> Ints:
    """(rows,) index of each row's class; the last index is for other classes and missing ones."""
    other = len(layout.classes)
    places = texts.places(layout.class_index)
    return np.append(np.where(places < 0, other, places), other)[texts.codes]


def _read_numbers(layout: OutcomeLayout, labels: Values, predictions: Values) -> LabelledRows:
    label, prediction = _parse(labels), _parse(predictions)
    with np.errstate(invalid="ignore", over="ignore"):
        y = np.ldexp(label - layout.center, -layout.unit)
        e = np.ldexp(prediction - label, -layout.unit)
        usable = (np.abs(y) < MAX_MAGNITUDE) & (np.abs(e) < MAX_MAGNITUDE)
    y, e = np.where(usable, y, 0.0), np.where(usable, e, 0.0)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        ratio = (prediction - label) / label
    nonzero = usable & (np.abs(ratio) < MAX_MAGNITUDE)  # a label close to 0 counts as 0
    values: dict[str, Values] = {"prediction": prediction, "label": label}
    return LabelledRows(
        cells=[
            _fact("rows", usable),
            _fact("unusable", ~usable),
            _fact("matches", usable & (label == prediction)),
            _fact("zeros", usable & ~nonzero),
            *_output_cells(layout, values, usable),
        ],
        bins=np.full(len(y), -1),
        scores=np.zeros(len(y)),
        terms=terms(e, y, np.where(nonzero, ratio, 0.0)),
    )


def _parse(values: Values) -> Floats:
    """(rows,) numbers, also from their texts; NaN where a value is none."""
    if isinstance(values, np.ndarray):
        return values
    texts = canonical_texts(values)
    try:
        numbers = [*map(float, texts.texts)]
    except ValueError:  # a text that is no number: convert one by one
        numbers = [*map(_number, texts.texts)]
    return np.array([*numbers, np.nan])[texts.codes]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return np.nan


def mean_ranks(predictions: Values, scores: Floats, column: Column) -> dict[str, float]:
    """Mean rank of the score by predicted category, of the rows that have both.

    Ranks are robust: a single score of 1e6 among margins would dominate a mean of scores.
    """
    from scipy.stats import rankdata  # 50 MB: only where a reference is profiled

    texts = canonical_texts(predictions)
    places = np.append(texts.places(column.category_cells), -1)[texts.codes]
    known = (places >= 0) & np.isfinite(scores)
    rows = np.bincount(places[known], minlength=len(column.categories))
    sums = np.bincount(places[known], rankdata(scores[known]), minlength=len(column.categories))
    return {text: float(sums[k] / rows[k]) for k, text in enumerate(column.categories) if rows[k]}
