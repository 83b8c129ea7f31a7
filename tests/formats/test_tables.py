"""Bodies of tables: what is read, and what is refused and where."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pandas as pd
import pyarrow as pa
import pytest

from exporter.errors import MalformedError, UnsupportedError
from exporter.formats.raw import ARROW_TYPE, PARQUET_TYPE
from tests.support.documents import ROW, columns, decode_table, refuse, rows, table_with
from tests.support.wire import (
    decode,
    to_parquet,
    to_stream,
)


@pytest.mark.parametrize("content_type", [ARROW_TYPE, PARQUET_TYPE])
@pytest.mark.parametrize("index", [["a"], [("a", 1)]], ids=str)
def test_an_index_that_pandas_writes_along_is_no_column(content_type: str, index: list[Any]) -> None:
    frame = pd.DataFrame({"x": [1.5], "prediction": [1]}, index=pd.Index(index))
    nested = pa.Table.from_pandas(pd.DataFrame({"features": [{"x": 1.5}], "prediction": [1]}, index=[7]))

    assert set(decode_table(pa.Table.from_pandas(frame), content_type).features) == {"x"}
    assert set(decode_table(nested.slice(0), content_type).features) == {"x"}


def test_an_index_with_a_name_is_a_column_as_any_other() -> None:
    index = pd.MultiIndex.from_tuples([("a", 7)], names=["id", "day"])
    batch = decode_table(pa.Table.from_pandas(pd.DataFrame({"x": [1.5], "prediction": [1]}, index=index)))

    assert (batch.ids, set(batch.features)) == (["a"], {"x", "day"})


@pytest.mark.parametrize(
    "described",
    [
        b"{",
        b"[]",
        b'{"columns": 7}',
        b'{"columns": [7]}',
        b'{"columns": [{}]}',
        b'{"index_columns": 7}',
        b"\xff",
    ]
    + [
        b'{"columns": [{"name": null, "field_name": %s}], "index_columns": [%s]}' % (name, name)
        for name in (b"[]", b"7", b'"y"', b"null")
    ],
    ids=str,
)
def test_what_pandas_would_not_write_of_an_index_is_not_followed(described: bytes) -> None:
    table = pa.table({"x": [1.5], "prediction": [1]}).replace_schema_metadata({b"pandas": described})

    assert set(decode_table(table).features) == {"x"}


def test_a_content_type_may_have_parameters_and_be_left_out() -> None:
    body = json.dumps(rows(ROW)).encode()

    for content_type in ("application/json; charset=utf-8", "Application/JSON", ""):
        assert decode(body, content_type=content_type).rows == 1


UUID_BYTES = UUID("550e8400-e29b-41d4-a716-446655440000").bytes


@pytest.mark.parametrize(
    ("array", "given", "ids"),
    [
        (pa.array([7, None]), [7, None], ["7", None]),
        (pa.array([7.0, None]), [7.0, None], ["7", None]),
        (pa.array([7.0, math.nan]), [7.0, math.nan], ["7", None]),
        (pa.array([2.0**53, -1.0]), [2.0**53, -1.0], [str(2**53), "-1"]),
        (pa.array([2**64 - 1, 0], pa.uint64()), [2**64 - 1, 0], [str(2**64 - 1), "0"]),
        (
            pa.array([Decimal(2**64 - 1), Decimal(7)], pa.decimal128(20)),
            [2**64 - 1, 7],
            [str(2**64 - 1), "7"],
        ),
        (pa.array([7, 2**60 + 1]).dictionary_encode(), [7, 2**60 + 1], ["7", str(2**60 + 1)]),
        (
            pa.ExtensionArray.from_storage(pa.uuid(), pa.array([UUID_BYTES, None], pa.binary(16))),
            [str(UUID(bytes=UUID_BYTES)), None],
            ["550e8400-e29b-41d4-a716-446655440000", None],
        ),
    ],
    ids=str,
)
def test_an_id_is_the_same_in_every_format(array: pa.Array, given: list[Any], ids: list[str | None]) -> None:
    assert decode_table(table_with(id=array)).ids == ids
    assert decode_table(table_with(id=array), PARQUET_TYPE).ids == ids
    assert decode(columns(features={"x": [1, 2]}, prediction=[1, 0], id=given)).ids == ids


def test_ids_may_be_integers_or_a_dictionary() -> None:
    words = pa.array(["a", "b"]).dictionary_encode()

    assert decode_table(table_with(id=pa.array([2**63 - 1, None]))).ids == [str(2**63 - 1), None]
    assert decode_table(table_with(id=words)).ids == ["a", "b"]
    assert decode_table(table_with(id=pa.nulls(2))).ids is None


@pytest.mark.parametrize("content_type", [ARROW_TYPE, PARQUET_TYPE])
def test_a_column_beside_a_structure_of_features_is_refused_if_nothing_reads_it(content_type: str) -> None:
    table = pa.table({"features": pa.array([{"x": 1}]), "prediction": [1], "timestmap": [1.0]})
    with pytest.raises(MalformedError, match="did you mean `timestamp`") as error:
        decode_table(table, content_type)

    assert error.value.where == "schema.timestmap"


@pytest.mark.parametrize("content_type", [ARROW_TYPE, PARQUET_TYPE])
@pytest.mark.parametrize(
    ("table", "where"),
    [
        (pa.table({"x": [1]}), "schema"),
        (pa.table({"prediction": [1]}), "schema"),
        (pa.table({"prediction": [1], "id": ["a"]}), "schema"),
        (pa.table({"x": [1], "prediction": [1]}).slice(1), ""),
        (pa.Table.from_arrays([pa.array([1])] * 3, ["x", "x", "prediction"]), "schema"),
        (table_with(id=pa.array(["a", ""])), "id[1]"),
        (table_with(id=pa.array(["a" * 257, None])), "id[0]"),
        (table_with(id=pa.array([1.5, 2.0])), "id[0]"),
        (table_with(id=pa.array([1.0, 2.0**54])), "id[1]"),
        (table_with(id=pa.array([1.0, 2.0], pa.float32())), "id[0]"),
        (table_with(id=pa.array([True, False])), "id[0]"),
        (table_with(id=pa.array([Decimal(1), Decimal(2**64)], pa.decimal128(20))), "id[1]"),
        (table_with(id=pa.array([Decimal("1.5"), None])), "id[0]"),
        (table_with(id=pa.array([b"four", None], pa.binary(4))), "id[0]"),
        (table_with(id=pa.array([date(2026, 1, 1), None])), "id[0]"),
        (table_with(id=pa.array([[1], [2]])), "id[0]"),
        (table_with(timestamp=pa.array([None, "soon"])), "timestamp[1]"),
        (table_with(timestamp=pa.array([[1], [2]])), "timestamp[0]"),
        (table_with(latency_seconds=pa.array([None, "1"])), "latency_seconds[1]"),
        (table_with(latency_seconds=pa.array([None, 1], pa.timestamp("s"))), "latency_seconds[1]"),
    ],
    ids=lambda value: str(value.schema).replace("\n", ", ")[:60] if isinstance(value, pa.Table) else value,
)
def test_tables_of_the_wrong_shape_are_refused_with_the_place(
    content_type: str, table: pa.Table, where: str
) -> None:
    body = to_parquet(table) if content_type == PARQUET_TYPE else to_stream(table)

    assert refuse(body, content_type) == (422, where)


def test_a_structure_without_fields_is_refused() -> None:
    table = pa.table({"features": pa.array([{}], pa.struct([])), "prediction": [1]})

    assert refuse(to_stream(table), ARROW_TYPE) == (422, "schema.features")


@pytest.mark.parametrize("content_type", [ARROW_TYPE, PARQUET_TYPE])
def test_two_features_of_a_structure_cannot_have_one_name(content_type: str) -> None:
    twice = pa.StructArray.from_arrays([pa.array([1]), pa.array([2])], ["x", "x"])
    table = pa.table({"features": twice, "prediction": [1]})
    body = to_parquet(table) if content_type == PARQUET_TYPE else to_stream(table)

    assert refuse(body, content_type) == (422, "schema.features")


def test_rows_that_take_no_space_are_bounded_as_well() -> None:
    wide = pa.table({f"x{k}": pa.nulls(100_000) for k in range(500)} | {"prediction": pa.nulls(100_000)})

    assert refuse(to_stream(wide), ARROW_TYPE) == (413, "schema")
    nothing = pa.Array.from_buffers(pa.null(), 2**31 - 1, [None])
    endless = pa.Table.from_batches([pa.RecordBatch.from_arrays([nothing, nothing], ["x", "prediction"])])
    assert refuse(to_stream(endless), ARROW_TYPE) == (413, "")


def test_an_unknown_content_type_is_not_supported() -> None:
    with pytest.raises(UnsupportedError, match="application/json"):
        decode(b"a,b\n1,2", content_type="text/csv")


def test_damaged_bodies_are_refused_or_read_and_never_worse() -> None:
    # in a process of its own, since what went wrong in pyarrow would take this one with it; longer: make fuzz
    command = [sys.executable, "-X", "faulthandler", "-W", "error", "-m", "tests.fuzz_bodies"]
    done = subprocess.run(
        [*command, "--seed", "20261123", "--bodies", "600"],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )

    said = "seed 20261123\n600 bodies read or refused\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, said, "")
