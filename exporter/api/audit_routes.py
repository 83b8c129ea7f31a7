"""Routes of the audit trail: its records, reports on versions, erasure."""

from __future__ import annotations

from datetime import UTC, datetime
from threading import Lock
from typing import Annotated

import orjson
from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response

from exporter.api.auth import authorizer, local_without_token, told_by
from exporter.api.parameters import known_parameters, own_model
from exporter.api.problems import REFUSALS
from exporter.audit.document import ReportFormat
from exporter.audit.erasure import erase
from exporter.audit.filters import Filters, find
from exporter.audit.record import MAX_TEXT, Entry, StoredRecord, format_time
from exporter.audit.report import write_report
from exporter.audit.trail import append
from exporter.errors import (
    AuditError,
    MalformedError,
    OverloadedError,
    UnknownModelError,
)
from exporter.formats.texts import storable
from exporter.service import Service
from exporter.settings import DAY_SECONDS
from exporter.views import schemas as view_schemas
from exporter.views.paths import VERSION_PATH

LINES_TYPE = "application/jsonl"
MAX_ENTRIES = 1000
REPORT_SECONDS = 30 * DAY_SECONDS  # unless said otherwise
REPORT_TYPES = {"markdown": "text/markdown", "html": "text/html"}
_MAX_SEQ = 2**53
_Text = Annotated[str, Query(max_length=MAX_TEXT)]
_Time = Annotated[datetime | None, Query(description="ISO 8601; UTC without a zone.")]


def audit_router(service: Service) -> APIRouter:
    """Return the routes of the audit trail."""
    router = APIRouter(prefix="/v1")
    reading = [Depends(each) for each in (authorizer(service, "audit"), known_parameters, own_model(service))]
    erasing = [
        Depends(each)
        for each in (authorizer(service, "admin"), local_without_token(service), known_parameters)
    ]
    reporting = Lock()

    @router.get(
        "/audit",
        response_model=view_schemas.Audit,
        dependencies=reading,
        responses={200: {"content": {LINES_TYPE: {}}}, **{k: REFUSALS[k] for k in (401, 403, 421, 422, 503)}},
    )
    def get_audit(
        request: Request,
        limit: Annotated[int, Query(ge=1, le=MAX_ENTRIES)] = 100,
        next_page: Annotated[
            int | None,
            Query(alias="next", ge=1, le=_MAX_SEQ, description="`next` of the answer before: older records."),
        ] = None,
        after: Annotated[int, Query(ge=0, le=_MAX_SEQ, description="Only records with higher numbers.")] = 0,
        model: _Text = "",
        version: _Text = "",
        kind: _Text = "",
        actor: _Text = "",
        action_id: _Text = "",
        start: Annotated[_Time, Query(alias="from")] = None,
        end: Annotated[_Time, Query(alias="to", description="Exclusive.")] = None,
    ) -> Response:
        """Records, newest first; JSON lines with `Accept: application/jsonl`.

        A page goes on where the one before ended, also while records are appended: pass its `next`, with the
        same filters. With JSON lines it is in the header `Link`.
        """
        filters = Filters(
            model=storable(model),
            version=storable(version),
            kind=storable(kind),
            actor=storable(actor),
            action_id=storable(action_id),
            start=_seconds(start) if start is not None else None,
            end=_seconds(end) if end is not None else None,
            after=after,
        )
        with service.store.reading() as connection:
            records, following = find(connection, filters, limit, next_page)
        shown = [show(record) for record in records]
        headers = {}
        if following is not None:
            address = request.url.include_query_params(next=following)
            headers["Link"] = f'<{address.path}?{address.query}>; rel="next"'
        if LINES_TYPE in request.headers.get("accept", "").lower():
            return Response(b"".join(line + b"\n" for line in shown), headers=headers, media_type=LINES_TYPE)
        page = b'{"entries":[%s],"next":%s}' % (b",".join(shown), orjson.dumps(following))
        return Response(page, headers=headers, media_type="application/json")

    @router.get(
        f"{VERSION_PATH}/report",
        dependencies=reading,
        response_class=Response,
        responses={
            200: {"content": {media: {} for media in REPORT_TYPES.values()}},
            **{k: REFUSALS[k] for k in (401, 403, 404, 421, 422, 429, 503)},
        },
    )
    def get_report(
        request: Request,
        model: str,
        version: str,
        start: Annotated[_Time, Query(alias="from", description="By default 30 days before `to`.")] = None,
        end: Annotated[_Time, Query(alias="to", description="Exclusive; by default now.")] = None,
        form: Annotated[ReportFormat, Query(alias="format")] = "markdown",
        by: Annotated[_Text, Query(description="The person who asks.")] = "",
    ) -> Response:
        """Evidence about a version: what it was monitored against, what was found and done, and the proof.

        That it was asked for is recorded.
        """
        now = service.clock()
        to = min(now, _seconds(end)) if end is not None else now
        since = _seconds(start) if start is not None else to - REPORT_SECONDS
        actor = told_by(request, by) if by else request.state.actor
        if not reporting.acquire(blocking=False):
            raise OverloadedError("another report is being written", retry_after_seconds=10)
        try:
            with service.store.reading() as connection:
                names = storable(model), storable(version)
                page = write_report(connection, *names, (since, to), now, actor, form)
        except AuditError as error:
            raise UnknownModelError(str(error)) from error
        finally:
            reporting.release()
        data = {"format": form, "from": format_time(since), "to": format_time(to)}
        with service.store.writing() as connection:
            append(connection, [Entry("report_requested", actor, model, version, data=data)], now)
        return Response(page, media_type=REPORT_TYPES[form])

    @router.post(
        "/audit/{seq}/erase",
        dependencies=erasing,
        responses={k: REFUSALS[k] for k in (401, 403, 422, 503)},
    )
    def post_erase(
        request: Request,
        seq: Annotated[int, Path(ge=1, le=_MAX_SEQ)],
        reason: Annotated[str, Query(min_length=1, max_length=500, description="Kept with the erasure.")],
        by: Annotated[_Text, Query(description="The person who asks.")] = "",
    ) -> view_schemas.Erased:
        """Erase the content of a record for good; its number, time, names and digests stay."""
        actor = told_by(request, by) if by else request.state.actor
        try:
            with service.store.writing() as connection:
                return view_schemas.Erased(seq=erase(connection, seq, actor, reason, service.clock()))
        except AuditError as error:
            raise MalformedError(str(error), "path.seq") from error

    return router


def show(record: StoredRecord) -> bytes:
    """JSON of a record: its body's own fields as they were hashed, then the digests.

    The body is what precedes `,"body_digest"`, with a closing brace.
    """
    assert record.digest is not None
    digests = b',"body_digest":"%s","digest":"%s"}' % (
        record.body_digest.hex().encode(),
        record.digest.hex().encode(),
    )
    if record.body is not None:
        return record.body[:-1] + digests
    assert record.columns is not None
    known = record.columns._asdict() | {"at": format_time(record.columns.at), "seq": record.seq}
    return orjson.dumps(known | {"erased": True})[:-1] + digests


def _seconds(moment: datetime) -> float:
    return max(0.0, (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp())
