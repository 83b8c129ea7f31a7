"""Pairs of a prediction and its label, in columns."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from exporter.formats.columns import Texts
from exporter.storage.lsm.records import Records, TextRow
from exporter.storage.rows import LABELS, PREDICTIONS
from exporter.typing import Floats, Ints

_PREDICTION, _SCORES, _SEGMENTS = map(PREDICTIONS.text_fields.index, ("prediction", "scores", "segments"))
_LABEL = LABELS.text_fields.index("label")


@dataclass(frozen=True)
class Pairs:
    """Stored `predictions` (pairs,) and their `labels` (pairs,)."""

    predictions: Records
    labels: Records

    def __len__(self) -> int:
        return len(self.predictions)

    @property
    def times(self) -> Floats:
        """(pairs,) time of each prediction, in seconds since the epoch."""
        times: Floats = self.predictions.numbers["at"]
        return times

    @property
    def known_at(self) -> Floats:
        """(pairs,) time at which each label became known, in seconds since the epoch."""
        known_at: Floats = self.labels.numbers["at"]
        return known_at

    @property
    def outcomes(self) -> Texts:
        """(pairs,) labels."""
        return _column(LABELS.text_rows(self.labels), _LABEL)

    @property
    def outputs(self) -> Texts:
        """(pairs,) predicted values."""
        return _column(self._texts, _PREDICTION)

    @property
    def score(self) -> Floats:
        """(pairs,) score of predictions with one score, else NaN."""
        score: Floats = self.predictions.numbers["score"].copy()
        return score

    @property
    def scores(self) -> Texts:
        """(pairs,) scores of predictions with several."""
        return _column(self._texts, _SCORES)

    def take(self, chosen: Ints) -> Pairs:
        """The pairs at the given indices."""
        return Pairs(self.predictions.take(chosen), self.labels.take(chosen))

    def by_version(self) -> Iterator[tuple[int, Pairs]]:
        """Pairs by the key of the version that predicted."""
        versions = self.predictions.numbers["version_id"]
        distinct = np.unique(versions).tolist()
        for version in distinct:
            yield version, self if len(distinct) == 1 else self.take(np.flatnonzero(versions == version))

    def by_segment(self) -> dict[str, Pairs]:
        """Pairs by the names of the segments that their predictions were in."""
        segments = _column(self._texts, _SEGMENTS)
        inside: dict[str, list[int]] = {}
        for code, names in enumerate(segments.texts):
            for name in json.loads(names) if names else ():
                inside.setdefault(name, []).append(code)
        return {
            name: self.take(np.flatnonzero(np.isin(segments.codes, codes))) for name, codes in inside.items()
        }

    @staticmethod
    def join(parts: Sequence[Pairs]) -> Pairs:
        """All pairs of at least one part, in order."""
        return Pairs(
            Records.join([part.predictions for part in parts]), Records.join([part.labels for part in parts])
        )

    @cached_property
    def _texts(self) -> tuple[Ints, list[TextRow]]:
        return PREDICTIONS.text_rows(self.predictions)


def _column(rows: tuple[Ints, list[TextRow]], field_index: int) -> Texts:
    """One text field of the rows of `RecordKind.text_rows`."""
    codes, distinct = rows
    texts = [row[field_index] for row in distinct]
    missing = np.array([text is None for text in texts], np.bool_)
    return Texts(np.where(missing[codes], -1, codes), [text or "" for text in texts])


@dataclass
class Joined:
    """Pairs that a commit changes.

    `first` are by the first label of an id; others were `added` or `removed`.
    """

    first: list[Pairs] = field(default_factory=list)
    added: list[Pairs] = field(default_factory=list)
    removed: list[Pairs] = field(default_factory=list)
