"""The monitor: what is sent, what is dropped, and that a service notices neither."""

from __future__ import annotations

import logging
import pickle
import threading
import weakref
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest
from prometheus_client import REGISTRY

from exporter.client import Monitor
from exporter.client.uploads import is_sampled
from exporter.errors import ConfigError
from tests.support.fakes import TIMEOUT_SECONDS
from tests.support.rig import eventually
from tests.support.scripted_exporter import Reply, ScriptedExporter

Monitoring = Callable[..., Monitor]


def test_predictions_and_labels_are_sent(monitoring: Monitoring, scripted: ScriptedExporter) -> None:
    monitor = monitoring(token="s3cret")
    monitor.predictions({"age": 40}, 1, score=0.5, id="a", latency_seconds=0.25, label=0, timestamp=1000.0)
    monitor.labels("a", 1, timestamp=datetime(1970, 1, 1, 1, tzinfo=UTC))
    assert monitor.flush(TIMEOUT_SECONDS)
    assert scripted.rows == [
        {
            "id": "a",
            "timestamp": 1000.0,
            "prediction": 1,
            "score": 0.5,
            "label": 0,
            "latency_seconds": 0.25,
            "features": {"age": 40},
        },
        {"id": "a", "timestamp": 3600.0, "label": 1, "features": {}},
    ]
    assert [request.path for request in scripted.received] == ["/v1/predictions", "/v1/labels"]
    headers = scripted.received[0].headers
    assert (headers["Authorization"], headers["Content-Encoding"]) == ("Bearer s3cret", "gzip")
    assert (monitor.sent, monitor.dropped) == ({"prediction": 1, "label": 1}, {})


def test_many_rows_of_every_form_are_sent(monitoring: Monitoring, scripted: ScriptedExporter) -> None:
    monitor = monitoring(feature_names=["age"])
    frame = pd.DataFrame({"age": [1, 2]})
    for features in (frame, frame.to_dict("records"), frame.to_numpy()):
        monitor.predictions(features, np.array([[1], [0]]), score=frame["age"] / 2, id=pd.Series(["a", "b"]))
    monitor.predictions(np.array([3]), np.array([1]), score=np.array([[1.5]]), id=np.int64(3))
    monitor.labels(pd.Series(["a", "b"]), np.array([1, 0]))
    assert monitor.flush(TIMEOUT_SECONDS)
    predictions = [row for row in scripted.rows if row["features"]]
    assert sorted(row["features"]["age"] for row in predictions) == [1, 1, 1, 2, 2, 2, 3]
    assert all(row["score"] == row["features"]["age"] / 2 for row in predictions)
    assert all(row["prediction"] == row["features"]["age"] % 2 for row in predictions)
    assert [(row["id"], row["label"]) for row in scripted.rows if not row["features"]] == [("a", 1), ("b", 0)]
    assert monitor.dropped == {}


def test_the_time_is_that_of_the_call(
    monitoring: Monitoring, scripted: ScriptedExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monitor = monitoring(batch_seconds=60.0)
    for at in (100.0, 200.0):
        monkeypatch.setattr("time.time", lambda at=at: at)
        monitor.predictions({"age": 40}, 1)
        monitor.predictions([{"age": 41}], [1])
    assert monitor.flush(TIMEOUT_SECONDS)
    assert sorted(row["timestamp"] for row in scripted.rows) == [100.0, 100.0, 200.0, 200.0]


class Rude:
    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __str__(self) -> str:
        raise RuntimeError


WRONG: dict[str, Callable[[Monitor], object]] = {
    "no features": lambda monitor: monitor.predictions(None, 1),
    "an object": lambda monitor: monitor.predictions(Rude(), 1),
    "lengths": lambda monitor: monitor.predictions([{"age": 1}, {"age": 2}], [1, 0, 1]),
    "a scalar for many": lambda monitor: monitor.predictions([{"age": 1}, {"age": 2}], 1),
    "labels": lambda monitor: monitor.labels(["a", "b"], [1]),
    "labels of nothing": lambda monitor: monitor.labels(Rude(), Rude()),
    "no item": lambda monitor: monitor.submit(Rude()),
    "ids": lambda monitor: monitor.predictions({"age": 1}, 1, id=object()),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_wrong_arguments_cost_their_rows_and_raise_nothing(
    monitoring: Monitoring, scripted: ScriptedExporter, mistake: str
) -> None:
    monitor = monitoring()
    WRONG[mistake](monitor)
    monitor.predictions({"age": 40, "what": Rude()}, 1, id=Rude(), latency_seconds=Rude())
    assert monitor.flush(TIMEOUT_SECONDS)
    sent = [row for row in scripted.rows if row["features"] == {"age": 40, "what": None}]
    assert len(sent) == 1
    assert set(monitor.dropped) <= {"invalid"}


def test_one_line_a_minute_tells_what_was_dropped(
    monitoring: Monitoring, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[tuple[str, int]] = []
    monitor = monitoring(on_drop=lambda reason, rows: told.append((reason, rows)))
    for _ in range(100):
        monitor.predictions(None, 1)
        eventually(lambda: sum(rows for _, rows in told) == monitor.dropped["invalid"])
    lines = [record.message for record in caplog.records if record.name == "exporter.client"]
    assert len(lines) == 1
    assert "1 invalid (TypeError: features are of type NoneType, which is not taken)" in lines[0]
    monitor.close()
    lines = [record.message for record in caplog.records if record.name == "exporter.client"]
    assert len(lines) == 2
    assert "99 invalid" in lines[1]


def test_a_callback_that_fails_is_of_no_matter(monitoring: Monitoring, scripted: ScriptedExporter) -> None:
    called = threading.Event()

    def fail(reason: str, rows: int) -> None:
        called.set()
        raise ValueError(reason)

    monitor = monitoring(on_drop=fail)
    monitor.predictions(None, 1)
    assert called.wait(TIMEOUT_SECONDS)
    monitor.predictions({"age": 40}, 1)
    assert monitor.flush(TIMEOUT_SECONDS)
    assert len(scripted.rows) == 1


def test_requests_are_not_in_the_services_log(
    monitoring: Monitoring, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        monitor = monitoring()
        monitor.predictions({"age": 40}, 1)
        assert monitor.flush(TIMEOUT_SECONDS)
    assert not caplog.records


def test_a_full_queue_drops_and_does_not_wait(monitoring: Monitoring) -> None:
    monitor = monitoring("http://127.0.0.1:9", queue_rows=10)
    for _ in range(25):
        monitor.predictions({"age": 40}, 1)
    monitor.predictions([{"age": 40}] * 11, [1] * 11)
    full = monitor.dropped["queue_full"]
    assert 25 - 10 - 10 + 11 <= full <= 26  # some may be in a request already
    monitor.close()
    assert monitor.dropped == {"queue_full": full, "exit": 36 - full}
    monitor.predictions({"age": 40}, 1)
    assert monitor.dropped["closed"] == 1
    assert monitor.flush(TIMEOUT_SECONDS)  # nothing is left


def test_an_answer_that_was_lost_is_asked_for_with_the_same_key(
    monitoring: Monitoring, scripted: ScriptedExporter
) -> None:
    monitor = monitoring()
    scripted.replies = [Reply(503), Reply(503)]
    monitor.predictions({"age": 40}, 1)
    assert monitor.flush(TIMEOUT_SECONDS)
    assert len(scripted.received) == 3
    assert len({request.headers["Idempotency-Key"] for request in scripted.received}) == 1
    assert monitor.sent == {"prediction": 1}


def test_the_sample_decides_for_rows_and_labels_by_the_id(
    monitoring: Monitoring, scripted: ScriptedExporter
) -> None:
    monitor = monitoring(sample=0.25)
    ids = [f"request-{number}" for number in range(40)]
    for row_id in ids:
        monitor.predictions({"age": 40}, 1, id=row_id)
        monitor.labels(row_id, 1)
    monitor.predictions([{"age": 40}] * 40, [1] * 40, id=ids)
    monitor.labels(ids, [1] * 40)
    assert monitor.flush(TIMEOUT_SECONDS)
    kept = [row_id for row_id in ids if is_sampled(row_id, 0.25)]
    assert 0 < len(kept) < 20
    assert sorted(row["id"] for row in scripted.rows) == sorted(kept * 4)
    assert monitor.dropped == {}


def test_a_pickled_monitor_is_another_with_the_same_arguments(
    monitoring: Monitoring, scripted: ScriptedExporter
) -> None:
    monitor = monitoring(feature_names=["age"])
    monitor.predictions([40], 1)
    with pickle.loads(pickle.dumps(monitor)) as copy:
        copy.predictions([41], 1)
        assert copy.flush(TIMEOUT_SECONDS)
        assert copy.sent == {"prediction": 1}
    assert monitor.flush(TIMEOUT_SECONDS)
    assert sorted(row["features"]["age"] for row in scripted.rows) == [40, 41]


def test_a_monitor_that_is_forgotten_sends_what_it_has_and_ends_its_thread(
    scripted: ScriptedExporter,
) -> None:
    before = threading.active_count()
    monitor = Monitor(scripted.url, model="fraud", version="3", batch_seconds=60.0, resources=False)
    monitor.predictions({"age": 40}, 1)
    forgotten = weakref.ref(monitor)
    del monitor
    eventually(lambda: scripted.rows)
    assert forgotten() is None
    eventually(lambda: not [t for t in threading.enumerate() if t.name == "mlflow-exporter-client"])
    assert threading.active_count() >= before


def test_prometheus_client_shows_the_counts_of_all_monitors_once(
    monitoring: Monitoring, scripted: ScriptedExporter
) -> None:
    labels = {"model": "counted", "model_version": "3", "model_alias": ""}
    for _ in range(2):
        monitor = monitoring(model="counted", queue_rows=1)
        monitor.predictions({"age": 40, "what": 1j}, 1)
        monitor.predictions([{"age": 40}] * 2, [1, 1])
        assert monitor.flush(TIMEOUT_SECONDS)
    prefix = "mlflow_exporter_client"
    for name, more, value in (
        ("sent_rows_total", {"kind": "prediction"}, 2.0),
        ("sent_rows_total", {"kind": "label"}, 0.0),
        ("dropped_rows_total", {"reason": "queue_full"}, 4.0),
        ("dropped_rows_total", {"reason": "expired"}, 0.0),
        ("queued_rows", {}, 0.0),
        ("unsendable_values_total", {}, 2.0),
    ):
        assert REGISTRY.get_sample_value(f"{prefix}_{name}", {**labels, **more}) == value, name


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"model": ""}, "`model` is the registered model's name"),
        ({"alias": "champion"}, "`version` or `alias` is needed, not both"),
        ({"version": ""}, "`version` or `alias` is needed, not both"),
        ({"sample": 0}, "`sample` is 0, it must be above 0 and at most 1"),
        ({"sample": "all"}, "`sample` is 'all'"),
        ({"leave_out": "name"}, "`leave_out` is a list of names"),
        ({"feature_names": [1]}, "`feature_names` is a list of names"),
        ({"hashed": ["email"]}, "`hashed` needs a `hash_key`"),
        ({"hashed": ["email"], "hash_key": "k" * 65}, "`hash_key` has 65 bytes, at most 64"),
        ({"queue_rows": 0}, "`queue_rows` is 0, it must be above 0"),
        ({"batch_seconds": -1}, "`batch_seconds` is -1, it must be 0 or more"),
        ({"max_age_seconds": float("nan")}, "`max_age_seconds` is nan"),
        ({"timeout_seconds": None}, "`timeout_seconds` is None"),
        ({"on_drop": 3}, "`on_drop` is a function"),
        ({"token": "a b"}, "a token has printable ASCII characters"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_arguments_that_cannot_be_used_are_told(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as found:
        Monitor("http://127.0.0.1:9", **{"model": "fraud", "version": "3", **options})
    assert said in str(found.value)


def test_an_address_that_cannot_be_used_is_told() -> None:
    with pytest.raises(ConfigError, match="is no address"):
        Monitor("exporter:19464", model="fraud", version="3")
