"""Describe and render the status page of 200 versions of 20 columns, with two weeks of labels.

python tests/benchmarks/bench_pages.py
"""

from __future__ import annotations

import gzip
from dataclasses import replace

import numpy as np
import pyarrow as pa
from timing import best_seconds

from exporter.aggregates.outcome_layout import outcome_layout
from exporter.aggregates.outcomes import fold_outcomes
from exporter.aggregates.state import VersionCounts
from exporter.evaluation.comparison import DRIFTED
from exporter.fleet import Findings, Fleet, Live, Status, Version
from exporter.formats.columns import from_python
from exporter.storage.schema import StoredVersion
from exporter.web.links import Links
from exporter.web.rendering import render
from exporter.web.routes import status_page
from exporter.web.status import StatusBoard
from tests.support.labelled import make_labelled_reference, make_table
from tests.support.traffic import DAY, HOUR, NOW, SETTINGS, WEEK, judge, make_timeline
from tests.support.views import make_quality

VERSIONS, FEATURES, BAD, DAYS = 200, 18, 20, 14
REPEATS = 5


def make_counts() -> VersionCounts:
    """Counts of one version, which all of them share: their arrays are read, not kept."""
    table = make_table("binary", 4000)
    draw = np.random.default_rng(7)
    for index in range(FEATURES - 1):
        table = table.append_column(f"feature_{index}", pa.array(draw.normal(size=len(table))))
    reference = make_labelled_reference("binary", table=table)
    timeline = make_timeline(reference, dict.fromkeys(range(DAYS), reference.counts))
    layout = outcome_layout(reference)
    assert layout is not None
    rows = make_table("binary", 24 * DAYS * 100, seed=2)
    labels, predictions = (from_python(rows[name].to_pylist()) for name in ("label", "prediction"))
    hours = int(NOW) - 3600 * (1 + draw.integers(0, 24 * DAYS, len(rows)))
    outcomes = fold_outcomes(layout, labels, predictions, rows["score"].to_numpy(), hours)
    packed = {hour: part.packed() for hour, part in outcomes.items()}
    return VersionCounts(1, reference, timeline, layout, packed, 0.0)


def make_fleet() -> Fleet:
    """Some versions have drifted columns and worse recall, the others are fine."""
    fleet, counts = Fleet(SETTINGS), make_counts()
    evaluation = judge(counts.reference, counts.timeline, (HOUR, DAY, WEEK))
    every = np.full(len(counts.reference.columns), DRIFTED, np.int8)
    drifted = tuple(replace(window, verdict=every) for window in evaluation.windows)
    quality = make_quality()
    fine = tuple(replace(metric, metric="f1", degraded=False) for metric in quality.metrics[:1])
    steady = replace(quality, metrics=fine, estimates=(), label_drift=None)
    for index in range(VERSIONS):
        version = Version(StoredVersion(index, f"model_{index}", "3", 0, NOW - 60, Status.READY, 0))
        version.aliases = ("champion",)
        version.live = Live(counts)
        bad = index < BAD
        found = replace(evaluation, windows=drifted if bad else evaluation.windows)
        version.findings = Findings(found, (quality if bad else steady,))
        fleet.add(version)
    return fleet


def main() -> None:
    fleet = make_fleet()
    links = Links("http://grafana.example", "http://mlflow.example", "http://localhost:19464")
    board = StatusBoard(fleet, links)
    entries = board.entries(NOW)

    def draw() -> bytes:
        return bytes(render("status.html", root="", **status_page(entries, (), NOW)).body)

    def after_evaluation() -> None:
        for version in fleet.versions.values():
            assert version.findings is not None
            version.findings = replace(version.findings)
        board.entries(NOW)

    page, size = draw(), f"{VERSIONS} versions of {FEATURES + 2} columns, {BAD} of them bad"
    print(f"the status page of {size}, seconds of CPU")
    first = best_seconds(lambda: StatusBoard(fleet, links).entries(NOW), REPEATS)
    print(f"  the first time             {first:8.3f} s")
    print(f"  after an evaluation of all {best_seconds(after_evaluation, REPEATS):8.3f} s")
    print(f"  between evaluations        {best_seconds(lambda: board.entries(NOW), REPEATS):8.3f} s")
    print(f"  render                     {best_seconds(draw, REPEATS):8.3f} s")
    print(f"  size {len(page) / 1e6:.2f} MB, gzipped {len(gzip.compress(page, 5)) / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
