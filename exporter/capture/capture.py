"""Takes events of inference loggers: halves meet, and exchanges become rows for the writer.

A half that waits is in memory alone. The rows of an exchange are on disk when the event that completed it is
answered. A request without a response is an error of the model, since loggers send responses with status 200
only: its rows are counted without a prediction, if responses of its service come at all.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial

import numpy as np

from exporter.capture.events import Event
from exporter.capture.exchanges import read_exchange, read_unanswered
from exporter.capture.log_lines import LogLines
from exporter.capture.services import NoRoute, Route, Services
from exporter.capture.waiting import Exchange, Waiting, WaitingRoom
from exporter.config.capture import CaptureConfig
from exporter.errors import (
    MisdirectedError,
    OverloadedError,
    RequestError,
    UnavailableError,
    UnknownModelError,
)
from exporter.exposition.capture import CaptureTelemetry, EventKind, EventOutcome
from exporter.fleet import Fleet, Version
from exporter.ingest.batching import PredictionRequest
from exporter.ingest.commit import Answer, IngestRequest
from exporter.payloads.target import Target
from exporter.settings import Settings

MAX_ANSWERING = 10_000  # services of which answers have come

log = logging.getLogger(__name__)


class Capture:
    """Events -> rows. Methods may be called from any thread, `expire` from one at a time.

    For each event `take` is called, and for an exchange that it returns `read`, and then one of `taken`,
    `failed` and `refused`.

    Args:
        submit: hands rows to the writer.
    """

    def __init__(
        self,
        settings: Settings,
        fleet: Fleet,
        telemetry: CaptureTelemetry,
        submit: Callable[[IngestRequest], Future[Answer]],
        clock: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._fleet = fleet
        self._telemetry = telemetry
        self._submit = submit
        self._clock = clock
        self._services = Services(fleet, monotonic)
        self._lines = LogLines(log, monotonic)
        self._room = WaitingRoom(monotonic, self._overflowed)
        self._answering: set[tuple[str, str, str, str]] = set()

    def use(self, config: CaptureConfig) -> None:
        """Use another configuration from now on."""
        self._services.use(config)
        self._room.wait_seconds = config.wait

    def take(self, event: Event) -> Exchange | None:
        """Return the exchange that an event completes; None if it completes none.

        Raises:
            MisdirectedError: it is of another shard's model.
        """
        route = self._services.route(event)
        if isinstance(route, NoRoute):
            self._count(event, "ignored" if route.ignored else "unmapped", route.detail)
            return None
        try:
            self._fleet.shard.require(route.target.model)
        except MisdirectedError as error:
            self._count(event, "unmapped", error.detail)
            raise
        if event.half == "response" and len(self._answering) < MAX_ANSWERING:
            self._answering.add(_service(event))
        met = self._room.meet(event)
        self._telemetry.waiting, self._telemetry.waiting_bytes = self._room.halves, self._room.size_bytes
        if isinstance(met, Exchange):
            return met
        if met != "waits":
            self._count(event, met, _DETAILS.get(met, ""))
        return None

    def read(self, exchange: Exchange) -> PredictionRequest:
        """Return the rows of an exchange.

        Raises:
            RequestError: they cannot be read, or no version is monitored that they are of.
        """
        route = self._route(exchange.request)
        now = self._clock()
        version = self._version(route.target, exchange.request, now)
        return read_exchange(exchange, route, version, self._settings, now)

    def taken(self, exchange: Exchange) -> None:
        """Count an exchange whose rows are on disk."""
        for event in (exchange.request, exchange.response):
            self._count(event, "taken")

    def failed(self, exchange: Exchange, error: RequestError) -> None:
        """Count an exchange that cannot be taken, now or later."""
        outcome: EventOutcome = "unmapped" if isinstance(error, UnknownModelError) else "unreadable"
        for event in (exchange.request, exchange.response):
            self._count(event, outcome, error.located)

    def refused(self, exchange: Exchange, detail: str) -> None:
        """Count the second half of an exchange that cannot be taken now; the first waits for it again."""
        self._room.take_back(exchange)
        self._count(exchange.second, "refused", detail)

    def unreadable(self, error: RequestError) -> None:
        """Count a message that is no event."""
        self._note("unknown", "unreadable", error.located)

    def expire(self) -> None:
        """Let go of the halves that have waited too long; take the rows of unanswered requests."""
        for waiting in self._room.expire():
            self._let_go(waiting)
        self._telemetry.waiting, self._telemetry.waiting_bytes = self._room.halves, self._room.size_bytes
        self._lines.write()

    def _let_go(self, waiting: Waiting) -> None:
        event = waiting.event
        if waiting.reused:
            self._count(event, "reused", _DETAILS["reused"])
        elif waiting.refused:
            self._count(event, "refused", "its other half was refused and did not come again")
        elif event.half == "response":
            self._count(event, "unrequested", "the request never came; the logger's mode has to be `all`")
        elif _service(event) not in self._answering:
            self._count(event, "unanswered", "no response ever came; the logger's mode has to be `all`")
        else:
            self._take_unanswered(event)

    def _take_unanswered(self, event: Event) -> None:
        try:
            route, now = self._route(event), self._clock()
            version = self._version(route.target, event, now)
            future = self._submit(read_unanswered(event, route, version, self._settings, now))
        except (OverloadedError, UnavailableError) as error:
            self._count(event, "refused", error.located)
        except UnknownModelError as error:
            self._count(event, "unmapped", error.located)
        except RequestError as error:
            self._count(event, "unreadable", error.located)
        else:
            future.add_done_callback(partial(self._count_unanswered, event))

    def _count_unanswered(self, event: Event, future: Future[Answer]) -> None:
        error = future.exception()
        if error is None:
            self._count(event, "unanswered")
        else:
            detail = error.located if isinstance(error, RequestError) else type(error).__name__
            self._count(event, "refused", detail)

    def _route(self, event: Event) -> Route:
        route = self._services.route(event)
        if isinstance(route, NoRoute):  # since it came
            raise UnknownModelError(route.detail)
        return route

    def _version(self, target: Target, event: Event, now: float) -> Version | None:
        """The version at the time of an event; None at a time at which an alias pointed to none."""
        at = min(event.at if event.at is not None else now, now)
        return next(iter(self._fleet.resolve(target, np.array([at]))), None)

    def _overflowed(self, event: Event) -> None:
        self._count(event, "overflow", "too many halves wait")

    def _count(self, event: Event, outcome: EventOutcome, detail: str = "") -> None:
        self._note(event.half, outcome, f"{event.origin}: {detail}" if detail else "")

    def _note(self, kind: EventKind, outcome: EventOutcome, detail: str) -> None:
        self._telemetry.count(kind, outcome)
        if detail and outcome != "ignored":
            self._lines.add(outcome, detail)


_DETAILS = {
    "reused": "its id came with other content before the exchange was complete; send another id each time",
    "overflow": "the body is larger than what may wait",
}


def _service(event: Event) -> tuple[str, str, str, str]:
    return event.namespace, event.service, event.component, event.endpoint
