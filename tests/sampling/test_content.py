"""Stored content of a sampled row."""

from __future__ import annotations

import io
from typing import Any

import orjson
import pyarrow as pa
import pytest

from exporter.config.sampling import SampleConfig
from exporter.formats.arrow_columns import from_arrow
from exporter.formats.batch import Batch
from exporter.formats.columns import from_python
from exporter.formats.predictions import decode_predictions
from exporter.formats.raw import ARROW_TYPE, JSON_TYPE
from exporter.sampling.content import MAX_ROW_BYTES, NESTED, Treatment, encode_row, hash_text, hash_values
from exporter.settings import Settings

KEY = bytes(range(32))


def batch_of(*rows: dict[str, Any]) -> Batch:
    body = orjson.dumps({"model": "fraud", "version": "1", "predictions": rows})
    return decode_predictions(body, JSON_TYPE, {}, Settings())


def content_of(batch: Batch, row: int = 0, columns: list[str] | None = None, **config: Any) -> dict[str, Any]:
    treatment = Treatment.of(SampleConfig(**config), columns or [*batch.features], KEY)
    encoded = encode_row(batch, row, treatment)
    assert len(encoded) <= MAX_ROW_BYTES
    found: dict[str, Any] = orjson.loads(encoded)
    return found


@pytest.mark.parametrize(
    "value",
    [1, -7, 0.5, 1e300, 2**53 + 1, 2**63, -(2**63), 12345678901234567890, "DE", "12", "\u2028</script>", ""],
)
def test_values_are_as_they_came_also_beside_values_of_other_types(value: object) -> None:
    for others in ((), (0.5,), ("x",), ("x", 3, [1])):
        rows = [{"features": {"a": each}, "prediction": 1} for each in (value, *others)]
        assert content_of(batch_of(*rows))["features"] == {"a": value}


def test_missing_values_are_left_out_and_nested_ones_marked() -> None:
    batch = batch_of(
        {"features": {"a": None, "b": {"c": 1}, "d": [1], "e": True, "f": 2.0}, "prediction": None},
    )
    assert content_of(batch) == {"features": {"b": NESTED, "d": NESTED, "e": 1, "f": 2}}
    assert b'"e":1,' in encode_row(batch, 0, Treatment(["e", "f"], (), KEY))


def test_infinities_count_as_missing_and_times_are_iso_8601() -> None:
    table = pa.table(
        {
            "a": [float("inf"), 1.5],
            "t": pa.array([1_748_865_600_500, None], pa.timestamp("ms")),
            "prediction": [1, 0],
        }
    )
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    batch = decode_predictions(sink.getvalue(), ARROW_TYPE, {"model": "fraud", "version": "1"}, Settings())
    assert content_of(batch)["features"] == {"t": "2025-06-02T12:00:00.500000+00:00"}
    assert content_of(batch, 1)["features"] == {"a": 1.5}


@pytest.mark.parametrize(
    ("score", "stored"),
    [
        (0.25, {"score": 0.25}),
        (None, {}),
        ([0.1, 0.9], {"scores": [0.1, 0.9]}),
        ({"yes": 0.7, "no": 0.3}, {"scores": {"no": 0.3, "yes": 0.7}}),
        ("high", {"score": "high"}),
    ],
)
def test_scores_are_kept_in_their_form(score: object, stored: dict[str, Any]) -> None:
    found = content_of(batch_of({"features": {"a": 1}, "prediction": "no", "score": score}))
    assert found == {"features": {"a": 1}, "prediction": "no"} | stored


def test_only_columns_of_the_reference_are_stored_and_none_that_are_left_out() -> None:
    batch = batch_of({"features": {"a": 1, "iban": "DE02", "new": 2}, "prediction": 1})
    assert content_of(batch, columns=["iban", "a", "gone"], leave_out=("iban",))["features"] == {"a": 1}


def test_hashes_are_keyed_and_the_same_for_every_notation_of_a_value() -> None:
    batch = batch_of(*({"features": {"c": each}, "prediction": 1} for each in (7, "7", 7.0, None, [7], "8")))
    found = [content_of(batch, row, hash=("c",))["features"].get("c") for row in range(6)]
    hashed = hash_text(KEY, "c", "7")
    assert found == [hashed, hashed, hashed, None, NESTED, hash_text(KEY, "c", "8")]
    assert len({hashed, hash_text(bytes(32), "c", "7"), hash_text(KEY, "d", "7")}) == 3


@pytest.mark.parametrize(
    "column",
    [
        pa.array([7, 2**60, None]),
        pa.array(["a", None, "7"]),
        pa.array([7.5, None, 1e300]),
        pa.array([1_748_865_600_500, None, 0], pa.timestamp("ms")),
    ],
    ids=str,
)
def test_the_reference_is_hashed_as_live_rows_are(column: pa.Array) -> None:
    batch = batch_of(*({"features": {"c": 1}, "prediction": 1} for _ in range(len(column))))
    batch.features["c"] = from_arrow(column)
    rows = [content_of(batch, row, hash=("c",))["features"].get("c") for row in range(len(column))]
    assert hash_values(KEY, "c", from_arrow(column)).rows() == rows
    assert hash_values(KEY, "c", from_python([7, [7]])).rows() == [hash_text(KEY, "c", "7"), None]


def test_texts_are_cut_and_rows_stay_within_their_size() -> None:
    long = {f"t{number}": "ü" * 1000 for number in range(50)}
    batch = batch_of({"features": long, "prediction": "p" * 1000, "score": {"c" * 256: 1.0}})
    assert content_of(batch, columns=["t0"])["features"] == {"t0": "ü" * 256}
    found = content_of(batch)
    assert set(map(len, found["features"].values())) == {64}
    assert "columns_left_out" not in found


def test_of_a_row_that_is_too_large_the_last_columns_are_left_out_and_counted() -> None:
    wide = {f"a column with a long name {number}": 1 / (number + 3) for number in range(2000)}
    found = content_of(batch_of({"features": wide, "prediction": 1}))
    kept = len(found["features"])
    assert [*found["features"]] == [*wide][:kept]
    assert kept > 200
    assert found["columns_left_out"] == 2000 - kept
    names = {"é" * 200 + f"{number}": 0.1 for number in range(30)}
    huge = {"n" * 250 + str(number): "v" for number in range(100)}
    assert content_of(batch_of({"features": huge, "prediction": 1, "score": names})).keys() >= {"prediction"}


def test_characters_that_no_store_takes_are_replaced() -> None:
    body = rb'{"model":"m","version":"1","predictions":[{"features":{"a":"x\ud800\u0000y"},"prediction":1}]}'
    assert content_of(decode_predictions(body, JSON_TYPE, {}, Settings()))["features"] == {"a": "x?y"}
