"""Pydantic models of the answers about reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Self

from pydantic import BaseModel, Field

from exporter.formats.addresses import version_path
from exporter.storage.reports import ReportState, StoredReport


class ReportVerdict(BaseModel):
    measure: str = Field(description="As in the audit trail: `drift`, `quality`, ...")
    subject: str = Field(description="The column or metric.")
    window: str
    segment: str


class ReportSummary(BaseModel):
    """A report by Evidently on a version."""

    id: str
    model: str
    version: str
    state: str = Field(description="`waiting`, `running`, `done` or `failed`.")
    problem: str = Field(description="Why it failed, or why the attempt before failed; empty otherwise.")
    page: str = Field(description="Path of the page, relative to the exporter; empty unless it is done.")
    window: str
    start: datetime
    end: datetime
    trigger: str = Field(description="`request`, `action`, `verdict` or `schedule`.")
    created_at: datetime
    finished_at: datetime | None
    actor: str
    reason: str
    action_id: str = Field(description="The remediation that it belongs to; empty for none.")
    verdicts: list[ReportVerdict] = Field(description="Bad ones when it was asked for.")
    notes: list[str]
    reference_digest: str
    rows: int = Field(description="Of the sample in it.")
    counted: int = Field(description="Rows of the period.")
    mlflow_state: str = Field(description="`waiting`, `sent`, `off` or `given_up`; empty before it is done.")
    mlflow_run_id: str
    evidently_state: str = Field(description="As `mlflow_state`, for Evidently's own UI.")
    send_problem: str = Field(description="Why it is not sent yet; empty if nothing is wrong.")

    @classmethod
    def of(cls, report: StoredReport, **more: Any) -> Self:
        """Return the summary of a report."""
        known = {name: value for name, value in asdict(report).items() if name in cls.model_fields}
        finished, is_done = report.finished_at, report.state is ReportState.DONE
        known |= {
            "version": report.model_version,
            "page": f"/{version_path(*report.names)}/reports/{report.id}" if is_done else "",
            "start": _moment(report.start),
            "end": _moment(report.end),
            "created_at": _moment(report.created_at),
            "finished_at": _moment(finished) if finished is not None else None,
            "verdicts": [
                dict(zip(ReportVerdict.model_fields, verdict, strict=False)) for verdict in report.verdicts
            ],
            **more,
        }
        return cls.model_validate(known)


class ReportValue(BaseModel):
    metric: str = Field(description="Class of Evidently, with the arguments that tell two apart.")
    column: str = Field(description="Empty for the whole data set.")
    part: str = Field(description="`count`, `share`, `mean`, `std` or a label; empty for a single number.")
    value: float
    named: bool = Field(description="The configuration file names the metric.")


class ReportDetail(ReportSummary):
    values: list[ReportValue]


class ReportList(BaseModel):
    reports: Sequence[ReportSummary] = Field(description="Newest first.")


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
