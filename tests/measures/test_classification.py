"""Confusion counts against scikit-learn on the same rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from exporter.measures.classification import (
    accuracy,
    f1,
    macro,
    macro_f1_variance,
    occurring,
    precision,
    recall,
)
from exporter.typing import Floats

CLASSES = [0, 1, 2, 3]
pairs = st.lists(st.tuples(st.sampled_from(CLASSES), st.sampled_from(CLASSES)), min_size=1, max_size=60)


def confusion_of(rows: list[tuple[int, int]]) -> Floats:
    table = np.zeros((4, 4))
    for label, prediction in rows:
        table[label, prediction] += 1
    return table


@given(pairs)
def test_figures_are_scikit_learns(rows: list[tuple[int, int]]) -> None:
    labels, predictions = zip(*rows, strict=True)
    confusion = confusion_of(rows)

    assert accuracy(confusion) == pytest.approx(metrics.accuracy_score(labels, predictions))
    for ours, theirs in (
        (precision, metrics.precision_score),
        (recall, metrics.recall_score),
        (f1, metrics.f1_score),
    ):
        expected = theirs(labels, predictions, labels=CLASSES, average=None, zero_division=np.nan)
        assert ours(confusion) == pytest.approx(expected, nan_ok=True)


@given(pairs)
def test_macro_averages_are_scikit_learns(rows: list[tuple[int, int]]) -> None:
    labels, predictions = zip(*rows, strict=True)
    confusion = confusion_of(rows)

    for ours, theirs in (
        (precision, metrics.precision_score),
        (recall, metrics.recall_score),
        (f1, metrics.f1_score),
    ):
        expected = theirs(labels, predictions, average="macro", zero_division=0)
        assert macro(ours(confusion), occurring(confusion)) == pytest.approx(expected)


def test_no_rows_are_no_figure() -> None:
    nothing = np.zeros((4, 4))

    assert np.isnan(accuracy(nothing))
    assert np.isnan([precision(nothing), recall(nothing), f1(nothing)]).all()
    assert np.isnan(macro(f1(nothing), occurring(nothing)))
    assert np.isnan(macro_f1_variance(nothing, nothing, occurring(nothing)))


def test_the_variance_of_the_macro_f1_is_that_of_drawn_samples() -> None:
    share = np.array([[0.3, 0.05, 0.02], [0.06, 0.25, 0.04], [0.03, 0.05, 0.2]])
    draws = np.random.default_rng(0).multinomial(800, share.ravel(), size=4000).reshape(-1, 3, 3) * 1.0
    every = np.ones(3, np.bool_)

    expected = np.var([macro(f1(draw), every) for draw in draws])

    assert macro_f1_variance(800 * share, 800 * share, every) == pytest.approx(expected, rel=0.08)


def test_a_perfect_macro_f1_has_no_variance() -> None:
    perfect = np.diag([5.0, 7, 9])

    assert macro_f1_variance(perfect, perfect, occurring(perfect)) == 0


def test_weights_count_as_rows_and_their_squares_as_noise() -> None:
    confusion = np.array([[30.0, 10], [5, 55]])
    once = macro_f1_variance(confusion, confusion, occurring(confusion))

    assert macro_f1_variance(2 * confusion, 4 * confusion, occurring(confusion)) == pytest.approx(once)
