"""Routes of reports: to ask for one, to list them, and the reports themselves."""

from __future__ import annotations

import gzip
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import RedirectResponse, Response

from exporter.api.auth import authorizer, told_by
from exporter.api.parameters import known_parameters, own_model
from exporter.api.problems import REFUSALS
from exporter.api.report_schemas import ReportDetail, ReportList, ReportSummary
from exporter.config.reports import check_window
from exporter.errors import (
    MalformedError,
    UnavailableError,
    UnknownModelError,
    UnknownReportError,
)
from exporter.exposition.negotiation import gzip_accepted
from exporter.fleet import Version
from exporter.formats.addresses import version_path
from exporter.formats.texts import storable
from exporter.payloads.target import Target
from exporter.reports.incident import find_incident_report
from exporter.service import Service
from exporter.storage.reports import (
    FileName,
    ReportState,
    StoredReport,
    find_report,
    list_reports,
    load_report_file,
    load_report_values,
)
from exporter.views.paths import VERSION_PATH
from exporter.web.report_pages import missing_page, waiting_page

MAX_LISTED = 200
MAX_WINDOW_CHARACTERS = 16
STORE_RETRY_SECONDS = 60
# Evidently's HTML is a program of inline scripts. It runs in an origin of its own, without the network.
CONTENT_SECURITY_POLICY = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data: blob:; font-src data:; connect-src 'none'; base-uri 'none'; form-action 'none'"
)
_HEADERS = {
    "Cache-Control": "private, max-age=3600",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Vary": "Accept-Encoding",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_Text = Annotated[str, Query(max_length=500)]


def reports_router(service: Service) -> APIRouter:
    """Return the routes of reports under `/v1`."""
    router = APIRouter(prefix="/v1", dependencies=[Depends(known_parameters)])
    own = Depends(own_model(service))
    reading = [Depends(authorizer(service)), own]
    reports = f"{VERSION_PATH}/reports"

    @router.post(
        reports,
        status_code=202,
        dependencies=[Depends(authorizer(service, "reports")), own],
        responses={k: REFUSALS[k] for k in (401, 403, 404, 409, 421, 422, 429, 503)},
    )
    def post_report(
        request: Request,
        response: Response,
        model: str,
        version: str,
        window: Annotated[
            str,
            Query(
                max_length=MAX_WINDOW_CHARACTERS,
                description="The last `24h`, or another duration; by default `reports.window`.",
            ),
        ] = "",
        reason: Annotated[_Text, Query(description="Shown in the report, and kept.")] = "",
        by: Annotated[_Text, Query(description="The person who asks.")] = "",
    ) -> ReportSummary:
        """Ask for a report on the last rows; it is made in the background.

        Needs a token with the scope `reports`, where tokens are set. A request that is repeated while it
        waits is the same report. That it was asked for is recorded in the audit trail.
        """
        found = _monitored(service, model, version)
        if service.writer.full:
            raise UnavailableError("the store has reached its limit", retry_after_seconds=STORE_RETRY_SECONDS)
        try:
            window = check_window(window or service.reports.config_of(found).window)
        except ValueError as error:
            raise MalformedError(str(error), "query.window") from None
        actor = told_by(request, storable(by)) if by else request.state.actor
        report = service.reports.queue.request(found, window, actor, reason)
        response.headers["Location"] = f"/v1/{version_path(model, version)}/reports/{report.id}"
        return ReportSummary.of(report)

    @router.get(reports, dependencies=reading, responses={k: REFUSALS[k] for k in (401, 403, 421, 422, 503)})
    def get_reports(
        model: str, version: str, limit: Annotated[int, Query(ge=1, le=MAX_LISTED)] = 50
    ) -> ReportList:
        """Reports on a version, newest first; none where no such version is or was monitored."""
        with service.store.reading() as connection:
            found = list_reports(connection, storable(model), storable(version), limit)
        return ReportList(reports=[ReportSummary.of(report) for report in found])

    @router.get(
        f"{reports}/{{report_id}}",
        dependencies=reading,
        responses={k: REFUSALS[k] for k in (401, 403, 404, 421, 422, 503)},
    )
    def get_report(model: str, version: str, report_id: str) -> ReportDetail:
        """A report's state, notes and values."""
        report = _find(service, model, version, report_id)
        with service.store.reading() as connection:
            values = load_report_values(connection, report.id)
        return ReportDetail.of(report, values=values)

    @router.get(
        f"{reports}/{{report_id}}/json",
        dependencies=reading,
        response_class=Response,
        responses={
            200: {"content": {"application/json": {}}},
            **{k: REFUSALS[k] for k in (401, 403, 404, 421, 422, 503)},
        },
    )
    def get_report_json(request: Request, model: str, version: str, report_id: str) -> Response:
        """The report as Evidently writes it in JSON."""
        return _file(service, request, _find(service, model, version, report_id), "json", "application/json")

    return router


def report_pages_router(service: Service) -> APIRouter:
    """Return the routes of reports for people."""
    dependencies = [Depends(each) for each in (authorizer(service), known_parameters, own_model(service))]
    router = APIRouter(prefix=f"{VERSION_PATH}/reports", dependencies=dependencies, include_in_schema=False)

    @router.get("/latest")
    def get_latest(
        model: str,
        version: str,
        at: Annotated[float | None, Query(ge=0, le=1e11, allow_inf_nan=False)] = None,
    ) -> Response:
        """Redirect to the report of an incident that began at a time, by default to the newest report."""
        names = storable(model), storable(version)
        with service.store.reading() as connection:
            found = list_reports(connection, *names, MAX_LISTED)
        done = [report for report in found if report.state is ReportState.DONE]
        report = find_incident_report(found, at) if at is not None else next(iter(done or found), None)
        if report is None:
            return missing_page(*names, service.reports.why_none(*names, at))
        if report.state is ReportState.DONE:
            return RedirectResponse(report.id, 302, {"Cache-Control": "no-store"})
        if report.state is ReportState.FAILED:
            return missing_page(*names, report.problem, report)
        return waiting_page(report)

    @router.get("/{report_id}")
    def get_page(request: Request, model: str, version: str, report_id: str) -> Response:
        """Return a report as Evidently draws it."""
        report = _find(service, model, version, report_id)
        if report.state in (ReportState.WAITING, ReportState.RUNNING):
            return waiting_page(report)
        if report.state is ReportState.FAILED:
            return missing_page(*report.names, report.problem, report)
        answer = _file(service, request, report, "html", "text/html; charset=utf-8")
        answer.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
        return answer

    return router


def _monitored(service: Service, model: str, version: str) -> Version:
    found = service.fleet.versions.get((model, version))
    if found is None:
        raise UnknownModelError(service.fleet.hint(Target(model, version)))
    return found


def _find(service: Service, model: str, version: str, report_id: str) -> StoredReport:
    with service.store.reading() as connection:
        report = find_report(connection, storable(report_id))
    if report is None or (report.model, report.model_version) != (storable(model), storable(version)):
        raise UnknownReportError(f"there is no report {report_id!r} on version {version} of {model!r}")
    return report


def _file(
    service: Service, request: Request, report: StoredReport, name: FileName, media_type: str
) -> Response:
    """Return a stored file, as it is compressed if the client takes that."""
    with service.store.reading() as connection:
        content = load_report_file(connection, report.id, name)
    if content is None:
        problem = f": {report.problem}" if report.problem else ""
        raise UnknownReportError(f"the report {report.id} is {report.state}{problem}")
    headers = dict(_HEADERS)
    if gzip_accepted(request.headers.get("accept-encoding", "")):
        headers["Content-Encoding"] = "gzip"
    else:
        content = gzip.decompress(content)
    return Response(content, headers=headers | {"Content-Type": media_type})
