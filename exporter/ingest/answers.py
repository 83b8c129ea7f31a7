"""Counts rows of requests by what became of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from exporter.errors import RequestError
from exporter.exposition.telemetry import DropReason, Outcome, RowKind, Telemetry
from exporter.ingest.aggregates_body import AggregatesRequest
from exporter.ingest.commit import Answer, IngestRequest, PredictionAnswer
from exporter.ingest.join import LabelAnswer, PreparedLabels


def count_answers(
    telemetry: Telemetry, answered: Iterable[tuple[IngestRequest, Answer | RequestError]]
) -> None:
    """Count the rows of requests by outcome, once for all of one commit."""
    rows, dropped, naive = Counter[tuple[RowKind, Outcome]](), Counter[DropReason](), 0
    for request, answer in answered:
        if isinstance(answer, RequestError):
            rows[kind_of(request), "rejected"] += request.rows
            continue
        naive += request.naive_timestamps
        if isinstance(answer, LabelAnswer):
            rows["label", "accepted"] += answer.accepted
            rows["label", "unmatched"] += answer.unmatched
            rows["label", "correction"] += answer.corrections
            rows["label", "duplicate"] += answer.duplicates
        elif isinstance(answer, PredictionAnswer):
            kind = kind_of(request)
            rows[kind, "accepted"] += answer.accepted
            rows[kind, "duplicate"] += answer.duplicates
            if kind == "prediction":
                rows[kind, "conflict"] += answer.conflicts
            dropped.update(answer.dropped)
    for (kind, outcome), count in rows.items():
        telemetry.count_rows(kind, outcome, count)
    for reason, count in dropped.items():
        telemetry.count_dropped_rows(reason, count)
    telemetry.count_naive_timestamps(naive)


def queued_rows(request: IngestRequest) -> int:
    """Rows as a queue counts them: counts of rows take as long however many rows they are of."""
    return len(request.document.parts) if isinstance(request, AggregatesRequest) else request.rows


def queued_bytes(request: IngestRequest) -> int:
    """Estimate of a request's memory in a queue, in bytes; labels are small, and limited by their rows."""
    return 0 if isinstance(request, PreparedLabels) else request.size_bytes


def kind_of(request: IngestRequest) -> RowKind:
    """Kind of a request's rows."""
    if isinstance(request, AggregatesRequest):
        return "aggregate"
    return "label" if isinstance(request, PreparedLabels) else "prediction"
