"""Sends the reports that are done to MLflow and to Evidently's UI.

A destination that is down rests, and its reports wait as long as they are kept: the first one is tried again
after a minute, later every quarter of an hour. A report that is refused is tried again after one minute, two,
four and so on, and given up after about a day. Neither keeps other reports from being made or sent.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from threading import Event
from typing import Protocol

from exporter.errors import SendingError, StoreError
from exporter.exposition.reports import ReportsTelemetry
from exporter.formats.texts import cut, first_line, storable
from exporter.storage.report_sending import (
    DestinationName,
    SendState,
    claim_sending,
    count_unsent,
    find_unsent,
    is_waiting,
    store_send_problem,
    store_sending,
)
from exporter.storage.reports import StoredReport
from exporter.storage.store import Store

CLAIM_SECONDS = 600.0  # longer than sending takes
REST_SECONDS = 60.0
MAX_REST_SECONDS = 900.0
MAX_REFUSALS = 12  # 34 hours
MAX_BACKOFF_SECONDS = 43200.0
MAX_AT_ONCE = 50
MAX_PROBLEM = 500  # characters

TITLES = {"mlflow": "MLflow", "evidently": "Evidently's UI"}

log = logging.getLogger(__name__)


class Destination(Protocol):
    """A place to which reports are sent."""

    name: DestinationName

    def is_on(self) -> bool:
        """Return true if reports are to be sent there."""

    def send(self, report: StoredReport) -> str:
        """Send a report, once however often it is called, and return the id of its run there.

        Raises:
            SendingError: it was not taken.
        """


class ReportSending:
    """Work of a thread: `step` is called by one thread only."""

    def __init__(
        self,
        store: Store,
        destinations: Sequence[Destination],
        telemetry: ReportsTelemetry,
        clock: Callable[[], float],
        leads: Callable[[], bool] = lambda: True,
    ) -> None:
        self._store = store
        self._destinations = destinations
        self._telemetry = telemetry
        self._clock = clock
        self._leads = leads
        self._stopping = Event()
        # Of destinations that are down: seconds of the present rest, and its end.
        self._rests: dict[DestinationName, tuple[float, float]] = {}

    def stop(self) -> None:
        """Have `step` return after the report that it sends."""
        self._stopping.set()

    def step(self) -> None:
        """Send the reports that are due.

        Raises:
            StoreError: the store failed; what was sent is found there by the next attempt.
        """
        now = self._clock()
        awake = [each.name for each in self._destinations if self._rests.get(each.name, (0.0, now))[1] <= now]
        if awake:
            with self._store.reading() as connection:
                unsent = find_unsent(connection, awake, now, MAX_AT_ONCE)
            for report in unsent:
                if self._stopping.is_set():
                    return
                if self._leads():
                    self._send(report)
        with self._store.reading() as connection:
            self._telemetry.unsent = count_unsent(connection)

    def _send(self, report: StoredReport) -> None:
        """Send a report to the destinations for which it waits and which do not rest."""
        now = self._clock()
        awake = [
            each
            for each in self._destinations
            if is_waiting(report, each.name) and self._rests.get(each.name, (0.0, now))[1] <= now
        ]
        if not awake:
            return
        with self._store.writing() as connection:
            if not claim_sending(connection, report, now + CLAIM_SECONDS):
                return
        states: dict[DestinationName, SendState] = {}
        run_ids: dict[DestinationName, str] = {}
        problems, refusals = [], report.send_attempts
        for destination in awake:
            name = destination.name
            try:
                states[name], run_ids[name] = self._send_to(destination, report)
            except SendingError as error:
                problem = cut(storable(f"{TITLES[name]}: {error}"), MAX_PROBLEM)
                problems.append(problem)
                if error.down:
                    self._rest(name, problem)
                else:
                    refusals = report.send_attempts + 1
                    states[name] = "given_up" if refusals >= MAX_REFUSALS else "waiting"
                    self._telemetry.count_sending(name, "given_up" if refusals >= MAX_REFUSALS else "refused")
                    log.warning("report %s on %s version %s: %s", report.id, *report.names, problem)
        refused = refusals > report.send_attempts
        backoff = min(REST_SECONDS * 2 ** (refusals - 1), MAX_BACKOFF_SECONDS) if refused else 0.0
        with self._store.writing() as connection:
            store_sending(
                connection,
                report,
                states,
                run_ids,
                send_attempts=refusals,
                send_after=self._clock() + backoff if refused else None,
                send_problem="; ".join(problems),
            )

    def _send_to(self, destination: Destination, report: StoredReport) -> tuple[SendState, str]:
        """State of a report at a destination, and the id of its run there."""
        name = destination.name
        if not destination.is_on():
            return "off", getattr(report, f"{name}_run_id")
        try:
            run_id = destination.send(report)
        except (SendingError, StoreError):
            raise
        except Exception as error:
            log.exception("report %s is not sent to %s", report.id, TITLES[name])
            raise SendingError(f"internal error: {first_line(error)}", down=False) from error
        if self._rests.pop(name, None):
            log.info("%s takes reports again", TITLES[name])
        self._telemetry.count_sending(name, "sent")
        return "sent", run_id

    def _rest(self, name: DestinationName, problem: str) -> None:
        """Leave a destination alone for a while, and say with all of its reports why."""
        before, _ = self._rests.get(name, (0.0, 0.0))
        seconds = min(2 * before, MAX_REST_SECONDS) or REST_SECONDS
        if not before:
            log.warning("reports are not sent: %s", problem)
        self._rests[name] = seconds, self._clock() + seconds
        self._telemetry.count_sending(name, "down")
        with self._store.writing() as connection:
            store_send_problem(connection, name, problem)
