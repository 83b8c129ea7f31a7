"""Predictions and the labels that they met, in columns: they come by the thousand."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TypeAlias

import numpy as np

from exporter.arrays import Floats

# Values of `JOINED_COLUMNS`. As plain tuples: named ones take as long to make as the database to read.
StoredPrediction: TypeAlias = tuple[bytes, int, float, str | None, float | None, str | None, str | None]
JOINED_COLUMNS = ("id_hash", "version_id", "at", "prediction", "score", "scores", "segments")


@dataclass
class Pairs:
    """`predictions` (pairs,), `labels` (pairs,) of them, and when each became known: `known_at` (pairs,)."""

    predictions: list[StoredPrediction] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    known_at: list[float] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.predictions)

    @property
    def times(self) -> Floats:
        """(pairs,) when each prediction was made, in seconds since the epoch."""
        return np.fromiter(
            map(itemgetter(JOINED_COLUMNS.index("at")), self.predictions), np.float64, len(self)
        )

    def add(self, prediction: StoredPrediction, label: str, known_at: float) -> None:
        self.predictions.append(prediction)
        self.labels.append(label)
        self.known_at.append(known_at)

    def extend(
        self, predictions: Iterable[StoredPrediction], labels: Iterable[str], known_at: Iterable[float]
    ) -> None:
        self.predictions.extend(predictions)
        self.labels.extend(labels)
        self.known_at.extend(known_at)

    def take(self, places: Sequence[int]) -> Pairs:
        """The pairs at the given places."""
        return Pairs(
            [self.predictions[place] for place in places],
            [self.labels[place] for place in places],
            [self.known_at[place] for place in places],
        )

    def by_version(self) -> Iterator[tuple[int, Pairs]]:
        """The pairs of each version that predicted, with its key."""
        versions = list(map(itemgetter(JOINED_COLUMNS.index("version_id")), self.predictions))
        distinct = set(versions)
        if len(distinct) == 1:  # as nearly always
            yield distinct.pop(), self
            return
        for version in distinct:
            yield version, self.take([place for place, each in enumerate(versions) if each == version])

    def by_segment(self) -> dict[str, Pairs]:
        """The pairs of each segment by its name; a prediction says which it was in."""
        texts = list(map(itemgetter(JOINED_COLUMNS.index("segments")), self.predictions))
        names: dict[str | None, list[str]] = {text: json.loads(text) if text else [] for text in set(texts)}
        places: dict[str, list[int]] = defaultdict(list)
        for place, text in enumerate(texts):
            for name in names[text]:
                places[name].append(place)
        return {name: self.take(inside) for name, inside in places.items()}


@dataclass
class Joined:
    """What a commit changes: pairs whose label is the first of its id, others that are there now, and those
    that are not any more."""

    first: Pairs = field(default_factory=Pairs)
    added: Pairs = field(default_factory=Pairs)
    removed: Pairs = field(default_factory=Pairs)
