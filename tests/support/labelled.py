"""References with labels, and labelled rows that are like theirs, for the tests of quality."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from scipy.special import expit

from exporter.aggregates.block import fold
from exporter.aggregates.labelled_rows import place_scores
from exporter.aggregates.outcome_layout import OutcomeLayout, outcome_layout
from exporter.aggregates.outcomes import Outcomes, Tally, fold_outcomes, fold_predictions, tally
from exporter.aggregates.timeline import Timeline
from exporter.evaluation.context import QualityRules
from exporter.evaluation.quality_reference import QualityReference, quality_reference
from exporter.formats.arrow_columns import from_arrow
from exporter.formats.columns import Values, canonical_texts, from_python
from exporter.profiling.build import build_reference
from exporter.profiling.data import ReferenceData
from exporter.reference.binning import bin_columns
from exporter.reference.classes import Outputs, as_classes
from exporter.reference.profile import Reference
from exporter.settings import Window
from exporter.typing import Floats, Ints
from tests.support.traffic import NOW, SETTINGS

CLASSES = ("ash", "elm", "fir", "oak")
TASKS = ("binary", "multiclass", "regression")


def make_table(task: str, rows: int, seed: int = 0, flaw: float = 0.0) -> pa.Table:
    """Rows of a calibrated model; `flaw` is the share of them whose label has nothing to do with it."""
    draw = np.random.default_rng(seed)
    x = draw.normal(size=rows)
    wrong = draw.random(rows) < flaw
    if task == "regression":
        label = 50 + 10 * np.where(wrong, draw.normal(size=rows), x)
        return pa.table({"x": x, "prediction": 50 + 10 * x + draw.normal(0, 2, rows), "label": label})
    if task == "binary":
        score = expit(2 * x - 1)
        label = draw.random(rows) < np.where(wrong, score.mean(), score)
        columns = {"prediction": (score >= 0.5).astype(np.int64), "label": label.astype(np.int64)}
        return pa.table({"x": x, "score": score, **columns})
    scores = draw.dirichlet(0.4 * np.ones(len(CLASSES)), rows)
    cumulated = np.cumsum(np.where(wrong[:, None], 0.25, scores), axis=1)
    labels = (cumulated < draw.random(rows)[:, None]).sum(axis=1).clip(0, len(CLASSES) - 1)
    names = np.array(CLASSES)
    return pa.table(
        {"x": x, "score": list(scores), "prediction": names[scores.argmax(axis=1)], "label": names[labels]}
    )


def make_labelled_reference(
    task: str, rows: int = 4000, seed: int = 1, windows: tuple[Window, ...] = (), **data: Any
) -> Reference:
    table = data.pop("table", None)
    table = make_table(task, rows, seed) if table is None else table
    return build_reference(ReferenceData(table, "tests", **{"split": "test", **data}), windows, 100)


def make_layout(task: str) -> OutcomeLayout:
    layout = outcome_layout(make_labelled_reference(task, 300))
    assert layout is not None
    return layout


def make_quality_reference(
    task: str, rules: QualityRules | None = None, **reference: Any
) -> QualityReference:
    against = quality_reference(make_labelled_reference(task, **reference), rules or QualityRules(), {})
    assert against is not None
    return against


def scores_of(table: pa.Table) -> Floats | None:
    if "score" not in table.column_names:
        return None
    return np.array(table["score"].to_pylist(), np.float64)


def hours_of(times: Floats) -> Ints:
    return np.floor_divide(times, 3600).astype(np.int64) * 3600


def fold_table(
    layout: OutcomeLayout, table: pa.Table, hours: Ints | None = None, sign: int = 1
) -> dict[int, Outcomes]:
    hours = np.zeros(table.num_rows, np.int64) if hours is None else hours
    labels, predictions = from_arrow(table["label"]), from_arrow(table["prediction"])
    return fold_outcomes(layout, labels, predictions, scores_of(table), hours, sign)


def places_of(layout: OutcomeLayout, predictions: Values, scores: Floats | None) -> Ints:
    """Like `place_scores`, but from raw predictions; -1 where scores are not counted."""
    if not layout.classifies or scores is None:
        return np.full(len(predictions), -1)
    outputs = Outputs(as_classes(canonical_texts(predictions), layout.classes), scores)
    places = place_scores(layout, outputs)
    assert places is not None
    return places


def fold_traffic(layout: OutcomeLayout, table: pa.Table, hours: Ints) -> dict[int, Outcomes]:
    return fold_predictions(
        layout, places_of(layout, from_arrow(table["prediction"]), scores_of(table)), hours
    )


def tally_table(layout: OutcomeLayout, table: pa.Table) -> Tally:
    return tally(layout, fold_table(layout, table).values())


def spread_times(rows: int, hours_ago: tuple[float, float] = (1, 23), seed: int = 0) -> Floats:
    """(rows,) evenly between so many hours ago."""
    first, last = hours_ago
    return NOW - 3600 * np.random.default_rng(seed).uniform(first, last, rows)


def make_traffic(reference: Reference, table: pa.Table, times: Floats) -> Timeline:
    """The predictions of a table in fine blocks, or in coarse ones where they are older than those."""
    values = {("feature", "x"): from_arrow(table["x"]), ("prediction", ""): from_arrow(table["prediction"])}
    if "score" in table.column_names:
        scores = scores_of(table)
        assert scores is not None
        values["score", ""] = scores if scores.ndim == 1 else scores.max(axis=1)  # the predicted class's
    binned = bin_columns(reference, values, table.num_rows, times)
    timeline = Timeline(SETTINGS)
    starts = timeline.block_starts(times, NOW)
    for start, block in fold(reference, binned, starts, None).items():
        family = timeline.coarse if start < timeline.horizon(NOW) else timeline.fine
        family[start] = block
    return timeline


def merge(*parts: dict[int, Outcomes]) -> dict[int, Outcomes]:
    merged: dict[int, Outcomes] = {}
    for part in parts:
        for hour, outcomes in part.items():
            merged[hour] = merged[hour] + outcomes if hour in merged else outcomes
    return merged


LAYOUTS = {task: make_layout(task) for task in TASKS}


def count(
    task: str,
    labels: list[Any],
    predictions: list[Any],
    scores: Any = None,
    layout: OutcomeLayout | None = None,
) -> Tally:
    """Tally of labelled rows that are given as lists."""
    layout = layout or LAYOUTS[task]
    values = from_python(labels), from_python(predictions)
    given_scores = np.array(scores, np.float64) if scores is not None else None
    folded = fold_outcomes(layout, *values, given_scores, np.zeros(len(labels), np.int64))
    return tally(layout, folded.values())


def same(first: Outcomes, second: Outcomes) -> bool:
    return bool((first.counts == second.counts).all() and (first.sums == second.sums).all())
