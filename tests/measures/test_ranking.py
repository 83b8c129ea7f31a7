"""The area under the ROC curve from a histogram, against scikit-learn's from the rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from exporter.measures.ranking import roc_auc, roc_auc_variance
from exporter.typing import Bools, Floats
from tests.measures.tables import binning_error

LOGIT = expit(np.linspace(-12, 12, 127))


def histograms(labels: Bools, scores: Floats, edges: Floats) -> tuple[Floats, Floats]:
    bins = np.searchsorted(edges, scores, side="right")
    positives = np.bincount(bins[labels], minlength=len(edges) + 1)
    return positives * 1.0, np.bincount(bins[~labels], minlength=len(edges) + 1) * 1.0


def rare_events(rows: int, seed: int = 0) -> tuple[Bools, Floats]:
    """1 % positives whose probabilities a perfect model says: an area of 0.92."""
    draw = np.random.default_rng(seed)
    labels = draw.random(rows) < 0.01
    distance = 1.99
    evidence = draw.normal(size=rows) + distance * labels
    return labels, expit(np.log(0.01 / 0.99) + distance * evidence - distance**2 / 2)


def test_where_every_score_has_its_own_bin_the_area_is_exact() -> None:
    labels = np.array([False, True, False, True, True, False, False])
    scores = np.array([0.1, 0.4, 0.4, 0.8, 0.2, 0.2, 0.9])

    area = roc_auc(*histograms(labels, scores, np.array([0.15, 0.3, 0.5, 0.85])))

    assert area == pytest.approx(roc_auc_score(labels, scores))


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=2, max_size=200))
def test_the_exact_area_is_within_the_binning_error(rows: list[tuple[bool, float]]) -> None:
    labels, scores = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    tables = histograms(labels, scores, LOGIT)

    if labels.all() or not labels.any():
        assert np.isnan(roc_auc(*tables))
        assert np.isnan(binning_error(*tables))
    else:
        assert abs(roc_auc(*tables) - roc_auc_score(labels, scores)) <= binning_error(*tables) + 1e-12


def test_with_one_percent_positives_bins_in_the_logit_move_it_by_a_ten_thousandth() -> None:
    labels, scores = rare_events(200_000)
    exact = roc_auc_score(labels, scores)

    assert exact == pytest.approx(0.92, abs=0.005)
    assert roc_auc(*histograms(labels, scores, LOGIT)) == pytest.approx(exact, abs=2e-4)
    assert roc_auc(*histograms(labels, scores, np.linspace(0, 1, 21)[1:-1])) < exact - 0.1


@pytest.mark.parametrize(
    ("positives", "negatives", "area"),
    [([0, 0, 5], [3, 4, 0], 1.0), ([5, 0, 0], [0, 4, 3], 0.0), ([0, 5, 0], [0, 7, 0], 0.5)],
    ids=["perfect", "perfectly wrong", "constant"],
)
def test_extremes(positives: list[float], negatives: list[float], area: float) -> None:
    assert roc_auc(np.array(positives), np.array(negatives)) == area


def test_many_histograms_are_measured_at_once() -> None:
    draw = np.random.default_rng(0)
    positives, negatives = draw.integers(0, 9, (2, 5, 20)).astype(np.float64)

    together = roc_auc(positives, negatives)

    assert together == pytest.approx(
        [float(roc_auc(p, n)) for p, n in zip(positives, negatives, strict=True)]
    )


def test_the_variance_is_that_of_drawn_samples() -> None:
    distance, draw, areas, variances = 1.0, np.random.default_rng(3), [], []
    edges = np.linspace(-3, 4, 127)
    for _ in range(1500):
        labels = draw.random(400) < 0.2
        tables = histograms(labels, draw.normal(size=400) + distance * labels, edges)
        areas.append(roc_auc(*tables))
        variances.append(roc_auc_variance(*tables, *tables))

    assert np.mean(areas) == pytest.approx(norm.cdf(distance / np.sqrt(2)), abs=0.005)
    assert np.mean(variances) == pytest.approx(np.var(areas), rel=0.08)


def test_one_class_has_no_variance_to_speak_of() -> None:
    none, some = np.zeros(3), np.array([1.0, 2, 3])

    assert np.isnan(roc_auc_variance(none, some, none, some))
