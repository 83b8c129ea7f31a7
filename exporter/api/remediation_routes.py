"""Routes of remediation: what is planned and was done, approvals, holds, and what policies would do."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ValidationError
from starlette.concurrency import run_in_threadpool

from exporter.api import remediation_schemas as schemas
from exporter.api.auth import authorizer
from exporter.api.bodies import BodyReader
from exporter.api.parameters import known_parameters, own_model
from exporter.api.problems import REFUSALS
from exporter.api.simulation_schemas import SimulationAnswer
from exporter.audit.record import Entry
from exporter.audit.trail import append
from exporter.errors import ConfigError, MalformedError, UnknownAlertError
from exporter.formats.texts import storable
from exporter.remediation.action import Action
from exporter.remediation.alerts import Alert, read_alerts
from exporter.remediation.ledger import ActionFilter
from exporter.service import Service
from exporter.settings import parse_window
from exporter.storage.action_states import ENDED, PENDING, State
from exporter.storage.alerts import MAX_STORED, load_alerts

MAX_ACTIONS = 1000
MAX_HOLDS = 1000
_STATES = {"pending": PENDING, "ended": ENDED}
_Text = Annotated[str, Query(max_length=256)]
_Body = TypeVar("_Body", bound=BaseModel)


def remediation_router(service: Service) -> APIRouter:
    """Return the routes of remediation."""
    router = APIRouter(
        prefix="/v1/remediations",
        dependencies=[Depends(each) for each in (authorizer(service), known_parameters, own_model(service))],
    )
    person = [Depends(authorizer(service, "approve", named=True))]
    bodies = BodyReader(service.settings)

    async def read(request: Request, kind: type[_Body]) -> _Body:
        async with bodies.read(request) as body:
            try:
                return kind.model_validate_json(body)
            except ValidationError as error:
                first = error.errors()[0]
                raise MalformedError(first["msg"], ".".join(map(str, first["loc"]))) from None

    async def decide(
        by: Callable[[str, str, str], Action], request: Request, action_id: str
    ) -> schemas.ActionSummary:
        decision = await read(request, schemas.Decision)
        arguments = (storable(action_id), request.state.actor, storable(decision.reason))
        return schemas.ActionSummary.of(await run_in_threadpool(by, *arguments))

    decision: dict[str, Any] = {
        "dependencies": person,
        "responses": {k: REFUSALS[k] for k in (401, 403, 404, 408, 409, 413, 422)},
        "openapi_extra": _described(schemas.Decision),
    }

    @router.get("", responses={k: REFUSALS[k] for k in (401, 403, 404, 421, 422)})
    def get_remediations(
        state: Annotated[
            str, Query(max_length=256, description="States, `pending` or `ended`; with commas.")
        ] = "",
        model: _Text = "",
        policy: _Text = "",
        action: _Text = "",
        limit: Annotated[int, Query(ge=1, le=MAX_ACTIONS)] = 100,
        after: Annotated[str, Query(max_length=64, description="`next` of the page before.")] = "",
    ) -> schemas.ActionPage:
        """Actions, the last planned first."""
        wanted = ActionFilter(storable(model), storable(policy), storable(action), _states(state))
        last = service.remediation.approvals.find(storable(after)) if after else None
        found = service.remediation.ledger.search(wanted, limit, last)
        return schemas.ActionPage(
            remediations=[schemas.ActionSummary.of(each) for each in found],
            next=found[-1].id if len(found) == limit else None,
        )

    @router.get("/holds", responses={k: REFUSALS[k] for k in (401, 403, 422)})
    def get_holds(
        lifted: Annotated[bool, Query(description="Also holds that were lifted.")] = False,
    ) -> schemas.HoldList:
        """Holds on models, aliases and policies, the last placed first."""
        found = service.remediation.holds.search(MAX_HOLDS, active_only=not lifted)
        return schemas.HoldList(holds=[schemas.HoldSummary.of(each) for each in found])

    @router.post(
        "/resume",
        dependencies=person,
        responses={k: REFUSALS[k] for k in (401, 403, 408, 409, 413, 421, 422)},
        openapi_extra=_described(schemas.Resume),
    )
    async def post_resume(request: Request) -> schemas.Resumed:
        """Lift holds on a model. Needs a token with a name and the scope `approve`."""
        wanted = await read(request, schemas.Resume)
        service.fleet.shard.require(wanted.model)
        names = [storable(each) for each in (wanted.model, wanted.alias, wanted.policy, wanted.reason)]
        lifted = await run_in_threadpool(service.remediation.approvals.resume, request.state.actor, *names)
        return schemas.Resumed(lifted=lifted)

    @router.post(
        "/simulate",
        responses={k: REFUSALS[k] for k in (401, 403, 404, 408, 413, 421, 422)},
        openapi_extra=_described_alerts(),
    )
    async def post_simulate(
        request: Request,
        last: Annotated[
            str, Query(max_length=16, description="A duration such as `7d`: the alerts received in it.")
        ] = "",
        alert: Annotated[
            str, Query(max_length=64, description="The fingerprint of an alert that was received.")
        ] = "",
    ) -> SimulationAnswer:
        """Answer of each policy to alerts, as things are now: an action, and the guards that would stop it.

        The alerts are in the body, as in Alertmanager's webhook or its API, or those that were received.
        """
        async with bodies.read(request) as body:
            if sum(map(bool, (body, last, alert))) != 1:
                raise MalformedError("either alerts in the body, or `last`, or `alert`")
            alerts = read_alerts(body) if body else ()
        for model in {each.model for each in alerts if each.model}:
            service.fleet.shard.require(model)
        return await run_in_threadpool(simulate, request.state.actor, alerts, last, storable(alert))

    def received(now: float, last: str, fingerprint: str) -> list[Alert]:
        since, limit = (now - _seconds(last), MAX_STORED) if last else (0.0, 1)
        with service.store.reading() as connection:
            stored = load_alerts(connection, limit, since=since, fingerprint=fingerprint)
        if fingerprint and not stored:
            raise UnknownAlertError(f"no alert with the fingerprint {fingerprint} is stored")
        fields = [each.name for each in dataclasses.fields(Alert)]
        return [Alert(**{name: getattr(each, name) for name in fields}) for each in stored]

    def simulate(actor: str, alerts: Sequence[Alert], last: str, fingerprint: str) -> SimulationAnswer:
        now = service.clock()
        if last or fingerprint:
            alerts = received(now, last, fingerprint)
        with service.store.writing() as connection:
            data = {"alerts": len(alerts), "last": last, "alert": fingerprint}
            entry = Entry("simulated", actor, data={name: value for name, value in data.items() if value})
            append(connection, [entry], now)
        remediation = service.remediation
        return SimulationAnswer.of(remediation.simulator.simulate(alerts, remediation.config, now))

    @router.get("/{action_id}", responses={k: REFUSALS[k] for k in (401, 403, 404, 422)})
    def get_remediation(action_id: str) -> schemas.ActionDetail:
        """An action with its alert and its history."""
        found = service.remediation.approvals.find(storable(action_id))
        return schemas.ActionDetail.with_history(found, service.remediation.ledger.history(found.id))

    @router.post("/{action_id}/approve", **decision)
    async def post_approve(request: Request, action_id: str) -> schemas.ActionSummary:
        """Approve an action that waits for it or was interrupted; its guards are then asked again.

        Needs a token with a name and the scope `approve`. A repeated call changes nothing.
        """
        return await decide(service.remediation.approvals.approve, request, action_id)

    @router.post("/{action_id}/reject", **decision)
    async def post_reject(request: Request, action_id: str) -> schemas.ActionSummary:
        """Refuse an action for good that waits for approval or was interrupted.

        Needs a token with a name and the scope `approve`. A repeated call changes nothing.
        """
        return await decide(service.remediation.approvals.reject, request, action_id)

    return router


def _states(text: str) -> tuple[State, ...]:
    found: list[State] = []
    for name in filter(None, (part.strip() for part in text.split(","))):
        if name in _STATES:
            found += _STATES[name]
        elif name in list(State):
            found.append(State(name))
        else:
            known = ", ".join((*_STATES, *State))
            raise MalformedError(f"{name!r} is no state; there are {known}", "query.state")
    return tuple(found)


def _seconds(duration: str) -> float:
    try:
        return parse_window(duration).seconds
    except ConfigError as error:
        raise MalformedError(str(error), "query.last") from None


def _described_alerts() -> dict[str, Any]:
    """Return the description of a body with alerts, whose format is Alertmanager's."""
    alerts = {"description": "Alertmanager's webhook, or a list as of its API.", "schema": {}}
    return {"requestBody": {"content": {"application/json": alerts}}}


def _described(kind: type[BaseModel]) -> dict[str, Any]:
    """Return the description of a body that the route reads itself, within its limits."""
    schema = kind.model_json_schema()
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
