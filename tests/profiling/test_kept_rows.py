"""Raw rows of references are kept within bounds, treated as those of the sample."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from exporter.config.sampling import SampleConfig
from exporter.profiling import kept_rows as module
from exporter.profiling.build import build_from
from exporter.profiling.data import ReferenceData
from exporter.profiling.kept_rows import MAX_KEPT_ROWS, kept_rows
from exporter.profiling.own_columns import read_own_columns
from exporter.sampling.content import hash_text
from exporter.sampling.rows import RowsToKeep
from exporter.settings import Settings
from tests.support.rig import make_table

KEY = b"k" * 32


def keep(table: pa.Table, sample: SampleConfig | None = None, **said: Any) -> pa.Table:
    data = ReferenceData(table, "tests", **said)
    own = read_own_columns(data)
    reference = build_from(data, own, Settings().windows, 500)
    content = kept_rows(table, own, reference, RowsToKeep(sample or SampleConfig(), KEY))
    return pq.read_table(io.BytesIO(content))


def test_columns_have_their_types_and_the_rows_own_ones_their_roles() -> None:
    table = make_table(500)
    table = table.append_column("is_fraud", table["prediction"])
    table = table.append_column("requested_at", pa.array(np.arange(500)).cast(pa.timestamp("s")))
    table = table.append_column("seen", pa.array(np.arange(500)).cast(pa.timestamp("s")))
    table = table.append_column("visits", pa.array([None, *range(499)], pa.int32()))
    table = table.append_column("note", pa.array(["x" * 1000, *map(str, range(499))]))
    table = table.append_column("id", pa.array(np.arange(500)))
    found = keep(table, target="is_fraud", timestamp="requested_at")
    kinds = {field.name: field.type for field in found.schema}
    text = pa.dictionary(pa.int32(), pa.string())
    assert kinds == {
        "features.age": pa.float64(),
        "features.country": text,
        "features.new": pa.bool_(),
        "features.seen": pa.timestamp("us", "UTC"),
        "features.visits": pa.int64(),
        "features.note": text,
        "prediction": pa.int64(),
        "score": pa.float64(),
        "target": pa.int64(),
        "timestamp": pa.float64(),
    }
    for name in ("age", "country", "new"):
        assert found[f"features.{name}"].to_pylist() == table[name].to_pylist()
    assert found["target"].to_pylist() == table["prediction"].to_pylist()
    assert found["timestamp"].to_pylist() == list(range(500))
    assert found["features.visits"].to_pylist()[:2] == [None, 0]
    assert len(found["features.note"][0].as_py()) == 256


def test_of_many_rows_a_uniform_sample_is_kept() -> None:
    rows = 4 * MAX_KEPT_ROWS
    found = keep(pa.table({"x": np.arange(float(rows)), "prediction": np.arange(rows) % 2}))
    x = np.asarray(found["features.x"])
    assert len(x) == MAX_KEPT_ROWS
    assert (np.diff(x) > 0).all()
    counts = np.histogram(x, 10, (0, rows))[0]
    assert (abs(counts - MAX_KEPT_ROWS / 10) < 5 * (MAX_KEPT_ROWS / 10) ** 0.5).all()


def test_wide_rows_are_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_KEPT_BYTES", 50_000)
    found = keep(pa.table({"x": np.arange(5000.0), "prediction": np.arange(5000) % 2}))
    assert 2000 < found.num_rows < 3200
    assert found.nbytes <= 51_000


def test_columns_are_left_out_and_hashed_as_live_ones_are() -> None:
    table = make_table(100).append_column("customer", pa.array(np.arange(100) % 7))
    found = keep(table, SampleConfig(leave_out=("age",), hash=("country", "customer")))
    assert "features.age" not in found.column_names
    countries = found["features.country"].to_pylist()
    assert countries == [hash_text(KEY, "country", text) for text in table["country"].to_pylist()]
    customers = found["features.customer"].to_pylist()
    assert customers == [hash_text(KEY, "customer", str(number)) for number in range(7)] * 14 + customers[:2]


def test_several_scores_stay_several() -> None:
    scores = pa.array([[0.2, 0.3, 0.5], [0.6, 0.2, 0.2]] * 50)
    table = pa.table({"x": np.arange(100.0), "prediction": ["c", "a"] * 50, "score": scores})
    found = keep(table, score="score")
    assert found["scores"].to_pylist() == scores.to_pylist()
    assert "score" not in found.column_names


def test_what_is_not_monitored_is_not_kept() -> None:
    table = make_table(100).append_column("tags", pa.array([["a"]] * 100))
    assert "features.tags" not in keep(table).column_names
