"""An evaluator with partitions that follow it as those of workers do, without a broker."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import orjson
from confluent_kafka import Message
from prometheus_client import CollectorRegistry

from exporter.config.models import ModelsConfig
from exporter.exposition.group import GroupTelemetry
from exporter.exposition.telemetry import Telemetry
from exporter.formats.labels import decode_labels
from exporter.formats.raw import JSON_TYPE
from exporter.ingest.commit import IngestRequest
from exporter.ingest.join import prepare_labels
from exporter.kafka.dead_letters import DeadLetters
from exporter.kafka.partitioner import partitions_of, row_key
from exporter.storage.partition import Partition
from exporter.storage.store import Store
from exporter.worker.entries import Entry
from exporter.worker.partition import OwnedPartition
from exporter.worker.shared import SharedReader
from tests.support.fakes import Clock, FakeRegistry
from tests.support.rig import NOON, Rig, make_document

TOPIC = "rows"


class _Received:
    """A message that was consumed; only its time is asked for."""

    def timestamp(self) -> tuple[int, int]:
        return 1, round(1000 * NOON)

    def __len__(self) -> int:
        return 0


class _NoDeadLetters:
    """No message of these tests is one."""

    def flush(self) -> None:
        pass


class EvaluatedGroup:
    """An evaluator's service, and `count` partitions, which follow it when they are told to."""

    def __init__(self, uri: str, registry: FakeRegistry, count: int = 3, **settings: Any) -> None:
        self.uri, self.registry, self.count, self.clock = uri, registry, count, Clock(NOON)
        self._settings = settings
        self._shared, self._sent = SharedReader(), 0
        self.partitions: dict[int, OwnedPartition] = {}
        self.rig = self._evaluator()

    def _evaluator(self) -> Rig:
        return Rig(self.uri, self.registry, self.clock, role="evaluator", **self._settings)

    def close(self) -> None:
        for partition in self.partitions.values():
            partition.close()
        self.rig.stop()

    def fail_over(self) -> None:
        """Have another evaluator take over."""
        self.rig.stop()
        self.rig = self._evaluator()

    def configure(self, config: ModelsConfig) -> None:
        """Have evaluator and partitions use another configuration."""
        self.rig.service.discovery.configure(config)
        self._shared.configure(config)
        self._shared.latest = type(self._shared.latest)()

    def follow(self, *numbers: int) -> None:
        """Have some partitions follow the shared tables, by default all; their stores are opened first."""
        for number in numbers or range(self.count):
            if number not in self.partitions:
                self.partitions[number] = self._open(number)
            partition = self.partitions[number]
            self._shared.read(partition.store)
            partition.follow(self._shared.latest, self.clock.monotonic())

    def _open(self, number: int) -> OwnedPartition:
        telemetry = Telemetry(self.clock)
        return OwnedPartition(
            number,
            Store(self.uri, partition=Partition(number, TOPIC, self.count)),
            self.rig.settings,
            telemetry,
            GroupTelemetry(CollectorRegistry()),
            cast(DeadLetters, _NoDeadLetters()),
            self.clock,
            self.clock.monotonic,
            np.random.default_rng(number),
        )

    def post_rows(self, rows: Sequence[Mapping[str, Any]], model: str = "fraud", **target: str) -> None:
        """Commit rows with ids, each in its partition."""
        for number, some in self._split(model, rows).items():
            self._commit(number, self.rig.request(make_document(some, model, **target)))

    def post_labels(self, labels: Mapping[str, Any], model: str = "fraud") -> None:
        """Commit labels by id, each in its partition."""
        rows = [{"id": row_id, "label": label} for row_id, label in labels.items()]
        for number, some in self._split(model, rows).items():
            body = orjson.dumps({"model": model, "labels": some})
            decoded = decode_labels(body, JSON_TYPE, {}, self.rig.settings)
            self._commit(number, prepare_labels(decoded, self.clock()))

    def _split(self, model: str, rows: Sequence[Mapping[str, Any]]) -> dict[int, list[dict[str, Any]]]:
        found: dict[int, list[dict[str, Any]]] = defaultdict(list)
        numbers = partitions_of([row_key(model, row["id"]) for row in rows], self.count)
        for row, number in zip(rows, numbers.tolist(), strict=True):
            found[number].append(dict(row))
        return found

    def _commit(self, number: int, request: IngestRequest) -> None:
        self._sent += 1
        message = cast(Message, _Received())
        self.partitions[number].commit([Entry(message, self._sent, self.clock.monotonic(), request)])

    def tidy(self) -> None:
        """Have the partitions write arrivals, and merge and delete what is due."""
        for partition in self.partitions.values():
            partition.tidy()

    def evaluate(self) -> None:
        self.rig.service.evaluator.evaluate_all()
