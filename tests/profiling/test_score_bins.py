"""The area under the ROC curve is that of the scores themselves, whatever these are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from exporter.aggregates.outcome_layout import OutcomeLayout, outcome_layout
from exporter.aggregates.outcomes import fold_outcomes, tally
from exporter.evaluation.figures import measure
from exporter.evaluation.weighting import plain_tables
from exporter.profiling.build import build_reference
from exporter.profiling.data import ReferenceData
from exporter.reference.profile import Reference, decode_reference
from exporter.typing import Floats, Ints

LAWS: dict[str, Callable[[Floats], Floats]] = {
    "from .50 to .52": lambda z: 0.5 + 0.02 * expit(z),
    "from .4999 to .5001": lambda z: 0.5 + 1e-4 * np.tanh(z),
    "from .010 to .012": lambda z: 0.01 + 0.002 * expit(z),
    "about 1e-7": lambda z: np.clip(1e-7 * np.exp(z), 0, 1),
    "margins": lambda z: z - 1,
    "margins with a heavy tail": lambda z: np.sinh(2 * z),
    "margins with an outlier": lambda z: np.append(z[:-1], 1e6),
    "votes of a hundred trees": lambda z: np.round(expit(z), 2),
    "logistic": lambda z: expit(z - 1),
    "rare": lambda z: expit(z - 5),
}


def sample(law: str, rows: int, seed: int) -> tuple[Ints, Ints, Floats]:
    """Labels, predictions and scores."""
    draw = np.random.default_rng(seed)
    labels = (draw.random(rows) < 0.3).astype(np.int64)
    signal = draw.normal(size=rows) + 1.2 * labels
    return labels, (signal > 1).astype(np.int64), LAWS[law](signal)


def build(law: str) -> Reference:
    labels, predictions, scores = sample(law, 20_000, 0)
    table = pa.table({"x": labels, "label": labels, "prediction": predictions, "score": scores})
    return build_reference(ReferenceData(table, "tests", split="test", score="score"), (), 10)


def area(layout: OutcomeLayout | None, law: str) -> float:
    assert layout is not None
    labels, predictions, scores = sample(law, 100_000, 1)
    outcomes = fold_outcomes(layout, labels.astype(float), predictions.astype(float), scores, 0 * labels)
    found = tally(layout, outcomes.values())
    return measure(layout, found, plain_tables(found))["roc_auc"].value


@pytest.mark.parametrize("law", LAWS)
def test_the_area_is_within_3e_4_of_the_exact_one(law: str) -> None:
    labels, _, scores = sample(law, 100_000, 1)

    assert area(outcome_layout(build(law)), law) == pytest.approx(roc_auc_score(labels, scores), abs=3e-4)


def test_a_reference_that_was_stored_without_these_edges_can_still_be_read() -> None:
    """Its outcomes were counted in fewer bins, in which they go on."""
    law = "from .50 to .52"
    before = replace(build(law), score_edges=np.empty(0))
    stored = decode_reference(before.encode())

    assert stored.digest == before.digest
    assert b"score_edges" not in before._payload()
    layout = outcome_layout(stored)
    assert layout is not None
    assert layout.digest == outcome_layout(before).digest  # type: ignore[union-attr]
    labels, _, scores = sample(law, 100_000, 1)
    assert area(layout, law) == pytest.approx(roc_auc_score(labels, scores), abs=5e-3)
