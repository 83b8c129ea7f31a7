"""Query parameters of a request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable

from fastapi.routing import APIRoute
from starlette.requests import Request

from exporter.errors import MalformedError
from exporter.payloads.limits import check_keys
from exporter.service import Service


def single_parameters(request: Request) -> dict[str, str]:
    """Return the query parameters by name; of those with `[]`, which may be repeated, the last value.

    Raises:
        MalformedError: another parameter is repeated.
    """
    if not request.scope["query_string"]:
        return {}
    times = Counter(name for name, _ in request.query_params.multi_items())
    for name, count in times.items():
        if count > 1 and not name.endswith("[]"):
            raise MalformedError("more than one value", f"query.{name}")
    return dict(request.query_params)


async def known_parameters(request: Request) -> None:
    """Check, as a dependency, that the route declares all query parameters.

    Raises:
        MalformedError: a parameter is unknown, and the message names the nearest one; or one is repeated.
    """
    route = request.scope["route"]
    assert isinstance(route, APIRoute)
    known = [field.alias for field in route.dependant.query_params]
    check_keys([single_parameters(request)], known, "query.{name}")


def own_model(service: Service) -> Callable[[Request], Awaitable[None]]:
    """Return a dependency that checks that the `model` of a path or a query is of the service's shard.

    It raises `MisdirectedError` otherwise.
    """

    async def check(request: Request) -> None:
        for given in (request.path_params, request.query_params):
            if model := given.get("model"):
                service.fleet.shard.require(model)

    return check
