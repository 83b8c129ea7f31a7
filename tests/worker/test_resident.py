"""Counts of which only the newest are in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import exporter.worker.resident
from exporter.aggregates.outcome_layout import outcome_layout
from exporter.config.models import ModelConfig
from exporter.exposition.telemetry import Telemetry
from exporter.fleet import Facts, Fleet, Version
from exporter.formats.labels import decode_labels
from exporter.formats.predictions import read_predictions
from exporter.formats.raw import JSON_TYPE, RawRequest
from exporter.ingest.batching import PredictionRequest
from exporter.ingest.join import prepare_labels
from exporter.ingest.local_counting import LocalCounting
from exporter.profiling.build import build_reference
from exporter.profiling.data import ReferenceData
from exporter.settings import HOUR_SECONDS, Settings
from exporter.storage.store import Store
from exporter.worker.resident import PartitionCounting, Resident
from tests.support.fakes import Clock
from tests.support.group import Event, label, prediction
from tests.support.rig import NOON, make_rows, make_table

HOURS = 76  # with blocks of ten seconds beyond the retention of blocks, 36 hours, and of outcomes, 72


class Counted:
    """Counts of version 1 of `fraud` in a store of its own."""

    def __init__(self, kind: type[LocalCounting], path: Path) -> None:
        self.settings = Settings(store=f"sqlite:///{path}", block_seconds=10)
        self.clock = Clock(NOON)
        self.store, fleet = Store(self.settings.store), Fleet(self.settings)
        self.counting = kind(
            self.store, fleet, self.settings, Telemetry(), self.clock, np.random.default_rng(0)
        )
        self.version = Version(self.store.ensure_version("fraud", "1", 0))
        fleet.add(self.version)
        self.version.facts = Facts()
        data = ReferenceData(make_table(), "test")
        reference = build_reference(data, self.settings.windows, 500)
        self.counting.activate(self.version, reference, None)
        self.counting.recount(self.version)

    def commit(self, event: Event) -> None:
        if event.kind == "labels":
            decoded = decode_labels(event.body, JSON_TYPE, {}, self.settings)
            self.counting.commit([prepare_labels(decoded, self.clock())])
            return
        read = read_predictions(event.body, JSON_TYPE, {}, self.settings)
        raw = RawRequest(JSON_TYPE, {}, event.body)
        self.counting.commit([PredictionRequest(raw, read, self.clock())])

    def stored(self) -> tuple[Any, Any, Any]:
        counts = self.version.counts
        assert counts is not None
        layout = outcome_layout(counts.reference)
        assert layout is not None
        fine, coarse = self.store.load_blocks(counts.reference_id)
        outcomes = self.store.load_outcomes(counts.reference_id, layout)
        return (
            {start: (block.rows, block.counts.tolist()) for start, block in fine.items()},
            {start: (block.rows, block.counts.tolist()) for start, block in coarse.items()},
            {start: (found.counts.tolist(), found.sums.tolist()) for start, found in outcomes.items()},
        )


def test_they_are_those_that_all_in_memory_would_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporter.worker.resident, "KEPT", 1)
    all_of_them = Counted(LocalCounting, tmp_path / "all.db")
    thin = Counted(PartitionCounting, tmp_path / "thin.db")
    random = np.random.default_rng(1)
    rows = make_rows(3 * HOURS, prefix="r")
    for hour in range(HOURS):
        late = random.integers(0, 3, 3) * 3 * HOUR_SECONDS * random.random(3)
        for counted in (all_of_them, thin):
            for number, row in enumerate(rows[3 * hour : 3 * hour + 3]):
                counted.commit(prediction({**row, "timestamp": counted.clock() - float(late[number])}))
            for number in (3 * hour, max(0, 3 * hour - 90)):  # of now, and of long ago
                counted.commit(label(f"r{number}", number % 2))
            counted.counting.tidy(counted.clock(), counted.clock(), {})
            if hour == 50:
                counted.version.facts = Facts(config=ModelConfig(maturation=10 * HOUR_SECONDS))
                counted.counting.recount(counted.version)
            counted.clock.advance(HOUR_SECONDS)
        if hour % 10 == 9:
            assert thin.stored() == all_of_them.stored()

    counts = thin.version.counts
    assert counts is not None
    for held in (counts.timeline.fine, counts.timeline.coarse, counts.outcomes):
        assert isinstance(held, Resident)
        assert len(held) <= 1
    assert len(counts.timeline.coarse.stored) > 20  # type: ignore[attr-defined]
    all_of_them.store.close()
    thin.store.close()
