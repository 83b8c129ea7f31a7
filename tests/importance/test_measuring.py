"""A model that MLflow keeps is downloaded and run by a child, and its code gets nothing but its own files."""

from __future__ import annotations

import io
import json
import os
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from exporter.errors import ImportanceError
from exporter.importance.measuring import measure_attributions
from exporter.isolation.confinement import landlock_version
from exporter.reference.profile import Reference
from exporter.registry.registry import Registry
from tests.isolation import stranger
from tests.support.mlflow_world import World
from tests.support.rig import make_table
from tests.support.views import make_reference

pytestmark = pytest.mark.skipif(landlock_version() < 1, reason="this kernel has no Landlock")

MLMODEL = b"""
flavors:
  python_function: {loader_module: nosy, code: code, data: data, python_version: "3.11.0"}
signature:
  inputs: '[{"type": "double", "name": "age"}, {"type": "string", "name": "country"}]'
  outputs: '[{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1]}}]'
"""
# It answers 3 x age, and 30 more in Germany: of which age, with a deviation of 12, moves about two thirds.
NOSY = """
import json
from pathlib import Path
from stranger import look_around

def _load_pyfunc(path):
    secret, *address = json.loads(Path(path, "aims.json").read_text())
    Path("found.json").write_bytes(look_around(secret, tuple(address)))
    return Model()

class Model:
    def predict(self, rows):
        return (3 * rows["age"] + 30 * (rows["country"] == "DE")).to_numpy()
"""


@pytest.fixture
def reference() -> Reference:
    """A regression's, of age and country, besides a feature that the model does not take."""
    return replace(make_reference(), task="regression")


def kept_rows() -> bytes:
    table = make_table().select(["age", "country"]).rename_columns(["features.age", "features.country"])
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def test_a_nosy_model_is_measured_and_finds_nothing(
    registry: Registry,
    world: World,
    reference: Reference,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "a password")
    secret = tmp_path / "token"
    secret.write_text("a token")
    files = {
        "MLmodel": MLMODEL,
        "code/nosy.py": NOSY.encode(),
        "code/stranger.py": Path(stranger.__file__).read_bytes(),
        "data/aims.json": json.dumps([str(secret), "127.0.0.1", 9]).encode(),
    }
    directory = tmp_path / "own"
    directory.mkdir()
    model = registry.download_model(world.log_version(files), "1", directory, 2**20)

    found = measure_attributions(model, reference, kept_rows())

    assert set(found) == {"age", "country"}
    assert found["age"] / sum(found.values()) == pytest.approx(0.74, abs=0.04)
    looked = json.loads((directory / "found.json").read_text())
    assert not {name for name in looked["variables"] if "PASSWORD" in name or "URI" in name}
    assert looked["a file"] == looked["parent's variables"] == "PermissionError"
    assert secret.read_text() == "a token"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"not json", "the model cannot be run: the answer of its process is unreadable"),
        (b"[]", "the model cannot be run: the answer of its process is unreadable"),
        (b'{"age": -1}', "the model cannot be run: the answer of its process is unreadable"),
        (b'{"age": NaN}', "the model cannot be run: the answer of its process is unreadable"),
        (b'{"height": 1}', "the model cannot be run: the answer of its process is unreadable"),
        (b'{"age": 0.0}', "the model's answers do not change with any feature"),
        (b"{}", "the model's answers do not change with any feature"),
    ],
)
def test_answers_are_not_trusted(
    answer: bytes, reason: str, reference: Reference, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Code of the model runs in the process that answers."""
    monkeypatch.setattr("exporter.isolation.Children.run", lambda *_: answer)
    with pytest.raises(ImportanceError, match=f"^{reason}$"):
        measure_attributions(tmp_path / "model", reference, b"")


def test_a_model_that_never_answers_is_ended(reference: Reference, tmp_path: Path) -> None:
    """Its file is a pipe that nobody writes to: whoever opens it waits."""
    model = tmp_path / "own" / "model"
    model.mkdir(parents=True)
    os.mkfifo(model / "MLmodel")
    with pytest.raises(ImportanceError, match=r"^the model cannot be run: it takes longer than 2 s$"):
        measure_attributions(model, reference, kept_rows(), seconds=2)
