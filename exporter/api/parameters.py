"""Parameters of the query: none that nothing reads, and none twice of which one is read."""

from __future__ import annotations

from fastapi.routing import APIRoute
from starlette.requests import Request

from exporter.errors import MalformedError
from exporter.limits import check_keys


def single_parameters(request: Request) -> dict[str, str]:
    """The parameters by name.

    Raises:
        MalformedError: one comes twice.
    """
    pairs = request.query_params.multi_items()
    parameters = dict(pairs)
    if len(parameters) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise MalformedError("more than one value", f"query.{repeated}")
    return parameters


async def known_parameters(request: Request) -> None:
    """A dependency: no parameter that the route does not declare.

    Raises:
        MalformedError: names the parameter, and the nearest one.
    """
    route = request.scope["route"]
    assert isinstance(route, APIRoute)
    known = [field.alias for field in route.dependant.query_params]
    check_keys([request.query_params], known, "query.{name}")
