"""Query parameters of a request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable

from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request

from exporter.errors import MalformedError, MisdirectedError
from exporter.payloads.limits import check_keys
from exporter.service import Service
from exporter.settings import Settings
from exporter.shard import SHARD_FIELD

PAGES = "/models/"  # of people; programs get 421


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

    It raises `MisdirectedError` otherwise; a page leads to the same of that shard, if its address is known.
    """

    async def check(request: Request) -> None:
        for given in (request.path_params, request.query_params):
            if model := given.get("model"):
                try:
                    service.fleet.shard.require(model)
                except MisdirectedError as error:
                    if address := _page_of_shard(request, service.settings, error.members["shard"]):
                        raise HTTPException(307, error.detail, {"Location": address}) from None
                    raise

    return check


def _page_of_shard(request: Request, settings: Settings, shard: object) -> str:
    """Address of a page at another shard; empty for other requests, and where it is not known."""
    path = request.scope["raw_path"].decode("ascii")
    if not path.startswith(PAGES) or SHARD_FIELD not in settings.external_url or not isinstance(shard, int):
        return ""
    query = f"?{request.url.query}" if request.url.query else ""
    return f"{settings.url_of_shard(shard).rstrip('/')}{path}{query}"
