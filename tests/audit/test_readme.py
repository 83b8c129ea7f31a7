"""The page on the audit trail: its table of kinds, and its recipe for those without this program."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from exporter.audit.checkpoint import SigningKey
from exporter.audit.export import Selection, export_rows
from exporter.audit.export_files import write_rows
from exporter.audit.record import Kind
from tests.audit.version_records import DAY, LATER, entry
from tests.support.docs import page, section
from tests.support.trail import sign, trail, write

README = page("exporter/audit/README.md")


def test_every_kind_is_documented() -> None:
    first_cells = re.findall(r"^\| (`.*?) \| ", section(README, "kinds"), re.M)
    documented = [kind for cell in first_cells[1:] for kind in re.findall(r"`(\w+)`", cell)]
    assert sorted(documented) == sorted(get_args(Kind))


def test_it_promises_no_more_than_it_can() -> None:
    assert "complian" not in README.lower()


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "evidence.jsonl"
    with trail(*DAY) as connection:
        write(connection, [(LATER, entry("summary", {"reason": '",\\"body\\":1'}, model="churn"))])
        sign(connection, SigningKey("test", bytes(32)), LATER)
        with path.open("wb") as file:
            write_rows(export_rows(connection, Selection("fraud", "3"), LATER), "jsonl", file)
    return path


def run_recipe(path: Path) -> tuple[int, str]:
    recipe = section(README, "recipe").removeprefix("```python\n").removesuffix("```")
    done = subprocess.run(
        [sys.executable, "-I", "-c", recipe, path], capture_output=True, text=True, check=False
    )
    return done.returncode, (done.stdout + done.stderr).strip()


def test_the_recipe_accepts_an_export(export: Path) -> None:
    last = len(DAY) + 2
    assert run_recipe(export) == (0, f"intact up to record {last} of {last}; checkpoints of [{last}]")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"rows":1000', '"rows":1001', "record 3 was changed"),
        (
            '"type":"other","seq":27,"body_digest":"',
            '"type":"other","seq":27,"body_digest":"00',
            "at record 27 or before it",
        ),
        ('"seq":9,', '"seq":10,', "record 9 is missing"),
        ('"previous":"00', '"previous":"11', "the chain was changed at record 1 or before it"),
    ],
)
def test_the_recipe_finds_changes(export: Path, tmp_path: Path, old: str, new: str, said: str) -> None:
    changed = tmp_path / "changed.jsonl"
    text = export.read_text()
    assert old in text
    changed.write_text(text.replace(old, new, 1))
    status, printed = run_recipe(changed)
    assert status == 1
    assert said in printed


def test_the_recipe_finds_that_the_end_is_missing(export: Path, tmp_path: Path) -> None:
    changed = tmp_path / "changed.jsonl"
    changed.write_text("".join(export.read_text().splitlines(keepends=True)[:-3]))
    assert run_recipe(changed)[0] == 1
