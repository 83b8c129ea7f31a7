"""Render 100,000 samples of 20 versions, beside prometheus-client's `generate_latest` of the same samples.

python tests/benchmarks/bench_render.py
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from timing import best_seconds

from exporter.exposition.collector import SeriesCollector
from exporter.exposition.negotiation import compress_page
from exporter.exposition.render import Format
from exporter.exposition.telemetry import Telemetry
from exporter.exposition.view import VersionView
from exporter.reference.bins import Column
from exporter.reference.profile import Reference
from exporter.settings import Settings

VERSIONS, COLUMNS, EDGES = 20, 100, 22
REPEATS = 7


class Fixed(Collector):
    """Samples that are known beforehand, so that only their rendering is measured."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = list(metrics)

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def make_views() -> list[VersionView]:
    """Versions of 100 columns with 25 cells each: 2,500 counters and as many shares of the reference."""
    random = np.random.default_rng(7)
    columns = tuple(
        Column(f"column_{index}", "feature", "number", edges=np.arange(EDGES, dtype=np.float64))
        for index in range(COLUMNS)
    )
    views = []
    for index in range(VERSIONS):
        counts = random.integers(0, 100_000, COLUMNS * (EDGES + 3))
        reference = Reference(
            columns, counts, np.zeros((COLUMNS, 3)), int(counts.sum()), "regression", "bench"
        )
        values = random.integers(0, 10_000_000, len(counts))
        views.append(VersionView(f"model_{index}", "3", reference=reference, values=values))
    return views


def main() -> None:
    collector = SeriesCollector(Settings(), Telemetry())
    views = make_views()

    def collect_and_render() -> bytes:
        return collector.collect(views, now=0.0).render(Format.TEXT)

    bins = collector.collect(views, now=0.0).select(groups=["bins"])
    page = bins.render(Format.TEXT)
    registry = CollectorRegistry()
    registry.register(Fixed(text_string_to_metric_families(page.decode())))

    ours = best_seconds(lambda: bins.render(Format.TEXT), REPEATS)
    theirs = best_seconds(lambda: generate_latest(registry), REPEATS)
    print(f"{bins.series:,} samples, {len(page) / 1e6:.1f} MB, seconds of CPU")
    print(f"  prefix and value                  {ours:8.3f} s")
    print(f"  prometheus-client generate_latest {theirs:8.3f} s   {theirs / ours:.1f} x")
    print(f"  collect and render, the whole page{best_seconds(collect_and_render, REPEATS):8.3f} s")
    print(f"  gzip                              {best_seconds(lambda: compress_page(page), REPEATS):8.3f} s")


if __name__ == "__main__":
    main()
