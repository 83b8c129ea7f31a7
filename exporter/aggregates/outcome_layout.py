"""Layout of the counts of labelled rows: classes, bins of scores, units, all frozen with the reference.

Outcomes are two flat vectors, so that they are added, stored and subtracted by one operation each. Their
parts are:

    counts  rows, unusable, matches, scored, zeros
            cells of the prediction, the score and the label, in the reference's bins
            confusion (classes + 1, classes + 1): label, prediction; the last one is every other class
            histogram (2, 2, bins): label positive, prediction positive, score
            traffic (2, bins): prediction positive, score; of all predictions, labelled or not
            past: cells of the prediction and the score, of all predictions in expired blocks
    sums    scores by bin (bins,), in units of 2 ** -32
            limbs (terms, LIMBS) of exact sums of per-row terms

With more than two classes, the histogram is of correct and wrong predictions: its first axis is 1 for a
correct one, its second is always 1, and its score is that of the predicted class.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from math import exp, frexp
from typing import Any

import numpy as np

from exporter.measures.exact_sum import LIMBS
from exporter.measures.regression import SQUARES, TERMS
from exporter.reference.bins import BinLayout, Column
from exporter.reference.profile import Reference
from exporter.typing import Floats, Ints

# Score bins have evenly spaced edges in the score's logit, from minus this to this: 6e-6 from 0 and 1.
LOGIT_LIMIT = 12.0
SCORE_BINS = 128
ROW_FACTS = ("rows", "unusable", "matches", "scored", "zeros")
LOSS_TERMS = ("log_loss", "log_loss2", "brier", "brier2")
LOSS_SQUARES = ("log_loss2", "brier2")


@dataclass(frozen=True, eq=False)
class OutcomeLayout:
    """Positions in the outcomes of one version.

    `classes` and the index `positive` are for classification only. `outputs` has the reference's columns of
    the roles prediction, score and label, as far as it has them. `score_edges` (bins - 1,) include all edges
    of the score column's bins, so that each fine bin lies within one of those, and quantiles of the
    reference's scores where these are close together. With `probabilities`, scores are from 0 to 1. Numeric
    labels are measured from `center`, in units of 2 ** `unit`.
    """

    task: str
    classes: tuple[str, ...]
    positive: int
    outputs: BinLayout
    score_edges: Floats
    probabilities: bool
    center: float
    unit: int

    @property
    def classifies(self) -> bool:
        return self.task != "regression"

    @property
    def bins(self) -> int:
        return len(self.score_edges) + 1 if self.classifies else 0

    @property
    def sides(self) -> int:
        """Number of rows, and of columns, of the confusion matrix."""
        return len(self.classes) + 1 if self.classifies else 0

    @property
    def terms(self) -> tuple[str, ...]:
        """Names of the per-row terms that are summed."""
        return LOSS_TERMS if self.classifies else TERMS

    @property
    def squares(self) -> list[int]:
        """Indices of the terms that are summed as a square and its rounding error."""
        return [self.terms.index(term) for term in (LOSS_SQUARES if self.classifies else SQUARES)]

    @property
    def confusion_start(self) -> int:
        return len(ROW_FACTS) + self.outputs.cells

    @property
    def histogram_start(self) -> int:
        return self.confusion_start + self.sides**2

    @property
    def traffic_start(self) -> int:
        return self.histogram_start + 4 * self.bins

    @property
    def past_start(self) -> int:
        return self.traffic_start + 2 * self.bins

    @property
    def counts(self) -> int:
        """Length of the counts."""
        return self.past_start + self.outputs.cells

    @property
    def sums(self) -> int:
        """Length of the sums."""
        return self.bins + LIMBS * len(self.terms)

    @cached_property
    def class_index(self) -> dict[str, int]:
        return {text: index for index, text in enumerate(self.classes)}

    def column(self, role: str) -> int | None:
        """Index of the output column with a role; None if the reference has none."""
        return next((i for i, column in enumerate(self.outputs.columns) if column.role == role), None)

    @cached_property
    def cell_of_bin(self) -> Ints | None:
        """(bins,) cell of the score column that contains each bin; None without such a column."""
        index = self.column("score")
        if index is None:
            return None
        lowest = np.concatenate([[-np.inf], self.score_edges])
        return np.searchsorted(self.outputs.columns[index].edges, lowest, side="right").astype(np.int64)

    @cached_property
    def digest(self) -> bytes:
        """16 bytes that identify the layout in stored outcomes."""
        # The first version hashed the outputs as a reference without rows; stored outcomes carry that digest.
        empty: dict[str, Any] = {
            "columns": [column.state() for column in self.outputs.columns], "counts": [], "moments": [],
            "rows": 0, "task": self.task, "source": "", "split": "", "target": "", "variation": {},
            "notes": [],
        }  # fmt: skip
        payload = json.dumps(empty, sort_keys=True, separators=(",", ":")).encode()
        state = [
            self.task, list(self.classes), self.positive, self.score_edges.tolist(), self.probabilities,
            self.center, self.unit, hashlib.sha256(payload).hexdigest(),
        ]  # fmt: skip
        return hashlib.blake2b(json.dumps(state).encode(), digest_size=16).digest()


def outcome_layout(reference: Reference) -> OutcomeLayout | None:
    """Layout of the outcomes of a reference's version; None if it has none, see `why_no_layout`."""
    if why_no_layout(reference):
        return None
    prediction = next(c for c in reference.columns if c.role == "prediction")
    score = next((c for c in reference.columns if c.role == "score" and c.kind == "number"), None)
    target = reference.labels.columns[0] if reference.labels is not None else None
    probabilities = score is None or _within_unit(score)
    measured = target or prediction
    return OutcomeLayout(
        task=reference.task,
        classes=reference.classes,
        positive=reference.classes.index(reference.positive_class) if reference.positive_class else 0,
        outputs=BinLayout(tuple(column for column in (prediction, score, target) if column is not None)),
        score_edges=np.union1d(_score_edges(score), reference.score_edges),
        probabilities=probabilities,
        center=measured.center,
        unit=frexp(measured.scale)[1],
    )


def why_no_layout(reference: Reference) -> str:
    """Reason why outcomes of a reference's version cannot be counted; empty if they can."""
    if not reference.task or not any(column.role == "prediction" for column in reference.columns):
        return "the reference has no usable predictions"
    if reference.task == "binary" and len(reference.classes) < 2:
        known = ", ".join(reference.classes) or "none"
        return (
            f"of the two classes the reference knows one ({known}); rows of both, or "
            "monitoring.positive_class, would tell the other"
        )
    return ""


def _within_unit(score: Column) -> bool:
    slack = 1e-6  # a column's range is slightly wider than its values
    return not len(score.edges) or bool(score.edges[0] >= -slack and score.edges[-1] <= 1 + slack)


def _score_edges(score: Column | None) -> Floats:
    """Edges evenly spaced in the logit of probabilities or in the range of other scores, and the column's."""
    if score is None or not len(score.edges):
        return _logit_edges()
    fine = (
        _logit_edges()
        if _within_unit(score)
        else np.linspace(score.edges[0], score.edges[-1], SCORE_BINS - 1)
    )
    return np.union1d(fine, score.edges)


def _logit_edges() -> Floats:
    logits = np.linspace(-LOGIT_LIMIT, LOGIT_LIMIT, SCORE_BINS - 1)
    return np.array([1 / (1 + exp(-logit)) for logit in logits.tolist()])


@dataclass(frozen=True)
class OutputCells:
    """Positions of the outputs' cells among those of the reference: (outputs.cells,) each.

    `place` is the reference's cell; `known` is 1 if it has one and 0 for cells of the label.
    """

    place: Ints
    known: Ints

    @classmethod
    def of(cls, layout: OutcomeLayout, reference: Reference) -> OutputCells:
        starts = {
            column.role: int(start)
            for column, start in zip(reference.columns, reference.offsets, strict=False)
        }
        place, known = [], []
        for column in layout.outputs.columns:
            there = column.role in ("prediction", "score")
            start = starts[column.role] if there else 0
            place.append(start + np.arange(column.cells) if there else np.zeros(column.cells, np.int64))
            known.append(np.full(column.cells, int(there)))
        return cls(np.concatenate(place), np.concatenate(known))

    def take(self, counts: Ints) -> Ints:
        """(outputs.cells,) counts from (cells,) counts in the reference's layout; 0 for the label."""
        taken: Ints = counts[self.place] * self.known
        return taken
