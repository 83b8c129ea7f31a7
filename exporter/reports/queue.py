"""Asks for reports: when verdicts turn bad, on a schedule, and on request.

The queue is the table of reports. It is bounded: further requests are refused, and reports that nobody asked
for are left out.
"""

from __future__ import annotations

import logging
import math
import secrets
from collections import defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass

import sqlalchemy as sa

from exporter.audit.record import Entry, format_time
from exporter.audit.trail import append
from exporter.config.reports import ReportsConfig
from exporter.errors import ConflictError, OverloadedError
from exporter.fleet import Findings, Fleet, Version
from exporter.formats.texts import cut, listed, storable
from exporter.monitoring.verdicts import Subject
from exporter.settings import Window, parse_window
from exporter.storage.reports import StoredReport, Trigger, add_report, last_asked, open_reports
from exporter.storage.store import Store

MAX_OPEN = 100  # reports that wait or are being made
MAX_REQUESTED = 50  # of these by request, which leaves room for verdicts
MAX_VERDICTS = 50  # stored with a report
MAX_REASON = 500  # characters
MIN_SCHEDULED_ROWS = 200  # of the longest window
ID_BYTES = 16
RETRY_SECONDS = 30
SWITCHED_OFF = "reports are switched off: `reports.enabled` of the configuration file is false"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReportPeriod:
    """Time that a report is about, in seconds since the epoch; `window` is its length, such as `24h`."""

    window: str
    start: float
    end: float

    @classmethod
    def until(cls, end: float, window: Window) -> ReportPeriod:
        return cls(window.name, end - window.seconds, end)


class ReportQueue:
    """Adds reports to the store. Methods may be called from any thread.

    Args:
        store: of the reports.
        fleet: the monitored versions.
        config: the section `reports` as it is for a version now.
        clock: seconds since the epoch.
        wake: called when a report was requested.
    """

    def __init__(
        self,
        store: Store,
        fleet: Fleet,
        config: Callable[[Version], ReportsConfig],
        clock: Callable[[], float],
        wake: Callable[[], None],
    ) -> None:
        self._store = store
        self._fleet = fleet
        self._config = config
        self._clock = clock
        self._wake = wake

    def add(
        self,
        connection: sa.Connection,
        version: Version,
        trigger: Trigger,
        period: ReportPeriod,
        *,
        actor: str = "system",
        reason: str = "",
        action_id: str = "",
        verdicts: Collection[tuple[str, ...]] = (),
    ) -> StoredReport | None:
        """Add a report to be made.

        Args:
            connection: within the transaction of what it is asked for by.
            version: that it is on.
            trigger: what it is asked for by.
            period: of the live rows.
            actor: who asks for it.
            reason: for people.
            action_id: of the remediation that it belongs to.
            verdicts: bad ones that are new; those that are known to be bad are added.

        Returns:
            The report; None if too many wait.
        """
        if len(open_reports(connection, MAX_OPEN)) == MAX_OPEN:
            log.warning("%s version %s: no report, %d are waiting", *version.names, MAX_OPEN)
            return None
        bad = list(dict.fromkeys((*sorted(verdicts), *sorted(version.bad_since))))
        report = StoredReport(
            id=secrets.token_hex(ID_BYTES),
            version_id=version.key,
            model=version.model,
            model_version=version.version,
            window=period.window,
            start=period.start,
            end=period.end,
            trigger=trigger,
            created_at=self._clock(),
            actor=actor,
            reason=cut(storable(reason), MAX_REASON),
            action_id=action_id,
            verdicts=tuple(map(tuple, bad[:MAX_VERDICTS])),
            reference_digest=version.counts.reference.digest if version.counts is not None else "",
        )
        add_report(connection, report)
        return report

    def request(self, version: Version, window: str, actor: str, reason: str) -> StoredReport:
        """Add a report of the last `window` that somebody asks for; recorded in the audit trail.

        Returns:
            The report, or one with the same window that was requested before and still waits.

        Raises:
            ConflictError: reports are switched off.
            OverloadedError: too many wait.
            StoreError: it could not be stored.
        """
        if not self._config(version).enabled:
            raise ConflictError(SWITCHED_OFF)
        now = self._clock()
        period = ReportPeriod.until(now, parse_window(window))
        with self._store.writing() as connection:
            requested = [each for each in open_reports(connection, MAX_OPEN) if each.trigger == "request"]
            for each in requested:
                if (each.version_id, each.window) == (version.key, period.window):
                    return each
            report = None
            if len(requested) < MAX_REQUESTED:
                report = self.add(connection, version, "request", period, actor=actor, reason=reason)
            if report is None:
                raise OverloadedError("too many reports are waiting", retry_after_seconds=RETRY_SECONDS)
            data = {
                "report": report.id,
                "window": period.window,
                "from": format_time(period.start),
                "to": format_time(period.end),
                "reason": report.reason,
            }
            entry = Entry(
                "report_requested",
                actor,
                *version.names,
                data=data,
                reference_digest=report.reference_digest,
            )
            append(connection, [entry], now)
        self._wake()
        return report

    def add_for_verdicts(
        self, connection: sa.Connection, version: Version, turned_bad: Collection[Subject], now: float
    ) -> None:
        """Add a report of the window in which verdicts turned bad, at most one per version and `pause`.

        The report of those that turn bad within a pause is added after it by `add_late`.

        Args:
            connection: within the transaction that records the verdicts.
            version: that they are on.
            turned_bad: columns and metrics that were not bad before.
            now: time of the evaluation.
        """
        config, findings = self._config(version), version.findings
        shown = _shown(turned_bad, version, config)
        if not shown or findings is None:
            return
        last = last_asked(connection, "verdict").get(version.key)
        if last is not None and 0 <= now - last < config.pause:
            return
        period = period_of(findings, shown, now)
        self.add(connection, version, "verdict", period, reason=in_words(shown), verdicts=turned_bad)

    def add_late(self) -> None:
        """Add reports for verdicts that turned bad since the last one for verdicts, and are bad still."""
        now = self._clock()
        with self._store.reading() as connection:
            last = last_asked(connection, "verdict")
        for version in self._fleet.versions.values():
            since = last.get(version.key, -math.inf)
            turned_bad = [Subject(*each) for each, at in version.bad_since.items() if since < at <= now]
            config = self._config(version)
            if _shown(turned_bad, version, config) and now - since >= config.pause:
                with self._store.writing() as connection:
                    self.add_for_verdicts(connection, version, turned_bad, now)

    def add_scheduled(self) -> None:
        """Add the scheduled report that is due for longest, if none waits."""
        now = self._clock()
        with self._store.reading() as connection:
            if open_reports(connection, 1):
                return
            last = last_asked(connection, "schedule")
        due = []
        for version in self._fleet.versions.values():
            config = self._config(version)
            window = parse_window(config.window)
            if config.every and _is_possible(version, config) and _has_rows(version, now - window.seconds):
                next_at = min(last.get(version.key, 0.0), now) + config.every
                due.append((next_at, version.key, version, window))
        if due and min(due)[0] <= now:
            _, _, version, window = min(due, key=lambda each: each[:2])
            with self._store.writing() as connection:
                self.add(connection, version, "schedule", ReportPeriod.until(now, window))


def period_of(findings: Findings, subjects: Collection[Subject], now: float) -> ReportPeriod:
    """The shortest window in which one of the subjects is bad.

    Windows of checks of data quality, which choose theirs, count if there is no other, and matured ones, of
    quality by labels, if there is none up to now.
    """
    windows = {each.window.name: each.window for each in findings.evaluation.windows}
    matured = {
        each.window.name: ReportPeriod(each.window.name, each.start, each.end) for each in findings.quality
    }
    labelled = [each for each in subjects if each.measure in _BY_LABELS and each.window in matured]
    live = [windows[each.window] for each in set(subjects).difference(labelled) if each.window in windows]
    if not live and any(each.measure.startswith("data_quality") for each in subjects):
        live = [check.window for check in findings.evaluation.checks if check.degraded]
    if not live and labelled:
        return min((matured[each.window] for each in labelled), key=lambda period: period.end - period.start)
    return ReportPeriod.until(now, min(live or windows.values()))


def in_words(subjects: Collection[Subject]) -> str:
    """Bad verdicts by measure, for people.

    >>> in_words([Subject("drift", "age", "7d"), Subject("drift", "hour", "7d"), Subject("coverage", "")])
    'too few labels; drift of age, hour'
    """
    named: dict[str, dict[str, None]] = defaultdict(dict)
    for subject in sorted(subjects):
        measure = subject.measure.partition("/")[0]
        named[measure][subject.name + (f" ({subject.segment})" if subject.segment else "")] = None
    return "; ".join(_WORDS[measure].format(listed(list(names), 5)) for measure, names in named.items())


_NOT_SHOWN = ("coverage",)  # by Evidently
_BY_LABELS = ("quality", "coverage", "label_drift")
_WORDS = {
    "drift": "drift of {}",
    "change": "change of {}",
    "data_quality": "degraded data: {}",
    "quality": "degraded quality: {}",
    "estimated_quality": "degraded estimates: {}",
    "label_drift": "drift of labels",
    "coverage": "too few labels",
}


def _shown(turned_bad: Collection[Subject], version: Version, config: ReportsConfig) -> list[Subject]:
    """Verdicts that a report on them can show; none where the configuration rules such reports out."""
    if not config.on_verdicts or not _is_possible(version, config):
        return []
    return [each for each in turned_bad if each.measure not in _NOT_SHOWN]


def _is_possible(version: Version, config: ReportsConfig) -> bool:
    """True unless the configuration rules reports on a version out."""
    return config.enabled and version.facts.config.sample.rows > 0


def _has_rows(version: Version, since: float) -> bool:
    """True if a version has rows since a time, and enough of them for a report that nobody asked for."""
    evaluation = version.evaluation
    if evaluation is None or (version.last_prediction or 0.0) < since:
        return False
    return evaluation.windows[-1].rows >= MIN_SCHEDULED_ROWS
