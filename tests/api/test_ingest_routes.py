"""`POST /v1/predictions`."""

from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import httpx
import orjson
import pandas as pd
import pyarrow as pa
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.api import server as api_server
from exporter.formats.raw import ARROW_TYPE, JSON_TYPE, PARQUET_TYPE
from tests.support.api_server import Server, answers, assert_problem, head, held, post, post_as
from tests.support.fakes import TIMEOUT_SECONDS, FakeRegistry
from tests.support.hostile import make_nested_parquet
from tests.support.rig import eventually, make_document, make_rows, make_table
from tests.support.wire import FORMATS, Predictions, to_parquet, to_stream

Serve = Callable[..., Server]
URL = "/v1/predictions"


# -- what is taken ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_is_taken_and_committed_before_the_answer(server: Server, form: str) -> None:
    values = {"age": [41.0, 27.0], "country": ["DE", None], "new": [True, False]}
    rows = Predictions(values, [1, 0], {"id": [f"{form} a", f"{form} b"]})
    answer = post_as(server, form, rows)
    assert (answer.status_code, answer.json()) == (202, {"accepted": 2, "duplicates": 0, "conflicts": 0})
    assert post_as(server, form, rows).json() == {"accepted": 0, "duplicates": 2, "conflicts": 0}


def test_a_row_with_a_date_is_one_row_in_every_format(server: Server) -> None:
    values = {
        "age": [41.0],
        "opened": [date(2026, 11, 23)],
        "seen": [datetime(2026, 11, 23, 10, 0, 0, 123456, UTC)],
        "amount": [Decimal("0.3")],
        "account": [2**60],
    }
    answers = [
        post_as(server, form, Predictions(values, [1], {"id": ["dated"], "score": [[0.25, 0.75]]})).json()
        for form in FORMATS
    ]
    assert answers[0] == {"accepted": 1, "duplicates": 0, "conflicts": 0}
    assert answers[1:] == [{"accepted": 0, "duplicates": 1, "conflicts": 0}] * (len(FORMATS) - 1)


@pytest.mark.parametrize("url", [URL, "/v1/labels"])
def test_a_parquet_body_that_ends_its_reader_is_refused_and_the_next_one_is_taken(
    server: Server, url: str
) -> None:
    def send(body: bytes) -> httpx.Response:
        query = {"model": "fraud"} if url == "/v1/labels" else {"model": "fraud", "version": "1"}
        return server.client.post(url, params=query, content=body, headers={"Content-Type": PARQUET_TYPE})

    assert_problem(send(make_nested_parquet()), 422, "Malformed", "")
    table = pa.table({"id": ["a"], "label" if url == "/v1/labels" else "prediction": [1], "age": [41.0]})
    answer = send(to_parquet(table.drop_columns(["age"]) if url == "/v1/labels" else table))
    assert (answer.status_code, answer.json()["accepted"]) == (202, 1)


def test_a_retry_with_a_key_is_recognised_by_the_parquet_that_was_sent(server: Server) -> None:
    body = to_parquet(pa.table({"age": [41.0], "prediction": [1]}))
    headers = {"Content-Type": PARQUET_TYPE, "Idempotency-Key": "k"}
    query = {"model": "fraud", "version": "1"}
    for accepted in (1, 0):
        answer = server.client.post(URL, params=query, content=body, headers=headers)
        assert (answer.status_code, answer.json()["accepted"]) == (202, accepted)
    with server.service.store._engine.connect() as connection:
        key = connection.execute(sa.text("select body from batches")).scalar_one()
    assert bytes(key) == hashlib.blake2b(body, digest_size=16).digest()


@pytest.mark.parametrize("content_type", [None, "application/json; charset=utf-8", "Application/JSON"])
def test_json_is_json_however_it_is_called(server: Server, content_type: str | None) -> None:
    body = orjson.dumps(make_document(make_rows(1)))
    headers = {"content-type": content_type} if content_type else {}
    assert server.client.post(URL, content=body, headers=headers).status_code == 202


def test_odd_values_are_facts_not_errors(server: Server) -> None:
    odd = [None, float("nan"), float("inf"), "text", True, 10**30, -0.0, [1, 2], {"a": 1}, "", "\ud800"]
    rows = [{"features": {"age": value, "new one": value}, "prediction": value} for value in odd]
    answer = post(server, json.dumps(make_document(rows)).encode())
    assert (answer.status_code, answer.json()["accepted"]) == (202, len(odd))


def test_rows_that_cannot_count_are_said(server: Server) -> None:
    rows = [*make_rows(1), *make_rows(2, timestamp="2099-01-01"), *make_rows(3, timestamp=0)]
    assert post(server, make_document(rows)).json() == {
        "accepted": 1,
        "duplicates": 0,
        "conflicts": 0,
        "dropped": {"future": 2, "too_old": 3},
    }


def test_an_idempotency_key_makes_a_batch_count_once(server: Server) -> None:
    document, key = make_document(make_rows(3)), {"idempotency-key": "batch 1"}
    assert post(server, document, headers=key).json()["accepted"] == 3
    assert post(server, document, headers=key).json() == {"accepted": 0, "duplicates": 3, "conflicts": 0}
    other = post(server, make_document(make_rows(2)), headers=key)
    assert_problem(other, 422, "Malformed", "came with another body before", "Idempotency-Key")


def test_the_same_key_at_the_same_time_counts_once(server: Server) -> None:
    document, key = make_document(make_rows(2)), {"idempotency-key": "batch 2"}
    with ThreadPoolExecutor(8) as pool:
        answers = [each.json() for each in pool.map(lambda _: post(server, document, headers=key), range(8))]
    assert sum(answer["accepted"] for answer in answers) == 2
    assert sum(answer["duplicates"] for answer in answers) == 14


def test_fifty_clients_share_a_commit(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    # What the loops ask of the writer would part the queue.
    server = serve(evaluation_interval_seconds=3600.0, mlflow_poll_interval_seconds=3600.0)
    eventually(server.service.ready.is_set)
    eventually(server.service.discovery.loader.idle)
    commit, commits = server.service.writer.commit, []

    def noting(requests: Any) -> Any:
        commits.append(sum(request.rows for request in requests))
        return commit(requests)

    monkeypatch.setattr(server.service.writer, "commit", noting)
    with ThreadPoolExecutor(50) as pool:
        with held(server):
            answers = [pool.submit(post, server, make_document(make_rows(2))) for _ in range(50)]
            eventually(lambda: server.service.telemetry.queue_rows == 100)
        assert all(answer.result(TIMEOUT_SECONDS).status_code == 202 for answer in answers)
    assert commits == [100]


# -- what is refused ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "detail", "where"),
    [
        (b"", "not JSON", ""),
        (b"{", "not JSON", ""),
        (b"[" * 100_000, "not JSON", ""),
        (b"\xff\xfe", "not JSON", ""),
        (b"[]", "must be a JSON object", ""),
        (b'{"version": "1", "predictions": []}', "`model` is required", "model"),
        (b'{"model": "fraud", "predictions": []}', "`version` or `alias`", "version"),
        (
            b'{"model": "fraud", "version": "1"}',
            "`predictions` (rows), `columns` or one of `dataframe_split`",
            "",
        ),
        (orjson.dumps(make_document([])), "no rows", "predictions"),
        (
            orjson.dumps(make_document([{"prediction": 1}])),
            "`features` is required",
            "predictions[0].features",
        ),
    ],
)
def test_malformed_bodies_are_refused_with_the_place(
    server: Server, body: bytes, detail: str, where: str
) -> None:
    assert_problem(post(server, body), 422, "Malformed", detail, where)


def test_a_key_that_nothing_reads_is_refused(server: Server) -> None:
    [good] = make_rows(1)
    refused = post(server, make_document([good, {**good, "lable": 1}]))
    assert_problem(refused, 422, "Malformed", "did you mean `label`?", "predictions[1].lable")
    refused = post(server, make_document([good], version="1") | {"timestamp": 1})
    assert_problem(refused, 422, "Malformed", "did you mean `predictions[].timestamp`?", "timestamp")
    columns = {"features": {"age": [41.0]}, "prediction": [1], "ids": ["a"]}
    refused = post(server, {"model": "fraud", "version": "1", "columns": columns})
    assert_problem(refused, 422, "Malformed", "did you mean `id`?", "columns.ids")


@pytest.mark.parametrize(
    ("document", "detail", "where"),
    [
        ({"labels": [{"id": "a", "label": 1, "when": 0}]}, "known: id, label, timestamp", "labels[0].when"),
        ({"columns": {"id": ["a"], "lable": [1]}}, "did you mean `label`?", "columns.lable"),
        ({"labels": [{"id": "a", "label": 1}], "version": "1"}, "known: labels, model", "version"),
        ({"labels": [{"id": "a", "label": 1}], "timestamp": 0}, "`labels[].timestamp`", "timestamp"),
        ({"label": [{"id": "a", "label": 1}]}, "did you mean `labels[].label`?", "label"),
        ({}, "`labels` (rows) or `columns` is required", ""),
        ({"labels": [], "columns": {}}, "either `labels` (rows) or `columns`", ""),
    ],
    ids=str,
)
def test_a_key_that_nothing_reads_is_refused_in_labels(
    server: Server, document: dict[str, Any], detail: str, where: str
) -> None:
    refused = server.client.post("/v1/labels", json={"model": "fraud", **document})
    assert_problem(refused, 422, "Malformed", detail, where)


@pytest.mark.parametrize("content_type", [ARROW_TYPE, PARQUET_TYPE])
def test_a_column_that_nothing_reads_is_refused_in_labels(server: Server, content_type: str) -> None:
    frame = pd.DataFrame({"id": ["a"], "label": [1], "lable": [1]}, index=[7])

    def post_labels(frame: pd.DataFrame, **query: str) -> httpx.Response:
        table = pa.Table.from_pandas(frame)
        body = to_parquet(table) if content_type == PARQUET_TYPE else to_stream(table)
        headers = {"content-type": content_type}
        return server.client.post("/v1/labels", content=body, headers=headers, params=query)

    refused = post_labels(frame, model="fraud")
    assert_problem(refused, 422, "Malformed", "did you mean `label`?", "schema.lable")
    good = frame[["id", "label"]]
    refused = post_labels(good, model="fraud", version="1")
    assert_problem(refused, 422, "Malformed", "known: model", "query.version")
    assert post_labels(good, model="fraud").status_code == 202


def test_too_many_columns_and_too_long_an_id_are_refused(server: Server) -> None:
    wide = [{"features": {f"c{k}": k for k in range(10_001)}, "prediction": 1}]
    assert_problem(
        post(server, make_document(wide)), 422, "Malformed", "10001 columns", "predictions[0].features"
    )
    long = make_rows(1)
    long[0]["id"] = "x" * 257
    assert_problem(post(server, make_document(long)), 422, "Malformed", "this one 257", "predictions[0].id")


@pytest.mark.parametrize(
    ("target", "detail"),
    [
        ({"model": "spam", "version": "1"}, "monitored are: fraud"),
        ({"version": "9"}, "its versions are 1, its aliases champion"),
        ({"alias": "challenger"}, "its versions are 1, its aliases champion"),
    ],
)
def test_what_is_not_monitored_is_not_found(server: Server, target: dict[str, str], detail: str) -> None:
    rejected = server.rows("rejected")
    answer = post(server, make_document(make_rows(4), **target))
    assert_problem(answer, 404, "Not monitored", detail)
    assert server.rows("rejected") == rejected + 4


def test_too_many_rows_are_refused(serve: Serve) -> None:
    server = serve(max_rows_per_request=10)
    answer = post(server, make_document(make_rows(11)))
    assert_problem(answer, 413, "Too large", "11 rows, at most 10 are taken", "predictions")


def test_a_full_queue_asks_to_come_again(serve: Serve) -> None:
    server = serve(max_queue_rows=10)
    with ThreadPoolExecutor(1) as pool, held(server):
        first = pool.submit(post, server, make_document(make_rows(8)))
        eventually(lambda: server.service.telemetry.queue_rows == 8)
        refused = post(server, make_document(make_rows(3)))
    assert_problem(refused, 429, "Overloaded", "8 rows are waiting")
    assert refused.headers["retry-after"] == "1"
    assert server.rows("rejected") == 3
    assert first.result(TIMEOUT_SECONDS).status_code == 202


def test_a_store_that_fails_is_unavailable_until_it_recovers(serve: Serve) -> None:
    server = serve()
    limits = [1, 1_000_000]
    sa.event.listen(
        server.service.store._engine,
        "checkout",
        lambda connection, *_: connection.execute(f"PRAGMA max_page_count={limits[0]}").close(),
    )
    refused = post(server, make_document(make_rows(3000, prefix="r")))
    assert_problem(refused, 503, "Unavailable", "database or disk is full")
    assert refused.headers["retry-after"] == "5"
    assert server.rows("rejected") == 3000
    limits.pop(0)
    assert post(server, make_document(make_rows(3000, prefix="r"))).json()["accepted"] == 3000


def test_a_version_that_traffic_names_is_taken_within_a_poll(serve: Serve) -> None:
    registry = FakeRegistry()
    registry.register("fraud", make_table(), alias="champion")
    registry.register("fraud", make_table())
    server = serve(registry)
    server.await_ready()
    document = make_document(make_rows(3), version="2")
    refused = post(server, document)
    assert_problem(refused, 503, "Unavailable", "was not monitored yet and will be")
    assert refused.headers["retry-after"] == "1"
    eventually(lambda: post(server, document).status_code == 202)


def test_without_a_token_other_sites_pages_are_refused(server: Server) -> None:
    def post_from(origin: str) -> int:
        return post(server, make_document(make_rows(1)), headers={"origin": origin}).status_code

    own = str(server.client.base_url).rstrip("/")
    assert [post_from("https://evil.example"), post_from("null"), post_from(own)] == [403, 403, 202]


def test_a_token_is_asked_for_where_one_is_set(
    serve: Serve, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("token") / "token"
    path.write_text("s3cret\n")
    server = serve(api_token_file=str(path))
    document = make_document(make_rows(1))
    for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "s3cret"}):
        refused = post(server, document, headers=headers)
        assert_problem(refused, 401, "Unauthorized", "Authorization: Bearer")
        assert refused.headers["www-authenticate"] == "Bearer"
        assert server.client.get("/v1/models", headers=headers).status_code == 401
    right = {"authorization": "Bearer s3cret"}
    assert post(server, document, headers=right).status_code == 202
    assert server.client.get("/v1/models", headers=right).status_code == 200
    assert server.client.get("/metrics").status_code == 200
    assert server.client.get("/-/ready").status_code == 200


TEXTS = st.text(st.characters(), max_size=3)  # half of surrogate pairs among them
BODIES = st.one_of(
    st.binary(max_size=200),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
        lambda inner: st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["model", "version", "predictions", "columns", "features", "prediction", "id", "timestamp",
                 "score", "latency_seconds", "dataframe_split", "data", "age"]
            ) | TEXTS,
            inner,
            max_size=5,
        ),
    ).map(lambda inner: json.dumps(inner).encode()),
    st.fixed_dictionaries(
        {"features": st.dictionaries(TEXTS, st.floats() | TEXTS, min_size=1)},
        optional={
            name: st.one_of(st.none(), st.integers(), st.floats(), TEXTS, st.booleans())
            for name in ("id", "timestamp", "prediction", "score", "latency_seconds", "\ud800")
        },
    ).map(lambda row: json.dumps(make_document([row])).encode()),
)  # fmt: skip


@settings(max_examples=150)
@given(body=BODIES, content_type=st.sampled_from([JSON_TYPE, ARROW_TYPE, "application/vnd.apache.parquet"]))
def test_no_body_is_an_internal_error(server: Server, body: bytes, content_type: str) -> None:
    answer = post(
        server, body, headers={"content-type": content_type}, params={"model": "fraud", "version": "1"}
    )
    assert answer.status_code in (202, 404, 413, 422), answer.text
    if answer.status_code != 202:
        assert answer.headers["content-type"] == "application/problem+json"


# -- counts of answers by status ---------------------------------------------------------------------


def test_requests_are_counted_by_the_status_of_their_answer(serve: Serve) -> None:
    server = serve(max_rows_per_request=3)

    for document in (make_document(make_rows(2)), make_document(make_rows(4)), {"model": "fraud"}):
        post(server, document)
    post(server, b"x", headers={"content-type": "text/csv"})
    server.client.post("/v1/labels", json={"model": "spam", "labels": [{"id": "a", "label": 1}]})
    assert answers(server) == {"202": 1, "413": 1, "415": 1, "422": 1}
    assert answers(server, "label") == {"404": 1}


def test_an_error_of_ours_is_counted_as_it_is_answered(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    server = serve()
    monkeypatch.setattr(server.service, "submit", None)
    failed = post(server, make_document(make_rows(1)), headers={"connection": "close"})
    assert_problem(failed, 500, "Internal error", "TypeError")
    assert answers(server) == {"500": 1}


def test_a_request_that_is_not_done_when_the_server_stops_is_unavailable(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(api_server, "SHUTDOWN_SECONDS", 0.1)
    server = serve()
    with ThreadPoolExecutor(1) as pool, held(server):
        cut_off = pool.submit(post, server, make_document(make_rows(6)))
        eventually(lambda: server.service.telemetry.queue_rows == 6)
        server.stop()
        refused = cut_off.result(TIMEOUT_SECONDS)
        assert_problem(refused, 503, "Unavailable", "the service stopped")
        assert refused.headers["retry-after"] == "5"
        assert answers(server) == {"503": 1}
    assert "Traceback" not in caplog.text


def test_a_client_that_hangs_up_during_the_commit_is_counted(serve: Serve) -> None:
    server = serve()
    body = orjson.dumps(make_document(make_rows(6, prefix="r")))
    with held(server):
        with server.connect() as connection:
            connection.sendall(head(len(body)) + body)
            eventually(lambda: server.service.telemetry.queue_rows == 6)
            connection.shutdown(socket.SHUT_RDWR)
        assert server.client.get("/-/healthy").status_code == 200
    eventually(lambda: server.rows("accepted") == 6)
    assert post(server, body).json() == {"accepted": 0, "duplicates": 6, "conflicts": 0}
    assert answers(server) == {"202": 2}
