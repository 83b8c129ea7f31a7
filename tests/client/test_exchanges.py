"""Bodies of exchanges -> columns: by form, or by the service's own function."""

from __future__ import annotations

import json
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from exporter.client.bodies import Body
from exporter.client.columns import Columns
from exporter.client.exchanges import Exchange, Read, Reader
from exporter.client.monitor import Monitor
from exporter.client.outbox import Entry, Outbox
from tests.client.test_asgi import Recorder

CUSTOMER = {"customer": {"age": 41, "city": "Rome"}, "request_id": "r1"}


def body(value: object, content_type: str = "application/json", **headers: str) -> Body:
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    return Body([content], len(content), content_type, **headers)


def columns(
    recorder: Recorder,
    request: Body,
    answer: Body | None,
    *,
    read: Read | None = None,
    status: int = 200,
    request_id: str = "",
    id_column: str = "",
    classes: tuple[str, ...] = (),
) -> Columns:
    reader = Reader(cast(Monitor, recorder), read, id_column, classes, 2**20)
    return Exchange(reader, request, answer, status, request_id, 0.25).columns()


def read_customer(request: Any, answer: Any) -> dict[str, Any]:
    return {
        "features": request["customer"],
        "prediction": answer["churn"],
        "score": answer["p"],
        "id": request["request_id"],
    }


def test_a_function_of_the_service_reads_its_own_forms() -> None:
    recorder = Recorder()

    found = columns(recorder, body(CUSTOMER), body({"churn": 1, "p": 0.9}), read=read_customer)

    assert found.features == {"age": [41], "city": ["Rome"]}
    assert found.own == {"prediction": [1], "score": [0.9], "id": ["r1"], "latency_seconds": [0.25]}


def test_bodies_that_may_unpack_to_much_are_read_a_few_at_a_time() -> None:
    outbox = Outbox(1000, 2**20, 500)
    reader = Reader(cast(Monitor, Recorder()), None, "", (), 2**20)
    packed = Body([b"x" * 20_000], 20_000, "application/json", "gzip")
    for request in (packed, packed, packed, body([1]), body([1])):
        exchange = Exchange(reader, request, None, 400, "", 0.25)
        assert outbox.put(Entry("prediction", exchange.rows, exchange.size_bytes, 0.0, 0.0, exchange))
    assert [len(outbox.take(500)) for _ in range(5)] == [1, 1, 1, 2, 0]


def test_the_same_function_reads_requests_that_failed() -> None:
    found = columns(Recorder(), body(CUSTOMER), None, read=read_customer, status=0)

    assert found.features == {"age": [41], "city": ["Rome"]}
    assert (found.own["prediction"], found.own.get("score"), found.own["id"]) == ([None], None, ["r1"])


@pytest.mark.parametrize(
    "features",
    [
        [{"a": 1, "b": 2.5}, {"a": 3, "b": 4.5}],
        pd.DataFrame({"a": [1, 3], "b": [2.5, 4.5]}),
        np.array([[1, 2.5], [3, 4.5]]),
    ],
    ids=["records", "frame", "array"],
)
def test_a_function_may_return_many_rows(features: object) -> None:
    recorder = Recorder()
    recorder.feature_names = ("a", "b")

    def read(request: Any, answer: Any) -> dict[str, Any]:
        return {"features": features, "prediction": np.array([0, 1])}

    found = columns(recorder, body({}), body({}), read=read, request_id="q")

    assert {name: [*values] for name, values in found.features.items()} == {"a": [1, 3], "b": [2.5, 4.5]}
    assert [*found.own["prediction"]] == [0, 1]
    assert (found.own["id"], found.own["latency_seconds"]) == (["q/0", "q/1"], [0.25, 0.25])


def test_a_function_tells_what_is_no_prediction() -> None:
    recorder = Recorder()

    assert columns(recorder, body({}), body({}), read=lambda request, answer: None).rows == 0
    assert recorder.dropped == []


@pytest.mark.parametrize(
    "read",
    [
        lambda request, answer: 1 / 0,
        lambda request, answer: 7,
        lambda request, answer: {"prediction": 1},
        lambda request, answer: {"features": {"a": 1}, "predictions": 1},
        lambda request, answer: {"features": [{"a": 1}, {"a": 2}], "prediction": [1]},
    ],
    ids=["error", "number", "no features", "unknown", "rows"],
)
def test_a_function_that_fails_costs_its_row_alone(read: Read) -> None:
    recorder = Recorder()

    assert columns(recorder, body({}), body({}), read=read).rows == 0
    assert recorder.dropped == [("unreadable", 1)]


def test_a_function_gets_bytes_of_other_types() -> None:
    def read(request: Any, answer: Any) -> dict[str, Any]:
        return {"features": {"size": len(request)}, "prediction": answer.decode()}

    image, text = body(b"\x89PNG", "image/png"), body(b"cat", "text/plain")

    found = columns(Recorder(), image, text, read=read, id_column="size")

    assert (found.own["prediction"], found.own["id"]) == (["cat"], [4])


def test_columns_without_names_take_those_of_the_monitor() -> None:
    recorder = Recorder()
    recorder.feature_names = ("age", "income")

    found = columns(recorder, body({"instances": [[41, 1.5], [27, 2.5]]}), body([1, 0]))

    assert found.features == {"age": [41, 27], "income": [1.5, 2.5]}


def test_csv_is_read_as_the_scoring_server_takes_it() -> None:
    csv = body(b"age,city\n41,Rome\n,Oslo\n", "text/csv; charset=utf-8")

    found = columns(Recorder(), csv, body({"predictions": [[0.2, 0.8], [1, 0]]}), classes=("no", "yes"))

    assert found.features == {"age": [41, None], "city": ["Rome", "Oslo"]}
    assert found.own["prediction"] == ["yes", "no"]
    assert found.own["score"] == [[0.2, 0.8], [1, 0]]


def test_the_inference_protocols_are_read() -> None:
    tensor = {"name": "x", "shape": [2, 2], "datatype": "INT64", "data": [1, 2, 3, 4]}
    outputs = {"outputs": [{"name": "predict", "shape": [2], "datatype": "INT64", "data": [1, 0]}]}

    v2 = columns(Recorder(), body({"inputs": [tensor]}), body(outputs))
    v1 = columns(Recorder(), body({"instances": [{"x": 1}, {"x": 3}]}), body({"predictions": [1, 0]}))
    serving = columns(Recorder(), body({"inputs": {"x": [1, 3]}}), body({"outputs": [1, 0]}))

    assert v2.features == {"0": [1, 3], "1": [2, 4]}
    assert v1.features == serving.features == {"x": [1, 3]}
    assert v2.own["prediction"] == v1.own["prediction"] == serving.own["prediction"] == [1, 0]


def test_binary_tensors_are_read() -> None:
    parameters = {"parameters": {"binary_data_size": 2}}
    head = {"inputs": [{"name": "x", "shape": [2], "datatype": "UINT8", **parameters}]}
    answer = {"outputs": [{"name": "predict", "shape": [2], "datatype": "UINT8", **parameters}]}

    def binary(document: object, values: bytes) -> Body:
        text = json.dumps(document).encode()
        return body(text + values, "application/octet-stream", header_length=str(len(text)))

    found = columns(Recorder(), binary(head, b"\x07\x08"), binary(answer, b"\x01\x00"))

    assert (found.features, found.own["prediction"]) == ({"x": [7, 8]}, [1, 0])
