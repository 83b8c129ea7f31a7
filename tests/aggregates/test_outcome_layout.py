"""Bins of scores and positions of counts, frozen with the reference."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from exporter.reference.profile import decode_reference
from tests.support.labelled import TASKS, make_labelled_reference, make_layout
from tests.support.references import build, layout_of

SCORES = np.linspace(0.01, 0.99, 200)


def test_score_bins_lie_evenly_in_the_logit_and_within_those_of_the_column() -> None:
    reference = build({"prediction": (SCORES > 0.5) * 1, "score": SCORES})
    layout = layout_of(reference)
    own = next(column for column in reference.columns if column.role == "score").edges

    assert layout.probabilities
    assert np.isin(expit(np.linspace(-12, 12, 127)), layout.score_edges).all()
    assert np.isin(own, layout.score_edges).all()
    assert layout.cell_of_bin is not None
    assert (np.diff(layout.cell_of_bin) >= 0).all()
    assert (
        layout.cell_of_bin.tolist() == np.searchsorted(own, [-1, *layout.score_edges], side="right").tolist()
    )


def test_scores_that_are_no_probabilities_are_binned_over_their_range() -> None:
    layout = layout_of(build({"prediction": (SCORES > 0.5) * 1, "score": 20 * SCORES - 10}))

    assert not layout.probabilities
    assert layout.bins >= 128
    assert layout.score_edges[0] == pytest.approx(-9.8, abs=1e-3)


def test_without_scores_in_the_reference_they_are_taken_for_probabilities() -> None:
    layout = layout_of(build({"prediction": [0, 1]}))

    assert (layout.probabilities, layout.bins, layout.cell_of_bin) == (True, 128, None)


@pytest.mark.parametrize("task", TASKS)
def test_parts_of_the_counts_lie_one_after_the_other(task: str) -> None:
    layout = make_layout(task)

    assert 5 < layout.confusion_start <= layout.histogram_start <= layout.traffic_start <= layout.counts
    roles = [column.role for column in layout.outputs.columns]
    assert roles == ["prediction", *(["score"] if task != "regression" else []), "label"]


@pytest.mark.parametrize("task", TASKS)
def test_another_process_finds_the_same_layout(task: str) -> None:
    reference = make_labelled_reference(task, 300)

    again = layout_of(decode_reference(reference.encode()))

    assert again.digest == layout_of(reference).digest


def test_another_positive_class_is_another_layout() -> None:
    reference = make_labelled_reference("binary", 300)

    other = layout_of(replace(reference, positive_class="0"))

    assert other.digest != layout_of(reference).digest
