"""Alike requests become one batch: numpy takes as long for 500 rows as it takes to be called."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from exporter.formats.batch import Batch, Decoded, assemble
from exporter.formats.raw import RawRequest
from exporter.ingest.deduplication import IdempotencyKey
from exporter.typing import Floats, Ints

MAX_GROUP_VALUES = 2_000_000  # of a batch of several requests: larger ones gain nothing from being one
VALUE_BYTES = 24  # memory of a value of a request, decoded and in its bins


@dataclass(frozen=True, eq=False)
class PredictionRequest:
    """Decoded predictions on their way to a commit; `received_at` is in seconds since the epoch."""

    raw: RawRequest
    decoded: Decoded
    received_at: float
    key: IdempotencyKey | None = None

    @property
    def rows(self) -> int:
        return self.decoded.rows

    @property
    def naive_timestamps(self) -> int:
        return self.decoded.naive_timestamps

    @property
    def values(self) -> int:
        """Rows times columns."""
        return self.decoded.rows * (len(self.decoded.features) + 2)

    @property
    def size_bytes(self) -> int:
        """Upper estimate of its memory until it is committed, in bytes."""
        return len(self.raw.body) + VALUE_BYTES * self.values


@dataclass(frozen=True, eq=False)
class Group:
    """Requests and the batch of all their rows, in order; `ends` (requests,) is the row after each."""

    requests: Sequence[PredictionRequest]
    batch: Batch
    ends: Ints

    @classmethod
    def of(cls, requests: Sequence[PredictionRequest]) -> Group:
        """Requests that are alike, or a single one."""
        batch = assemble([request.decoded for request in requests])
        return cls(requests, batch, np.cumsum([request.rows for request in requests]))

    @property
    def received_at(self) -> Floats:
        """(rows,) when each row came, in seconds since the epoch."""
        times = [request.received_at for request in self.requests]
        return np.repeat(times, [request.rows for request in self.requests])

    def count(self, rows: Ints) -> list[int]:
        """Return how many of the given rows, by their numbers in the batch, each request has."""
        found = np.searchsorted(self.ends, rows, side="right")
        return [int(count) for count in np.bincount(found, minlength=len(self.requests))]

    def split(self, rows: Ints) -> Iterator[tuple[RawRequest, Ints, Ints]]:
        """Split rows by request: their numbers in the request, and their places in `rows`."""
        which = np.searchsorted(self.ends, rows, side="right")
        for number in np.unique(which).tolist():
            inside = np.flatnonzero(which == number)
            request = self.requests[number]
            yield request.raw, rows[inside] - (self.ends[number] - request.rows), inside


def group_alike(requests: Sequence[PredictionRequest]) -> Iterator[Group]:
    """Group all requests by likeness, in groups of at most `MAX_GROUP_VALUES` unless one request has more."""
    alike: dict[Hashable, list[PredictionRequest]] = {}
    for request in requests:
        alike.setdefault(request.decoded.likeness, []).append(request)
    for group in alike.values():
        some, values = list[PredictionRequest](), 0
        for request in group:
            if some and values + request.values > MAX_GROUP_VALUES:
                yield Group.of(some)
                some, values = [], 0
            some.append(request)
            values += request.values
        yield Group.of(some)
