from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit
from sklearn import metrics

from exporter.measures.cbpe import ESTIMATED_METRICS, RAKE_SWEEPS, Estimate, calibrate, estimate, rake, spread
from exporter.typing import Bools, Floats

EDGES = expit(np.linspace(-12, 12, 127))
DRAW = np.random.default_rng(0)


def sample(rows: int, unsure: float, threshold: float = 0.5) -> tuple[Bools, Bools, Floats]:
    """Labels, predictions and scores, which are too extreme; a part of the rows is where they are unsure."""
    evidence = np.where(DRAW.random(rows) < unsure, DRAW.normal(0, 0.5, rows), DRAW.normal(-1.5, 2, rows))
    scores = expit(1.5 * evidence)
    return DRAW.random(rows) < expit(evidence), scores >= threshold, scores


def histogram_of(labels: Bools, predictions: Bools, scores: Floats) -> Floats:
    table = np.zeros((2, 2, len(EDGES) + 1))
    bins = np.searchsorted(EDGES, scores, side="right")
    np.add.at(table, (labels.astype(int), predictions.astype(int), bins), 1)
    return table


def estimate_of(reference: Floats, window: Floats, effect: float = 1.0) -> dict[str, Estimate]:
    calibration = calibrate(reference)
    assert calibration is not None
    return estimate(calibration, window.sum(axis=0), effect)


def real(labels: Bools, predictions: Bools, scores: Floats) -> dict[str, float]:
    return {
        "accuracy": metrics.accuracy_score(labels, predictions),
        "precision": metrics.precision_score(labels, predictions),
        "recall": metrics.recall_score(labels, predictions),
        "f1": metrics.f1_score(labels, predictions),
        "roc_auc": metrics.roc_auc_score(labels, scores),
    }


def test_of_the_reference_itself_it_says_what_the_labels_say() -> None:
    rows = sample(20_000, unsure=0.3)

    found = estimate_of(histogram_of(*rows), histogram_of(*rows))

    assert {metric: found[metric].value for metric in ESTIMATED_METRICS} == pytest.approx(
        real(*rows), abs=0.003
    )


def test_it_sees_quality_fall_where_the_model_becomes_unsure() -> None:
    reference, window = sample(20_000, unsure=0.1), sample(20_000, unsure=0.8)

    found, truth = estimate_of(histogram_of(*reference), histogram_of(*window)), real(*window)

    assert truth["accuracy"] < real(*reference)["accuracy"] - 0.05
    for metric in ESTIMATED_METRICS:
        assert found[metric].value == pytest.approx(truth[metric], abs=0.015), metric


@pytest.mark.parametrize("reference_rows", [1000, 5000])
def test_the_band_holds_what_labels_show_later(reference_rows: int) -> None:
    inside = []
    for _ in range(60):
        window = sample(3000, unsure=0.5)
        found = estimate_of(histogram_of(*sample(reference_rows, unsure=0.2)), histogram_of(*window))
        truth = real(*window)
        inside += [abs(found[m].value - truth[m]) < 2.576 * found[m].error for m in ESTIMATED_METRICS]

    assert np.mean(inside) > 0.95


def test_a_small_reference_widens_the_band() -> None:
    window = histogram_of(*sample(100_000, unsure=0.5))

    small = estimate_of(histogram_of(*sample(1000, unsure=0.2)), window)["accuracy"]
    large = estimate_of(histogram_of(*sample(50_000, unsure=0.2)), window)["accuracy"]

    assert small.error > 4 * large.error


def test_the_difference_to_the_reference_is_surer_than_both() -> None:
    reference = histogram_of(*sample(2000, unsure=0.3))

    found = estimate_of(reference, 50 * reference)["accuracy"]

    assert found.shortfall_error < 0.75 * found.error


def test_rows_in_bursts_widen_the_band() -> None:
    reference, window = histogram_of(*sample(50_000, unsure=0.3)), histogram_of(*sample(1000, unsure=0.3))

    once, burst = (estimate_of(reference, window, effect)["accuracy"] for effect in (1.0, 9.0))

    assert burst.value == once.value
    assert burst.error > 2 * once.error


def test_the_same_rows_give_the_same_band() -> None:
    reference, window = histogram_of(*sample(3000, unsure=0.3)), histogram_of(*sample(1000, unsure=0.3))

    assert estimate_of(reference, window) == estimate_of(reference, window)


def test_shares_of_positives_rise_with_the_score() -> None:
    calibration = calibrate(histogram_of(*sample(2000, unsure=0.3)))

    assert calibration is not None
    assert (np.diff(calibration.shares) >= 0).all()
    middle = np.searchsorted(EDGES, expit(1.5 * logit(0.6)))
    assert calibration.shares[middle] == pytest.approx(0.6, abs=0.08)


def test_scores_without_any_meaning_are_one_share() -> None:
    labels = np.arange(4000) % 4 == 0

    calibration = calibrate(histogram_of(labels, labels & False, np.full(4000, 0.3)))

    assert calibration is not None
    assert calibration.shares == pytest.approx(0.25)
    assert calibration.figures["roc_auc"] == 0.5


@pytest.mark.parametrize("rows", [0, 999])
def test_a_reference_that_is_too_small_teaches_nothing(rows: int) -> None:
    assert calibrate(histogram_of(*sample(rows, unsure=0.3))) is None


def test_a_reference_of_one_class_teaches_nothing() -> None:
    _, predictions, scores = sample(5000, unsure=0.3)

    assert calibrate(histogram_of(np.zeros(5000, np.bool_), predictions, scores)) is None


def test_where_nothing_is_predicted_positive_there_is_no_precision() -> None:
    window = histogram_of(*sample(2000, unsure=0.3, threshold=2.0))

    found = estimate_of(histogram_of(*sample(5000, unsure=0.3)), window)

    assert np.isnan(found["precision"].value)
    assert np.isnan(found["precision"].error)
    assert found["recall"].value == 0


def test_weights_give_the_reference_another_prevalence() -> None:
    """Negatives were thinned out in the reference, and their true number is declared."""
    labels, predictions, scores = sample(60_000, unsure=0.3)
    kept = labels | (DRAW.random(60_000) < 0.25)
    thinned = histogram_of(labels[kept], predictions[kept], scores[kept])
    window = sample(20_000, unsure=0.3)

    naive = estimate_of(thinned, histogram_of(*window))["precision"].value
    weighted = estimate_of(thinned * np.array([4.0, 1])[:, None, None], histogram_of(*window))[
        "precision"
    ].value

    assert naive > real(*window)["precision"] + 0.1
    assert weighted == pytest.approx(real(*window)["precision"], abs=0.02)


# -- from coarse counts to fine ones ------------------------------------------------------------------------


def test_rows_are_spread_within_a_cell_as_the_references_are() -> None:
    reference = np.array([[3.0, 1, 0, 0], [0, 0, 0, 5]])
    cell_of_bin = np.array([0, 0, 1, 1])

    spread_out = spread(np.array([[8.0, 2], [0, 10]]), reference, cell_of_bin)

    assert spread_out.tolist() == [[6, 2, 1, 1], [0, 0, 0, 10]]


@given(
    st.lists(st.integers(1, 50), min_size=6, max_size=6),
    st.lists(st.integers(1, 100), min_size=3, max_size=3),
)
def test_a_raked_table_has_the_sums_that_are_asked_for(table: list[int], columns: list[int]) -> None:
    total = sum(columns)
    rows = np.array([0.3 * total, 0.7 * total])

    counts = np.array(table).reshape(2, 3) * 1.0

    fitted = rake(counts, rows, np.array(columns) * 1.0)

    assert fitted.sum(axis=0) == pytest.approx(columns)
    assert fitted.sum(axis=1) == pytest.approx(rows, rel=bound(counts, rows, np.array(columns)))


def bound(table: Floats, rows: Floats, columns: Floats) -> float:
    """Relative error that is left of the sums of rows, by the theorem that `rake` cites.

    The first sweep is half a one to it. 1e-12 for most tables here, a sixth for the largest odds ratio.
    """
    odds = table[0] / table[1]
    root = np.sqrt(odds.max() / odds.min())
    off = columns / (table * (rows / table.sum(axis=1))[:, None]).sum(axis=0)
    distance = np.log(off.max() / off.min()) * ((root - 1) / (root + 1)) ** (2 * RAKE_SWEEPS - 1)
    return float(np.expm1(distance)) + 1e-12


def test_a_raked_table_keeps_its_empty_cells() -> None:
    fitted = rake(np.array([[5.0, 0], [0, 5]]), np.array([1.0, 9]), np.array([5.0, 5]))

    assert fitted.tolist() == [[5, 0], [0, 5]]
