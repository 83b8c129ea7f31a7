"""Exporters behind HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.api_server import Server
from tests.support.fakes import FakeRegistry
from tests.support.rig import make_table


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """Start an exporter with these settings for version 1 of `fraud`, or for the versions of `registry`."""
    with ExitStack() as running:

        def serve_one(registry: FakeRegistry | None = None, **settings: Any) -> Server:
            directory: Path = tmp_path_factory.mktemp("exporter")
            known = registry if registry is not None else FakeRegistry()
            if registry is None:
                known.register("fraud", make_table(), alias="champion")
            settings.setdefault("store", f"sqlite:///{directory}/exporter.db")
            server = running.enter_context(Server(known, **settings))
            if registry is None:
                server.await_ready()
            return server

        yield serve_one


@pytest.fixture(scope="module")
def server(serve: Callable[..., Server]) -> Server:
    """An exporter for all tests of a module that change only its counters."""
    return serve()
