"""Predictions and the labels that they met, in columns: they come by the thousand."""

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
    """`predictions` (pairs,) and `labels` (pairs,), as they are stored."""

    predictions: Records
    labels: Records

    def __len__(self) -> int:
        return len(self.predictions)

    @property
    def times(self) -> Floats:
        """(pairs,) when each prediction was made, in seconds since the epoch."""
        times: Floats = self.predictions.numbers["at"]
        return times

    @property
    def known_at(self) -> Floats:
        """(pairs,) since when each label is known, in seconds since the epoch."""
        known_at: Floats = self.labels.numbers["at"]
        return known_at

    @property
    def outcomes(self) -> Texts:
        """(pairs,) what came true."""
        return _column(LABELS.text_rows(self.labels), _LABEL)

    @property
    def outputs(self) -> Texts:
        """(pairs,) what was predicted."""
        return _column(self._texts, _PREDICTION)

    @property
    def score(self) -> Floats:
        """(pairs,) the one score of each prediction that has one, else NaN."""
        score: Floats = self.predictions.numbers["score"].copy()
        return score

    @property
    def scores(self) -> Texts:
        """(pairs,) the scores of each prediction that has several."""
        return _column(self._texts, _SCORES)

    def take(self, places: Ints) -> Pairs:
        """The pairs at the given places."""
        return Pairs(self.predictions.take(places), self.labels.take(places))

    def by_version(self) -> Iterator[tuple[int, Pairs]]:
        """The pairs of each version that predicted, with its key."""
        versions = self.predictions.numbers["version_id"]
        distinct = np.unique(versions).tolist()
        for version in distinct:
            yield version, self if len(distinct) == 1 else self.take(np.flatnonzero(versions == version))

    def by_segment(self) -> dict[str, Pairs]:
        """The pairs of each segment by its name; a prediction says which it was in."""
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
        """All pairs of several, at least one, in order."""
        return Pairs(
            Records.join([part.predictions for part in parts]), Records.join([part.labels for part in parts])
        )

    @cached_property
    def _texts(self) -> tuple[Ints, list[TextRow]]:
        return PREDICTIONS.text_rows(self.predictions)


def _column(rows: tuple[Ints, list[TextRow]], place: int) -> Texts:
    """One of the texts of rows, of `RecordKind.text_rows`."""
    codes, distinct = rows
    texts = [row[place] for row in distinct]
    missing = np.array([text is None for text in texts], np.bool_)
    return Texts(np.where(missing[codes], -1, codes), [text or "" for text in texts])


@dataclass
class Joined:
    """What a commit changes: pairs whose label is the first of its id, others that are there now, and those
    that are not any more."""

    first: list[Pairs] = field(default_factory=list)
    added: list[Pairs] = field(default_factory=list)
    removed: list[Pairs] = field(default_factory=list)
