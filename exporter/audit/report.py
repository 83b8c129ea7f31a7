"""Writes up what the audit trail says about a version: what was monitored against what, found and done."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from exporter import __version__
from exporter.audit import report_rows as rows
from exporter.audit.document import (
    Block,
    Document,
    Facts,
    Format,
    Heading,
    Mood,
    Paragraph,
    Strip,
    Table,
    Verbatim,
    render,
)
from exporter.audit.evidence import (
    HOUR_SECONDS,
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

MAX_BARS = 240
MAX_GAPS = 100
MAX_CHANGES = 400  # of verdicts
_LEGEND: Sequence[tuple[Mood, str]] = (
    ("good", "no bad verdict"),
    ("bad", "a bad verdict"),
    ("unknown", "too little data for a verdict"),
    ("", "no record"),
)


def write_report(
    connection: sa.Connection,
    model: str,
    version: str,
    period: tuple[float, float],
    now: float,
    asked_by: str,
    form: Format,
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
    return render(make_report(found, proof, now, asked_by), form)


def make_report(found: Evidence, proof: ExportVerification, now: float, asked_by: str) -> Document:
    """Report as a document.

    Args:
        proof: of the records of the period.
        now: time of the report, in seconds since the epoch.
        asked_by: actor who asked for it.
    """
    blocks: list[Block] = [
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
    return Document(f"{found.model}, version {found.version}: evidence of monitoring", blocks)


# -- sections
# --------------------------------------------------------------------------------------------------


def _summary(found: Evidence, proof: ExportVerification, now: float, asked_by: str) -> list[Block]:
    missing = _missing_hours(found)
    bad = sum(bool(hour.bad) for hour in found.hours.values())
    outcomes = rows.outcomes(found)
    return [
        _trust(proof),
        _completeness(found, missing),
        *([_strip(found)] if found.hours else []),
        Facts(
            [
                ("Period", f"{shown_time(found.start)} to {shown_time(found.end)} UTC"),
                ("Reference", _reference_in_force(found) or "none"),
                ("Configuration", _configuration_in_force(found) or "not recorded"),
                ("Hours observed", f"{len(found.hours):,}, and {missing:,} missing"),
                ("Predictions", f"{sum(hour.rows for hour in found.hours.values()):,}"),
                ("Hours with a bad verdict", f"{bad:,}"),
                ("Changes of verdicts", f"{found.verdicts.count:,}"),
                ("Deliveries of alerts", f"{found.alerts.count:,}"),
                ("Actions", f"{found.action_count:,}" + (f": {outcomes}" if outcomes else "")),
                ("Written", f"{shown_time(now)} UTC, for {asked_by}, by mlflow-exporter {__version__}"),
            ]
        ),
    ]


def _completeness(found: Evidence, missing: int) -> Paragraph:
    if missing:
        hours = "hour has" if missing == 1 else "hours have"
        return Paragraph(f"{missing:,} {hours} no record, though the version was monitored: see Gaps.", "bad")
    if not found.hours:
        return Paragraph("The trail has no summaries of this version in the period.", "unknown")
    return Paragraph("Every hour in which the version was monitored is on record.", "good")


def _trust(proof: ExportVerification) -> Paragraph:
    """One sentence on what is proved of the records."""
    chain = proof.chain
    if proof.faults:
        return Paragraph(f"The trail was changed: {proof.faults[0]}.", "bad")
    span = f"The chain of records {chain.first_seq:,} to {chain.last.seq:,}"
    signed_to = chain.signed[-1][1] if chain.signed else 0
    if not signed_to:
        return Paragraph(f"{span} is intact, but no signed checkpoint covers it.", "unknown")
    later = f" Records after {signed_to:,} are not covered yet." if signed_to < chain.last.seq else ""
    return Paragraph(f"{span} is intact, and covered by a signed checkpoint.{later}", "good")


def _monitored(found: Evidence) -> list[Block]:
    references = [found.reference] if found.reference is not None else []
    configuration = leaves(_configuration(found))
    return [
        Heading("What was monitored, and against what"),
        Table(
            rows.REFERENCE_COLUMNS,
            [rows.reference_row(record) for record in (*references, *found.references.records)],
            "The trail has no reference of this version.",
        ),
        *(
            [Paragraph("Configuration at the end of the period:"), Facts(configuration)]
            if configuration
            else [Paragraph("Of the configuration the trail has its digest only.")]
        ),
    ]


def _verdicts(found: Evidence) -> list[Block]:
    changes = [row for record in found.verdicts.records for row in rows.verdict_rows(record)]
    omitted = max(0, len(changes) - MAX_CHANGES)
    return [
        Heading("Verdicts over time"),
        Table(rows.PERIOD_COLUMNS, rows.period_rows(found), "There are no summaries."),
        Heading("Changes of verdicts"),
        Table(rows.VERDICT_COLUMNS, changes[omitted:]),
        *_rest(found.verdicts, omitted),
    ]


def _alerts(found: Evidence) -> list[Block]:
    return [
        Heading("Alerts received"),
        Table(
            rows.ALERT_COLUMNS, [row for record in found.alerts.records for row in rows.alert_rows(record)]
        ),
        *_rest(found.alerts),
    ]


def _actions(found: Evidence) -> list[Block]:
    steps = [rows.step_row(step) for steps in found.actions.values() for step in steps]
    omitted = found.action_count - len(found.actions)
    more = Paragraph(f"{omitted:,} earlier actions are left out; all are in the export of this period.")
    return [
        Heading("Actions, decisions and approvals"),
        Table(rows.STEP_COLUMNS, steps),
        *([more] if omitted else []),
    ]


def _changes(found: Evidence) -> list[Block]:
    records = sorted((*found.changes.records, *found.others.records), key=lambda record: record.seq)
    before = mapping(found.configuration.data.get("config")) if found.configuration is not None else {}
    return [
        Heading("Changes of configuration, tags and aliases"),
        Table(rows.CHANGE_COLUMNS, rows.change_rows(records, before)),
        *_rest(found.changes),
        *_rest(found.others),
    ]


def _gaps(found: Evidence) -> list[Block]:
    gaps = found.missing_hours()
    runs = [rows.run_row(record) for record in found.runs.records]
    return [
        Heading("Gaps"),
        Table(
            ("From (UTC)", "To (UTC)", "Hours without a record"),
            [
                (shown_time(start), shown_time(end), f"{_hours(start, end):,}")
                for start, end in gaps[:MAX_GAPS]
            ],
            "No hour is missing in which the version was monitored.",
        ),
        *([Paragraph(f"{len(gaps) - MAX_GAPS:,} later gaps are left out.")] if len(gaps) > MAX_GAPS else []),
        Table(rows.RUN_COLUMNS, runs, "The exporter was neither started nor stopped."),
        *_rest(found.runs),
        *([Paragraph(f"Records whose content was erased: {found.erased:,}.")] if found.erased else []),
    ]


def _proof(found: Evidence, proof: ExportVerification) -> list[Block]:
    chain = proof.chain
    facts = [
        ("Records", f"{chain.first_seq:,} to {chain.last.seq:,}, of all models"),
        ("Digest of the last", chain.last.digest.hex()),
        ("Checkpoints", f"{proof.checkpoints:,}"),
        *(("Verifier key", key) for key in proof.keys),
    ]
    note: list[Block] = []
    if proof.newest_note:
        note = [Paragraph("The newest checkpoint:"), Verbatim(proof.newest_note)]
    command = [
        *("mlflow-exporter", "audit", "export", "--model", found.model, "--version", found.version),
        *("--from", _iso(found.start), "--to", _iso(found.end), "--output", "evidence.jsonl"),
    ]
    return [
        Heading("Proof"),
        _trust(proof),
        Facts(facts),
        *note,
        Paragraph(
            "To check this without the exporter, export the period, and verify the file against a "
            "checkpoint or a key that was kept elsewhere:"
        ),
        Verbatim(f"{shlex.join(command)}\nmlflow-exporter audit verify evidence.jsonl --checkpoint FILE"),
    ]


def _limits() -> list[Block]:
    return [
        Heading("What this does not show"),
        Paragraph(
            "The chain proves that no record was changed, removed or inserted after a checkpoint had left "
            "the exporter's machine. It does not prove that what was written is true. It does not cover "
            "records after the last checkpoint, nor a rewrite by someone who has the signing key and acts "
            "before a checkpoint was kept elsewhere."
        ),
    ]


# -- parts
# -----------------------------------------------------------------------------------------------------


def _strip(found: Evidence) -> Strip:
    start = int(found.start // HOUR_SECONDS)
    end = max(start + 1, math.ceil(found.end / HOUR_SECONDS))
    step = math.ceil((end - start) / MAX_BARS)
    moods: list[Mood] = []
    for first in range(start, end, step):
        stretch = (found.hours.get(hour * HOUR_SECONDS) for hour in range(first, first + step))
        moods.append(_mood([hour for hour in stretch if hour is not None]))
    scale = f"a bar is {step} hours" if step > 1 else "a bar is an hour"
    return Strip(moods, (shown_time(found.start), f"{shown_time(found.end)}, {scale}"), _LEGEND)


def _mood(hours: Sequence[Hour]) -> Mood:
    if not hours:
        return ""
    if any(hour.bad for hour in hours):
        return "bad"
    return "good" if any(hour.judged for hour in hours) else "unknown"


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


def _rest(shown: Shown, omitted: int = 0) -> list[Block]:
    if not omitted and shown.count == len(shown.records):
        return []
    return [
        Paragraph(f"These are the last of {shown.count:,} records; all are in the export of this period.")
    ]


def _iso(seconds: float) -> str:
    return shown_time(seconds).replace(" ", "T") + "Z"
