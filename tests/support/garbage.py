"""Hides imports from the garbage collector, which runs after each reference that the exporter loads."""

from __future__ import annotations

import gc
import sys

import pytest

MANY_MODULES = 100


class FrozenImports:
    """Freezes all objects before the first test and after each large import since."""

    def __init__(self) -> None:
        self._modules = 0

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self) -> None:
        if len(sys.modules) > self._modules + MANY_MODULES:
            gc.collect()
            gc.freeze()
            self._modules = len(sys.modules)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(FrozenImports())
