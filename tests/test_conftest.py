"""The `needs` marker decides which tests run, so it is tested as well."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

TEST_FILE = """
    import pytest

    @pytest.mark.needs("sh", "no-such-program", "nor-this-one")
    def test_that_needs_programs():
        pass

    @pytest.mark.needs("sh")
    def test_whose_program_is_there():
        pass
"""


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.delenv("CI", raising=False)
    pytester.makeconftest((Path(__file__).parent / "conftest.py").read_text())
    pytester.makeini("[pytest]\nmarkers = needs(*programs): x\n")
    pytester.makepyfile(TEST_FILE)
    return pytester


def test_a_missing_program_skips_the_test_and_is_named(suite: pytest.Pytester) -> None:
    result = suite.runpytest("-rs")
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["*not installed: no-such-program, nor-this-one*"])


def test_in_ci_a_missing_program_is_a_failure(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    result = suite.runpytest()
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*not installed: no-such-program, nor-this-one*"])


def test_free_ports_differ(free_ports: Callable[[int], list[int]]) -> None:
    assert len(set(free_ports(50))) == 50
