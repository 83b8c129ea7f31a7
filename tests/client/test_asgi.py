"""The middleware: what the service's client gets is the service's own, whatever comes."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, cast

import pytest

from exporter.client.asgi import App, Message, MonitoringMiddleware, Receive, Scope, Send
from exporter.client.columns import Columns
from exporter.client.in_flight import InFlight
from exporter.client.monitor import Monitor
from exporter.client.uploads import Item
from exporter.errors import ConfigError

JSON = (b"content-type", b"application/json")
ROWS = {"dataframe_split": {"columns": ["age", "city"], "data": [[41, "Rome"], [27, "Oslo"]]}}
ANSWER = {"predictions": [1, 0]}


class Recorder:
    """A monitor that keeps what it is given."""

    def __init__(self) -> None:
        self.in_flight = InFlight()
        self.feature_names: tuple[str, ...] = ()
        self.exit_seconds = 5.0
        self.items: list[Item] = []
        self.dropped: list[tuple[str, int]] = []
        self.started = self.flushed = 0

    def start(self) -> None:
        self.started += 1

    def submit(self, item: Item) -> None:
        self.items.append(item)

    def drop(self, reason: str, rows: int, detail: str = "") -> None:
        self.dropped.append((reason, rows))

    def flush(self, timeout_seconds: float) -> bool:
        self.flushed += 1
        return True

    def columns(self) -> Columns:
        (item,) = self.items
        return item.columns()


def around(app: App, recorder: Recorder, **options: Any) -> MonitoringMiddleware:
    return MonitoringMiddleware(app, cast(Monitor, recorder), **options)


def answering(
    status: int = 200,
    answer: object = ANSWER,
    *,
    headers: Iterable[tuple[bytes, bytes]] = (JSON,),
    chunks: int = 1,
) -> App:
    """A service that reads the request and answers, in parts."""
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": status, "headers": list(headers)})
        size = -(-len(body) // chunks) or 1
        for start in range(0, max(len(body), 1), size):
            more = start + size < len(body)
            part = {"type": "http.response.body", "body": body[start : start + size], "more_body": more}
            await send(part)

    return app


def parts(body: bytes, chunks: int = 1) -> list[Message]:
    size = -(-len(body) // chunks) or 1
    starts = range(0, max(len(body), 1), size)
    return [
        {"type": "http.request", "body": body[start : start + size], "more_body": start + size < len(body)}
        for start in starts
    ]


def call(
    app: App,
    body: object = ROWS,
    *,
    headers: Iterable[tuple[bytes, bytes]] = (JSON,),
    path: str = "/invocations",
    chunks: int = 1,
    messages: list[Message] | None = None,
    sending: Callable[[Message], Awaitable[None]] | None = None,
    **scope: Any,
) -> list[Message]:
    """Messages that the service's client gets for a request."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    coming = [*(parts(content, chunks) if messages is None else messages), {"type": "http.disconnect"}]
    sent: list[Message] = []

    async def receive() -> Message:
        return coming.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)
        if sending is not None:
            await sending(message)

    described = {"type": "http", "method": "POST", "path": path, "headers": list(headers), **scope}
    asyncio.run(cast("Any", app(described, receive, send)))
    return sent


def content(sent: list[Message]) -> bytes:
    return b"".join(message["body"] for message in sent[1:])


def test_rows_of_a_request_become_predictions_with_latency() -> None:
    recorder = Recorder()

    sent = call(around(answering(), recorder), chunks=5)

    columns = recorder.columns()
    (header,) = [value for name, value in sent[0]["headers"] if name == b"x-prediction-id"]
    assert columns.features == {"age": [41, 27], "city": ["Rome", "Oslo"]}
    assert columns.own["prediction"] == [1, 0]
    assert columns.own["id"] == [f"{header.decode()}/0", f"{header.decode()}/1"]
    latencies = cast("list[float]", columns.own["latency_seconds"])
    assert len(latencies) == 2
    assert 0 < latencies[0] < 60
    assert len(recorder.in_flight) == 0


@pytest.mark.parametrize("chunks", [1, 3])
def test_the_answer_is_passed_on_as_it_is(chunks: int) -> None:
    app = answering(chunks=chunks)
    plain = call(app)
    sent = call(around(app, Recorder()))

    assert sent[1:] == plain[1:]
    assert sent[0]["headers"][:-1] == plain[0]["headers"]
    assert {**sent[0], "headers": []} == {**plain[0], "headers": []}


def test_a_given_id_is_that_of_the_row_and_comes_back_in_no_header() -> None:
    recorder = Recorder()
    headers = [JSON, (b"x-prediction-id", b"order-7")]

    sent = call(
        around(answering(answer={"predictions": [1]}), recorder), {"inputs": [{"a": 1}]}, headers=headers
    )

    assert recorder.columns().own["id"] == ["order-7"]
    assert sent[0]["headers"] == [JSON]


@pytest.mark.parametrize("bad", [b"", b"x" * 300, b"a\tb", b"  "])
def test_an_unusable_id_is_replaced(bad: bytes) -> None:
    recorder = Recorder()

    sent = call(around(answering(), recorder), headers=[JSON, (b"x-prediction-id", bad)])

    made = dict(sent[0]["headers"])[b"x-prediction-id"].decode()
    assert len(made) == 32
    assert recorder.columns().own["id"] == [f"{made}/0", f"{made}/1"]


def test_an_id_that_the_service_answers_with_is_used() -> None:
    recorder = Recorder()
    app = answering(headers=[JSON, (b"X-Prediction-Id", b"mine")])

    sent = call(around(app, recorder))

    assert recorder.columns().own["id"] == ["mine/0", "mine/1"]
    assert sent[0]["headers"] == [JSON, (b"X-Prediction-Id", b"mine")]


def test_ids_from_a_column_are_no_feature() -> None:
    recorder = Recorder()
    body = {"dataframe_records": [{"key": "a", "age": 1}, {"key": None, "age": 2}]}

    sent = call(around(answering(), recorder, id_column="key"), body)

    columns = recorder.columns()
    assert columns.own["id"] == ["a", None]
    assert list(columns.features) == ["age"]
    assert sent[0]["headers"] == [JSON]


@pytest.mark.parametrize("status", [500, 503, 504, 400, 422])
def test_a_request_that_failed_is_unanswered(status: int) -> None:
    recorder = Recorder()

    call(around(answering(status, {"error": "no"}), recorder))

    columns = recorder.columns()
    assert columns.own["prediction"] == [None, None]
    assert columns.features["age"] == [41, 27]


@pytest.mark.parametrize("status", [204, 301, 401, 403, 404, 413, 415, 429])
def test_other_answers_are_no_predictions(status: int) -> None:
    recorder = Recorder()

    call(around(answering(status, b""), recorder))

    assert [item.columns().own.get("prediction") for item in recorder.items] == [None] * len(recorder.items)
    assert recorder.dropped == ([("unreadable", 1)] if status == 204 else [])


@pytest.mark.parametrize("status", [400, 422, 500])
def test_junk_that_was_refused_is_nothing_to_monitor(status: int) -> None:
    recorder = Recorder()

    call(around(answering(status), recorder), b"\xff\xfe{nonsense")

    assert recorder.columns().rows == 0
    assert recorder.dropped == ([("unreadable", 1)] if status == 500 else [])


class ModelError(Exception):
    pass


@pytest.mark.parametrize(
    "error", [ModelError("x"), KeyboardInterrupt(), SystemExit(3), asyncio.CancelledError()]
)
@pytest.mark.parametrize("begun", [False, True])
def test_an_exception_of_the_service_is_raised_again(error: BaseException, begun: bool) -> None:
    recorder = Recorder()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        if begun:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        raise error

    with pytest.raises(type(error)) as raised:
        call(around(app, recorder))

    assert raised.value is error or isinstance(error, asyncio.CancelledError)
    assert len(recorder.in_flight) == 0
    assert recorder.dropped == []
    if isinstance(error, ModelError):
        assert recorder.columns().own["prediction"] == [None, None]
    else:  # the process ends
        assert recorder.items == []


def test_an_exception_after_the_answer_does_not_change_it() -> None:
    recorder = Recorder()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answering()(scope, receive, send)
        raise ModelError  # in a task in the background

    with pytest.raises(ModelError):
        call(around(app, recorder))

    assert recorder.columns().own["prediction"] == [1, 0]


def test_a_client_that_hangs_up_before_the_answer_is_no_failure_of_the_model() -> None:
    recorder = Recorder()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        raise ModelError

    with pytest.raises(ModelError):
        call(around(app, recorder))
    with pytest.raises(ModelError):  # in the middle of the request
        call(around(app, recorder), messages=parts(b"{", 1)[:0])

    assert (recorder.items, recorder.dropped, len(recorder.in_flight)) == ([], [], 0)


def test_a_client_that_hangs_up_at_the_last_part_was_answered() -> None:
    recorder = Recorder()

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.body":
            raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        call(around(answering(), recorder), sending=sending)

    assert recorder.columns().own["prediction"] == [1, 0]


def test_a_client_that_hangs_up_within_the_answer_counts_nothing() -> None:
    recorder = Recorder()

    async def sending(message: Message) -> None:
        if message.get("more_body"):
            raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        call(around(answering(chunks=3), recorder), sending=sending)

    assert (recorder.items, recorder.dropped) == ([], [])


@pytest.mark.parametrize(
    ("body", "answer"),
    [(b"x" * 2000, ANSWER), (ROWS, b"x" * 2000), (b"x" * 2000, b"x" * 2000)],
    ids=["request", "answer", "both"],
)
@pytest.mark.parametrize("chunks", [1, 7])
@pytest.mark.parametrize("announced", [False, True])
def test_large_bodies_pass_and_are_counted(
    body: object, answer: object, chunks: int, announced: bool
) -> None:
    recorder = Recorder()
    size = (b"content-length", b"2000")
    app = answering(
        answer=answer, chunks=chunks, headers=[size] if announced and isinstance(answer, bytes) else []
    )
    headers = [JSON, size] if announced and isinstance(body, bytes) else [JSON]

    sent = call(around(app, recorder, max_body_bytes=1000), body, chunks=chunks, headers=headers)

    assert b"".join(message["body"] for message in sent[1:]) == b"".join(
        m["body"] for m in call(app, body)[1:]
    )
    assert (recorder.items, recorder.dropped) == ([], [("too_large", 1)])


def test_what_all_requests_hold_at_once_is_bounded() -> None:
    recorder = Recorder()
    middleware = around(answering(), recorder, max_captured_bytes=1000)

    call(middleware, b"x" * 2000)
    call(middleware, chunks=20)  # each chunk takes memory of its own
    call(middleware)

    assert [reason for reason, _ in recorder.dropped] == ["memory", "memory"]
    assert recorder.columns().rows == 2  # what was held before is free again


def test_compressed_bodies_are_read() -> None:
    recorder = Recorder()
    packed = gzip.compress(json.dumps(ROWS).encode())
    answer = gzip.compress(json.dumps(ANSWER).encode())
    encoding = (b"content-encoding", b"gzip")

    call(
        around(answering(answer=answer, headers=[JSON, encoding]), recorder),
        packed,
        headers=[JSON, encoding],
    )

    assert recorder.columns().own["prediction"] == [1, 0]


@pytest.mark.parametrize(
    ("body", "headers", "answer"),
    [
        (gzip.compress(bytes(2**22)), [JSON, (b"content-encoding", b"gzip")], ANSWER),
        (gzip.compress(b"{}")[:-9], [JSON, (b"content-encoding", b"gzip")], ANSWER),
        (b"{}", [JSON, (b"content-encoding", b"br")], ANSWER),
        (b"{}", [JSON], ANSWER),
        (b"\xff", [JSON], ANSWER),
        (b"[" * 100_000, [JSON], ANSWER),
        (b"%PDF", [(b"content-type", b"application/pdf")], ANSWER),
        (ROWS, [JSON], b"data: 1\n\ndata: 2\n\n"),
        (ROWS, [JSON], {"predictions": [1]}),
        (ROWS, [JSON], b""),
    ],
    ids=[
        "bomb", "truncated", "encoding", "no form", "no text", "nested", "type", "stream", "rows", "empty",
    ],
)  # fmt: skip
def test_an_answered_request_that_cannot_be_read_is_counted(
    body: object, headers: list[tuple[bytes, bytes]], answer: object
) -> None:
    recorder = Recorder()

    call(around(answering(answer=answer), recorder, max_body_bytes=2**18), body, headers=headers)

    assert recorder.columns().rows == 0
    assert recorder.dropped == [("unreadable", 1)]


def test_nan_and_infinity_are_read() -> None:
    recorder = Recorder()

    call(around(answering(answer=b'{"predictions": [NaN, Infinity]}'), recorder), {"inputs": [[1.5], [2]]})

    first, second = cast("list[float]", recorder.columns().own["prediction"])
    assert first != first
    assert second == float("inf")


@pytest.mark.parametrize("kind", ["websocket", "lifespan", "custom"])
def test_other_scopes_are_passed_on(kind: str) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": f"{scope['type']}.done"})

    sent = call(around(app, Recorder()), type=kind)

    assert sent == [{"type": f"{kind}.done"}]


def test_the_monitor_starts_with_the_service_and_sends_what_is_queued_at_the_shutdown() -> None:
    recorder = Recorder()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "lifespan.startup.complete"})
        assert (recorder.started, recorder.flushed) == (1, 0)
        await send({"type": "lifespan.shutdown.complete"})

    call(around(app, recorder), type="lifespan")

    assert (recorder.started, recorder.flushed) == (1, 1)


@pytest.mark.parametrize(
    ("paths", "path", "scope", "captured"),
    [
        (["/invocations"], "/invocations", {}, True),
        (["/invocations"], "/invocations/", {}, False),
        (["/a", "/b"], "/b", {}, True),
        (["/models/*/infer"], "/models/fraud/infer", {}, True),
        (["/models/{name}/infer"], "/models/a.b/infer", {}, True),
        (["/models/*/infer"], "/models/a/b/infer", {}, False),
        (["/a.c"], "/abc", {}, False),
        (["/predict"], "/api/predict", {"root_path": "/api"}, True),
        (["/predict"], "/apipredict", {"root_path": "/api"}, False),
        (["/predict"], "/predict", {"method": "GET"}, False),
        ([], "", {}, False),
    ],
)
def test_requests_are_chosen_by_path_and_method(
    paths: list[str], path: str, scope: dict[str, str], captured: bool
) -> None:
    recorder = Recorder()

    call(around(answering(), recorder, paths=paths), path=path, **scope)

    assert bool(recorder.items) == captured


def test_paths_are_a_list() -> None:
    with pytest.raises(ConfigError):
        around(answering(), Recorder(), paths="/invocations")


def test_a_service_that_does_not_read_its_request_has_no_prediction() -> None:
    recorder = Recorder()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})

    call(around(app, recorder))

    assert (recorder.items, recorder.dropped) == ([], [])


def test_an_error_of_the_monitor_is_none_of_the_service() -> None:
    class Broken(Recorder):
        def submit(self, item: Item) -> None:
            raise ModelError

        def start(self) -> None:
            raise RuntimeError("can't start new thread")

    recorder = Broken()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "lifespan.startup.complete"})

    assert call(around(app, recorder), type="lifespan") == [{"type": "lifespan.startup.complete"}]
    assert call(around(answering(), recorder))[1]["body"] == json.dumps(ANSWER).encode()
    assert len(recorder.in_flight) == 0


def test_requests_are_in_flight_until_they_are_answered() -> None:
    recorder = Recorder()
    seen = []

    async def sending(message: Message) -> None:
        seen.append(len(recorder.in_flight))

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answering()(scope, receive, send)
        seen.append(len(recorder.in_flight))  # a task in the background

    call(around(app, recorder), sending=sending)

    assert seen == [1, 1, 0]
