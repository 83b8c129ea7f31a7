"""The decorator around functions that predict."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from operator import itemgetter
from typing import Any

import numpy as np
import pytest

from exporter.client import Monitor
from exporter.errors import ConfigError
from tests.support.fakes import TIMEOUT_SECONDS
from tests.support.scripted_exporter import ScriptedExporter

Monitoring = Callable[..., Monitor]


def sent(monitor: Monitor, scripted: ScriptedExporter) -> list[dict[str, Any]]:
    assert monitor.flush(TIMEOUT_SECONDS)
    return scripted.rows


def test_a_call_is_sent_with_its_latency(monitoring: Monitoring, scripted: ScriptedExporter) -> None:
    monitor = monitoring()

    @monitor.watch
    def predict(features: dict[str, Any]) -> int:
        """Predict."""
        features["age"] = -1  # after it was copied
        return 1

    assert predict({"age": 40}) == 1
    (row,) = sent(monitor, scripted)
    assert (row["features"], row["prediction"]) == ({"age": 40}, 1)
    assert 0 < row["latency_seconds"] < TIMEOUT_SECONDS
    assert (predict.__name__, predict.__doc__) == ("predict", "Predict.")
    assert list(inspect.signature(predict).parameters) == ["features"]


def test_arguments_and_results_are_found_by_name(monitoring: Monitoring, scripted: ScriptedExporter) -> None:
    monitor = monitoring(feature_names=["age"])

    class Service:
        @monitor.watch(features="inputs", id="request_id", prediction=itemgetter(0), score=itemgetter(1))
        def predict(self, limit: float, inputs: Any = (40,), *, request_id: str = "none") -> tuple[Any, Any]:
            return [1] * len(inputs), [limit] * len(inputs)

    service = Service()
    service.predict(0.5, np.array([[41]]), request_id="a")
    service.predict(0.25, inputs=np.array([[42]]))
    service.predict(0.75)
    rows = [(row["features"]["age"], row["id"], row["score"]) for row in sent(monitor, scripted)]
    assert sorted(rows) == [(40, "none", 0.75), (41, "a", 0.5), (42, "none", 0.25)]


def test_an_error_is_raised_as_ever_and_its_rows_are_unanswered(
    monitoring: Monitoring, scripted: ScriptedExporter
) -> None:
    monitor = monitoring()

    @monitor.watch(prediction=itemgetter("class"))
    def predict(rows: list[dict[str, int]]) -> dict[str, Any]:
        raise error

    error = KeyError("age")
    with pytest.raises(KeyError) as found:
        predict([{"age": 40}, {"age": 41}])
    assert found.value is error
    assert [row["prediction"] for row in sent(monitor, scripted)] == [None, None]
    assert monitor.dropped == {}


def test_coroutines_are_watched(monitoring: Monitoring, scripted: ScriptedExporter) -> None:
    monitor = monitoring()

    @monitor.watch
    async def predict(features: dict[str, int]) -> int:
        await asyncio.sleep(0)
        return 1 // features["age"]

    async def serve() -> None:
        assert await predict({"age": 1}) == 1
        with pytest.raises(ZeroDivisionError):
            await predict({"age": 0})
        task = asyncio.create_task(predict({"age": 2}))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(serve())
    assert inspect.iscoroutinefunction(predict)
    assert [(r["features"]["age"], r["prediction"]) for r in sent(monitor, scripted)] == [(1, 1), (0, None)]


class Wordless:
    """Features whose copy fails with an error that has no text."""

    def model_dump(self) -> None:
        raise self.Error

    class Error(Exception):
        def __str__(self) -> str:
            raise RuntimeError


def test_what_cannot_be_read_is_dropped_and_the_result_returned(
    monitoring: Monitoring, scripted: ScriptedExporter
) -> None:
    monitor = monitoring()
    predict = monitor.watch(score=itemgetter("score"))(lambda features: 1)
    assert predict(None) == 1
    assert predict(Wordless()) == 1
    assert predict({"age": 40}) == 1
    assert sent(monitor, scripted) == []
    assert monitor.dropped == {"invalid": 3}
    with pytest.raises(TypeError, match="missing 1 required"):
        predict()


def stream(features: Any) -> Iterator[int]:
    yield 1


async def stream_async(features: Any) -> AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize(
    ("function", "options", "said"),
    [
        (stream, {}, "a generator cannot be watched"),
        (stream_async, {}, "a generator cannot be watched"),
        (lambda: 1, {}, "takes no features"),
        (lambda features: 1, {"features": "rows"}, "no argument `rows`"),
        (lambda features: 1, {"id": "request"}, "no argument `request`"),
    ],
    ids=["generator", "async generator", "no argument", "another argument", "another id"],
)
def test_functions_that_cannot_be_watched_are_told(
    monitoring: Monitoring, function: Any, options: dict[str, str], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        monitoring().watch(**options)(function)
