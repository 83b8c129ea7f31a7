"""Labels in every wire format."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from exporter.errors import MalformedError, TooLargeError, UnsupportedError
from exporter.formats.labels import DecodedLabels, decode_labels
from exporter.formats.raw import ARROW_TYPE, JSON_TYPE, PARQUET_TYPE
from exporter.settings import Settings

ROWS = [
    {"id": "a", "label": 1, "timestamp": "2026-05-01T12:00:00Z"},
    {"id": "b", "label": 0, "timestamp": "2026-05-01T12:00:01"},
]
NOON = 1_777_636_800.0


def decode_json(**document: Any) -> DecodedLabels:
    return decode_labels(orjson.dumps({"model": "fraud", **document}), JSON_TYPE, {}, Settings())


def decode_table(table: pa.Table, form: str = ARROW_TYPE, model: str = "fraud") -> DecodedLabels:
    sink = pa.BufferOutputStream()
    if form == PARQUET_TYPE:
        pq.write_table(table, sink)
    else:
        with pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table)
    return decode_labels(sink.getvalue().to_pybytes(), form, {"model": model}, Settings())


def columns(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in rows[0]}


@pytest.mark.parametrize("form", ["rows", "columns", ARROW_TYPE, PARQUET_TYPE])
def test_every_format_gives_the_same_labels(form: str) -> None:
    if form == "rows":
        found = decode_json(labels=ROWS)
    elif form == "columns":
        found = decode_json(columns=columns(ROWS))
    else:
        found = decode_table(pa.Table.from_pylist(ROWS), form)

    assert (found.model, found.rows, found.ids, found.labels) == ("fraud", 2, ["a", "b"], ["1", "0"])
    assert found.timestamps.tolist() == [NOON, NOON + 1]
    assert found.naive_timestamps == 1


def test_labels_of_any_type_are_canonical_texts() -> None:
    found = decode_json(
        labels=[{"id": str(row), "label": label} for row, label in enumerate((1.0, True, "1"))]
    )

    assert found.labels == ["1"] * 3


def test_a_label_without_a_time_has_none() -> None:
    found = decode_json(labels=[{"id": "a", "label": 1}, ROWS[0]])

    assert np.isnan(found.timestamps[0])
    assert found.timestamps[1] == NOON


@pytest.mark.parametrize(
    ("document", "detail", "where"),
    [
        ({}, "`labels` (rows) or `columns` is required", ""),
        ({"labels": [], "columns": {}}, "either `labels` (rows) or `columns`", ""),
        ({"labels": {}}, "must be a list of labels", "labels"),
        ({"labels": ["a"]}, "must be an object", "labels[0]"),
        ({"labels": [*ROWS, {"label": 1}]}, "`id` is required", "labels[2].id"),
        ({"labels": [*ROWS, {"id": "c", "label": None}]}, "`label` is required", "labels[2].label"),
        ({"labels": [{"id": "a", "label": 1, "lable": 2}]}, "label", "labels[0].lable"),
        ({"labels": [{"id": "a", "label": 1, "timestamp": "soon"}]}, "ISO 8601", "labels[0].timestamp"),
        ({"columns": []}, "must be an object of columns", "columns"),
        ({"columns": {"id": "a", "label": [1]}}, "must be a list", "columns.id"),
        ({"columns": {"id": ["a"], "label": [1, 2]}}, "columns differ in length", "columns"),
        ({"columns": {"id": ["a", None], "label": [1, 2]}}, "`id` is required", "columns.id[1]"),
        ({"columns": {"id": ["a"]}}, "`label` is required", "columns.label[0]"),
    ],
    ids=str,
)
def test_a_malformed_document_is_refused_with_the_place(
    document: dict[str, Any], detail: str, where: str
) -> None:
    with pytest.raises(MalformedError) as refused:
        decode_json(**document)

    assert detail in str(refused.value)
    assert refused.value.where == where


@pytest.mark.parametrize(
    ("table", "detail", "where"),
    [
        ({"label": [1]}, "`id` is required", "id[0]"),
        ({"id": ["a"]}, "`label` is required", "label[0]"),
        ({"id": ["a", "b"], "label": [1, None]}, "`label` is required", "label[1]"),
        ({"id": ["a"], "label": [1], "lable": [2]}, "label", "schema.lable"),
    ],
    ids=str,
)
def test_a_malformed_table_is_refused_with_the_place(
    table: dict[str, list[Any]], detail: str, where: str
) -> None:
    with pytest.raises(MalformedError) as refused:
        decode_table(pa.table(table))

    assert detail in str(refused.value)
    assert refused.value.where == where


def test_the_model_is_required_in_the_query_of_a_table() -> None:
    with pytest.raises(MalformedError) as refused:
        decode_table(pa.Table.from_pylist(ROWS), model="")

    assert refused.value.where == "query.model"


def test_too_many_labels_are_refused() -> None:
    with pytest.raises(TooLargeError):
        decode_labels(
            orjson.dumps({"model": "fraud", "labels": ROWS}), JSON_TYPE, {}, Settings(max_rows_per_request=1)
        )


def test_an_unknown_content_type_is_refused() -> None:
    with pytest.raises(UnsupportedError):
        decode_labels(b"a,1", "text/csv", {"model": "fraud"}, Settings())
