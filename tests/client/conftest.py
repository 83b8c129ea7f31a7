"""An exporter that is scripted, and monitors that send to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from exporter.client import Monitor
from tests.support.scripted_exporter import ScriptedExporter, scripted_exporter


@pytest.fixture
def scripted() -> Iterator[ScriptedExporter]:
    with scripted_exporter() as exporter:
        yield exporter


@pytest.fixture
def monitoring(scripted: ScriptedExporter) -> Iterator[Callable[..., Monitor]]:
    """Make monitors that are closed after the test; they send no resources, and rows almost at once."""
    with ExitStack() as stack:

        def make(url: str = scripted.url, **options: Any) -> Monitor:
            defaults = {"model": "fraud", "version": "3", "batch_seconds": 0.01, "resources": False}
            return stack.enter_context(Monitor(url, **{**defaults, "exit_seconds": 0.5, **options}))

        yield make
