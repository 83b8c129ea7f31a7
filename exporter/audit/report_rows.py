"""Rows of the tables of a report, as texts for people."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from exporter.audit.evidence import Evidence, Hour, Record, shown_time
from exporter.audit.json_values import leaves, number, objects, text
from exporter.settings import DAY_SECONDS

MAX_PERIODS = 45
MAX_TOLD = 4  # changes of a record that are told in a line

PERIOD_COLUMNS = (
    "From (UTC)",
    "Hours",
    "Evaluations",
    "Failed",
    "Rows",
    "Hours with a bad verdict",
    "Highest score",
    "Quality",
)
VERDICT_COLUMNS = (
    "Time (UTC)",
    "Record",
    "Measure",
    "Of",
    "Window",
    "Before",
    "After",
    "Value",
    "Limit",
    "Reference",
)
REFERENCE_COLUMNS = ("Since (UTC)", "Reference", "Source", "Rows", "Natural variation", "By", "Reason")
ALERT_COLUMNS = ("Time (UTC)", "Record", "Alert", "Status", "Severity", "Of", "Policies", "Sent by")
ALERT_LABELS = ("column", "metric", "check", "segment", "role", "alias")
STEP_COLUMNS = ("Time (UTC)", "Record", "Action", "Kind", "State", "By", "Before and after", "Reason")
CHANGE_COLUMNS = ("Time (UTC)", "Record", "Kind", "Of", "By", "Before and after")
RUN_COLUMNS = ("Time (UTC)", "Record", "Exporter", "Detail")


def period_rows(found: Evidence) -> list[tuple[str, ...]]:
    """Hours by day, or by as many days as make `MAX_PERIODS` rows."""
    if not found.hours:
        return []
    days = (max(found.hours) - min(found.hours)) / DAY_SECONDS + 1
    length = math.ceil(days / MAX_PERIODS) * DAY_SECONDS
    periods: dict[int, list[Hour]] = defaultdict(list)
    for start, hour in sorted(found.hours.items()):
        periods[start // length * length].append(hour)
    return [_period_row(start, hours) for start, hours in periods.items()]


def _period_row(start: int, hours: Sequence[Hour]) -> tuple[str, ...]:
    worst = max((hour.worst for hour in hours if hour.worst is not None), default=None)
    quality: dict[str, float] = {}
    for hour in hours:
        quality |= hour.quality
    return (
        shown_time(start),
        f"{len(hours):,}",
        f"{sum(hour.evaluations for hour in hours):,}",
        f"{sum(hour.failed for hour in hours):,}",
        f"{sum(hour.rows for hour in hours):,}",
        f"{sum(bool(hour.bad) for hour in hours):,}",
        f"{worst[0]:.3g} ({worst[1]})" if worst is not None else "",
        ", ".join(f"{metric} {value:.3g}" for metric, value in sorted(quality.items())),
    )


def verdict_rows(record: Record) -> list[tuple[str, ...]]:
    return [
        (
            shown_time(record.at),
            str(record.seq),
            text(change.get("measure")) + (f" ({change['check']})" if change.get("check") else ""),
            text(change.get("subject")) + (f" in {change['segment']}" if change.get("segment") else ""),
            text(change.get("window")),
            text(change.get("before")) or "not bad",
            text(change.get("after")) + (f": {change['reason']}" if change.get("reason") else ""),
            text(change.get("value")),
            text(change.get("limit")),
            record.reference_digest[:12],
        )
        for change in objects(record.data.get("changes"))
    ]


def reference_row(record: Record) -> tuple[str, ...]:
    data = record.data
    provisional = data.get("provisional")
    return (
        shown_time(record.at),
        text(data.get("new_digest")) or text(data.get("status")),
        text(data.get("source")) or text(data.get("detail")),
        text(data.get("rows")),
        "" if provisional is None else "unknown (provisional)" if provisional else "known",
        record.actor,
        text(data.get("reason")),
    )


def alert_rows(record: Record) -> list[tuple[str, ...]]:
    """Alerts of a delivery about the version, and the policies that they concern."""
    plans = objects(record.data.get("plans"))
    decided = "; ".join(
        f"{text(plan.get('policy'))}: {text(plan.get('action')) or text(plan.get('reason'))}"
        for plan in plans
    )
    return [
        (
            shown_time(record.at),
            str(record.seq),
            text(alert.get("alertname")),
            text(alert.get("status")),
            text(alert.get("severity")),
            ", ".join(text(alert[label]) for label in ALERT_LABELS if alert.get(label)),
            decided,
            record.actor,
        )
        for alert in objects(record.data.get("alerts"))
    ]


def step_row(record: Record) -> tuple[str, ...]:
    data = record.data
    return (
        shown_time(record.at),
        str(record.seq),
        record.action_id[:12],
        text(data.get("action")) or record.kind,
        state([record]),
        record.actor,
        _alias_move(data),
        ": ".join(filter(None, (text(data.get("guard")), _explanation(data)))),
    )


def _alias_move(data: Mapping[str, Any]) -> str:
    before, after = text(data.get("alias_before")), text(data.get("alias_after") or data.get("expected"))
    if not before and not after:
        return f"to {data['target_version']}" if data.get("target_version") else ""
    return f"{before or 'none'} → {after or 'none'}" if data.get("alias_after") else f"{before}, not {after}"


def _explanation(data: Mapping[str, Any]) -> str:
    """The reason, or the guards that would have stopped a rehearsal, or what was found afterwards."""
    would = [text(data.get("would"))] if data.get("would") else []
    stopped = [
        f"{text(each.get('guard'))}: {text(each.get('reason'))}" for each in objects(data.get("refusals"))
    ]
    return "; ".join([*would, *stopped]) or text(data.get("reason")) or text(data.get("troubles"))


def change_rows(records: Iterable[Record], configuration: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Changes in order.

    Args:
        configuration: the settings that were in force before them.
    """
    found: list[tuple[str, ...]] = []
    for record in records:
        detail = before_and_after(record.data)
        config = record.data.get("config")
        if isinstance(config, Mapping):
            detail = _difference(configuration, config)
            configuration = config
        elif record.kind == "hold":
            detail = (
                f"{'suspended' if record.data.get('held') else 'resumed'}: {text(record.data.get('reason'))}"
            )
        elif record.kind == "checkpoint_key":
            detail = f"{text(record.data.get('before')) or 'none'} → {text(record.data.get('vkey'))}"
        common = (shown_time(record.at), str(record.seq), record.kind, record.subject, record.actor)
        found.append((*common, detail or text(record.data.get("reason"))))
    return found


def _difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Settings that differ, with their values before and after."""
    if not before:
        return "the first on record"
    old, new = dict(leaves(before)), dict(leaves(after))
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    return text("; ".join(f"{name} {old.get(name, 'unset')} → {new.get(name, 'unset')}" for name in names))


def run_row(record: Record) -> tuple[str, ...]:
    return (shown_time(record.at), str(record.seq), record.kind, _run_detail(record))


def _run_detail(record: Record) -> str:
    data = record.data
    if record.kind == "stopped":
        return f"after {text(data.get('seconds'))} s"
    if record.kind != "started":
        return before_and_after(data)
    since = number(data.get("silent_since"))
    if since is None:
        return "for the first time"
    ended = "" if data.get("clean") is None else "; stopped" if data["clean"] else "; it ended without a stop"
    return f"nothing was recorded since {shown_time(since)}{ended}"


def told(record: Record) -> str:
    """Content of a record in a line; empty if it was erased."""
    data = record.data
    match record.kind:
        case "verdict_changed":
            changes = objects(data.get("changes"))
            lines = [_told_change(change) for change in changes[:MAX_TOLD]]
            rest = len(changes) - len(lines) + int(number(data.get("omitted")) or 0)
            return "; ".join([*lines, *([f"and {rest:,} more"] if rest > 0 else [])])
        case "remediation" | "approval":
            row = step_row(record)
            return ": ".join(filter(None, (f"{row[3]} {row[2]}", row[4], row[6], row[7])))
        case "alert_received":
            return "; ".join(" ".join(filter(None, row[2:6])) for row in alert_rows(record)[:MAX_TOLD])
        case "reference_built" | "reference_replaced" | "reference_missing":
            return ", ".join(filter(None, (reference_row(record)[k] for k in (1, 2, 6))))
        case "config_changed":
            return before_and_after(data)
        case _:
            (row,) = change_rows([record], {})
            return ": ".join(filter(None, (row[3], row[5])))


def _told_change(change: Mapping[str, Any]) -> str:
    check = f" ({text(change['check'])})" if change.get("check") else ""
    where = ", ".join(filter(None, (text(change.get("window")), text(change.get("segment")))))
    name = f"{text(change.get('subject'))}: {text(change.get('measure'))}{check}"
    before, after = text(change.get("before")) or "not bad", text(change.get("after"))
    return f"{name}{f' in {where}' if where else ''} {before} → {after}"


def before_and_after(data: Mapping[str, Any]) -> str:
    """Values that a record says were before and after, empty if it does not."""
    before = data.get("before", data.get("file_before"))
    after = data.get("after", data.get("file_after"))
    return "" if before is None and after is None else f"{text(before) or 'none'} → {text(after) or 'none'}"


def state(steps: Iterable[Record]) -> str:
    """Latest state of an action that its records name; empty if none does."""
    states = [text(step.data.get("state")) for step in steps]
    return next((each for each in reversed(states) if each), "")


def outcomes(found: Evidence) -> str:
    """Numbers of actions by their latest state."""
    counts = Counter(state(steps) or "open" for steps in found.actions.values())
    return ", ".join(f"{count:,} {each}" for each, count in sorted(counts.items()))
