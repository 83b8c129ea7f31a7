"""Attributions: which rows the model gets, and which it does not."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from exporter.errors import ImportanceError
from exporter.monitoring.attributions import MIN_LIVE_ROWS, Attributions
from exporter.reference.profile import Reference
from tests.support.rig import NOON, Rig, make_rows, over_a_day


class Child:
    """Instead of a process: keeps what it was given."""

    def __init__(self) -> None:
        self.rows = b""
        self.live: Sequence[bytes] = ()

    def __call__(
        self, model: Path, reference: Reference, rows: bytes, live: Sequence[bytes]
    ) -> dict[str, float]:
        assert model.is_dir()
        self.rows, self.live = rows, live
        return {"age": 1.0}


@pytest.fixture
def child(monkeypatch: pytest.MonkeyPatch) -> Child:
    made = Child()
    monkeypatch.setattr("exporter.monitoring.attributions.measure_attributions", made)
    return made


def attributions(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Attributions:
    def download(model: str, version: str, directory: Path, max_bytes: int) -> Path:
        (directory / "model").mkdir()
        return directory / "model"

    monkeypatch.setattr(rig.registry, "download_model", download)
    return Attributions(rig.settings, rig.service.store, rig.registry, rig.service.samples)


def of_reference(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    version = rig.version()
    assert version.counts is not None
    return attributions(rig, monkeypatch).of_reference(version, version.counts)


def of_live_rows(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Any:
    version = rig.version()
    assert version.counts is not None
    return attributions(rig, monkeypatch).of_live_rows(version, version.counts, rig.clock())


def test_the_model_gets_the_rows_of_the_reference(
    rig: Rig, child: Child, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert of_reference(rig, monkeypatch) == {"age": 1.0}
    kept = pq.read_table(io.BytesIO(child.rows))
    assert {"features.age", "features.country", "features.new"} <= set(kept.column_names)
    assert (kept.num_rows, list(child.live)) == (1000, [])


def test_live_rows_are_those_of_the_past_day(rig: Rig, child: Child, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.post_rows(over_a_day(make_rows(600), end=NOON))
    assert of_live_rows(rig, monkeypatch) == ({"age": 1.0}, len(child.live))
    assert len(child.live) >= MIN_LIVE_ROWS
    assert set(json.loads(child.live[0])["features"]) == {"age", "country", "new"}
    rig.clock.advance(3 * 86400)
    assert of_live_rows(rig, monkeypatch) is None


@pytest.mark.parametrize(
    ("sample", "reason"),
    [
        ("hash: [country]", "permutation takes the values of all features, and `sample` hides country"),
        ("leave_out: [age, iban]", "permutation takes the values of all features, and `sample` hides age"),
        ("rows: 0", "permutation takes rows of the reference, and none are kept"),
    ],
)
def test_without_all_values_nothing_is_measured(
    sample: str,
    reason: str,
    start: Callable[..., Rig],
    tmp_path: Path,
    child: Child,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "exporter.yml"
    path.write_text(f"defaults: {{sample: {{{sample}}}}}\n")
    rig = start(config=str(path))
    with pytest.raises(ImportanceError, match=f"^{reason}$"):
        of_reference(rig, monkeypatch)
