"""Events that become rows, and those that do not."""

from __future__ import annotations

import logging
from concurrent.futures import Future
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from exporter.capture.capture import Capture
from exporter.capture.events import Event, Half
from exporter.config.capture import CaptureConfig
from exporter.errors import MalformedError, OverloadedError, RequestError, UnknownModelError
from exporter.exposition.capture import CaptureTelemetry
from exporter.fleet import Fleet, Version
from exporter.ingest.batching import PredictionRequest
from exporter.ingest.commit import Answer, IngestRequest, PredictionAnswer
from exporter.settings import Settings
from exporter.storage.schema import StoredVersion
from tests.support.fakes import Clock
from tests.support.kserve_logger import v1_request, v1_response

NOW = 1_796_032_800.0
REQUEST, RESPONSE = v1_request([{"age": 41}] * 2), v1_response([0, 1])


class World:
    """Version 1 of `fraud`, without a reference; `submitted` are the rows that the writer got."""

    def __init__(self) -> None:
        self.clock = Clock(NOW)
        self.fleet = Fleet(Settings())
        self.fleet.add(Version(StoredVersion(1, "fraud", "1", 0, None, "no reference", 0)))
        self.registry = CollectorRegistry()
        self.submitted: list[PredictionRequest] = []
        self.refusal: RequestError | None = None
        self.outcome: PredictionAnswer | RequestError = PredictionAnswer(2, 0, 0, {})
        self.capture = Capture(
            Settings(),
            self.fleet,
            CaptureTelemetry(self.registry),
            self._submit,
            self.clock,
            self.clock.monotonic,
        )

    def _submit(self, request: IngestRequest) -> Future[Answer]:
        assert isinstance(request, PredictionRequest)
        if self.refusal is not None:
            raise self.refusal
        self.submitted.append(request)
        done: Future[Answer] = Future()
        if isinstance(self.outcome, RequestError):
            done.set_exception(self.outcome)
        else:
            done.set_result(self.outcome)
        return done

    def send(self, half: Half, event_id: str = "7", body: bytes | None = None, **attributes: Any) -> Any:
        body = body if body is not None else REQUEST if half == "request" else RESPONSE
        return self.capture.take(Event(half, event_id, "fraud", body=body, at=self.clock(), **attributes))

    def answer_once(self) -> None:
        """Let the service answer a request, as one whose logger sends responses."""
        self.send("request", "first")
        self.capture.taken(self.send("response", "first"))

    def expire(self) -> None:
        self.clock.advance(60)
        self.capture.expire()

    def outcomes(self) -> dict[tuple[str, ...], int]:
        """Events by kind and outcome, without those of `answer_once`."""
        found = {
            tuple(sample.labels.values()): int(sample.value)
            for family in self.registry.collect()
            for sample in family.samples
            if sample.name == "mlflow_exporter_cloudevents_total" and sample.value
        }
        return {key: count for key, count in found.items() if key[1] != "taken"}

    def waiting(self) -> float | None:
        return self.registry.get_sample_value("mlflow_exporter_cloudevents_waiting")


@pytest.fixture
def world() -> World:
    return World()


def test_every_outcome_exists_from_0(world: World) -> None:
    names = {
        tuple(sample.labels.values())
        for family in world.registry.collect()
        for sample in family.samples
        if sample.name == "mlflow_exporter_cloudevents_total"
    }
    assert {("request", "unanswered"), ("response", "unrequested"), ("unknown", "unreadable")} < names
    assert ("request", "unrequested") not in names
    assert len(names) == 20


def test_an_exchange_is_read_when_both_halves_are_there(world: World) -> None:
    assert world.send("response") is None
    assert world.waiting() == 1
    exchange = world.send("request")
    rows = world.capture.read(exchange)
    assert (rows.rows, rows.decoded.prediction, rows.received_at) == (2, [0, 1], NOW)
    assert world.waiting() == 0


def test_a_request_that_is_never_answered_is_rows_without_predictions(world: World) -> None:
    world.answer_once()
    world.send("request", "lost")
    world.expire()
    (rows,) = world.submitted
    assert (rows.decoded.prediction, rows.decoded.ids) == ([None, None], ["lost/0", "lost/1"])
    assert rows.decoded.timestamps == [NOW, NOW]
    assert world.outcomes() == {("request", "unanswered"): 1}


def test_requests_of_a_service_that_sends_no_responses_are_no_errors(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.send("request")
    world.expire()
    assert world.submitted == []
    assert world.outcomes() == {("request", "unanswered"): 1}
    assert "the logger's mode has to be `all`" in caplog.text


def test_a_response_without_a_request_is_counted(world: World) -> None:
    world.send("response")
    world.expire()
    assert (world.submitted, world.outcomes()) == ([], {("response", "unrequested"): 1})


def test_a_request_whose_id_was_reused_is_no_error_of_the_model(world: World) -> None:
    world.answer_once()
    world.send("request", body=REQUEST)
    world.send("request", body=v1_request([{"age": 1}]))
    world.expire()
    assert (world.submitted, world.outcomes()) == ([], {("request", "reused"): 2})


def test_a_request_whose_response_was_refused_is_no_error_of_the_model(world: World) -> None:
    world.send("request")
    world.capture.refused(world.send("response"), "the queue is full")
    world.expire()
    assert world.submitted == []
    assert world.outcomes() == {("response", "refused"): 1, ("request", "refused"): 1}


@pytest.mark.parametrize(
    ("refusal", "outcome"),
    [
        (OverloadedError("the queue is full"), "refused"),
        (UnknownModelError("not monitored"), "unmapped"),
        (MalformedError("an id is too long"), "unreadable"),
    ],
)
def test_unanswered_requests_that_cannot_be_taken_are_counted(
    world: World, refusal: RequestError, outcome: str
) -> None:
    world.answer_once()
    world.refusal = refusal
    world.send("request")
    world.expire()
    assert world.outcomes() == {("request", outcome): 1}


def test_unanswered_requests_that_the_writer_refuses_are_counted(world: World) -> None:
    world.answer_once()
    world.outcome = OverloadedError("the store is full")
    world.send("request")
    world.expire()
    assert world.outcomes() == {("request", "refused"): 1}


def test_an_unanswered_request_that_cannot_be_read_is_counted(world: World) -> None:
    world.answer_once()
    world.send("request", body=b"")
    world.expire()
    assert (world.submitted, world.outcomes()) == ([], {("request", "unreadable"): 1})


@pytest.mark.parametrize(
    ("error", "outcome"),
    [(UnknownModelError("version 2 of 'fraud'"), "unmapped"), (MalformedError("no rows"), "unreadable")],
)
def test_both_halves_of_an_exchange_that_fails_are_counted(
    world: World, error: RequestError, outcome: str
) -> None:
    world.send("request")
    world.capture.failed(world.send("response"), error)
    assert world.outcomes() == {("request", outcome): 1, ("response", outcome): 1}


def test_a_version_that_is_not_monitored_any_more_is_unknown(world: World) -> None:
    world.send("request")
    exchange = world.send("response")
    world.fleet.known = {}
    world.fleet.remove([("fraud", "1")])
    with pytest.raises(UnknownModelError):
        world.capture.read(exchange)


def test_the_wait_is_configured(world: World) -> None:
    world.capture.use(CaptureConfig.model_validate({"wait": "10m"}))
    world.send("response")
    world.expire()
    assert world.waiting() == 1
    world.clock.advance(540)
    world.capture.expire()
    assert (world.waiting(), world.outcomes()) == (0, {("response", "unrequested"): 1})


def test_a_line_a_minute_tells_what_is_not_taken(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    for number in range(5):
        world.capture.take(Event("request", str(number), f"unknown\n{number}", "shop"))
    world.capture.expire()
    (line,) = caplog.messages
    assert line.startswith("an event is unmapped: shop/unknown\\n0: no version has it")
    world.expire()
    assert len(caplog.messages) == 2
    assert caplog.messages[1].startswith("4 more events are unmapped, the last: shop/unknown\\n4: ")
    world.expire()
    assert len(caplog.messages) == 2
