"""Rows that are stored by id: predictions, which wait for their labels, and labels."""

from __future__ import annotations

from typing import NamedTuple

from exporter.storage.lsm.records import RecordKind


class StoredPrediction(NamedTuple):
    """A prediction with an id, as far as a label needs it.

    `payload` is a hash of it. Several scores are in `scores`, as in `ClassScores.text`; `segments` are as
    in `segments_of_rows`.
    """

    id_hash: bytes
    version_id: int
    payload: int
    at: float
    prediction: str | None
    score: float | None
    scores: str | None = None
    segments: str | None = None


class StoredLabel(NamedTuple):
    """A label.

    `at` is when its first value became known; a correction does not change it. `matched` says whether there
    is a prediction with its id.
    """

    id_hash: bytes
    model_id: int
    label: str
    at: float
    matched: bool


PREDICTIONS = RecordKind(
    name="predictions",
    row=StoredPrediction,
    formats=(("version_id", "<i4"), ("payload", "<i8"), ("at", "<f8"), ("score", "<f8")),
    keys=("id_hash", "version_id"),
)
LABELS = RecordKind(
    name="labels",
    row=StoredLabel,
    formats=(("model_id", "<i4"), ("at", "<f8"), ("matched", "?")),
    keys=("id_hash",),
)
