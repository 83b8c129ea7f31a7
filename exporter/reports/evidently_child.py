"""Makes a report with Evidently, in a child process; nothing else imports Evidently."""

from __future__ import annotations

import gzip
import json
import logging
import warnings
from datetime import UTC, datetime
from typing import Any

from evidently.legacy.utils import NumpyEncoder

from exporter.config.named_metrics import NamedMetric
from exporter.errors import ReportError
from exporter.reports.contents import ReportInput, ReportResult
from exporter.reports.definition import define
from exporter.reports.document import describe_time, make_html, make_json
from exporter.reports.evidently_classes import find_mistakes
from exporter.reports.running import run
from exporter.reports.tables import make_tables
from exporter.reports.values import extract_values

MAX_NOTES = 100
MAX_RANKED = 10  # most important columns in a report's head
_LEVEL = 6  # of gzip


def make(given: ReportInput) -> ReportResult:
    """The report.

    Raises:
        ReportError: nothing can be made of the input.
    """
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    tables = make_tables(given)
    items, remarks = define(given, tables)
    results = run(items)
    notes = [*tables.notes, *remarks, *results.notes]
    if not results.order:
        raise ReportError("; ".join(["none of its metrics could be computed", *notes[:5]]))
    if len(notes) > MAX_NOTES:
        notes = [*notes[:MAX_NOTES], f"and {len(notes) - MAX_NOTES:,} more notes"]
    snapshot = results.snapshot(
        f"{given.model} {given.version}",
        {"model": given.model, "model_version": given.version, "reference_digest": given.reference_digest},
        datetime.fromtimestamp(given.end, UTC).replace(tzinfo=None),
        [given.report_id] if given.report_id else [],
    )
    contents = snapshot.dict()
    pairs = list(zip(contents["metrics"], [name in results.named for name in results.order], strict=True))
    values, beyond = extract_values(pairs)
    if beyond:
        notes.append(f"{beyond:,} numbers are in the report only, not among its values")
    about = _about(
        given, tables.current.shape[0], 0 if tables.reference is None else len(tables.reference), notes
    )
    return ReportResult(
        html=_compress(make_html(snapshot.get_html_str(as_iframe=False), about)),
        json=_compress(make_json(about, contents)),
        snapshot=_compress(json.dumps(snapshot.dump_dict(), cls=NumpyEncoder)),
        values=tuple(values),
        notes=tuple(notes),
        rows=about["rows"],
    )


def check(metrics: tuple[NamedMetric, ...], descriptors: tuple[NamedMetric, ...]) -> list[str]:
    """Mistakes in names and arguments, as `find_mistakes` says them."""
    warnings.simplefilter("ignore")
    return find_mistakes(metrics, descriptors)


def _about(given: ReportInput, rows: int, reference_rows: int, notes: list[str]) -> dict[str, Any]:
    shares = {column.name: column.importance for column in given.columns if column.importance}
    ranked = sorted(shares, key=lambda name: -(shares[name] or 0.0))[:MAX_RANKED]
    return {
        "model": given.model,
        "version": given.version,
        "start": describe_time(given.start),
        "end": describe_time(given.end),
        "reason": given.reason,
        "rows": rows,
        "rows_counted": given.rows_counted,
        "reference_rows": reference_rows,
        "reference_digest": given.reference_digest,
        "importance": {name: shares[name] for name in ranked},
        "links": dict(given.links),
        "notes": notes,
    }


def _compress(text: str) -> bytes:
    # A lone surrogate is no character, and must not lose the report.
    return gzip.compress(text.encode("utf-8", "replace"), _LEVEL, mtime=0)
