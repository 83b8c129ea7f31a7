"""Tells the row's own columns of reference data from features.

The owner may name the row's own columns. Otherwise they have their usual names, unless the model's signature
has an input of that name: a credit score is a feature, although it is called `score`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from exporter.formats.class_scores import Scores
from exporter.formats.columns import Values, canonical_texts, take_rows
from exporter.reference.bins import Role
from exporter.typing import Bools, Floats

USUAL = {
    "prediction": ("prediction",),
    "score": ("score",),
    "timestamp": ("timestamp",),
    "target": ("label", "target"),
}
# In predictions these fields are the row's own, so a feature of the same name would always be missing.
ROW_FIELDS = ("id", "latency_seconds")
MIN_ORDER = 0.95  # area under the curve of scores by predicted class, or of its mirror image
USUAL_NAMES = frozenset(name for names in USUAL.values() for name in names) | frozenset(ROW_FIELDS)


@dataclass(frozen=True)
class Roles:
    """Names of columns by role, empty where there is none; all others but the `ignored` are features.

    `certain` has the roles whose column was named, or told from the signature.
    """

    prediction: str
    score: str
    timestamp: str
    target: str
    ignored: frozenset[str]
    certain: frozenset[str]
    notes: tuple[str, ...]

    def role_of(self, name: str) -> Role | None:
        """Role of a column, None for one that predictions do not have."""
        if name in self.ignored or name in (self.timestamp, self.target):
            return None
        return "prediction" if name == self.prediction else "score" if name == self.score else "feature"


def choose_roles(columns: Sequence[str], named: Mapping[str, str], inputs: Collection[str]) -> Roles:
    """The roles of a reference's columns.

    Args:
        columns: names of all of them.
        named: names by role that the owner gave; empty where they did not.
        inputs: the features by the model's signature, empty where there is none.
    """
    notes: list[str] = []
    chosen: dict[str, str] = {}
    certain = set()
    for role, usual in USUAL.items():
        name = named.get(role, "")
        if name:
            if name not in columns:
                cost = ": it promises no quality" if role == "target" else ""
                notes.append(f"the reference has no column {name}, its {role}{cost}")
            certain.add(role)
        else:
            name = next((name for name in usual if name in columns and name not in inputs), "")
            if inputs:
                certain.add(role)
            if taken := [name for name in usual if name in columns and name in inputs]:
                notes.append(
                    f"column {taken[0]} is a feature, by the model's signature: "
                    f"monitoring.{role} names the row's own {role}, where there is one"
                )
        chosen[role] = name if name in columns else ""
    ignored = {name for name in ROW_FIELDS if name in columns and name not in inputs}
    notes += [
        f"column {name} is no feature: in samples it is the row's own"
        for name in ROW_FIELDS
        if name in ignored
    ]
    return Roles(**chosen, ignored=frozenset(ignored), certain=frozenset(certain), notes=tuple(notes))


def doubt_score(scores: Scores, prediction: Values | None) -> str:
    """Reason why a column with the usual name may be no score of the model; empty if it looks like one.

    A feature that is taken for the score would be missing in every live row.
    """
    if prediction is None:
        return "there are no predictions that it could be of"
    if scores.several is not None:
        return ""
    numbers = scores.single
    if not isinstance(numbers, np.ndarray):
        return "it holds no numbers"
    known = ~np.isnan(numbers)
    if ((numbers[known] >= 0) & (numbers[known] <= 1)).all() or _orders(numbers[known], prediction, known):
        return ""
    return "it is not from 0 to 1, and predictions do not follow it"


def _orders(scores: Floats, prediction: Values, known: Bools) -> bool:
    """True if scores are high for one of two predicted classes."""
    texts = canonical_texts(take_rows(prediction, np.flatnonzero(known)))
    classes, group = np.unique(texts.codes, return_inverse=True)
    if len(classes) != 2 or classes[0] < 0:
        return False
    from scipy.stats import rankdata  # 50 MB: only where a reference is profiled

    rows, high = np.bincount(group), rankdata(scores)[group == 1].sum()
    area = (high - rows[1] * (rows[1] + 1) / 2) / (rows[0] * rows[1])
    return bool(max(area, 1 - area) >= MIN_ORDER)
