"""Coverage: the share of predictions that have labels, and weights that correct for uneven coverage. Pure.

Labels often come for some predictions rather than others, such as for flagged ones only. Strata are the
predicted classes and the bins of the score; if their coverage differs, figures of the labelled rows are
biased for all rows. Within a stratum, labels are assumed to be missing at random (Begg and Greenes 1983).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from exporter.aggregates.outcome_layout import OutcomeLayout
from exporter.aggregates.outcomes import Tally
from exporter.evaluation.weighting import Tables, binary_tables, class_tables, plain_tables
from exporter.measures.cbpe import rake, sum_by_cell
from exporter.measures.intervals import wilson
from exporter.typing import Floats, Ints

# Difference between a stratum's coverage and that of all rows that is tolerated.
MAX_DIFFERENCE = 0.05
# Normal quantile for 1 in 2,000 in both tails: there are some twenty strata, and any one may be uneven.
STRATUM_Z = 3.5
# Strata with a smaller share of the predictions are ignored.
MIN_STRATUM = 0.005
# Labelled rows that strata with at least this share of the predictions need, to be weighted. Smaller strata
# hardly influence a figure.
MIN_STRATUM_LABELS = 10
LARGE_STRATUM = 0.02


@dataclass(frozen=True)
class Coverage:
    """Coverage of predictions by labels, and the labelled rows' counts.

    `ratio` is the share of predictions with a label, NaN without predictions. `enough`: no stratum is below
    the minimum. `even`: all strata have about the same coverage. `tables` are the counts of the labelled
    rows, weighted by inverse coverage if it is uneven; None if they cannot represent all predictions, for
    `reason`.
    """

    ratio: float
    enough: bool
    even: bool
    tables: Tables | None
    reason: str


def measure_coverage(
    layout: OutcomeLayout, found: Tally, predictions: Ints, minimum: float, effect: float = 1.0
) -> Coverage:
    """Measure the coverage of predictions by labels in the same hours.

    Args:
        layout: of the tally.
        found: the labelled rows.
        predictions: (outputs.cells,) of all predictions.
        minimum: coverage that every stratum needs.
        effect: rows per independent row.
    """
    column = layout.column("prediction")
    assert column is not None
    rows = int(cells_of(layout, predictions, column).sum())
    if not rows:
        return Coverage(np.nan, enough=False, even=True, tables=plain_tables(found), reason="")
    ratio = min(found.rows / rows, 1.0)
    labelled, predicted = _strata(layout, found.cells), _strata(layout, predictions)
    enough, even = True, True
    for labels, total in zip(labelled.tolist(), predicted.tolist(), strict=True):
        if total < MIN_STRATUM * rows:
            continue
        stratum = wilson(min(labels / total, 1.0), total / effect, STRATUM_Z)
        enough = enough and stratum.upper >= minimum
        apart = stratum.lower > ratio + MAX_DIFFERENCE or stratum.upper < ratio - MAX_DIFFERENCE
        even = even and not apart
    if even:
        return Coverage(ratio, enough, even, plain_tables(found), "")
    thin = (predicted >= LARGE_STRATUM * rows) & (labelled < MIN_STRATUM_LABELS)
    if not layout.classifies:
        reason = "coverage by labels differs between predicted values"
        return Coverage(ratio, enough, even, None, reason)
    if thin.any():
        return Coverage(ratio, enough, even, None, "predictions of some classes or scores have no labels")
    return Coverage(ratio, enough, even, _weigh(layout, found, predictions), "weighted by inverse coverage")


def cells_of(layout: OutcomeLayout, cells: Ints, column: int) -> Ints:
    """Cells of one column of the outputs."""
    return cells[layout.outputs.offsets[column] : layout.outputs.offsets[column + 1]]


def _strata(layout: OutcomeLayout, cells: Ints) -> Ints:
    """Rows of each stratum, by prediction and by score."""
    columns = [layout.column("prediction"), layout.column("score")]
    return np.concatenate([cells_of(layout, cells, column) for column in columns if column is not None])


def _weigh(layout: OutcomeLayout, found: Tally, predictions: Ints) -> Tables:
    """Counts of the labelled rows, weighted by inverse coverage."""
    by_class = predictions_by_class(layout, predictions)
    if layout.task != "binary":
        labelled = found.confusion.sum(axis=0)
        return class_tables(
            found, np.divide(by_class, labelled, out=np.zeros(len(by_class)), where=labelled > 0)
        )
    by_side = np.array([by_class.sum() - by_class[layout.positive], by_class[layout.positive]])
    labelled, by_score, column = _by_score(layout, found, predictions)
    fitted = rake(labelled, by_side, by_score * by_side.sum() / max(by_score.sum(), 1))
    weights = np.divide(fitted, labelled, out=np.zeros(fitted.shape), where=labelled > 0)
    return binary_tables(layout, found, weights[:, column])


def predictions_by_class(layout: OutcomeLayout, predictions: Ints) -> Floats:
    """(classes + 1,) predictions by class; the last is for other classes and missing ones."""
    column = layout.column("prediction")
    assert column is not None
    cells = cells_of(layout, predictions, column)
    counts = np.zeros(layout.sides)
    for text, cell in layout.outputs.columns[column].category_cells.items():
        counts[layout.class_index.get(text, len(layout.classes))] += cells[cell]
    counts[-1] += cells.sum() - counts.sum()
    return counts


def _by_score(layout: OutcomeLayout, found: Tally, predictions: Ints) -> tuple[Floats, Floats, Ints]:
    """Labelled rows (2, strata) by prediction and score, predictions (strata,), and (bins + 1,) strata.

    The last stratum is of rows without a score; it is the only one if the reference has no scores.
    """
    scored = found.histogram.sum(axis=0)
    sides = np.array(
        [
            found.confusion.sum() - found.confusion[:, layout.positive].sum(),
            found.confusion[:, layout.positive].sum(),
        ]
    )
    index = layout.column("score")
    if index is None or layout.cell_of_bin is None:
        return sides[:, None].astype(np.float64), np.array([1.0]), np.zeros(layout.bins + 1, np.int64)
    bins = layout.outputs.columns[index].bins
    cells = cells_of(layout, predictions, index)
    labelled = np.zeros((2, bins + 1))
    labelled[:, :bins] = sum_by_cell(scored.astype(np.float64), layout.cell_of_bin, bins)
    labelled[:, bins] = sides - scored.sum(axis=1)
    by_score = np.append(cells[:bins], cells[bins:].sum()).astype(np.float64)
    return labelled, by_score, np.append(layout.cell_of_bin, bins)
