"""A version without a reference can be compared with its own first rows."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa

from exporter.formats.raw import ARROW_TYPE, JSON_TYPE
from exporter.profiling.build import build_reference
from exporter.profiling.data import ReferenceData
from exporter.profiling.from_live_rows import live_reference
from exporter.reference.profile import Reference
from exporter.settings import Settings, Window
from exporter.storage.schema import RawRows
from tests.support.wire import QUERY, to_stream

SETTINGS = Settings()
START = 1.8e9


def raw(body: bytes, rows: list[int], content_type: str = JSON_TYPE) -> RawRows:
    query = dict(QUERY) if content_type != JSON_TYPE else {}
    return RawRows(content_type, query, body, np.array(rows), START + np.array(rows, np.float64))


def raw_columns(features: dict[str, list[Any]], rows: list[int] | None = None, **own: list[Any]) -> RawRows:
    count = len(next(iter(features.values())))
    columns = {"prediction": [1] * count, "features": features, **own}
    body = json.dumps({**QUERY, "columns": columns}).encode()
    return raw(body, rows if rows is not None else list(range(count)))


def raw_table(rows: list[int] | None = None, **columns: pa.Array) -> RawRows:
    count = len(next(iter(columns.values())))
    body = to_stream(pa.table({"prediction": [1] * count, **columns}))
    return raw(body, rows if rows is not None else list(range(count)), ARROW_TYPE)


def build(data: ReferenceData) -> Reference:
    return build_reference(data, (Window(86400, "24h"),), 100)


def test_the_first_rows_become_a_table_with_their_times() -> None:
    requests = [
        raw_columns({"age": [41, None, 27], "country": ["DE", None, "FR"]}, score=[0.1, 0.2, 0.3]),
        raw_columns({"age": [18.5], "country": ["DE"]}, score=[0.4]),
        raw_columns({"age": [99], "country": ["never"]}),
    ]
    data = live_reference(requests, 4, SETTINGS)

    assert data.table.column("age").to_pylist() == [41.0, None, 27.0, 18.5]
    assert data.table.column("country").to_pylist() == ["DE", None, "FR", "DE"]
    assert data.table.column("score").to_pylist() == [0.1, 0.2, 0.3, 0.4]
    assert data.table.column("prediction").to_pylist() == [1.0] * 4
    assert [moment.timestamp() for moment in data.table.column("timestamp").to_pylist()] == [
        START, START + 1, START + 2, START,
    ]  # fmt: skip
    assert (data.source, data.split) == ("live", "live")
    assert data.notes == ("built from the first 4 live rows: what was wrong with them is taken as normal",)


def test_only_the_rows_that_count_are_taken() -> None:
    data = live_reference(
        [raw_columns({"x": [0, 1, 2, 3, 4]}, [4, 1]), raw_columns({"x": [5, 6]}, [1])], 3, SETTINGS
    )

    assert data.table.column("x").to_pylist() == [4.0, 1.0, 6.0]


def test_a_request_that_holds_more_than_is_wanted_is_cut() -> None:
    data = live_reference([raw_columns({"x": [0, 1, 2, 3, 4]})], 2, SETTINGS)

    assert data.table.num_rows == 2


def test_requests_may_differ_in_format_and_columns() -> None:
    requests = [raw_columns({"a": [1], "b": ["x"]}), raw_table(b=pa.array(["y"]), c=pa.array([2.5]))]
    table = live_reference(requests, 10, SETTINGS).table

    assert {name: table.column(name).to_pylist() for name in "abc"} == {
        "a": [1.0, None],
        "b": ["x", "y"],
        "c": [None, 2.5],
    }


def test_a_column_of_mixed_types_becomes_text() -> None:
    requests = [raw_columns({"x": [1, 1.0, True, "1", "01", None, [1]]}), raw_columns({"x": [2]})]
    table = live_reference(requests, 10, SETTINGS).table

    assert table.column("x").to_pylist() == ["1", "1", "1", "1", "01", None, None, "2"]


def test_a_column_that_was_empty_at_first_takes_the_type_of_what_came() -> None:
    nothing = raw_columns({"x": [None, None]})

    assert (
        build(live_reference([nothing, raw_columns({"x": ["a"]})], 9, SETTINGS)).columns[0].kind == "category"
    )
    assert build(live_reference([nothing, raw_columns({"x": [1]})], 9, SETTINGS)).columns[0].kind == "number"
    times = raw_table(x=pa.array([1], pa.timestamp("s")))
    assert build(live_reference([nothing, times], 9, SETTINGS)).columns[0].kind == "time"
    assert (
        build(live_reference([nothing], 9, SETTINGS)).columns[0].unjudged
        == "the reference has no value in it"
    )


def test_times_stay_times() -> None:
    far = pa.array([1_700_000_000, None, 2**62, -(2**62)], pa.timestamp("s"))
    table = live_reference([raw_table(x=far)], 9, SETTINGS).table

    assert table.column("x").type == pa.timestamp("us", "UTC")
    assert table.column("x").is_null().to_pylist() == [False, True, False, False]
    assert build(live_reference([raw_table(x=far)], 9, SETTINGS)).columns[0].kind == "time"


def test_characters_that_are_none_do_not_stop_it() -> None:
    columns = b'{"features": {"x": ["\\ud800", "a\\u0000"]}, "prediction": ["\\udfff", 1]}'
    body = b'{"model": "m", "version": "1", "columns": ' + columns + b"}"
    reference = build(live_reference([raw(body, [0, 1])], 2, SETTINGS))

    assert reference.columns[0].categories == ("?", "a\0")


def test_a_long_text_that_many_rows_share_is_held_once() -> None:
    shared = pa.DictionaryArray.from_arrays(pa.array(np.zeros(1000, np.int8)), pa.array(["x" * 100_000]))
    table = live_reference([raw_table(x=shared)] * 3, 3000, SETTINGS).table

    assert table.num_rows == 3000
    assert table.nbytes < 1_000_000


def test_live_rows_that_look_like_the_reference_fall_into_its_bins() -> None:
    draw = np.random.default_rng(0)
    features = {
        "age": draw.normal(40, 10, 2000).tolist(),
        "country": draw.choice(["DE", "FR"], 2000).tolist(),
    }
    reference = build(live_reference([raw_columns(features)], 2000, SETTINGS))

    assert [column.kind for column in reference.columns] == ["number", "category", "category"]
    assert reference.rows == 2000
    assert reference.provisional  # half an hour of traffic


def test_features_with_the_names_of_the_rows_own_stay_features() -> None:
    features: dict[str, list[Any]] = {
        "age": [41, 27, 18, 33],
        "score": [640, 580, 600, 610],
        "prediction": [0.5, 1.5, 2.5, 3.5],
        "timestamp": [5, 6, 7, 8],
        "label": [3, 4, 5, 6],
        "id": [1, 2, 1, 2],
    }
    reference = build(live_reference([raw_columns(features, score=[0.1, 0.2, 0.3, 0.4])], 4, SETTINGS))

    assert {column.name for column in reference.columns if column.role == "feature"} == features.keys()
    assert {column.role for column in reference.columns} == {"feature", "prediction", "score"}
    assert reference.target == ""
