"""Rendered prefixes of a version's series, kept from scrape to scrape."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from exporter.exposition.metric import Metric
from exporter.exposition.render import histogram_prefixes, render_prefix
from exporter.reference.bins import Column
from exporter.reference.profile import Reference, Segment

ROLES = ("feature", "prediction", "score")


class VersionPrefixes:
    """Prefixes of one version against one reference, each rendered on first use.

    `sizes`, `ranks` (columns,): cells of a column, and its place when bins are left out, the outputs first.
    """

    def __init__(self, model: str, version: str, reference: Reference | None, *, bin_names: bool) -> None:
        self.version = (model, version)
        self._bin_names = bin_names
        self._rendered: dict[tuple[str, ...], list[str]] = {}
        self.reference = reference
        self.segments: tuple[Segment, ...] = reference.segments if reference is not None else ()
        self.columns: tuple[Column, ...] = reference.columns if reference is not None else ()
        self.sizes = np.array([column.cells for column in self.columns], np.int64)
        order = sorted(range(len(self.columns)), key=lambda index: self.columns[index].role == "feature")
        self.ranks = np.argsort(np.array(order, np.int64))
        self.reference_ratios = np.empty(0)
        if reference is not None:
            totals = np.add.reduceat(reference.counts, reference.offsets[:-1])
            with np.errstate(invalid="ignore"):  # a column without rows in the reference has no shares
                self.reference_ratios = reference.counts / np.repeat(totals, self.sizes)
        self.judged_by_role = {
            role: np.array([c.role == role and not c.unjudged for c in self.columns])
            for role in ROLES
            if any(c.role == role for c in self.columns)
        }

    @cached_property
    def _columns(self) -> list[tuple[str, ...]]:
        return [(column.name, column.role) for column in self.columns]

    @cached_property
    def _bins(self) -> list[tuple[str, ...]]:
        return [
            (column.name, column.role, name if self._bin_names else name.partition(" ")[0])
            for column in self.columns
            for name in column.cell_names
        ]

    def of_version(self, metric: Metric, *labels: str) -> list[str]:
        """Prefix of a series without a column, (1,); `labels` come after model and version."""
        return self._render(metric, [()], labels)

    def of_columns(self, metric: Metric, *labels: str) -> list[str]:
        """Prefixes of the columns, (columns,); `labels` come after column and role."""
        return self._render(metric, self._columns, labels)

    def of_bins(self, metric: Metric) -> list[str]:
        """Prefixes of the bins, (cells,)."""
        return self._render(metric, self._bins, ())

    def of_histogram(self, metric: Metric) -> list[str]:
        """Prefixes of a histogram, (buckets + 3,)."""
        if (metric.name,) not in self._rendered:
            self._rendered[metric.name,] = histogram_prefixes(metric, self.version)
        return self._rendered[metric.name,]

    def _render(
        self, metric: Metric, middles: Sequence[tuple[str, ...]], labels: tuple[str, ...]
    ) -> list[str]:
        key = (metric.name, *labels)
        if key not in self._rendered:
            self._rendered[key] = [render_prefix(metric, (*self.version, *m, *labels)) for m in middles]
        return self._rendered[key]
