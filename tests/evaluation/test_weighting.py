"""Figures of weighted rows."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from exporter.evaluation.figures import (
    QUALITY_METRICS,
    measure,
)
from exporter.evaluation.weighting import binary_tables, class_tables, plain_tables
from exporter.measures.intervals import Interval
from tests.support.labelled import make_layout, make_table, tally_table

LAYOUTS = {task: make_layout(task) for task in QUALITY_METRICS}


def figures_of(task: str, table: pa.Table) -> dict[str, Interval]:
    found = tally_table(LAYOUTS[task], table)
    return measure(LAYOUTS[task], found, plain_tables(found))


def test_weights_of_one_change_nothing_but_what_needs_every_row() -> None:
    layout, found = LAYOUTS["binary"], tally_table(LAYOUTS["binary"], make_table("binary", 500))

    plain = measure(layout, found, plain_tables(found))
    weighted = measure(layout, found, binary_tables(layout, found, np.ones((2, layout.bins + 1))))

    assert weighted == {metric: plain[metric] for metric in plain if metric not in ("log_loss", "brier")}


def test_weights_undo_that_negatives_were_thinned_out() -> None:
    layout, table = LAYOUTS["binary"], make_table("binary", 40_000)
    labels = np.array(table["label"])
    kept = (labels == 1) | (np.random.default_rng(0).random(40_000) < 0.2)
    thinned = tally_table(layout, table.filter(pa.array(kept)))

    weighted = binary_tables(layout, thinned, np.array([5.0, 1])[:, None, None])
    figures, whole = measure(layout, thinned, weighted), figures_of("binary", table)

    for metric in ("accuracy", "precision", "recall", "f1", "roc_auc", "calibration_error"):
        assert figures[metric].value == pytest.approx(whole[metric].value, abs=0.012), metric
        assert figures[metric].upper - figures[metric].lower >= whole[metric].upper - whole[metric].lower


def test_weights_of_a_predicted_class() -> None:
    layout, table = LAYOUTS["multiclass"], make_table("multiclass", 20_000, flaw=0.3)
    ash = np.array([name == "ash" for name in table["prediction"].to_pylist()])
    kept = ~ash | (np.random.default_rng(0).random(20_000) < 0.25)
    found = tally_table(layout, table.filter(pa.array(kept)))

    figures = measure(layout, found, class_tables(found, np.array([4.0, 1, 1, 1, 1])))
    whole = figures_of("multiclass", table)

    assert set(figures) == {"accuracy", "precision_macro", "recall_macro", "f1_macro"}
    for metric in figures:
        assert figures[metric].value == pytest.approx(whole[metric].value, abs=0.01), metric
