"""Pages in place of a report that is being made, or that there is not."""

from __future__ import annotations

from starlette.responses import HTMLResponse

from exporter.storage.reports import StoredReport
from exporter.views.paths import version_path
from exporter.web.rendering import render

RELOAD_SECONDS = 5
ROOT = "../../../../../"  # from /models/{model}/versions/{version}/reports/{id}


def waiting_page(report: StoredReport) -> HTMLResponse:
    """Return a page that says that a report is being made, and loads itself again until it is there."""
    names = report.model, report.model_version
    return render(
        "no_report.html",
        root=ROOT,
        heading="The report is being made",
        model=report.model,
        version=report.model_version,
        path=version_path(*names),
        report=report,
        why=f"The attempt before failed: {report.problem}." if report.problem else "",
        reload=RELOAD_SECONDS,
    )


def missing_page(model: str, version: str, why: str, report: StoredReport | None = None) -> HTMLResponse:
    """Return a page that says why there is no report; `report` is the one that failed, if there was one."""
    return render(
        "no_report.html",
        root=ROOT,
        status=404,
        heading="There is no report",
        model=model,
        version=version,
        path=version_path(model, version),
        report=report,
        why=f"{why[:1].upper()}{why[1:]}.",
        reload=0,
    )
