import doctest
from importlib import import_module
from pkgutil import iter_modules

import pytest

from exporter import measures


@pytest.mark.parametrize("name", [module.name for module in iter_modules(measures.__path__)])
def test_the_examples_in_the_docstrings_hold(name: str) -> None:
    assert doctest.testmod(import_module(f"{measures.__name__}.{name}")).failed == 0
