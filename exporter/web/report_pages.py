"""Pages in place of a report that is being made, or that there is not."""

from __future__ import annotations

from typing import Any

from starlette.responses import HTMLResponse

from exporter.formats.addresses import version_path
from exporter.formats.texts import capitalized
from exporter.storage.reports import StoredReport
from exporter.web.rendering import render

RELOAD_SECONDS = 5
ROOT = "../../../../../"  # from /models/{model}/versions/{version}/reports/{id}


def waiting_page(report: StoredReport) -> HTMLResponse:
    """Return a page that says that a report is being made, and loads itself again until it is there."""
    why = f"The attempt before failed: {report.problem}." if report.problem else ""
    return _page("The report is being made", *report.names, why, report, reload=RELOAD_SECONDS)


def missing_page(model: str, version: str, why: str, report: StoredReport | None = None) -> HTMLResponse:
    """Return a page that says why there is no report; `report` is the one that failed, if there was one."""
    return _page("There is no report", model, version, f"{capitalized(why)}.", report, status=404)


def _page(
    heading: str,
    model: str,
    version: str,
    why: str,
    report: StoredReport | None,
    *,
    status: int = 200,
    reload: int = 0,
) -> HTMLResponse:
    names: dict[str, Any] = {"model": model, "version": version, "path": version_path(model, version)}
    values: dict[str, Any] = {"heading": heading, "why": why, "report": report, "reload": reload}
    return render("no_report.html", root=ROOT, status=status, **names, **values)
