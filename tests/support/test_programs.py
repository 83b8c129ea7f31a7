"""The `needs` marker and the editions of programs."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.support.programs import PLACES, Program

pytest_plugins = ["pytester"]

TEST_FILE = """
    import pytest

    @pytest.mark.needs("sh", "no-such-program", "nor-this-one")
    def test_that_needs_programs():
        pass

    @pytest.mark.needs("sh")
    def test_whose_program_is_there():
        pass

    @pytest.mark.needs("sh")
    def test_of_both_editions(program):
        program("sh")

    @pytest.mark.needs("mlserver", "sh")
    def test_of_a_framework():
        pass
"""

REASONS = [
    "*not installed: no-such-program, nor-this-one*",
    "*not brought by .ci/newer-programs: sh*",
    "*not brought by .ci/serving-frameworks: mlserver*",
]

# The oldest supported releases, and newer ones.
OLDEST = {
    "installed": {"prometheus": (2, 42), "promtool": (2, 42), "alertmanager": (0, 25), "amtool": (0, 25)},
    "newer": {"prometheus": (3, 0), "promtool": (3, 0), "alertmanager": (0, 26), "amtool": (0, 26)},
}


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.delenv("CI", raising=False)
    for place in ("newer", "serving"):
        monkeypatch.setitem(PLACES, place, str(pytester.path))
    pytester.makeconftest('pytest_plugins = ["tests.support.programs"]')
    pytester.makeini("[pytest]\nmarkers = needs(*programs): x\n")
    pytester.makepyfile(TEST_FILE)
    return pytester


def test_a_missing_program_skips_the_test_and_is_named(suite: pytest.Pytester) -> None:
    result = suite.runpytest("-rs")
    result.assert_outcomes(passed=2, skipped=3)
    result.stdout.fnmatch_lines(REASONS)


def test_in_ci_a_missing_program_is_a_failure(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    result = suite.runpytest()
    result.assert_outcomes(passed=2, errors=3)
    result.stdout.fnmatch_lines(REASONS)


@pytest.mark.needs("prometheus", "promtool", "alertmanager", "amtool")
@pytest.mark.parametrize("name", ["prometheus", "promtool", "alertmanager", "amtool"])
def test_an_edition_is_as_new_as_it_says(name: str, program: Program, request: pytest.FixtureRequest) -> None:
    done = subprocess.run([program(name), "--version"], capture_output=True, text=True, check=True)
    found = re.match(r"(?:prometheus|promtool|alertmanager|amtool), version (\d+)\.(\d+)", done.stdout)
    assert found, done.stdout
    assert (int(found[1]), int(found[2])) >= OLDEST[request.node.callspec.params["program"]][name]


def test_what_the_daily_tests_leave_out_is_there() -> None:
    root = Path(__file__).parents[2]
    makefile = (root / "Makefile").read_text().replace("\\\n", " ")
    [left_out] = re.findall(r"^SLOW := (.+)$", makefile, re.M)
    assert [path for path in left_out.split() if not (root / path).exists()] == []


def test_the_last_that_all_tests_say_is_their_summary() -> None:
    makefile = (Path(__file__).parents[2] / "Makefile").read_text()
    [steps] = re.findall(r"^test:.*\n((?:\t.*\n)+)", makefile, re.M)
    assert "fuzz" in steps
    assert steps.splitlines()[-1].split()[0] == "$(BIN)/pytest"
