"""Folding needs numpy and pyarrow and this package without its dependencies."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from exporter.folding.reference_document import FoldingReference
from tests.client.test_imports import files, requirements
from tests.support.fakes import TIMEOUT_SECONDS
from tests.support.folded import encode_document

NOTHING_ELSE = """
import sys

KNOWN = {*sys.stdlib_module_names, "exporter", "numpy", "pyarrow", *sys.argv[2:]}

class Nothing:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in KNOWN and not top.startswith("_"):
            raise ImportError(name)

sys.meta_path.insert(0, Nothing())
"""
FOLD = """
import pyarrow as pa
from pathlib import Path
from exporter.folding import Folder, read_reference
from exporter.folding.bodies import bodies

reference = read_reference(Path(sys.argv[1]).read_bytes())
folder = Folder(reference)
folder.add_rows(pa.table({"x": [1.0, 2.0], "prediction": ["oak", "elm"], "label": ["oak", "oak"],
    "score": [[0.1, 0.2, 0.3, 0.4]] * 2, "timestamp": [1.8e9, 1.8e9]}))
(body,) = bodies(folder.parts, reference, "job", 1)
assert body.rows == 2 and body.encode(reference)
"""
MODULES = [f"exporter.folding.{each}" for each in ("bodies", "checks", "columns", "dataset", "fold", "spark")]


def run(code: str, *arguments: str | Path) -> None:
    subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *arguments], check=True, timeout=TIMEOUT_SECONDS
    )


def test_rows_are_folded_with_numpy_and_pyarrow_alone(
    multiclass_reference: FoldingReference, tmp_path: Path
) -> None:
    path = tmp_path / "reference.json"
    path.write_bytes(encode_document(multiclass_reference))
    run(NOTHING_ELSE + FOLD, path)


def test_every_module_of_folding_imports_with_them() -> None:
    run(NOTHING_ELSE + "\n".join(f"import {module}" for module in MODULES), "")


def test_sending_needs_httpx_besides() -> None:
    allowed = {path.stem for name in requirements("httpx") for path in files(name)}
    run(NOTHING_ELSE + "import exporter.folding.sending", "", *allowed)
