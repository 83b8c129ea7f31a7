"""The `needs` marker and the programs themselves, of which there are two editions.

A test that uses `program` runs with those that are installed and with the newest of the distribution, which
`.ci/newer-programs` fetches: so Prometheus 2 and 3 both take what the repository has for them. The frameworks
that serve models are in an environment of their own, from `.ci/serving-frameworks`, and `kafka` is from
`.ci/kafka`.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

Program = Callable[[str], str]

# Debian keeps PostgreSQL's programs for servers off the PATH.
POSTGRESQL = sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")))
EDITIONS = ("installed", "newer")
# Programs that a script of .ci brings, by its place; `serve` is Ray Serve's.
BROUGHT = {
    "bentoml": "serving",
    "mlserver": "serving",
    "serve": "serving",
    "spark-python": "spark",
    "kafka": "kafka",
    "helm": "helm",
}
# Where to look for each edition, and for those.
PLACES = {
    "installed": os.pathsep.join([os.environ.get("PATH", os.defpath), *POSTGRESQL]),
    "newer": str(Path(sys.prefix) / "newer"),
    "serving": str(Path(sys.prefix) / "serving" / "bin"),
    "spark": str(Path(sys.prefix) / "spark" / "bin"),
    "kafka": str(Path(sys.prefix) / "kafka"),
    "helm": str(Path(sys.prefix) / "helm" / "bin"),
}

MISSING = {
    "installed": "not installed",
    "newer": "not brought by .ci/newer-programs",
    "serving": "not brought by .ci/serving-frameworks",
    "spark": "not brought by .ci/spark",
    "kafka": "not brought by .ci/kafka",
    "helm": "not brought by .ci/helm",
}

# Debian renames programs that others ship under their upstream names.
OTHER_NAMES = {"alertmanager": "prometheus-alertmanager"}


def find_program(name: str, edition: str = "installed") -> str | None:
    """The path of a program by its upstream name, or None."""
    path = PLACES[_place(name, edition)]
    return shutil.which(name, path=path) or shutil.which(OTHER_NAMES.get(name, name), path=path)


def _place(name: str, edition: str) -> str:
    return BROUGHT.get(name, edition)


def get_program(name: str, edition: str = "installed") -> str:
    """The path of a program that a test `needs`."""
    found = find_program(name, edition)
    assert found is not None, f'mark the test with @pytest.mark.needs("{name}")'
    return found


def pytest_runtest_setup(item: pytest.Item) -> None:
    edition = item.callspec.params.get("program", "installed") if hasattr(item, "callspec") else "installed"
    wanted = dict.fromkeys(name for marker in item.iter_markers("needs") for name in marker.args)
    missing = [name for name in wanted if find_program(name, edition) is None]
    if not missing:
        return
    places = dict.fromkeys(_place(name, edition) for name in missing)
    reason = "; ".join(
        f"{MISSING[place]}: {', '.join(name for name in missing if _place(name, edition) == place)}"
        for place in places
    )
    if os.environ.get("CI", "").lower() in ("1", "true"):
        # A skipped test in CI is a test that nobody runs.
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session", params=EDITIONS)
def program(request: pytest.FixtureRequest) -> Program:
    """Path of a program that the test `needs`, whatever the distribution calls it."""

    return partial(get_program, edition=request.param)
