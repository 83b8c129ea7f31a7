"""Route of alerts, which Alertmanager's webhook posts to."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field

from exporter.api.auth import authorizer
from exporter.api.bodies import BodyReader
from exporter.api.parameters import known_parameters
from exporter.api.problems import REFUSALS
from exporter.errors import OverloadedError, UnavailableError, UnsupportedError
from exporter.formats.raw import JSON_TYPE, media_type
from exporter.remediation.alerts import read_webhook
from exporter.remediation.receiving import Receipt
from exporter.service import Service

MAX_BODIES = 2  # of maximal size in memory at once: parsed, they take several times as much
THREADS = 2  # of their own: a large delivery must delay neither requests nor scrapes
MAX_WAITING = 50

_TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
_TIME = {"type": "string", "format": "date-time"}
_BODY = {
    "required": True,
    "content": {
        JSON_TYPE: {
            "schema": {
                "type": "object",
                "required": ["version", "alerts"],
                "properties": {
                    "version": {"const": "4"},
                    "groupKey": {"type": "string"},
                    "truncatedAlerts": {"type": "integer"},
                    "receiver": {"type": "string"},
                    "alerts": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["status", "labels"],
                            "properties": {
                                "status": {"enum": ["firing", "resolved"]},
                                "labels": _TEXTS,
                                "annotations": _TEXTS,
                                "startsAt": _TIME,
                                "endsAt": _TIME,
                                "fingerprint": {"type": "string"},
                            },
                        },
                    },
                },
            }
        }
    },
}


class TakenAction(BaseModel):
    """An action that the alerts lead to."""

    id: str
    policy: str
    outcome: str = Field(description="`planned`, `reopened`, or `known` by an earlier delivery.")


class NoAction(BaseModel):
    """A policy that matches the alerts, and why it leads to nothing."""

    policy: str
    reason: str


class TakenAlerts(BaseModel):
    """Answer to a delivery."""

    alerts: int = Field(description="Number of alerts in it.")
    actions: list[TakenAction]
    no_actions: list[NoAction]

    @classmethod
    def of(cls, receipt: Receipt) -> TakenAlerts:
        return cls(
            alerts=receipt.alerts,
            actions=[TakenAction(**vars(action)) for action in receipt.actions],
            no_actions=[NoAction(policy=policy, reason=reason) for policy, reason in receipt.reasons],
        )


def alert_router(service: Service) -> APIRouter:
    """Return the route that takes alerts."""
    allowed = Depends(authorizer(service, "alerts"))
    router = APIRouter(prefix="/v1", dependencies=[allowed, Depends(known_parameters)])
    bodies = BodyReader(service.settings)
    bodies.free_bytes = MAX_BODIES * service.settings.max_body_bytes
    threads = ThreadPoolExecutor(THREADS, thread_name_prefix="alerts")
    waiting = 0

    def receive(body: bytes, actor: str) -> Receipt:
        return service.remediation.receiver.receive(read_webhook(body), actor)

    async def take(body: bytes, actor: str) -> Receipt:
        nonlocal waiting
        if waiting >= MAX_WAITING:
            raise OverloadedError(f"{waiting} deliveries are waiting")
        waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(threads, receive, body, actor)
        finally:
            waiting -= 1

    @router.post(
        "/alerts",
        status_code=202,
        responses={k: REFUSALS[k] for k in (401, 403, 408, 413, 415, 422, 503)},
        openapi_extra={"requestBody": _BODY},
    )
    async def post_alerts(request: Request) -> TakenAlerts:
        """Take alerts from Alertmanager's webhook; the answer comes when they, and what is to be done about
        them, are on disk. A delivery that is repeated leads to nothing new."""
        kind = media_type(request.headers.get("content-type", ""))
        if kind != JSON_TYPE:
            raise UnsupportedError(f"content type {kind!r}, taken is {JSON_TYPE}")
        try:
            async with bodies.read(request) as body:
                receipt = await take(body, request.state.actor)
        except OverloadedError as error:
            # Alertmanager repeats what gets a 5xx within seconds, and a 429 at its next interval.
            raise UnavailableError(error.detail, retry_after_seconds=1) from error
        return TakenAlerts.of(receipt)

    return router
