"""Route of the page of a version."""

from __future__ import annotations

import os
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from exporter.fleet import Version
from exporter.formats.batch import Target
from exporter.service import Service
from exporter.views.paths import VERSION_PATH, version_path
from exporter.web.links import Links
from exporter.web.rendering import render
from exporter.web.states import ADVICE
from exporter.web.version_page import read_stored, view_version

_Text = Annotated[str, Query(max_length=1000)]


def version_router(service: Service) -> APIRouter:
    """Return the route of the page of a version."""
    router = APIRouter(include_in_schema=False)
    links = Links.of(service.settings, os.environ)

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
            links=_elsewhere(found, links),
            advice=ADVICE,
            now=service.clock(),
        )

    return router


def _root(request: Request) -> str:
    """Relative path from the page to `/`; slashes of the model's name may be escaped or not."""
    path: bytes = request.scope["raw_path"]
    return "../" * (path.count(b"/") - 1)


def _elsewhere(version: Version, links: Links) -> dict[str, str]:
    known = {"Grafana": links.dashboard(*version.names), "MLflow": links.registered(*version.names)}
    return {name: address for name, address in known.items() if address}
