"""Reports without Evidently: what a test's child answers, and what it was given."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import dataclass, field

from exporter.config.reports import ReportsConfig
from exporter.fleet import Version
from exporter.reports.contents import EvidentlyValue, ReportInput, ReportResult
from exporter.storage.reports import StoredReport, find_report, list_reports
from tests.support.api_server import Server
from tests.support.rig import Rig

HTML = b"<html><script>var metric_1 = 1</script></html>"
RESULT = ReportResult(
    html=gzip.compress(HTML),
    json=gzip.compress(b'{"metrics": []}'),
    snapshot=gzip.compress(b"{}"),
    values=(EvidentlyValue("ValueDrift", "age", "", 0.3, named=True),),
    notes=("the column `notes` is left out",),
    rows=7,
)


@dataclass
class FakeReports:
    """Gathers and makes reports as a test says: each takes the next of `answers`, the last for good."""

    answers: list[ReportResult | Exception] = field(default_factory=lambda: [RESULT])
    asked: list[StoredReport] = field(default_factory=list)
    during: Callable[[], None] = lambda: None

    def gather(self, version: Version, report: StoredReport, config: ReportsConfig) -> ReportInput:
        self.asked.append(report)
        return ReportInput(
            model=report.model,
            version=report.model_version,
            start=report.start,
            end=report.end,
            task="binary",
            classes=("0", "1"),
            positive_class="1",
            columns=(),
            rows=(),
            rows_counted=70,
            reference_rows=b"",
            reference_digest="digest",
        )

    def make(self, given: ReportInput) -> ReportResult:
        self.during()
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def fake(rig: Rig | Server, *answers: ReportResult | Exception) -> FakeReports:
    """Have the reports of a rig or of a server made by a fake."""
    made = FakeReports(list(answers) or [RESULT])
    worker = rig.service.reports.worker
    worker.gather, worker.make = made.gather, made.make
    return made


def ask(rig: Rig, window: str = "24h", version: str = "1") -> StoredReport:
    """Ask for a report as `POST .../reports` does."""
    return rig.service.reports.queue.request(rig.version(version), window, "ada", "to see")


def reports(rig: Rig, version: str = "1") -> list[StoredReport]:
    """Reports of a version, newest first."""
    with rig.service.store.reading() as connection:
        return list_reports(connection, "fraud", version, 100)


def stored(rig: Rig, report: StoredReport) -> StoredReport:
    """A report as it is stored now."""
    with rig.service.store.reading() as connection:
        found = find_report(connection, report.id)
    assert found is not None
    return found
