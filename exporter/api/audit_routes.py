"""Routes of the audit trail."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import orjson
from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from exporter.api import view_schemas
from exporter.api.auth import authorizer
from exporter.api.parameters import known_parameters
from exporter.api.problems import REFUSALS
from exporter.audit.filters import Filters, find
from exporter.audit.record import MAX_TEXT, StoredRecord, format_time
from exporter.errors import StoreError, UnavailableError
from exporter.formats.texts import storable
from exporter.service import Service

LINES_TYPE = "application/jsonl"
MAX_ENTRIES = 1000
_MAX_SEQ = 2**53
_Text = Annotated[str, Query(max_length=MAX_TEXT)]
_Time = Annotated[datetime | None, Query(description="ISO 8601; UTC without a zone.")]


def audit_router(service: Service) -> APIRouter:
    """Return the routes of the audit trail."""
    router = APIRouter(
        prefix="/v1/audit", dependencies=[Depends(authorizer(service, "audit")), Depends(known_parameters)]
    )

    @router.get(
        "",
        response_model=view_schemas.Audit,
        responses={200: {"content": {LINES_TYPE: {}}}, **{k: REFUSALS[k] for k in (401, 403, 422, 503)}},
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
            start=_seconds(start),
            end=_seconds(end),
            after=after,
        )
        try:
            with service.store.reading() as connection:
                records, following = find(connection, filters, limit, next_page)
        except StoreError as error:
            raise UnavailableError(str(error), retry_after_seconds=5) from error
        shown = [show(record) for record in records]
        headers = {}
        if following is not None:
            address = request.url.include_query_params(next=following)
            headers["Link"] = f'<{address.path}?{address.query}>; rel="next"'
        if LINES_TYPE in request.headers.get("accept", "").lower():
            return Response(b"".join(line + b"\n" for line in shown), headers=headers, media_type=LINES_TYPE)
        page = b'{"entries":[%s],"next":%s}' % (b",".join(shown), orjson.dumps(following))
        return Response(page, headers=headers, media_type="application/json")

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


def _seconds(moment: datetime | None) -> float | None:
    if moment is None:
        return None
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
