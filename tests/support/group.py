"""A Kafka group: its topic, its database with the tables of an evaluator, workers in threads, and the counts
of one process that is fed the same events."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import orjson
import sqlalchemy as sa
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from exporter.aggregates.block import Block, decode_block
from exporter.aggregates.outcome_layout import outcome_layout
from exporter.aggregates.outcomes import Outcomes, decode_outcomes
from exporter.api.server import make_server
from exporter.api.worker_app import create_worker_app
from exporter.exposition.telemetry import Telemetry
from exporter.fleet import Facts, Fleet, Version
from exporter.formats.labels import decode_labels
from exporter.formats.predictions import read_predictions
from exporter.formats.raw import JSON_TYPE, RawRequest
from exporter.ingest.batching import PredictionRequest
from exporter.ingest.deduplication import IdempotencyKey
from exporter.ingest.join import prepare_labels
from exporter.ingest.local_counting import LocalCounting
from exporter.kafka.partitioner import row_key
from exporter.profiling.build import build_reference
from exporter.profiling.data import ReferenceData
from exporter.reference.profile import Reference
from exporter.settings import Settings
from exporter.storage.schema import AliasMove
from exporter.storage.store import Store
from exporter.worker.worker import Worker
from tests.support.fakes import TIMEOUT_SECONDS, Clock
from tests.support.kafka import KafkaBroker
from tests.support.rig import NOON, eventually, make_table

PARTITIONS = 4
Key = tuple[int, int, str]  # of a block: family, start and segment


@dataclass(frozen=True)
class Event:
    """Predictions or labels of one id, as a message and as a request."""

    kind: str
    document: dict[str, Any]
    row_id: str
    at: float = NOON
    key: str = ""  # of idempotency

    @property
    def body(self) -> bytes:
        return orjson.dumps(self.document)


def prediction(row: Mapping[str, Any], *, at: float = NOON, key: str = "", **target: str) -> Event:
    """A row with an id, of version 1 of `fraud` unless a target is given."""
    document = {"model": "fraud", **(target or {"version": "1"}), "predictions": [row]}
    return Event("predictions", document, str(row.get("id", "")), at, key)


def label(row_id: str, value: object, *, at: float = NOON, model: str = "fraud") -> Event:
    document = {"model": model, "labels": [{"id": row_id, "label": value}]}
    return Event("labels", document, row_id, at)


@dataclass
class Counts:
    """Blocks and outcomes by key, and rows by id of the model's version."""

    blocks: dict[Key, Block] = field(default_factory=dict)
    outcomes: dict[tuple[int, str], Outcomes] = field(default_factory=dict)

    def add(self, key: Key, block: Block) -> None:
        self.blocks[key] = self.blocks[key] + block if key in self.blocks else block

    def add_outcomes(self, key: tuple[int, str], found: Outcomes) -> None:
        self.outcomes[key] = self.outcomes[key] + found if key in self.outcomes else found

    @property
    def rows(self) -> int:
        return sum(block.rows for (_, _, segment), block in self.blocks.items() if not segment)


def assert_equal(found: Counts, expected: Counts) -> None:
    """Counts and outcomes are the same, sums within rounding."""
    assert found.rows == expected.rows
    assert found.blocks.keys() == expected.blocks.keys()
    for key, block in expected.blocks.items():
        same = found.blocks[key]
        assert (same.rows, same.counts.tolist()) == (block.rows, block.counts.tolist()), key
        assert same.latency.tolist() == block.latency.tolist()
        np.testing.assert_allclose(same.moments, block.moments, rtol=1e-12)
    assert found.outcomes.keys() == expected.outcomes.keys()
    for hour, outcomes in expected.outcomes.items():
        assert found.outcomes[hour].counts.tolist() == outcomes.counts.tolist(), hour
        np.testing.assert_allclose(found.outcomes[hour].sums, outcomes.sums, rtol=1e-12)


class Group:
    """Topic and database of a group, in which version 1 of `fraud` has a reference."""

    def __init__(self, uri: str, broker: KafkaBroker, topic: str, directory: Path) -> None:
        self.uri, self.broker, self.topic, self._directory = uri, broker, topic, directory
        self.clock = Clock(NOON)
        self.reference = build_reference(ReferenceData(make_table(), "test"), Settings().windows, 500)
        self._producer = Producer(
            {"bootstrap.servers": broker.address, "acks": "all", "partitioner": "murmur2", "linger.ms": 2}
        )

    def settings(self, **own: Any) -> Settings:
        return Settings(
            **{
                "role": "worker",
                "store": self.uri,
                "kafka_brokers": (self.broker.address,),
                "kafka_topic": self.topic,
                "kafka_group": self.topic,
                "evaluation_interval_seconds": 0.2,
                "mlflow_poll_interval_seconds": 0.2,
                **own,
            }
        )

    # -- shared tables, as the evaluator writes them --------------------------------------------------------

    @contextmanager
    def shared(self) -> Iterator[Store]:
        store = Store(self.uri)
        try:
            yield store
        finally:
            store.close()

    def monitor(self, version: str = "1", reference: Reference | None = None, model: str = "fraud") -> int:
        """Monitor a version, with its reference if it has one; return its key."""
        with self.shared() as store:
            key = store.ensure_version(model, version, 0).key
            store.save_facts(key, "", "", {}, "digest")
            if reference is not None:
                with store.begin() as transaction:
                    transaction.save_reference(key, reference, at=NOON)
        return key

    def move_alias(self, alias: str, version: str, since: float = 0.0) -> None:
        with self.shared() as store:
            store.add_alias_moves([AliasMove("fraud", alias, version, since)])

    # -- messages -------------------------------------------------------------------------------------------

    def send(self, events: Sequence[Event]) -> None:
        """Produce events, each to the partition of its id, and wait until the broker has them."""
        for event in events:
            key = f"{event.key}".encode()
            headers: list[tuple[str, str | bytes | None]] = [
                ("kind", event.kind.encode()),
                ("content-type", JSON_TYPE.encode()),
                *([("idempotency-key", key)] if key else []),
            ]
            self.send_raw(
                event.body,
                row_key(event.document["model"], event.row_id),
                headers,
                timestamp=round(event.at * 1000),
            )
        self.flush()

    def send_raw(
        self,
        value: bytes | None,
        key: bytes,
        headers: list[tuple[str, str | bytes | None]] | None = None,
        **options: Any,
    ) -> None:
        self._producer.produce(self.topic, value, key, headers=headers or [], **options)
        self._producer.poll(0)

    def flush(self) -> None:
        assert self._producer.flush(TIMEOUT_SECONDS) == 0

    def ends(self) -> dict[int, int]:
        """Offset after the last message of each partition."""
        consumer = Consumer({"bootstrap.servers": self.broker.address, "group.id": "ends"})
        try:
            found = {}
            for partition in range(PARTITIONS):
                bounds = consumer.get_watermark_offsets(
                    TopicPartition(self.topic, partition), timeout=TIMEOUT_SECONDS
                )
                found[partition] = bounds[1]
            return found
        finally:
            consumer.close()

    def delete_before(self, partition: int, offset: int) -> None:
        """Have the broker delete messages, as retention does."""
        admin = AdminClient({"bootstrap.servers": self.broker.address})
        deleted = admin.delete_records([TopicPartition(self.topic, partition, offset)])
        for future in deleted.values():
            future.result(TIMEOUT_SECONDS)

    def dead_letters(self, expected: int) -> list[dict[str, str]]:
        """Headers of so many dead letters, with their value as `value`, in order."""
        consumer = Consumer(
            {"bootstrap.servers": self.broker.address, "group.id": "dead", "auto.offset.reset": "earliest"}
        )
        try:
            consumer.assign([TopicPartition(f"{self.topic}.dead-letter", 0, 0)])
            found: list[dict[str, str]] = []

            def enough() -> bool:
                for message in consumer.consume(100, 0.05):
                    headers = {name: (value or b"") for name, value in message.headers() or ()}
                    texts = {
                        name: value.decode() if isinstance(value, bytes) else value
                        for name, value in headers.items()
                    }
                    found.append(texts | {"value": (message.value() or b"").decode("utf-8", "replace")})
                return len(found) >= expected

            eventually(enough)
            return found
        finally:
            consumer.close()

    # -- what was counted -----------------------------------------------------------------------------------

    def query(self, statement: str) -> list[Any]:
        engine = sa.create_engine(self.uri.replace("postgresql://", "postgresql+psycopg://"))
        try:
            with engine.connect() as connection:
                return list(connection.exec_driver_sql(statement).all())
        finally:
            engine.dispose()

    def partitions(self) -> list[str]:
        found = self.query("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'partition%%'")
        return sorted(row.nspname for row in found if re.fullmatch(r"partition_\d+", row.nspname))

    def offsets(self) -> dict[int, int]:
        """Next offset of each partition that has a store."""
        return {
            int(name.removeprefix("partition_")): int(row.value)
            for name in self.partitions()
            for row in self.query(f"SELECT value FROM {name}.meta WHERE key = 'next_offset'")
        }

    def await_commits(self) -> None:
        """Wait until all that is in the topic is committed."""
        ends = {partition: end for partition, end in self.ends().items() if end}
        eventually(lambda: {p: o for p, o in self.offsets().items() if p in ends} == ends)

    def counts(self) -> Counts:
        """Sum of all partitions."""
        found, layout = Counts(), outcome_layout(self.reference)
        assert layout is not None
        for name in self.partitions():
            for row in self.query(f"SELECT * FROM {name}.aggregates WHERE length(payload) > 0"):
                found.add((row.family, row.start, row.segment), decode_block(bytes(row.payload)))
            for row in self.query(f"SELECT * FROM {name}.outcomes WHERE length(payload) > 0"):
                outcomes = decode_outcomes(layout, bytes(row.payload))
                found.add_outcomes((row.start, row.segment), outcomes)
        return found

    def one_process(self, events: Sequence[Event], clock: Callable[[], float] | None = None) -> Counts:
        """Counts of one process that is fed the same events."""
        settings = Settings(store=f"sqlite:///{self._directory}/one.db")
        store, fleet = Store(settings.store), Fleet(settings)
        counting = LocalCounting(
            store, fleet, settings, Telemetry(), clock or self.clock, np.random.default_rng(0)
        )
        version = Version(store.ensure_version("fraud", "1", 0))
        fleet.add(version)
        fleet.record([AliasMove("fraud", "champion", "1", 0.0)])
        version.facts = Facts()
        counting.activate(version, self.reference, None)
        counting.recount(version)
        for event in events:
            counting.commit([_request(event, settings)])
        assert version.counts is not None
        found, reference_id = Counts(), version.counts.reference_id
        for family, blocks in enumerate(store.load_blocks(reference_id)):
            for start, block in blocks.items():
                found.add((family, start, ""), block)
        layout = outcome_layout(self.reference)
        assert layout is not None
        for start, outcomes in store.load_outcomes(reference_id, layout).items():
            found.add_outcomes((start, ""), outcomes)
        store.close()
        return found

    # -- workers --------------------------------------------------------------------------------------------

    @contextmanager
    def running(self, **own: Any) -> Iterator[Worker]:
        """A worker in a thread of this process."""
        worker = Worker(self.settings(**own), self.clock)
        worker.start()
        try:
            yield worker
        finally:
            worker.stop()

    @contextmanager
    def serving(self, **own: Any) -> Iterator[httpx.Client]:
        """A client of a worker behind a real HTTP server in a thread of this process."""
        worker = Worker(self.settings(port=0, **own), self.clock)
        server = make_server(create_worker_app(worker), worker.settings, worker.telemetry)
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            eventually(lambda: server.started or not thread.is_alive())
            port = server.servers[0].sockets[0].getsockname()[1]
            # Certificates, which plain HTTP needs not, take longer to load than all the rest.
            with httpx.Client(
                base_url=f"http://127.0.0.1:{port}", timeout=TIMEOUT_SECONDS, verify=False
            ) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join(TIMEOUT_SECONDS)


def _request(event: Event, settings: Settings) -> Any:
    if event.kind == "labels":
        return prepare_labels(decode_labels(event.body, JSON_TYPE, {}, settings), event.at)
    decoded = read_predictions(event.body, JSON_TYPE, {}, settings)
    key = IdempotencyKey.of("fraud", event.key, body=event.body) if event.key else None
    return PredictionRequest(RawRequest(JSON_TYPE, {}, event.body), decoded, event.at, key)


def make_events(rows: Sequence[Mapping[str, Any]], seed: int = 0, at: float = NOON) -> list[Event]:
    """Predictions with resends, labels before and after them, and corrections, in a random order."""
    random = np.random.default_rng(seed)
    events: list[tuple[float, Event]] = []
    for number, row in enumerate(rows):
        place = float(random.random())
        timed = {**row, "timestamp": at - float(random.integers(0, 7200))}
        events.append((place, prediction(timed, at=at)))
        if number % 5 == 0:  # a resend
            events.append((min(place + random.random() * 0.2, 1.0), prediction(timed, at=at)))
        if number % 3 == 0:  # a label, early or late
            events.append((float(random.random()), label(row["id"], int(random.integers(0, 2)), at=at)))
        if number % 9 == 0:  # a correction, or the first label
            events.append((float(random.random()), label(row["id"], int(random.integers(0, 2)), at=at)))
    return [event for _, event in sorted(events, key=lambda each: each[0])]
