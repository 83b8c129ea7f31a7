"""Exporters behind HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from tests.support.api_server import Server
from tests.support.fakes import FakeRegistry
from tests.support.rig import make_table


@contextmanager
def serving(factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    with ExitStack() as running:

        def serve_one(registry: FakeRegistry | None = None, **settings: Any) -> Server:
            known = registry if registry is not None else FakeRegistry()
            if registry is None:
                known.register("fraud", make_table(), alias="champion")
            settings.setdefault("store", f"sqlite:///{factory.mktemp('exporter')}/exporter.db")
            server = running.enter_context(Server(known, **settings))
            if registry is None:
                server.await_ready()
            return server

        yield serve_one


@pytest.fixture
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """Start an exporter with these settings for version 1 of `fraud`, or for the versions of `registry`."""
    with serving(tmp_path_factory) as serve:
        yield serve


@pytest.fixture(scope="module")
def serve_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """Like `serve`, for an exporter that all tests of a module share."""
    with serving(tmp_path_factory) as serve:
        yield serve


@pytest.fixture(scope="module")
def server(serve_module: Callable[..., Server]) -> Server:
    """An exporter for all tests of a module that change only its counters."""
    return serve_module()
