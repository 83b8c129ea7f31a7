"""V2 of the inference protocol."""

from __future__ import annotations

import base64
import json
import math
import struct
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import MalformedError, RequestError, TooLargeError
from exporter.payloads.columns import AnswerColumns, RequestColumns
from exporter.payloads.inference_v2 import is_v2, read_request, read_response, split_binary
from exporter.payloads.outputs import OutputNames
from exporter.settings import Settings
from tests.support.kserve_logger import serialize, v2_request, v2_response, v2_tensor, with_binary

SETTINGS = Settings()


def read(body: bytes) -> RequestColumns:
    head, binary = split_binary(body)
    return read_request(json.loads(head), binary, SETTINGS)


def features(*tensors: dict[str, Any]) -> dict[str, list[Any]]:
    return read(v2_request(*tensors)).features


# -- JSON ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "data"),
    [
        pytest.param([2], [1, 2], id="vector"),
        pytest.param([2, 1], [1, 2], id="flat column"),
        pytest.param([2, 1], [[1], [2]], id="nested column"),
        pytest.param([2, 1, 1], [[[1]], [[2]]], id="nested deeper"),
    ],
)
def test_a_tensor_of_one_value_a_row_is_a_column(shape: list[int], data: list[Any]) -> None:
    assert features(v2_tensor("age", "INT64", shape, data)) == {"age": [1, 2]}


@pytest.mark.parametrize(
    "data", [pytest.param([1, 2, 3, 4, 5, 6], id="flat"), pytest.param([[1, 2, 3], [4, 5, 6]], id="nested")]
)
def test_a_wider_tensor_has_a_column_for_each_place(data: list[Any]) -> None:
    found = read(v2_request(v2_tensor("input-0", "FP32", [2, 3], data)))
    assert (found.features, found.positional) == ({"0": [1, 4], "1": [2, 5], "2": [3, 6]}, True)


def test_several_tensors_are_side_by_side() -> None:
    numbers = v2_tensor("numbers", "FP32", [2, 2], [1, 2, 3, 4])
    found = read(v2_request(numbers, v2_tensor("city", "BYTES", [2, 1], ["Rome", None])))
    assert found.features == {"numbers_0": [1, 3], "numbers_1": [2, 4], "city": ["Rome", None]}
    assert found.positional


@pytest.mark.parametrize(
    ("content_type", "given_values", "expected"),
    [
        pytest.param("str", ["DE", "FR"], ["DE", "FR"], id="str"),
        pytest.param("np", [1.5, None], [1.5, None], id="np"),
        pytest.param("datetime", ["2026-11-30T10:00:00", None], ["2026-11-30T10:00:00", None], id="datetime"),
        pytest.param("base64", ["REU=", "no base64"], ["DE", "no base64"], id="base64"),
        pytest.param("base64", [base64.b64encode(b"\xff\xfe").decode(), None], ["//4=", None], id="bytes"),
        pytest.param("pd_json", ["[1, 2]", "null"], [[1, 2], None], id="pd_json"),
        pytest.param("unheard", ["DE", 1], ["DE", 1], id="unknown"),
    ],
)
def test_content_types_of_mlserver(content_type: str, given_values: list[Any], expected: list[Any]) -> None:
    assert features(v2_tensor("a", "BYTES", [2, 1], given_values, content_type=content_type)) == {
        "a": expected
    }


def test_a_single_text_may_be_no_list() -> None:
    assert read_request(
        {"inputs": [{"name": "a", "shape": [5], "datatype": "BYTES", "data": "hello"}]}, b"", SETTINGS
    ).features == {"a": ["hello"]}


def test_it_is_told_from_v1() -> None:
    assert is_v2(json.loads(v2_request(v2_tensor("a", "INT8", [1], [1]))))
    assert is_v2(json.loads(v2_response(v2_tensor("a", "INT8", [1], [1]))))
    for document in ({"inputs": [[1]]}, {"inputs": [{"a": 1}]}, {"inputs": {"a": [1]}}, {"outputs": [1]}, {}):
        assert not is_v2(document)


# -- answers ------------------------------------------------------------------------------------------------


def answer(*tensors: dict[str, Any], names: OutputNames | None = None) -> AnswerColumns:
    classes = ("no", "yes")
    return read_response(json.loads(v2_response(*tensors)), b"", 2, names or OutputNames(), classes)


PREDICT = v2_tensor("predict", "INT64", [2, 1], [0, 1])
PROBA = v2_tensor("predict_proba", "FP64", [2, 2], [0.75, 0.25, 0.5, 0.5])
ROWS = [[0.75, 0.25], [0.5, 0.5]]


def test_predictions_and_probabilities_are_found_by_their_names() -> None:
    assert answer(PREDICT) == AnswerColumns([0, 1])
    assert answer(PREDICT, PROBA) == AnswerColumns([0, 1], ROWS)
    assert answer(PROBA, PREDICT) == AnswerColumns([0, 1], ROWS)
    labels = v2_tensor("output_label", "BYTES", [2], ["no", "yes"])
    assert answer(labels, {**PROBA, "name": "output_probability"}) == AnswerColumns(["no", "yes"], ROWS)


def test_probabilities_alone_predict_the_most_likely_class() -> None:
    assert answer(PROBA) == AnswerColumns(["no", "no"], ROWS)
    assert answer({**PROBA, "name": "output__0"}) == AnswerColumns(["no", "no"], ROWS)


def test_a_score_alone_is_the_prediction_too() -> None:
    found = answer(v2_tensor("probability", "FP32", [2], [0.25, 0.75]))
    assert found.prediction is found.score
    assert found.score == [0.25, 0.75]


def test_outputs_may_be_named() -> None:
    one, other = v2_tensor("a", "INT64", [2], [0, 1]), v2_tensor("b", "INT64", [2], [1, 1])
    assert answer(one, other).prediction == [0, 1]
    assert answer(one, other, names=OutputNames("b", "a")) == AnswerColumns([1, 1], [0, 1])


# -- binary tensors -----------------------------------------------------------------------------------------

VALUES: dict[str, list[Any]] = {
    "BOOL": [True, False, True],
    "UINT8": [0, 255, 7],
    "UINT16": [0, 65535, 7],
    "UINT32": [0, 2**32 - 1, 7],
    "UINT64": [0, 2**64 - 1, 7],
    "INT8": [-128, 127, 0],
    "INT16": [-(2**15), 2**15 - 1, 0],
    "INT32": [-(2**31), 2**31 - 1, 0],
    "INT64": [-(2**63), 2**63 - 1, 0],
    "FP16": [0.5, -65504.0, 0.0],
    "BF16": [0.5, -2.0, 1.0],
    "FP32": [0.5, -1.25, 0.0],
    "FP64": [0.1, -1e300, 0.0],
    "BYTES": ["Rome", "", "Zürich"],
}


@pytest.mark.parametrize("datatype", VALUES)
def test_every_datatype_is_read_behind_the_json(datatype: str) -> None:
    values = VALUES[datatype]
    before = v2_tensor("first", "BYTES", [3], ['a"}', "{", "b\\"])
    body = with_binary(v2_request(before, v2_tensor("x", datatype, [3, 1], values)), "inputs")
    found = read(body).features
    assert found == {"first": ['a"}', "{", "b\\"], "x": values}
    assert [type(value) for value in found["x"]] == [type(value) for value in values]


def test_json_and_binary_tensors_may_be_mixed() -> None:
    binary = with_binary(v2_request(v2_tensor("b", "FP32", [2, 2], [1.0, 2.0, 3.0, 4.0])), "inputs")
    head, behind = split_binary(binary)
    document = json.loads(head)
    document["inputs"].insert(0, v2_tensor("a", "INT64", [2], [7, 8]))
    found = read_request(document, behind, SETTINGS).features
    assert found == {"a": [7, 8], "b_0": [1.0, 3.0], "b_1": [2.0, 4.0]}


def test_bytes_that_are_no_text_are_shown_in_base64() -> None:
    raw = b"\xff\xfe"
    tensor = {"name": "a", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": 6}}
    found = read_request({"inputs": [tensor]}, struct.pack("<I", 2) + raw, SETTINGS)
    assert found.features == {"a": [base64.b64encode(raw).decode()]}


def test_numbers_that_are_none_stay() -> None:
    found = features(v2_tensor("a", "FP32", [1], [1.0]))
    assert found == {"a": [1.0]}
    body = with_binary(v2_request(v2_tensor("a", "FP32", [3], [math.nan, math.inf, -math.inf])), "inputs")
    assert str(read(body).features["a"]) == "[nan, inf, -inf]"


@given(st.binary(max_size=200), st.text(max_size=20))
def test_the_end_of_the_json_is_found_whatever_is_behind(behind: bytes, text: str) -> None:
    head = json.dumps(
        {"inputs": [{"name": text, "a": {"b": ["}", {"c": text}]}}]}, ensure_ascii=False
    ).encode()
    assert split_binary(head + behind) == (head, behind)
    assert split_binary(head + behind, len(head)) == (head, behind)


@given(st.lists(st.floats(width=16), min_size=1, max_size=20))
def test_half_precision_is_numpys(values: list[float]) -> None:
    tensor = v2_tensor("a", "FP16", [len(values)], values)
    found = read(with_binary(v2_request(tensor), "inputs")).features["a"]
    assert np.array_equal(found, np.array(values, np.float16), equal_nan=True)


# -- what is refused ----------------------------------------------------------------------------------------


def tensor_of(**changed: Any) -> dict[str, Any]:
    given_keys = {"name": "a", "shape": [2], "datatype": "FP32", "data": [1.0, 2.0], **changed}
    return {name: value for name, value in given_keys.items() if value is not ...}


@pytest.mark.parametrize(
    "tensor",
    [
        pytest.param(tensor_of(name=7), id="name"),
        pytest.param(tensor_of(name=...), id="no name"),
        pytest.param(tensor_of(name="\ud800"), id="no Unicode"),
        pytest.param(tensor_of(shape=...), id="no shape"),
        pytest.param(tensor_of(shape="2"), id="shape"),
        pytest.param(tensor_of(shape=[2.0]), id="a float as dimension"),
        pytest.param(tensor_of(shape=[True, 2]), id="a boolean as dimension"),
        pytest.param(tensor_of(shape=[-1]), id="a negative dimension"),
        pytest.param(tensor_of(shape=[0]), id="no rows"),
        pytest.param(tensor_of(shape=[2, 0]), id="no columns"),
        pytest.param(tensor_of(shape=[3]), id="more than the data"),
        pytest.param(tensor_of(shape=[1]), id="less than the data"),
        pytest.param(tensor_of(shape=[2**40]), id="a huge dimension"),
        pytest.param(tensor_of(shape=[2**30] * 32), id="huge dimensions"),
        pytest.param(tensor_of(shape=[1] * 33), id="many dimensions"),
        pytest.param(tensor_of(shape=[1, 20_000], data=[0] * 20_000), id="too wide"),
        pytest.param(tensor_of(data=...), id="no data"),
        pytest.param(tensor_of(data=1.0), id="data"),
        pytest.param(tensor_of(shape=[2, 1], data=[[1.0], 2.0]), id="half nested"),
        pytest.param(tensor_of(shape=[2, 2], data=[[1, 2], [3]]), id="ragged"),
        pytest.param(tensor_of(shape=[4], data=[[1, 2], [3, 4]]), id="nested otherwise"),
        pytest.param(tensor_of(parameters=[]), id="parameters"),
        pytest.param(
            tensor_of(data=["{"] * 2, parameters={"content_type": "pd_json"}), id="no JSON in pd_json"
        ),
        pytest.param(tensor_of(data=["[" * 100_000] * 2, parameters={"content_type": "pd_json"}), id="deep"),
    ],
)
def test_shapes_that_do_not_match_their_data_are_refused(tensor: dict[str, Any]) -> None:
    with pytest.raises(MalformedError):
        read_request({"inputs": [tensor]}, b"", SETTINGS)


def test_many_values_are_refused_before_memory_is_taken() -> None:
    document = {"inputs": [tensor_of(shape=[2**31 - 1, 4096], data=..., parameters={"binary_data_size": 4})]}
    tracemalloc.start()
    try:
        with pytest.raises(TooLargeError):
            read_request(document, b"1234", SETTINGS)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("changed", "binary"),
    [
        pytest.param({"size": 7}, b"1234567", id="not the shape's"),
        pytest.param({"size": 8}, b"1234567", id="truncated"),
        pytest.param({"size": 8}, b"123456789", id="bytes left"),
        pytest.param({"size": -8}, b"12345678", id="negative"),
        pytest.param({"size": 8.0}, b"12345678", id="a float"),
        pytest.param({"size": True}, b"1", id="a boolean"),
        pytest.param({"size": 2**70}, b"12345678", id="huge"),
        pytest.param({"size": "8"}, b"12345678", id="a text"),
        pytest.param({"size": 8, "datatype": "FP128"}, b"12345678", id="an unknown datatype"),
        pytest.param({"size": 8, "datatype": None}, b"12345678", id="no datatype"),
        pytest.param({"size": 8, "datatype": "BYTES"}, b"\0\0\0\0\x01\0\0\0", id="a text that is not there"),
        pytest.param({"size": 6, "datatype": "BYTES"}, b"\x02\0\0\0ab", id="one text of two"),
        pytest.param({"size": 8, "datatype": "BYTES"}, b"\xff\xff\xff\xff\0\0\0\0", id="a huge length"),
        pytest.param({"size": 9, "datatype": "BYTES"}, b"\0\0\0\0\0\0\0\0x", id="bytes behind the texts"),
        pytest.param({"size": 10, "datatype": "BYTES"}, b"\x04\0\0\0abcd\0\0", id="half a length"),
    ],
)
def test_lying_sizes_are_refused(changed: dict[str, Any], binary: bytes) -> None:
    other = {name: value for name, value in changed.items() if name != "size"}
    tensor = tensor_of(data=..., parameters={"binary_data_size": changed["size"]}, **other)
    with pytest.raises(MalformedError):
        read_request({"inputs": [tensor]}, binary, SETTINGS)


@pytest.mark.parametrize(
    "document",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"inputs": []}, id="no tensors"),
        pytest.param({"inputs": 7}, id="no list"),
        pytest.param({"inputs": [7]}, id="no tensor"),
        pytest.param({"inputs": [tensor_of(), tensor_of()]}, id="a name twice"),
        pytest.param({"inputs": [tensor_of(), tensor_of(name="b", shape=[1], data=[1])]}, id="other rows"),
        pytest.param({"inputs": [tensor_of()] * 20_000}, id="too many tensors"),
    ],
)
def test_documents_that_are_no_request_are_refused(document: dict[str, Any]) -> None:
    with pytest.raises(MalformedError):
        read_request(document, b"", SETTINGS)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\x00\x01", id="binary"),
        pytest.param(b'{"inputs": [', id="truncated"),
        pytest.param(b"[1]\x00", id="a list"),
        pytest.param(b"[" * 100_000, id="nested"),
        pytest.param(b'{"a":' * 100_000, id="nested objects"),
        pytest.param(b'{"a": 1' + b"0" * 5000 + b"}", id="a long number"),
    ],
)
def test_bodies_that_begin_with_no_object_are_refused(body: bytes) -> None:
    with pytest.raises(MalformedError):
        split_binary(body)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**40) | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["name", "shape", "datatype", "data", "parameters", "x"]), inner)
    ),
    max_leaves=10,
)
TENSORS = st.fixed_dictionaries(
    {},
    optional={
        "name": st.text(max_size=3) | JSON,
        "shape": st.lists(st.integers(-1, 4), max_size=3) | JSON,
        "datatype": st.sampled_from([*VALUES, "X"]) | JSON,
        "data": st.lists(st.integers() | st.text(max_size=3), max_size=8) | JSON,
        "parameters": st.fixed_dictionaries(
            {}, optional={"binary_data_size": st.integers(-1, 40) | JSON, "content_type": st.text() | JSON}
        ),
    },
)


@given(st.lists(TENSORS | JSON, max_size=3), st.binary(max_size=40))
def test_anything_is_read_or_refused(tensors: list[Any], binary: bytes) -> None:
    for read_it in (
        lambda: read_request({"inputs": tensors}, binary, SETTINGS),
        lambda: read_response({"outputs": tensors}, binary, 2),
    ):
        try:
            found = read_it()
        except RequestError:
            continue
        columns = found.features.values() if isinstance(found, RequestColumns) else [found.prediction]
        assert len({len(values) for values in columns}) == 1


def test_the_sender_serializes_as_numpy_does() -> None:
    assert serialize([1, 2], "INT16") == b"\x01\x00\x02\x00"
    assert serialize(["ab"], "BYTES") == b"\x02\x00\x00\x00ab"
    assert serialize([1.0], "BF16") == b"\x80\x3f"
