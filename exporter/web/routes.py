"""Routes of the pages, and of what they load."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from exporter.fleet import Version
from exporter.formats.addresses import version_path
from exporter.payloads.target import Target
from exporter.service import Service
from exporter.views.paths import VERSION_PATH
from exporter.web.links import Links
from exporter.web.notices import Notice, find_notices
from exporter.web.rendering import ICON, STYLES, STYLES_PATH, render
from exporter.web.states import ADVICE, Level
from exporter.web.status import Entry, StatusBoard
from exporter.web.version_page import read_stored, view_version

MAX_ATTENTION = 30  # versions of which all that is bad is shown at once
REFRESH_SECONDS = 60  # of a page that is to load itself anew
_Text = Annotated[str, Query(max_length=1000)]
_FOREVER = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}


def assets_router() -> APIRouter:
    """Return the routes of the style sheet and the icon, which say nothing of models."""
    router = APIRouter(include_in_schema=False)

    @router.get(f"/{STYLES_PATH}")
    async def get_styles() -> Response:
        return Response(STYLES, headers=_FOREVER, media_type="text/css")

    @router.get("/assets/icon.svg")
    async def get_icon() -> Response:
        return Response(ICON, headers=_FOREVER, media_type="image/svg+xml")

    return router


def pages_router(service: Service) -> APIRouter:
    """Return the routes of the pages."""
    router = APIRouter(include_in_schema=False)
    links = Links.of(service.settings, os.environ)
    service.telemetry.addresses = {"mlflow": links.mlflow, "exporter": links.exporter}
    board = StatusBoard(service.fleet, links)

    @router.head("/")
    @router.get("/")
    def get_status(  # in a thread: 200 versions take a while
        request: Request,
        refresh: Annotated[bool, Query(description="Load the page anew every minute.")] = False,
    ) -> Response:
        now = service.clock()
        values = status_page(board.entries(now), find_notices(service), now, refresh=refresh)
        encodings = request.headers.get("accept-encoding", "")
        return render("status.html", root="", encodings=encodings, **values)

    @router.head(VERSION_PATH)
    @router.get(VERSION_PATH)
    def get_version_page(  # in a thread: it reads the store
        request: Request, model: str, version: str, window: _Text = "", column: _Text = ""
    ) -> Response:
        root = _root(request)
        found = service.fleet.versions.get((model, version))
        if found is None:
            hint = service.fleet.hint(Target(model, version))
            return render("not_monitored.html", root=root, status=404, hint=hint)
        token = request.state.token
        stored = read_stored(service, found, audit=token is None or token.may("audit"))
        page = view_version(
            *(found, service.fleet, service.settings, stored, links.exporter, service.clock()),
            window=window,
            column=column,
        )
        return render(
            "version.html",
            root=root,
            page=page,
            path=version_path(model, version),
            processes=len(service.serving_processes.by_version().get(found.names, ())),
            links=_elsewhere(found, links),
            advice=ADVICE,
            now=service.clock(),
        )

    return router


def status_page(
    entries: Sequence[Entry], notices: Sequence[Notice], now: float, *, refresh: bool = False
) -> dict[str, Any]:
    """Return the values for the template of the status page."""
    return {
        "entries": entries,
        "counts": {level: sum(each.state.level is level for each in entries) for level in Level},
        "max_attention": MAX_ATTENTION,
        "notices": notices,
        "now": now,
        "refresh": REFRESH_SECONDS if refresh else 0,
    }


def _root(request: Request) -> str:
    """Relative path from the page to `/`; slashes of the model's name may be escaped or not."""
    path: bytes = request.scope["raw_path"]
    return "../" * (path.count(b"/") - 1)


def _elsewhere(version: Version, links: Links) -> dict[str, str]:
    known = {"Grafana": links.dashboard(*version.names), "MLflow": links.registered(*version.names)}
    return {name: address for name, address in known.items() if address}
