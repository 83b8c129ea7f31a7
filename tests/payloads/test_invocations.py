"""Requests to MLflow's scoring server are read as it reads them itself."""

from __future__ import annotations

import importlib
import io
import warnings
from types import ModuleType
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.errors import MalformedError, RequestError, TooLargeError
from exporter.payloads.invocations import read_csv, read_invocation
from exporter.settings import Settings

LIMITS = Settings()


@pytest.fixture(scope="module")
def scoring_server() -> ModuleType:
    """MLflow's own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its type hints
        return importlib.import_module("mlflow.pyfunc.scoring_server")


def of_frame(frame: pd.DataFrame) -> dict[str, list[Any]]:
    """Columns as the decoder gives them, None for a missing value."""
    return {
        str(name): [None if pd.isna(value) else value for value in column.tolist()]
        for name, column in frame.items()
    }


@pytest.mark.parametrize(
    "request_to_server",
    [
        {"dataframe_split": {"columns": ["x", "y"], "data": [[1, "a"], [2, None]]}},
        {"dataframe_split": {"columns": ["x", "y"], "data": [[1, "a"], [2, "b"]], "index": [7, 9]}},
        {"dataframe_split": {"columns": [0, 1], "data": [[1, "a"], [2, "b"]]}},
        {"dataframe_split": {"columns": [10, "y"], "data": [[1, "a"], [2, "b"]], "index": None}},
        {"dataframe_split": {"data": [[1, "a"], [2, "b"]]}},
        {"dataframe_split": {"columns": None, "data": [[1.5], [None]]}},
        {"dataframe_records": [{"x": 1, "y": "a"}, {"x": 2, "y": "b"}]},
        {"dataframe_records": [{"x": 1}, {"y": "b"}]},
        {"instances": [{"x": 1, "y": "a"}, {"x": 2, "y": "b"}]},
        {"instances": [[1, 2.5], [3, 4]]},
        {"instances": ["a", "b"]},
        {"inputs": {"x": [1, 2], "y": ["a", "b"]}},
        {"inputs": [[1, 2.5], [3, 4]]},
        {"inputs": [1.5, 2]},
        {"inputs": [{"x": 1, "y": "a"}, {"x": 2, "y": "b"}]},
    ],
    ids=str,
)
def test_forms_are_read_as_mlflow_reads_them(
    scoring_server: ModuleType, request_to_server: dict[str, Any]
) -> None:
    frame = pd.DataFrame(scoring_server.infer_and_parse_data(request_to_server))

    found = read_invocation({**request_to_server, "params": {"limit": 3}}, LIMITS)

    assert (found.rows, found.features) == (2, of_frame(frame))
    named = request_to_server.get("dataframe_split", {}).get("columns") is not None
    assert found.positional == (0 in frame.columns and not named)


def test_a_single_row_may_be_given_without_lists() -> None:
    found = read_invocation({"inputs": {"x": 1, "y": "a"}}, LIMITS)

    assert (found.rows, found.features) == (1, {"x": [1], "y": ["a"]})


CELLS = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=3)
NAMES = st.lists(st.sampled_from(["a", "b", "é", "0", "x y"]), min_size=1, max_size=4, unique=True)


@st.composite
def requests_to_server(draw: st.DrawFn) -> dict[str, Any]:
    names = draw(NAMES)
    count = draw(st.integers(1, 4))
    kinds = st.sampled_from([st.text(max_size=3), st.integers(-9, 9)])  # of mixed ones pandas makes objects
    columns = {name: draw(st.lists(draw(kinds), min_size=count, max_size=count)) for name in names}
    data = [list(row) for row in zip(*columns.values(), strict=True)]
    records = [dict(zip(names, row, strict=True)) for row in data]
    return draw(
        st.sampled_from(
            [
                {"dataframe_split": {"columns": names, "data": data}},
                {"dataframe_split": {"columns": names, "data": data, "index": [*range(count)]}},
                {"dataframe_records": records},
                {"instances": records},
                {"inputs": columns},
            ]
        )
    )


@settings(max_examples=60)
@given(request_to_server=requests_to_server())
def test_any_table_is_read_as_mlflow_reads_it(
    scoring_server: ModuleType, request_to_server: dict[str, Any]
) -> None:
    frame = pd.DataFrame(scoring_server.infer_and_parse_data(request_to_server))

    assert read_invocation(request_to_server, LIMITS).features == of_frame(frame)


SPLIT = ("columns", "data", "index")
ANYTHING = st.recursive(
    CELLS | st.floats(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "data", "columns", "index"]), inner)
    ),
    max_leaves=8,
)


@settings(max_examples=200)
@given(
    form=st.sampled_from(["dataframe_split", "dataframe_records", "instances", "inputs"]), content=ANYTHING
)
def test_any_content_is_refused_or_read(form: str, content: object) -> None:
    try:
        found = read_invocation({form: content}, LIMITS)
    except RequestError:
        return
    assert found.features
    assert all(len(values) == found.rows for values in found.features.values())


@pytest.mark.parametrize("document", [None, 7, [], {}, {"messages": []}, {"inputs": [1], "instances": [1]}])
def test_a_document_has_one_form(document: object) -> None:
    with pytest.raises(MalformedError):
        read_invocation(document, LIMITS)


@pytest.mark.parametrize(
    "text",
    [
        "x,y\n1,a\n2,b\n",
        "x,y\r\n1.5,a\r\n,b",
        'x,y\n-1,"a,b"\n2,"c ""d"""\n',
        "x,y\n1e3,True\n.5,False\n",
        "x,y\nNA,\n1,null\n",
        "x,y\n123456789012345,a\n\n7,b\n",
        "\ufeffx,y\n1,2\n3,4\n",
    ],
)
def test_csv_is_read_as_mlflow_reads_it(scoring_server: ModuleType, text: str) -> None:
    frame = scoring_server.parse_csv_input(io.StringIO(text.lstrip("\ufeff")))

    assert read_csv(text.encode(), LIMITS).features == of_frame(frame)


def test_texts_that_look_like_numbers_stay_texts_in_csv() -> None:
    """As in references of CSV, whose columns they are compared with."""
    found = read_csv(b"zip,phone,key\n02116,+4930,12345678901234567890\n10001,+4940,1\n", LIMITS)

    assert found.features["zip"] == ["02116", "10001"]
    assert found.features["phone"] == ["+4930", "+4940"]
    assert found.features["key"] == ["12345678901234567890", "1"]


def test_the_index_that_pandas_writes_is_no_feature() -> None:
    assert [*read_csv(b",x\n0,1\n1,2\n", LIMITS).features] == ["x"]


@pytest.mark.parametrize(
    "body", [b"", b"x,y\n", b"x\n\xff\n", b"x,x\n1,2\n", b"x,y\n1\n", b'x\n"1\n', b"x\n" + b'"' * 400_000]
)
def test_what_is_no_csv_table_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedError):
        read_csv(body, LIMITS)


def test_csv_of_too_many_rows_is_too_large() -> None:
    with pytest.raises(TooLargeError):
        read_csv(b"x\n" + b"1\n" * 6, Settings(max_rows_per_request=5))
