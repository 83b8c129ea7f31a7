"""Writes up what the audit trail says about a version: what was monitored against what, found and done."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from exporter import __version__
from exporter.audit import report_rows as rows
from exporter.audit.document import ReportFormat, facts, heading, plain, strong, table, to_html, verbatim
from exporter.audit.evidence import (
    Evidence,
    Hour,
    Record,
    Shown,
    collect,
    shown_time,
)
from exporter.audit.export import Selection, export_rows
from exporter.audit.export_verification import ExportVerification, verify_export
from exporter.audit.json_values import leaves, mapping
from exporter.settings import HOUR_SECONDS

MAX_SIGNS = 120  # a line
MAX_GAPS = 100
MAX_VERDICT_ROWS = 400  # of verdicts
_LEGEND = {
    ".": "no bad verdict",
    "X": "a bad verdict",
    "?": "too little data for a verdict",
    " ": "no record",
}


def write_report(
    connection: sa.Connection,
    model: str,
    version: str,
    period: tuple[float, float],
    now: float,
    asked_by: str,
    form: ReportFormat,
) -> str:
    """Report on a version, as Markdown or HTML.

    Args:
        connection: that sees one state of the store.
        period: in seconds since the epoch; its end is exclusive.
        now: time of the report.
        asked_by: actor who asked for it.

    Raises:
        AuditError: the trail has no records of the period, or none of the version.
    """
    start, end = period
    found = collect(connection, model, version, start, end, now)
    proof = verify_export(export_rows(connection, Selection(model, version, start, end), now))
    title = f"{model}, version {version}: evidence of monitoring"
    parts = [
        f"# {plain(title)}",
        *_summary(found, proof, now, asked_by),
        *_monitored(found),
        *_verdicts(found),
        *_alerts(found),
        *_actions(found),
        *_changes(found),
        *_gaps(found),
        *_proof(found, proof),
        *_limits(),
    ]
    page = "\n\n".join(parts) + "\n"
    return to_html(title, page) if form == "html" else page


# -- sections ------------------------------------------------------------------------------------------------


def _summary(found: Evidence, proof: ExportVerification, now: float, asked_by: str) -> list[str]:
    missing = _missing_hours(found)
    bad = sum(bool(hour.bad) for hour in found.hours.values())
    outcomes = rows.outcomes(found)
    return [
        _trust(proof),
        _completeness(found, missing),
        *(_strip(found) if found.hours else []),
        facts(
            [
                ("Period", f"{shown_time(found.start)} to {shown_time(found.end)} UTC"),
                ("Reference", _reference_in_force(found) or "none"),
                ("Configuration", _configuration_in_force(found) or "not recorded"),
                ("Hours observed", f"{len(found.hours):,}, and {missing:,} missing"),
                *(
                    [
                        ("Predictions", f"{sum(hour.rows for hour in found.hours.values()):,}"),
                        ("Hours with a bad verdict", f"{bad:,}"),
                    ]
                    if found.hours  # without summaries nothing is known
                    else []
                ),
                ("Records of changed verdicts", f"{found.verdicts.count:,}"),
                ("Deliveries of alerts", f"{found.alerts.count:,}"),
                ("Actions", f"{found.action_count:,}" + (f": {outcomes}" if outcomes else "")),
                ("Written", f"{shown_time(now)} UTC, for {asked_by}, by mlflow-exporter {__version__}"),
            ]
        ),
    ]


def _completeness(found: Evidence, missing: int) -> str:
    if missing:
        hours = "hour has" if missing == 1 else "hours have"
        return strong(f"✗ {missing:,} {hours} no record, though the version was monitored: see Gaps.")
    if not found.hours:
        return strong("? The trail has no summaries of this version in the period.")
    return strong("✓ Every hour in which the version was monitored is on record.")


def _trust(proof: ExportVerification) -> str:
    """One sentence on what is proved of the records."""
    chain = proof.chain
    if proof.faults:
        return strong(f"✗ The trail was changed: {proof.faults[0]}.")
    span = f"The chain of records {chain.first_seq:,} to {chain.last.seq:,}"
    signed_to = chain.signed[-1][1] if chain.signed else 0
    if not signed_to:
        return strong(f"? {span} is intact, but no signed checkpoint covers it.")
    covered = "all of it" if signed_to == chain.last.seq else f"it up to record {signed_to:,}"
    return strong(f"✓ {span} is intact, and a signed checkpoint covers {covered}.")


def _monitored(found: Evidence) -> list[str]:
    references = [found.reference] if found.reference is not None else []
    configuration = leaves(_configuration(found))
    return [
        heading("What was monitored, and against what"),
        table(
            rows.REFERENCE_COLUMNS,
            [rows.reference_row(record) for record in (*references, *found.references.records)],
            "The trail has no reference of this version.",
        ),
        *(
            ["Configuration at the end of the period:", facts(configuration)]
            if configuration
            else ["Of the configuration the trail has its digest only."]
        ),
    ]


def _verdicts(found: Evidence) -> list[str]:
    changes = [row for record in found.verdicts.records for row in rows.verdict_rows(record)]
    omitted = max(0, len(changes) - MAX_VERDICT_ROWS)
    return [
        heading("Verdicts over time"),
        table(rows.PERIOD_COLUMNS, rows.period_rows(found), "There are no summaries."),
        heading("Changes of verdicts"),
        table(rows.VERDICT_COLUMNS, changes[omitted:]),
        *_rest(found.verdicts, omitted),
    ]


def _alerts(found: Evidence) -> list[str]:
    return [
        heading("Alerts received"),
        table(
            rows.ALERT_COLUMNS, [row for record in found.alerts.records for row in rows.alert_rows(record)]
        ),
        *_rest(found.alerts),
    ]


def _actions(found: Evidence) -> list[str]:
    steps = [rows.step_row(step) for steps in found.actions.values() for step in steps]
    omitted = found.action_count - len(found.actions)
    more = f"{omitted:,} earlier actions are left out; all are in the export of this period."
    return [
        heading("Actions, decisions and approvals"),
        table(rows.STEP_COLUMNS, steps),
        *([more] if omitted else []),
    ]


def _changes(found: Evidence) -> list[str]:
    records = sorted((*found.changes.records, *found.others.records), key=lambda record: record.seq)
    before = mapping(found.configuration.data.get("config")) if found.configuration is not None else {}
    return [
        heading("Changes of configuration, tags and aliases"),
        table(rows.CHANGE_COLUMNS, rows.change_rows(records, before)),
        *_rest(found.changes),
        *_rest(found.others),
    ]


def _gaps(found: Evidence) -> list[str]:
    gaps = found.missing_hours()
    runs = [rows.run_row(record) for record in found.runs.records]
    return [
        heading("Gaps"),
        table(
            ("From (UTC)", "To (UTC)", "Hours without a record"),
            [
                (shown_time(start), shown_time(end), f"{_hours(start, end):,}")
                for start, end in gaps[:MAX_GAPS]
            ],
            "No hour is missing in which the version was monitored.",
        ),
        *([f"{len(gaps) - MAX_GAPS:,} later gaps are left out."] if len(gaps) > MAX_GAPS else []),
        table(rows.RUN_COLUMNS, runs, "The exporter was neither started nor stopped."),
        *_rest(found.runs),
        *([f"Records whose content was erased: {found.erased:,}."] if found.erased else []),
    ]


def _proof(found: Evidence, proof: ExportVerification) -> list[str]:
    chain = proof.chain
    statement = [
        ("Records", f"{chain.first_seq:,} to {chain.last.seq:,}, of all models"),
        ("Digest of the last", chain.last.digest.hex()),
        ("Checkpoints", f"{proof.checkpoints:,}"),
        *(("Verifier key", key) for key in proof.keys),
    ]
    command = [
        *("mlflow-exporter", "audit", "export", "--model", found.model, "--version", found.version),
        *("--from", _iso(found.start), "--to", _iso(found.end), "--output", "evidence.jsonl"),
    ]
    return [
        heading("Proof"),
        _trust(proof),
        facts(statement),
        *(["The newest checkpoint:", verbatim(proof.newest_note)] if proof.newest_note else []),
        plain(
            "To check this without the exporter, export the period, and verify the file against a "
            "checkpoint or a key that was kept elsewhere:"
        ),
        verbatim(f"{shlex.join(command)}\nmlflow-exporter audit verify evidence.jsonl --checkpoint FILE"),
    ]


def _limits() -> list[str]:
    return [
        heading("What this does not show"),
        plain(
            "The chain proves that no record was changed, removed or inserted after a checkpoint had left "
            "the exporter's machine. It does not prove that what was written is true. It does not cover "
            "records after the last checkpoint, nor a rewrite by someone who has the signing key and acts "
            "before a checkpoint was kept elsewhere."
        ),
    ]


# -- parts ---------------------------------------------------------------------------------------------------


def _strip(found: Evidence) -> list[str]:
    """The period as a line of signs, and what they mean."""
    start = int(found.start // HOUR_SECONDS)
    end = max(start + 1, math.ceil(found.end / HOUR_SECONDS))
    step = math.ceil((end - start) / MAX_SIGNS)
    signs = ""
    for first in range(start, end, step):
        stretch = (found.hours.get(hour * HOUR_SECONDS) for hour in range(first, first + step))
        signs += _sign([hour for hour in stretch if hour is not None])
    length = f"{step} hours" if step > 1 else "an hour"
    legend = ", ".join(f"`{sign}` {meaning}" for sign, meaning in _LEGEND.items())
    return [verbatim(f"|{signs}|"), f"Each sign is {length}: {legend}."]


def _sign(hours: Sequence[Hour]) -> str:
    if not hours:
        return " "
    if any(hour.bad for hour in hours):
        return "X"
    return "." if any(hour.judged for hour in hours) else "?"


def _missing_hours(found: Evidence) -> int:
    return sum(_hours(start, end) for start, end in found.missing_hours())


def _hours(start: float, end: float) -> int:
    return round((end - start) / HOUR_SECONDS)


def _reference_in_force(found: Evidence) -> str:
    """Digest at the end of the period; empty if there is none."""
    built = [record for record in found.references.records if record.data.get("new_digest")]
    last = built[-1] if built else found.reference
    return str(last.data.get("new_digest", "")) if last is not None else ""


def _configuration_in_force(found: Evidence) -> str:
    last = _last_configuration(found)
    return last.config_digest or str(last.data.get("after", "")) if last is not None else ""


def _configuration(found: Evidence) -> Mapping[str, Any]:
    """Content of the configuration at the end of the period; empty if it is not recorded."""
    last = _last_configuration(found)
    return mapping(last.data.get("config")) if last is not None else {}


def _last_configuration(found: Evidence) -> Record | None:
    changed = [
        record
        for record in found.changes.records
        if record.kind == "config_changed" and record.version == found.version
    ]
    return changed[-1] if changed else found.configuration


def _rest(shown: Shown, omitted: int = 0) -> list[str]:
    if not omitted and shown.count == len(shown.records):
        return []
    return [plain(f"These are the last of {shown.count:,} records; all are in the export of this period.")]


def _iso(seconds: float) -> str:
    return shown_time(seconds).replace(" ", "T") + "Z"
