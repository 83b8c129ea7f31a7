"""Documents and tables of predictions, and whether they are refused."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from exporter.errors import RequestError
from exporter.formats.batch import Batch
from exporter.formats.predictions import decode_predictions
from exporter.formats.raw import ARROW_TYPE, JSON_TYPE, PARQUET_TYPE
from exporter.reference.bins import BinLayout, Column, ColumnKind
from exporter.settings import Settings
from tests.support.wire import (
    QUERY,
    decode,
    to_parquet,
    to_stream,
)

ROW = {"features": {"age": 41}, "prediction": 1}


def rows(*rows: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"model": "fraud", "version": "3", "predictions": list(rows), **more}


def columns(**columns: Any) -> dict[str, Any]:
    return {"model": "fraud", "version": "3", "columns": columns}


def split(**more: Any) -> dict[str, Any]:
    table = {"columns": ["age"], "data": [[41], [27]]}
    return {"model": "fraud", "version": "3", "dataframe_split": table, "predictions": [1, 0], **more}


def decode_table(table: pa.Table, content_type: str = ARROW_TYPE) -> Batch:
    body = to_parquet(table) if content_type == PARQUET_TYPE else to_stream(table)
    return decode(body, None, content_type, **QUERY)


def table_with(**columns: pa.Array) -> pa.Table:
    """Two rows with a feature and a prediction, and what else is given."""
    return pa.table({"age": pa.array([41, 27]), "prediction": pa.array([1, 0]), **columns})


def refuse(document: object, content_type: str = JSON_TYPE, **settings: Any) -> tuple[int, str]:
    """Status and place of the refusal."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    query = QUERY if content_type != JSON_TYPE else {}
    with pytest.raises(RequestError) as error:
        decode_predictions(body, content_type, query, Settings(**settings))
    assert len(error.value.detail) < 400
    json.dumps([error.value.detail, error.value.where], ensure_ascii=False).encode()  # it can be sent
    return error.value.status, error.value.where


def layout_of(kinds: dict[str, ColumnKind]) -> BinLayout:
    edges, categories = np.array([-1.0, 0.0, 0.5, 1e6]), ("0", "1", "a", "true")
    columns = tuple(
        Column(name, "feature", kind, edges=edges, low=-1e9, high=1e9)
        if kind in ("number", "time")
        else Column(name, "feature", kind, categories=categories if kind == "category" else ("0", "1"))
        for name, kind in kinds.items()
    )
    columns += (Column("prediction", "prediction", "category", categories=categories),)
    columns += (Column("score", "score", "number", edges=edges, low=0.0, high=1.0),)
    return BinLayout(columns)
