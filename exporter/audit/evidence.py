"""Collects what the audit trail says about a version in a period, in bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson
import sqlalchemy as sa

from exporter.audit.filters import sequence_range
from exporter.audit.json_values import mapping, number
from exporter.audit.trail import CHUNK_ROWS
from exporter.errors import AuditError
from exporter.settings import HOUR_SECONDS
from exporter.storage.schema import audit_records

SUMMARY_SECONDS = 900  # within which an hour's summary is written after its end
SHOWN = 200  # records of a kind, the last ones; the others are counted
MAX_ACTIONS, MAX_STEPS = 100, 50

_RECORDS = audit_records.c
# Of the exporter itself: without them a gap cannot be explained.
_SYSTEM_KINDS = ("started", "stopped", "clock_set_back", "checkpoint_key", "pruned")
# Of the model; which versions they concern is in their data.
_MODEL_KINDS = ("alias_moved", "remediation", "approval", "hold")


@dataclass(frozen=True)
class Record:
    """A record, decoded. `data` is empty where the body was erased."""

    seq: int
    at: float
    kind: str
    actor: str
    subject: str
    action_id: str
    version: str
    data: Mapping[str, Any]
    reference_digest: str
    config_digest: str
    erased: bool


@dataclass
class Shown:
    """The last records of a kind, and how many there were."""

    records: deque[Record] = field(default_factory=lambda: deque(maxlen=SHOWN))
    count: int = 0

    def add(self, record: Record) -> None:
        self.records.append(record)
        self.count += 1


@dataclass
class Hour:
    """The summaries of an hour, of which there are several where the reference was replaced in it."""

    evaluations: int = 0
    failed: int = 0
    rows: int = 0
    bad: int = 0
    judged: bool = False  # some verdict was good or bad
    worst: tuple[float, str] | None = None  # highest score, and its column
    quality: dict[str, float] = field(default_factory=dict)  # last figure by metric


@dataclass
class Evidence:
    """The records of a version, by what they are about.

    Attributes:
        first, last: sequence numbers of the period, of all models.
        monitored: stretches of the period in which the version was monitored, by its records.
        reference, configuration: in force at the start of the period, None if it is not known.
    """

    model: str
    version: str
    start: float
    end: float
    first: int
    last: int
    hours: dict[int, Hour] = field(default_factory=dict)
    monitored: list[tuple[float, float]] = field(default_factory=list)
    reference: Record | None = None
    configuration: Record | None = None
    verdicts: Shown = field(default_factory=Shown)
    alerts: Shown = field(default_factory=Shown)
    references: Shown = field(default_factory=Shown)
    changes: Shown = field(default_factory=Shown)  # of configuration, tags and aliases
    runs: Shown = field(default_factory=Shown)  # starts and stops of the exporter
    others: Shown = field(default_factory=Shown)
    actions: dict[str, deque[Record]] = field(default_factory=dict)
    action_count: int = 0
    erased: int = 0

    def missing_hours(self) -> list[tuple[float, float]]:
        """Stretches of whole hours in which the version was monitored, without a summary."""
        gaps: list[tuple[float, float]] = []
        for start, end in self.monitored:
            hour = int(-(-start // HOUR_SECONDS)) * HOUR_SECONDS  # the first that begins in it
            while hour + HOUR_SECONDS <= end:
                if hour not in self.hours:
                    if gaps and gaps[-1][1] == hour:
                        gaps[-1] = (gaps[-1][0], float(hour + HOUR_SECONDS))
                    else:
                        gaps.append((float(hour), float(hour + HOUR_SECONDS)))
                hour += HOUR_SECONDS
        return gaps


def collect(
    connection: sa.Connection, model: str, version: str, start: float, end: float, now: float
) -> Evidence:
    """
    Args:
        connection: to one snapshot of the store.
        start: of the period, in seconds since the epoch, inclusive.
        end: exclusive.
        now: present time; an hour that has just ended has no summary yet.

    Raises:
        AuditError: the trail knows no such version, or has no records of the period.
    """
    first, last = sequence_range(connection, start, end)
    if last < first:
        raise AuditError("there are no records of this period")
    found = Evidence(model, version, start, end, first, last)
    of_version = _of_version(model, version)
    if connection.execute(sa.select(_RECORDS.seq).where(of_version).limit(1)).first() is None:
        raise AuditError(f"the audit trail has no records of version {version} of model {model!r}")
    references = ("reference_built", "reference_replaced")
    found.reference = _latest(connection, of_version, references, first)
    found.configuration = _latest(connection, of_version, ("config_changed",), first)
    before = _latest(connection, of_version, ("version_monitored", "version_forgotten", "summary"), first)
    monitored_since = start if before is not None and before.kind != "version_forgotten" else None
    for record in _read(connection, found):
        monitored_since = _note_monitoring(found, record, monitored_since)
        _add(found, record)
    if monitored_since is not None:
        found.monitored.append((monitored_since, min(end, now - SUMMARY_SECONDS)))
    return found


def recent_records(
    connection: sa.Connection, model: str, version: str, since: float, limit: int
) -> list[Record]:
    """Newest records about a version from `since` on, without the summaries of hours.

    Args:
        connection: to read from.
        model: its model.
        version: the version; records about the whole model are included.
        since: in seconds since the epoch.
        limit: of the number of records.
    """
    query = (
        _select()
        .where(
            _RECORDS.model == model,
            _RECORDS.model_version.in_([version, ""]) | _RECORDS.kind.in_(_MODEL_KINDS),
            _RECORDS.kind != "summary",
            _RECORDS.at >= since,
        )
        .order_by(_RECORDS.seq.desc())
        .limit(4 * limit)  # some are about other versions
    )
    records = map(_decode, connection.execute(query).all())
    return [record for record in records if _concerns(record, version)][:limit]


def _note_monitoring(found: Evidence, record: Record, since: float | None) -> float | None:
    """Return since when the version is monitored, None if it is not."""
    if record.version != found.version:
        return since
    if record.kind == "version_forgotten":
        if since is not None:
            found.monitored.append((since, record.at))
        return None
    if since is None and record.kind == "version_monitored":
        return record.at
    if since is None and record.kind == "summary":
        return number(record.data.get("from")) or record.at
    return since


def _add(found: Evidence, record: Record) -> None:
    found.erased += record.erased
    match record.kind:
        case "summary":
            _add_summary(found, record.data)
        case "verdict_changed":
            found.verdicts.add(record)
        case "alert_received":
            found.alerts.add(record)
        case "reference_built" | "reference_replaced" | "reference_missing":
            found.references.add(record)
        case "config_changed" | "tags_changed" | "alias_moved":
            found.changes.add(record)
        case "started" | "stopped" | "clock_set_back":
            found.runs.add(record)
        case "remediation" | "approval":
            _add_step(found, record)
        case _:
            found.others.add(record)


def _add_step(found: Evidence, record: Record) -> None:
    steps = found.actions.get(record.action_id)
    if steps is None:
        found.action_count += 1
        steps = found.actions[record.action_id] = deque(maxlen=MAX_STEPS)
        if len(found.actions) > MAX_ACTIONS:
            del found.actions[next(iter(found.actions))]
    steps.append(record)


def _add_summary(found: Evidence, data: Mapping[str, Any]) -> None:
    start = number(data.get("hour"))
    if start is None or not found.start - HOUR_SECONDS < start < found.end:
        return
    hour = found.hours.setdefault(int(start), Hour())
    hour.evaluations += int(number(data.get("evaluations")) or 0)
    hour.failed += int(number(data.get("failed")) or 0)
    hour.rows += int(number(data.get("rows")) or 0)
    verdicts = mapping(data.get("verdicts"))
    bad = int(number(verdicts.get("bad")) or 0)
    hour.bad = max(hour.bad, bad)
    hour.judged |= bool(bad or number(verdicts.get("good")))
    for column, scores in mapping(data.get("score_thousandths")).items():
        highest = number(scores[:2][-1]) if isinstance(scores, list) and scores else None  # or the only one
        if highest is not None and (hour.worst is None or highest / 1000 > hour.worst[0]):
            hour.worst = (highest / 1000, column)
    for metric, figures in mapping(data.get("quality")).items():
        last = number(figures[-1]) if isinstance(figures, list) and figures else None
        if last is not None:
            hour.quality[metric] = last


# -- reading -------------------------------------------------------------------------------------------------


def _of_version(model: str, version: str) -> sa.ColumnElement[bool]:
    return (_RECORDS.model == model) & (_RECORDS.model_version == version)


def _read(connection: sa.Connection, found: Evidence) -> Iterator[Record]:
    """Records of the period that concern the version, oldest first."""
    of_model = (_RECORDS.model == found.model) & (
        _RECORDS.model_version.in_([found.version, ""]) | _RECORDS.kind.in_(_MODEL_KINDS)
    )
    of_system = (_RECORDS.model == "") & _RECORDS.kind.in_(_SYSTEM_KINDS)
    # The summary of the last hour is written after it.
    late = (_RECORDS.kind == "summary") & (_RECORDS.at < found.end + HOUR_SECONDS)
    period = (_RECORDS.at >= found.start) & ((_RECORDS.at < found.end) | late)
    seq = found.first - 1
    while True:
        query = (
            _select()
            .where(of_model | of_system, period, _RECORDS.seq > seq)
            .order_by(_RECORDS.seq)
            .limit(CHUNK_ROWS)
        )
        rows = connection.execute(query).all()
        for row in rows:
            record = _decode(row)
            if _concerns(record, found.version):
                yield record
        if len(rows) < CHUNK_ROWS:
            return
        seq = rows[-1].seq


def _concerns(record: Record, version: str) -> bool:
    """True unless a record of the model is about other versions only."""
    if record.version in ("", version):
        return True
    names = ("before", "after", "target_version", "alias_before", "alias_after")
    named = (record.data.get(name) for name in names)
    return version in named


def _latest(
    connection: sa.Connection, of_version: sa.ColumnElement[bool], kinds: tuple[str, ...], before: int
) -> Record | None:
    query = (
        _select()
        .where(of_version, _RECORDS.kind.in_(kinds), _RECORDS.seq < before)
        .order_by(_RECORDS.seq.desc())
        .limit(1)
    )
    row = connection.execute(query).first()
    return None if row is None else _decode(row)


def _select() -> sa.Select[Any]:
    columns = ("seq", "at", "kind", "actor", "action_id", "model_version", "body")
    return sa.select(*(_RECORDS[name] for name in columns))


def _decode(row: sa.Row[Any]) -> Record:
    said: Mapping[str, Any] = {} if row.body is None else orjson.loads(bytes(row.body))
    return Record(
        seq=row.seq,
        at=row.at,
        kind=row.kind,
        actor=row.actor,
        subject=str(said.get("subject", "")),
        action_id=row.action_id,
        version=row.model_version,
        data=mapping(said.get("data")),
        reference_digest=str(said.get("reference_digest", "")),
        config_digest=str(said.get("config_digest", "")),
        erased=row.body is None,
    )


def shown_time(seconds: float | None) -> str:
    """Time in UTC to the second, for people; empty for None.

    >>> shown_time(1764460800.5)
    '2025-11-30 00:00:00'
    """
    if seconds is None:
        return ""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
