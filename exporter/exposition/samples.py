"""Samples of a page, by metric."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import compress
from math import isfinite
from typing import TypeVar

from exporter.exposition.metric import Metric, MetricOf
from exporter.exposition.render import Family, render_prefix
from exporter.typing import Bools, Floats, Ints

_Source = TypeVar("_Source")


class Samples:
    """Samples by metric."""

    def __init__(self) -> None:
        self._samples: dict[str, tuple[Metric, list[str], list[float]]] = {}

    def add(self, metric: Metric, prefixes: Iterable[str], values: Iterable[float]) -> None:
        """Add the samples of a metric that start with `prefixes`."""
        _, known_prefixes, known_values = self._samples.setdefault(metric.name, (metric, [], []))
        known_prefixes.extend(prefixes)
        known_values.extend(values)

    def add_one(self, metric: Metric, labels: tuple[str, ...], value: float) -> None:
        """Add one sample."""
        self.add(metric, [render_prefix(metric, labels)], [value])

    def add_read(
        self, metrics: Iterable[MetricOf[_Source, float | None]], labels: tuple[str, ...], source: _Source
    ) -> None:
        """Add one sample of each metric that has a finite value."""
        for metric in metrics:
            value = metric.read(source)
            if value is not None and isfinite(value):
                self.add_one(metric, labels, value)

    def add_known(self, metric: Metric, prefixes: Sequence[str], values: Floats | Ints, known: Bools) -> None:
        """Add the samples whose value is known."""
        if known.all():
            self.add(metric, prefixes, values.tolist())
        else:
            self.add(metric, compress(prefixes, known), values[known].tolist())

    @contextmanager
    def all_or_none(self) -> Iterator[None]:
        """Take back what was added if the block raises."""
        before = {name: len(values) for name, (_, _, values) in self._samples.items()}
        try:
            yield
        except Exception:
            for name, (_, prefixes, values) in self._samples.items():
                del prefixes[before.get(name, 0) :], values[before.get(name, 0) :]
            raise

    def families(self) -> list[Family]:
        return [Family(metric, prefixes, values) for metric, prefixes, values in self._samples.values()]
