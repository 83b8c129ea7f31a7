"""Documents and tables of predictions, and whether they are refused."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import strategies as st

from exporter.errors import RequestError
from exporter.formats.batch import Batch
from exporter.formats.predictions import decode_predictions
from exporter.formats.raw import ARROW_TYPE, JSON_TYPE, PARQUET_TYPE
from exporter.reference.bins import BinLayout, Column, ColumnKind
from exporter.settings import Settings
from tests.support.wire import (
    QUERY,
    Predictions,
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


NUMBERS = st.floats(width=64) | st.integers(-(2**53), 2**53)


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5) | st.sampled_from(
    ["1", "01", "true", "a"]
)


KINDS: list[st.SearchStrategy[Any]] = [
    st.floats(width=64),
    st.integers(-(2**53), 2**53),
    st.integers(-(2**63), 2**63 - 1),
    st.booleans(),
    st.decimals(-(10**12), 10**12, places=5),
    TEXTS,
    st.none(),
]


# What JSON has no type for is a text there, which is no time in a column of categories.
MOMENTS: list[st.SearchStrategy[Any]] = [
    st.datetimes(),
    st.datetimes(timezones=st.timezones()).filter(lambda moment: 1 < moment.year < 9999),  # in UTC, too
    st.dates(),
]


def columns_of(count: int, kinds: list[st.SearchStrategy[Any]]) -> st.SearchStrategy[list[object]]:
    """Values of one type, which every format can hold; some are missing."""
    return st.one_of([st.lists(kind | st.none(), min_size=count, max_size=count) for kind in kinds])


def scores_of(count: int) -> st.SearchStrategy[list[object]]:
    """Scores of several classes, by name or in a list; a row may lack some."""
    score = st.none() | st.floats(0, 1)
    listed = st.lists(score, min_size=2, max_size=2)
    named = st.dictionaries(st.sampled_from("xyz"), score, min_size=1)
    return st.one_of([st.lists(kind | st.none(), min_size=count, max_size=count) for kind in (listed, named)])


@st.composite
def predictions(draw: st.DrawFn, kinds: list[st.SearchStrategy[Any]] = KINDS) -> Predictions:
    count = draw(st.integers(1, 6))
    names = draw(st.lists(st.sampled_from("abcdé"), min_size=1, max_size=4, unique=True))
    features = {name: draw(columns_of(count, kinds)) for name in names}
    own = {}
    if draw(st.booleans()):
        own["score"] = draw(columns_of(count, KINDS) | scores_of(count))
    if draw(st.booleans()):
        own["id"] = [f"id {k}" for k in range(count)]
    return Predictions(features, draw(columns_of(count, KINDS)), own)
