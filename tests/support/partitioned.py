"""Partition stores with their writers, without a broker, and the store of one process that gets the same."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from exporter.aggregates.block import Block
from exporter.aggregates.outcomes import Outcomes
from exporter.aggregates.state import VersionCounts
from exporter.config.models import ModelConfig
from exporter.exposition.telemetry import Telemetry
from exporter.fleet import Fleet, Version
from exporter.formats.labels import decode_labels
from exporter.formats.predictions import read_predictions
from exporter.formats.raw import JSON_TYPE, RawRequest
from exporter.ingest.batching import PredictionRequest
from exporter.ingest.commit import IngestRequest
from exporter.ingest.join import prepare_labels
from exporter.ingest.local_counting import LocalCounting
from exporter.partitions.sums import PartitionSums
from exporter.profiling.build import build_reference
from exporter.profiling.data import ReferenceData
from exporter.reference.profile import Reference
from exporter.settings import Settings
from exporter.storage.partition import Partition
from exporter.storage.store import Store
from tests.support.fakes import Clock
from tests.support.rig import make_table

SETTINGS = Settings()
TOPIC = "rows"


def make_reference(seed: int = 0, cells: int = 50) -> Reference:
    """Reference of a binary classifier with labels and segments by country."""
    table = make_table(2000, seed)
    wrong = np.random.default_rng(seed).random(table.num_rows) < 0.1
    label = pa.array(np.where(wrong, 1, 0) ^ table["prediction"].to_numpy())
    data = ReferenceData(
        table.append_column("label", label), "test", task="binary", target="label", split="test",
        segments=("country",),
    )  # fmt: skip
    return build_reference(data, SETTINGS.windows, cells)


class Counter:
    """One writer with its store, and version 1 of `fraud`, which it counts."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.store, self.clock = store, clock
        self.fleet = Fleet(SETTINGS)
        random = np.random.default_rng(0)
        self.counting = LocalCounting(store, self.fleet, SETTINGS, Telemetry(clock), clock, random)
        self.counting.load()
        for stored in store.load_versions():
            self.fleet.add(Version(stored))
            found = store.load_reference(stored.key)
            if found is not None:
                self.counting.activate(self.version, found[1], found[0])

    @property
    def version(self) -> Version:
        return self.fleet.versions["fraud", "1"]

    def predict(self, rows: Sequence[Mapping[str, Any]]) -> PredictionRequest:
        body = orjson.dumps({"model": "fraud", "version": "1", "predictions": rows})
        decoded = read_predictions(body, JSON_TYPE, {}, SETTINGS)
        return PredictionRequest(RawRequest(JSON_TYPE, {}, body), decoded, self.clock())

    def label(self, labels: Sequence[Mapping[str, Any]]) -> IngestRequest:
        body = orjson.dumps({"model": "fraud", "labels": labels})
        return prepare_labels(decode_labels(body, JSON_TYPE, {}, SETTINGS), self.clock())

    def recount(self, maturation: float) -> None:
        config = ModelConfig.model_validate({"maturation": f"{maturation:.0f}s" if maturation else 0})
        self.version.facts = replace(self.version.facts, config=config)
        self.counting.recount(self.version)

    def tidy(self) -> None:
        self.counting.tidy(self.clock(), self.clock(), {})


class Group:
    """Partitions of a database, each with a writer, and the evaluator's sums of them.

    `maturation` is the one by which the writers count.
    """

    def __init__(self, uri: str, partitions: int, clock: Clock, reference: Reference | None = None) -> None:
        self.uri, self.count, self.clock = uri, partitions, clock
        self.maturation = 0.0
        self._former: list[Counter] = []
        self.shared = Store(uri)
        self.shared.ensure_version("fraud", "1", 0)
        if reference is not None:
            self.save_reference(reference)
        self.counters = {number: self._open(number) for number in range(partitions)}
        self.read_anew()

    def _open(self, number: int) -> Counter:
        counter = Counter(Store(self.uri, partition=Partition(number, TOPIC, self.count)), self.clock)
        if counter.version.counts is not None:
            counter.recount(self.maturation)
        return counter

    def close(self) -> None:
        for counter in [*self.counters.values(), *self._former]:
            counter.store.close()
        self.shared.close()

    def save_reference(self, reference: Reference) -> int:
        with self.shared.begin() as transaction:
            return transaction.save_reference(1, reference, self.clock())

    def read_anew(self) -> None:
        """Start the evaluator again."""
        self.fleet = Fleet(SETTINGS)
        (stored,) = self.shared.load_versions()
        self.fleet.add(Version(stored))
        self.sums = PartitionSums(self.shared, SETTINGS, self.fleet)
        self.expect()

    def expect(self) -> None:
        found = self.shared.load_reference(1)
        if found is not None:
            self.sums.expect(self.version, *found)

    def take_over(self, number: int, *, closed: bool = False) -> Counter:
        """Have another writer take a partition; returns the former one."""
        former = self.counters[number]
        if closed:
            former.store.close()
        self._former.append(former)
        self.counters[number] = self._open(number)
        return former

    @property
    def version(self) -> Version:
        """Version 1 of `fraud` in the evaluator's fleet."""
        return self.fleet.versions["fraud", "1"]

    def owner_of(self, row_id: str) -> int:
        return zlib.crc32(row_id.encode()) % self.count

    def refresh(self) -> Version:
        self.sums.refresh(self.clock())
        return self.version


def blocks_by_hour(counts: VersionCounts, segment: str = "") -> dict[int, Block]:
    """Sums of fine and coarse blocks, which are merged at different times."""
    timeline = counts.segments[segment].timeline if segment else counts.timeline
    found: dict[int, Block] = {}
    for start, _, block in sorted(timeline.blocks(), key=lambda each: each[:2]):
        hour = start // 3600 * 3600
        found[hour] = found[hour] + block if hour in found else block
    return found


def assert_same(version: Version, expected: Version) -> None:
    """Counts and outcomes are equal, and sums of floats within rounding."""
    found, whole = version.counts, expected.counts
    assert found is not None
    assert whole is not None
    for segment in ("", *whole.segments):
        assert_same_blocks(blocks_by_hour(found, segment), blocks_by_hour(whole, segment))
        outcomes = (found.segments[segment] if segment else found).outcomes
        assert_same_outcomes(outcomes, (whole.segments[segment] if segment else whole).outcomes)
    assert found.maturation_seconds == whole.maturation_seconds
    totals, other = version.live.totals, expected.live.totals
    assert (totals.predictions, totals.labels) == (other.predictions, other.labels)
    for name in ("values", "latency", "label_delay"):
        assert getattr(totals, name).tolist() == getattr(other, name).tolist(), name
    np.testing.assert_allclose(totals.latency_sum, other.latency_sum, rtol=1e-12)
    np.testing.assert_allclose(totals.label_delay_sum, other.label_delay_sum, rtol=1e-12)
    assert version.last_prediction == expected.last_prediction
    assert version.unknown_columns == expected.unknown_columns
    assert version.waiting_rows == expected.waiting_rows


def assert_same_blocks(found: Mapping[int, Block], expected: Mapping[int, Block]) -> None:
    assert found.keys() == expected.keys()
    for start, block in expected.items():
        assert (found[start].rows, found[start].counts.tolist()) == (block.rows, block.counts.tolist())
        assert found[start].latency.tolist() == block.latency.tolist()
        # Sums of values of both signs: what cancels is as large as their number.
        np.testing.assert_allclose(found[start].moments, block.moments, rtol=1e-12, atol=1e-12 * block.rows)


def assert_same_outcomes(found: Mapping[int, Outcomes], expected: Mapping[int, Outcomes]) -> None:
    """Equal, but for hours without any."""
    hours = {hour: each for hour, each in found.items() if each}
    wanted = {hour: each for hour, each in expected.items() if each}
    assert hours.keys() == wanted.keys()
    for hour, outcomes in wanted.items():
        assert hours[hour].counts.tolist() == outcomes.counts.tolist()
        assert hours[hour].sums.tolist() == outcomes.sums.tolist()
