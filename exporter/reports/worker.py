"""Makes the reports that wait, one at a time, and stores them or the reason why there is none."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict, replace
from threading import Event

from exporter.config.reports import ReportsConfig
from exporter.errors import CrashedError, ExporterError, IsolationError, ReportError, StoreError
from exporter.exposition.reports import ReportOutcome, ReportsTelemetry, ReportsView
from exporter.fleet import Fleet, Version
from exporter.formats.texts import cut, first_line, storable, utc_text
from exporter.reports.contents import ReportInput, ReportResult
from exporter.reports.queue import MAX_OPEN, ReportQueue
from exporter.storage.reports import (
    FileName,
    ReportState,
    StoredReport,
    change_report,
    claim_report,
    expire_reports,
    newest_done,
    newest_ended,
    open_reports,
)
from exporter.storage.store import Store

MAX_ATTEMPTS = 3
RETRY_SECONDS = 60.0  # before the second attempt; twice as long before the third
QUIET_SECONDS = 600.0  # after the start, without scheduled reports: a start has enough to do
EXPIRY_SECONDS = 3600.0  # between deletions
MAX_KEPT = 50  # reports of a version
KEPT_PART = 4  # of the store's limit, reports take one part
MAX_PROBLEM = 1000  # characters
ENDED = "the exporter ended while it was made"
STORE_FULL = "reports wait, because the store has reached its limit"

log = logging.getLogger(__name__)


class ReportWorker:
    """Work of the reports' thread. `step` is called by one thread; `config` is the section `reports` now."""

    def __init__(
        self,
        store: Store,
        fleet: Fleet,
        queue: ReportQueue,
        telemetry: ReportsTelemetry,
        gather: Callable[[Version, StoredReport, ReportsConfig], ReportInput],
        make: Callable[[ReportInput], ReportResult],
        config: Callable[[], ReportsConfig],
        store_limit_bytes: int,
        store_full: Callable[[], bool],
        clock: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        self.gather, self.make = gather, make
        self.on_done: list[Callable[[], None]] = []  # called after each report that is done
        self._store = store
        self._fleet = fleet
        self._queue = queue
        self._telemetry = telemetry
        self._config = config
        self._kept_bytes = store_limit_bytes // KEPT_PART
        self._store_full = store_full
        self._clock = clock
        self._monotonic = monotonic
        self._started = monotonic()
        self._expired_at: float | None = None
        self._next_attempt: dict[str, float] = {}  # of reports that failed, by id
        self._problems: dict[str, str] = {}  # of reports whose result could not be stored, by id
        self._blocked = ""  # why no reports are made now, for users
        self._stopping = Event()

    def stop(self) -> None:
        """Have `step` return after the report that it makes."""
        self._stopping.set()

    def step(self) -> None:
        """Delete what has expired, ask for scheduled reports, and make those that wait."""
        before = self._blocked
        try:
            self._blocked = STORE_FULL if self._store_full() else ""
            self._recover()
            self._expire()
            if not self._blocked:
                self._make_all()
        except StoreError as error:
            self._blocked = f"reports wait: {error}"
        if self._blocked not in ("", before):
            log.error("%s", self._blocked)
        self.refresh()

    def _make_all(self) -> None:
        self._queue.add_late()
        if self._monotonic() - self._started >= QUIET_SECONDS:
            self._queue.add_scheduled()
        while not self._stopping.is_set() and (report := self._claim()) is not None:
            self._work(report)

    def refresh(self) -> None:
        """Show what the store has: on `/metrics`, and with the versions why their last report failed."""
        with self._store.reading() as connection:
            waiting = open_reports(connection, MAX_OPEN)
            ended = {each.version_id: each for each in newest_ended(connection)}
            done = {each.version_id: each.finished_at for each in newest_done(connection)}
        versions, enabled = self._fleet.versions.values(), self._config().enabled
        self._telemetry.view = ReportsView(
            waiting=len(waiting),
            oldest=min((each.created_at for each in waiting), default=None),
            done={each.names: at for each in versions if (at := done.get(each.key)) is not None},
        )
        for version in versions:
            last = ended.get(version.key)
            if not enabled:
                version.report_problem = ""
            elif self._blocked or last is None or last.state is not ReportState.FAILED:
                version.report_problem = self._blocked
            else:
                version.report_problem = f"no report at {utc_text(last.created_at)}: {last.problem}"

    def _recover(self) -> None:
        """Have reports made again that were being made when a process ended or the store failed."""
        with self._store.reading() as connection:
            found = [each for each in open_reports(connection, MAX_OPEN) if each.state is ReportState.RUNNING]
        for report in found:
            self._give_back(report, self._problems.get(report.id, ENDED), again=True)
            if self._problems.pop(report.id, None) is None:  # of a process before: waits for nothing
                self._next_attempt.pop(report.id, None)

    def _expire(self) -> None:
        now = self._clock()
        if self._expired_at is not None and 0 <= now - self._expired_at < EXPIRY_SECONDS:
            return
        before = self._kept_from(now)
        with self._store.writing() as connection:
            expire_reports(connection, before, MAX_KEPT, self._kept_bytes)
        self._expired_at = now

    def _kept_from(self, now: float) -> float:
        """Time before which reports have expired."""
        # As far as retention has come: a clock that is wrong for an hour must not delete everything.
        return self._store.load_retention(now) - self._config().retention

    def _claim(self) -> StoredReport | None:
        now = self._monotonic()
        with self._store.reading() as connection:
            waiting = open_reports(connection, MAX_OPEN)
        for report in waiting:
            if self._next_attempt.get(report.id, now) <= now:
                with self._store.writing() as connection:
                    claimed = claim_report(connection, report)
                if claimed is not None:
                    return claimed
        return None

    def _work(self, report: StoredReport) -> None:
        """Make a report, and store it or its problem."""
        started, outcome = self._monotonic(), None
        try:
            outcome = self._make(report)
        except StoreError as error:
            self._problems[report.id] = str(error)
            outcome = "repeated"
            raise
        except ReportError as error:
            outcome = self._give_back(report, str(error), again=error.retry)
        except IsolationError as error:
            # Killed, it may be luck; too large or too slow it will be again.
            again = isinstance(error, CrashedError)
            outcome = self._give_back(report, f"its process failed: {error}", again=again)
        except ExporterError as error:
            outcome = self._give_back(report, str(error), again=True)
        except Exception as error:
            log.exception("report %s on %s version %s failed", report.id, report.model, report.model_version)
            outcome = self._give_back(report, f"internal error: {first_line(error)}", again=False)
        finally:
            self._telemetry.count(outcome or "failed", report.trigger, self._monotonic() - started)

    def _make(self, report: StoredReport) -> ReportOutcome:
        version = self._fleet.by_key(report.version_id)
        if version is None:
            raise ReportError("the version is not monitored any more")
        config = self._config().of_model(version.facts.config.reports)
        given = self.gather(version, report, config)
        result = self.make(given)
        done = replace(
            report,
            state=ReportState.DONE,
            finished_at=self._clock(),
            problem="",
            notes=result.notes,
            reference_digest=given.reference_digest,
            rows=result.rows,
            counted=given.rows_counted,
            mlflow_state="waiting" if config.mlflow else "off",
            evidently_state="waiting" if config.evidently_url else "off",
        )
        files: dict[FileName, bytes] = {
            "html": result.html,
            "json": result.json,
            "snapshot": result.snapshot,
        }
        values = [asdict(value) for value in result.values]
        before = self._kept_from(self._clock())
        with self._store.writing() as connection:
            stored = change_report(connection, report, done, values, files)
            # Here too: reports that are asked for one after another must not fill the store.
            expire_reports(connection, before, MAX_KEPT, self._kept_bytes)
        self._next_attempt.pop(report.id, None)
        if stored:
            log.info("%s version %s: report %s (%s)", *version.names, report.id, report.trigger)
            for call in self.on_done:
                call()
        return "done"

    def _give_back(self, report: StoredReport, problem: str, *, again: bool) -> ReportOutcome:
        """Store why a report was not made; it waits for another attempt if that may help."""
        repeated = again and report.attempt < MAX_ATTEMPTS
        problem = cut(storable(problem), MAX_PROBLEM)
        changed = (
            replace(report, state=ReportState.WAITING, problem=problem)
            if repeated
            else replace(report, state=ReportState.FAILED, problem=problem, finished_at=self._clock())
        )
        with self._store.writing() as connection:
            change_report(connection, report, changed)
        names = (report.id, report.model, report.model_version)
        if repeated:
            self._next_attempt[report.id] = self._monotonic() + RETRY_SECONDS * report.attempt
            log.warning("report %s on %s version %s is tried again: %s", *names, problem)
            return "repeated"
        self._next_attempt.pop(report.id, None)
        log.warning("report %s on %s version %s failed: %s", *names, problem)
        return "failed"
