"""`POST` routes of a process with EXPORTER_INGEST=kafka, over a real broker."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx
import pyarrow as pa
import pytest
from starlette.applications import Starlette

from exporter.api.ingest_routes import Ingestion, IngestRoutes
from exporter.api.server import make_server
from exporter.errors import UnknownModelError
from exporter.exposition.telemetry import Telemetry
from exporter.formats.raw import PARQUET_TYPE
from exporter.ingest.batching import PredictionRequest
from exporter.ingest.commit import Answer, IngestRequest
from exporter.ingest.join import PreparedLabels
from exporter.kafka.topic_writer import TopicWriter
from exporter.settings import Settings
from exporter.tokens import Token
from tests.kafka.test_topic_writer import consume, read, settings_for
from tests.support.fakes import TIMEOUT_SECONDS
from tests.support.kafka import KafkaBroker
from tests.support.rig import eventually, make_document, make_rows
from tests.support.wire import to_parquet

pytestmark = pytest.mark.needs("kafka")

AT = 1_700_000_000.5


@dataclass
class Producing:
    """A process that monitors `fraud` and produces."""

    settings: Settings
    writer: TopicWriter
    telemetry: Telemetry
    tokens: tuple[Token, ...] = field(default=())

    def clock(self) -> float:
        return AT

    def require_model(self, model: str) -> None:
        if model != "fraud":
            raise UnknownModelError("monitored are: fraud")

    def submit(self, request: IngestRequest) -> Future[Answer]:
        return self.writer.submit(request)


@contextmanager
def serving(settings: Settings, reason: str = "") -> Iterator[httpx.Client]:
    """Client of a process that produces, once it refuses requests for that reason; empty: takes them."""
    telemetry = Telemetry(time.time)
    writer = TopicWriter(settings, telemetry, lambda: AT)
    routes = IngestRoutes(Producing(settings, writer, telemetry))
    server = make_server(Ingestion(Starlette(), routes, None, telemetry), settings, telemetry)
    thread = threading.Thread(target=server.run)
    writer.start()
    thread.start()
    try:
        eventually(
            lambda: server.started and reason in writer.refusal and bool(reason) == bool(writer.refusal)
        )
        port = server.servers[0].sockets[0].getsockname()[1]
        with httpx.Client(
            base_url=f"http://127.0.0.1:{port}", timeout=TIMEOUT_SECONDS, verify=False
        ) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join(TIMEOUT_SECONDS)
        writer.stop()


@pytest.fixture
def producing(kafka_broker: KafkaBroker, kafka_topic: str) -> Iterator[httpx.Client]:
    with serving(settings_for(kafka_broker, kafka_topic, port=0)) as client:
        yield client


def test_rows_and_labels_are_accepted_and_what_became_of_them_is_not_known_yet(
    producing: httpx.Client, kafka_broker: KafkaBroker, kafka_topic: str
) -> None:
    rows = make_rows(4000, prefix="r")  # large enough to be decoded in a thread
    predictions = producing.post("/v1/predictions", json=make_document(rows))
    labels = producing.post("/v1/labels", json={"model": "fraud", "labels": [{"id": "a", "label": 1}]})

    assert (predictions.status_code, predictions.json()) == (
        202,
        {"accepted": 4000, "duplicates": None, "conflicts": None},
    )
    assert (labels.status_code, labels.json()) == (
        202,
        {"accepted": 1, "unmatched": None, "corrections": None, "duplicates": None},
    )
    found = read(consume(kafka_broker, kafka_topic))
    ids = [
        row_id for each in found if isinstance(each, PredictionRequest) for row_id in each.decoded.ids or []
    ]
    assert sorted(ids) == sorted(row["id"] for row in rows)
    assert sum(isinstance(request, PreparedLabels) for request in found) == 1


def test_a_retry_with_a_key_makes_the_same_messages_of_parquet(
    producing: httpx.Client, kafka_broker: KafkaBroker, kafka_topic: str
) -> None:
    body = to_parquet(pa.table({"x": [1.0, 2.0], "prediction": [1, 0]}))
    headers = {"Content-Type": PARQUET_TYPE, "Idempotency-Key": "k"}
    for _ in range(2):
        answer = producing.post("/v1/predictions?model=fraud&version=1", content=body, headers=headers)
        assert (answer.status_code, answer.json()["accepted"]) == (202, 2)

    first, again = read(consume(kafka_broker, kafka_topic))
    assert first.key == again.key
    assert first.key is not None
    assert first.rows == again.rows == 2


def test_what_cannot_be_taken_is_refused_before_it_is_produced(
    producing: httpx.Client, kafka_broker: KafkaBroker, kafka_topic: str
) -> None:
    unknown = make_document(make_rows(1), model="other")
    large = {**make_rows(1)[0], "features": {"x": "x" * 1_100_000}}
    for document, status, where in [
        (unknown, 404, ""),
        ({"model": "fraud", "version": "1"}, 422, ""),
        (make_document([large]), 413, ""),
    ]:
        answer = producing.post("/v1/predictions", content=json.dumps(document))
        assert answer.status_code == status, answer.text
        assert answer.json()["status"] == status
        assert answer.json().get("where", "") == where
    labels = producing.post("/v1/labels", json={"model": "other", "labels": [{"id": "a", "label": 1}]})
    assert labels.status_code == 404
    assert producing.post("/v1/cloudevents", json={}).status_code == 404  # an evaluator takes those
    assert consume(kafka_broker, kafka_topic) == []


def test_without_a_topic_the_answer_is_503_with_the_time_to_wait(kafka_broker: KafkaBroker) -> None:
    with serving(settings_for(kafka_broker, "missing", port=0), "no topic 'missing'") as client:
        answer = client.post("/v1/predictions", json=make_document(make_rows(1)))

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert "no topic 'missing'" in answer.json()["detail"]
