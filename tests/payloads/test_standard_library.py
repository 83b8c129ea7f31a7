"""The decoders run in services that have nothing of ours."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import exporter.payloads

MODULES = sorted(path.stem for path in Path(exporter.payloads.__file__).parent.glob("*.py"))
CODE = """
import sys

before = set(sys.modules)
import {modules}

foreign = {{name.partition(".")[0] for name in sys.modules.keys() - before}} - sys.stdlib_module_names
assert foreign == {{"exporter"}}, foreign
"""


def test_payloads_import_the_standard_library_alone() -> None:
    modules = ", ".join(f"exporter.payloads.{name}" for name in MODULES if name != "__init__")

    subprocess.run([sys.executable, "-c", CODE.format(modules=modules)], check=True, timeout=60)
