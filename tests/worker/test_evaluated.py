"""A whole group: an evaluator that produces, workers that count, and the next evaluator."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from exporter.ingest.commit import ProducedAnswer
from exporter.monitoring.rebaseline import Order
from exporter.settings import Settings, parse_window
from exporter.worker.worker import Worker
from tests.support.fakes import TIMEOUT_SECONDS, Clock, FakeRegistry
from tests.support.kafka import KafkaBroker
from tests.support.partitioned import assert_same
from tests.support.rig import NOON, Rig, eventually, make_rows, make_table, over_a_day

pytestmark = pytest.mark.needs("kafka", "initdb", "pg_ctl")


def refresh(rig: Rig) -> None:
    rig.service.writer.call(rig.service.counting.refresh).result(TIMEOUT_SECONDS)


def test_a_group_shows_what_one_process_does_also_with_another_evaluator_and_reference(
    postgres_uri: str, kafka_broker: KafkaBroker, kafka_topic: str, start: Callable[..., Rig]
) -> None:
    table, clock, registry = make_table(2000), Clock(NOON), FakeRegistry()
    label = np.where(np.random.default_rng(0).random(2000) < 0.1, 1, 0) ^ table["prediction"].to_numpy()
    registry.register("fraud", table.append_column("label", pa.array(label)), alias="champion")
    registry.tag("fraud", target="label", task="binary")
    brokers: dict[str, Any] = {
        "ingest": "kafka",
        "kafka_brokers": (kafka_broker.address,),
        "kafka_topic": kafka_topic,
        "kafka_group": kafka_topic,
    }
    one = start(registry=registry)
    one.poll()
    with ExitStack() as running:

        def evaluator() -> Rig:
            rig = Rig(postgres_uri, registry, clock, role="evaluator", **brokers)
            running.callback(rig.stop)
            return rig

        rig = evaluator()
        often = {"evaluation_interval_seconds": 0.2, "mlflow_poll_interval_seconds": 0.2}
        worker = Worker(Settings(role="worker", store=postgres_uri, **often, **brokers), clock)
        worker.start()
        running.callback(worker.stop)
        assert rig.service.topic_writer is not None
        eventually(lambda: rig.service.topic_writer.refusal == "")

        rows = over_a_day(make_rows(1500, prefix="r"))
        labels = {row["id"]: number % 2 for number, row in enumerate(rows[:1400])}
        assert isinstance(rig.post_rows(rows, alias="champion"), ProducedAnswer)
        rig.post_rows(rows[:50])  # once more
        rig.post_labels(labels)
        one.post_rows(rows)
        one.post_labels(labels)

        def counted() -> bool:
            refresh(rig)
            totals = rig.version().live.totals
            return (totals.predictions, totals.labels) == (1500, 1400)

        eventually(counted)
        assert_same(rig.version(), one.version())
        rig.evaluate()
        assert rig.version().findings is not None

        order = Order("ada", "prices are in cents now")
        _, made = rig.service.rebaseliner.from_live(rig.version(), parse_window("24h"), order)
        rig.stop()
        after = evaluator()

        def taken() -> bool:
            refresh(after)
            return not after.version().missing_partitions

        eventually(taken)
        counts = after.version().counts
        assert counts is not None
        assert counts.reference.digest == made.digest
        assert after.version().live.totals.predictions == 1500
