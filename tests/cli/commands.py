"""Runs a command within the test's process."""

from __future__ import annotations

import pytest

from exporter.cli import main


def run_command(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[object, str]:
    """Exit status of a command, and its output."""
    with pytest.raises(SystemExit) as end:
        main(arguments)
    out, err = capsys.readouterr()
    return end.value.code, out + err
