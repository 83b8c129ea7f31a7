"""Records in the audit trail what evaluations find: changed verdicts, and a summary of every hour."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import partial
from threading import Lock
from typing import Any, TypeAlias

import sqlalchemy as sa

from exporter.audit.record import Entry
from exporter.audit.trail import append
from exporter.errors import StoreError, decoding
from exporter.fleet import BadVerdict, Findings, Version
from exporter.ingest.writer import Writer
from exporter.monitoring.config_digest import digest_of_settings
from exporter.monitoring.entries import omitted
from exporter.monitoring.hourly_summary import HourlySummaries
from exporter.monitoring.verdicts import Subject, Verdict, all_verdicts, bad_subjects, merge_histories
from exporter.settings import HOUR_SECONDS, Settings
from exporter.storage import schema
from exporter.storage.schema import upsert
from exporter.storage.store import Store

MAX_CHANGES = 50  # in one record
MAX_RECORDS = 20  # of changed verdicts of a version in an hour; the rest is in the first record of the next
MAX_STORED = 10_000  # bad verdicts of a version that are told from new ones after a restart
MAX_UNWRITTEN = 5000  # summaries, while the store fails
MAX_PAUSE_SECONDS = 300.0
STOP_SECONDS = 5.0
CLOCK_SLACK_SECONDS = 1.0

log = logging.getLogger(__name__)

# By measure, name, window and segment.
_Bad: TypeAlias = Mapping[tuple[str, str, str, str], BadVerdict]
# Called in the transaction that records them, with the verdicts of a version that turned bad, and the time.
OnBad: TypeAlias = Callable[[sa.Connection, Version, Collection[Subject], float], None]


@dataclass(frozen=True)
class _Change:
    """Bad verdicts of a version to be stored, and the entry that says so if any has begun or ended."""

    version: Version
    bad: _Bad
    turned_bad: frozenset[Subject]
    entry: Entry | None
    hour: float
    number: int  # of the version's records in this hour


class Journal:
    """Keeps the audit trail of evaluations.

    The verdicts that the trail has are stored beside it, in one transaction, so that a restart neither
    repeats nor misses a change. Nothing is written if there is nothing new. A verdict that goes to and fro
    does not fill the store: after the last record of an hour, which says so, changes wait for the next hour.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        writer: Writer,
        clock: Callable[[], float],
        on_bad: OnBad = lambda *_: None,
    ) -> None:
        self._on_bad = on_bad
        self._settings = settings
        self._store = store
        self._writer = writer
        self._clock = clock
        self._lock = Lock()
        pause = max(MAX_PAUSE_SECONDS, 3 * settings.evaluation_interval_seconds)
        self._summaries = HourlySummaries(settings.windows, pause)
        self._bad: dict[Version, _Bad] = {}  # as stored
        self._judged: dict[Version, Findings] = {}
        self._recorded: dict[Version, tuple[float, int]] = {}  # hour of the last record, its number
        self._unwritten: list[Entry] = []
        self._observed: float | None = None
        self._started: float | None = None

    def start(self, config_file_digest: str) -> None:
        """Record the start of the exporter.

        Raises:
            StoreError: it could not be recorded.
        """
        now = self._clock()
        records = schema.audit_records.c
        newest = sa.select(records.kind, records.at).order_by(records.seq.desc()).limit(1)
        with self._store.writing() as connection:
            before = connection.execute(newest).first()
            data = {
                "settings_digest": digest_of_settings(self._settings),
                "config_file_digest": config_file_digest,
                "clean": before is None or before.kind == "stopped",
                "silent_since": before.at if before is not None else None,
            }
            append(connection, [Entry("started", "system", data=data)], now)
        self._started = now

    def stop(self) -> None:
        """Record what was seen of the hour, and the stop of the exporter, if its start was recorded."""
        if self._started is None or not self._lock.acquire(timeout=STOP_SECONDS):
            return
        try:
            now = self._clock()
            entries = [*self._unwritten, *self._summaries.close(now)]
            entries.append(Entry("stopped", "system", data={"seconds": round(now - self._started, 3)}))
            with self._store.writing() as connection:
                append(connection, entries, now)
        except StoreError as error:
            log.error("the stop is not recorded: %s", error)
        finally:
            self._lock.release()

    def dated(self, version: Version, findings: Findings) -> Findings:
        """New findings of a version, with the history of their bad verdicts, see `merge_histories`.

        Without histories if the store cannot tell.
        """
        with self._lock:
            try:
                stored = self._stored(version)
            except StoreError as error:
                log.error("%s version %s: since when verdicts are bad is unknown: %s", *version.names, error)
                return findings
        before = (version.findings.bad if version.findings is not None else None) or {}
        bad = bad_subjects(findings, version.facts.config)
        return replace(findings, bad=merge_histories(bad, findings.evaluation.at, stored, before))

    def observe(self, versions: Collection[Version]) -> None:
        """Record what is new after an evaluation of all versions.

        Raises:
            StoreError: it could not be recorded; the next call records it.
        """
        with self._lock:
            now = self._clock()
            changes = [change for version in versions if (change := self._compare(version, now)) is not None]
            self._unwritten += self._turned_back(now)
            self._unwritten += self._summaries.observe(versions, now)
            if len(self._unwritten) > MAX_UNWRITTEN:
                log.error("%d summaries of hours are lost", len(self._unwritten) - MAX_UNWRITTEN)
                self._unwritten = self._unwritten[-MAX_UNWRITTEN:]
            if changes or self._unwritten:
                self._writer.call(partial(self._write, changes, now)).result()
                self._unwritten = []
                self._bad.update((change.version, change.bad) for change in changes)
                self._recorded.update((c.version, (c.hour, c.number)) for c in changes if c.entry is not None)
            for version in self._bad.keys() - set(versions):
                self._judged.pop(version, None)
                self._recorded.pop(version, None)
                del self._bad[version]
            for version in versions:
                if version.findings is not None:
                    self._judged[version] = version.findings

    def _turned_back(self, now: float) -> list[Entry]:
        before, self._observed = self._observed, now
        if before is None or now >= before - CLOCK_SLACK_SECONDS:
            return []
        return [Entry("clock_set_back", "system", data={"before": before, "after": now})]

    def _compare(self, version: Version, now: float) -> _Change | None:
        """New of a version's bad verdicts: begun, ended, or severe for the first time. None if nothing is."""
        findings = version.findings
        if findings is None or findings.bad is None or self._judged.get(version) is findings:
            return None
        bad, before = findings.bad, self._stored(version)
        hour = now // HOUR_SECONDS * HOUR_SECONDS
        counted, number = self._recorded.get(version, (hour, 0))
        number = number + 1 if counted == hour else 1
        if bad.keys() == before.keys() or number > MAX_RECORDS:
            bad = {subject: bad.get(subject, verdict) for subject, verdict in before.items()}
            return None if bad == before else _Change(version, bad, frozenset(), None, hour, number)
        next_after = hour + HOUR_SECONDS if number == MAX_RECORDS else None
        entry = self._entry(version, findings, before, next_after)
        turned_bad = frozenset(Subject(*subject) for subject in bad.keys() - before.keys())
        return _Change(version, bad, turned_bad, entry, hour, number)

    def _entry(self, version: Version, findings: Findings, before: _Bad, next_after: float | None) -> Entry:
        """Entry of the verdicts that have begun or ended; further ones wait until `next_after`."""
        bad = findings.bad or {}
        verdicts = all_verdicts(findings, version.facts.config)
        changed = sorted(map(Subject._make, bad.keys() ^ before.keys()))
        failures = [failure[:200] for failure in version.failures[:3]]
        data = {
            "changes": [
                _shown(subject, verdicts.get(subject, Verdict("undecided")), before)
                for subject in changed[:MAX_CHANGES]
            ],
            "bad": len(bad),
            **omitted(len(changed) - MAX_CHANGES),
            **({"failures": failures} if failures else {}),
            **({"next_after": next_after} if next_after is not None else {}),
        }
        return Entry(
            kind="verdict_changed",
            actor="monitor",
            model=version.model,
            model_version=version.version,
            subject=changed[0].name if len({subject.name for subject in changed}) == 1 else "",
            data=data,
            reference_digest=findings.evaluation.reference.digest,
            config_digest=version.facts.config_digest,
        )

    def _stored(self, version: Version) -> _Bad:
        """Bad verdicts of a version that the trail has."""
        if version not in self._bad:
            states = schema.verdict_states.c
            query = sa.select(states.verdicts).where(states.version_id == version.key)
            with self._store.reading() as connection, decoding("the verdicts of a version"):
                bad, undated = _decode(connection.scalar(query) or "[]")
                if undated:
                    latest = connection.scalar(_latest_start(version))
                    began = BadVerdict(self._clock() if latest is None else latest)
                    bad.update(dict.fromkeys(undated, began))
            self._bad[version] = bad
        return self._bad[version]

    def _write(self, changes: Collection[_Change], now: float) -> None:
        with self._store.writing() as connection:
            entries = [change.entry for change in changes if change.entry is not None]
            append(connection, [*entries, *self._unwritten], now)
            put = upsert(schema.verdict_states, "verdicts", connection.dialect.name)
            rows = [{"version_id": change.version.key, "verdicts": _encode(change.bad)} for change in changes]
            if rows:
                connection.execute(put, rows)
            for change in changes:
                self._on_bad(connection, change.version, change.turned_bad, now)


def _encode(bad: _Bad) -> str:
    return json.dumps([[*subject, *bad[subject]] for subject in sorted(bad)[:MAX_STORED]])


def _decode(text: str) -> tuple[dict[tuple[str, str, str, str], BadVerdict], list[Subject]]:
    """Stored verdicts, and those that an older version stored without their times.

    Stores of older versions do not say either which of them have been severe.
    """
    dated: dict[tuple[str, str, str, str], BadVerdict] = {}
    undated = []
    for measure, name, window, segment, *history in json.loads(text):
        subject = Subject(measure, name, window, segment)
        if history and history[0] is not None:
            dated[subject] = BadVerdict(*history)
        else:
            undated.append(subject)
    return dated, undated


def _latest_start(version: Version) -> sa.Select[Any]:
    """Latest time at which the stored verdicts of a version can have begun.

    That is its newest record of verdicts, or the oldest record of all if the trail is pruned.
    """
    records = schema.audit_records.c
    names = (records.model == version.model, records.model_version == version.version)
    newest = sa.select(sa.func.max(records.at)).where(records.kind == "verdict_changed", *names)
    oldest = sa.select(sa.func.min(records.at))
    return sa.select(sa.func.coalesce(newest.scalar_subquery(), oldest.scalar_subquery()))


def _shown(subject: Subject, verdict: Verdict, before: _Bad) -> dict[str, Any]:
    measure, _, check = subject.measure.partition("/")
    shown = {
        "measure": measure,
        "check": check,
        "subject": subject.name,
        "window": subject.window or verdict.window,
        "segment": subject.segment,
        "before": _BAD[measure] if subject in before else "",
        "after": verdict.verdict,
        "value": verdict.value,
        "limit": verdict.limit,
        "rows": verdict.rows,
        "baseline": verdict.baseline,
        "shortfall": verdict.shortfall,
        "reason": verdict.reason,
    }
    return {name: value for name, value in shown.items() if value not in ("", None) or name in _ALWAYS}


_ALWAYS = {"before", "after", "value", "limit", "rows"}
_BAD = {
    "drift": "drifted",
    "change": "changed",
    "data_quality": "degraded",
    "quality": "degraded",
    "estimated_quality": "degraded",
    "label_drift": "drifted",
    "coverage": "low",
}
