"""The exporter without HTTP: all its parts but the loops, which a test turns by hand."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from exporter.config import Settings
from exporter.exposition import Format
from exporter.fleet import Version
from exporter.ingest import Prepared, Request, prepare
from exporter.samples import JSON_TYPE, decode_predictions
from exporter.service import Service
from exporter.writer import Answer
from tests.fakes import TIMEOUT_SECONDS, Clock, FakeRegistry

NOON = 20_500 * 86400.0 + 43200  # of a day in 2026


def make_table(rows: int = 1000, seed: int = 0) -> pa.Table:
    """A reference: a number, a category, a boolean, the prediction and its score."""
    random = np.random.default_rng(seed)
    score = random.random(rows)
    return pa.table(
        {
            "age": random.normal(40, 12, rows).round(1),
            "country": random.choice(["DE", "FR", "AT"], rows, p=[0.6, 0.3, 0.1]),
            "new": random.random(rows) < 0.2,
            "prediction": (score > 0.7).astype(np.int64),
            "score": score,
        }
    )


def make_rows(count: int, *, prefix: str = "", seed: int = 1, **own: Any) -> list[dict[str, Any]]:
    """Predictions like those of the reference; with ids `<prefix>0`, ... where a prefix is given."""
    rows = []
    for index, values in enumerate(make_table(count, seed).to_pylist()):
        outputs = {name: values.pop(name) for name in ("prediction", "score")}
        row = {"features": values, **outputs, **own}
        rows.append({"id": f"{prefix}{index}", **row} if prefix else row)
    return rows


def make_document(rows: Sequence[dict[str, Any]], model: str = "fraud", **target: str) -> dict[str, Any]:
    return {"model": model, **(target or {"version": "1"}), "predictions": list(rows)}


def eventually(condition: Callable[[], object], seconds: float = TIMEOUT_SECONDS) -> None:
    """Wait until something holds that happens in another thread or process."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.005)


class Rig:
    """A service that polls the registry at its start, then polls and evaluates when a test says so."""

    def __init__(
        self, store: str, registry: FakeRegistry | None = None, clock: Clock | None = None, **settings: Any
    ) -> None:
        self.registry = registry if registry is not None else FakeRegistry()
        self.clock = clock if clock is not None else Clock(NOON)
        self.settings = Settings(store=store, **settings)
        self.service = Service(self.settings, self.registry, self.clock)
        self.service.writer.start()
        self.service.monitor.loader.start()
        self.service.monitor.restore()
        self.poll()

    def stop(self) -> None:
        self.service.monitor.loader.stop()
        self.service.writer.stop()
        self.service.store.close()

    def restart(self, **settings: Any) -> Rig:
        """Stop, and start again on the same store with the same registry."""
        self.stop()
        return Rig(self.settings.store, self.registry, self.clock, **settings)

    def poll(self) -> None:
        """One poll of MLflow, and all that it sets going."""
        self.service.monitor.poll()
        self.settle()

    def settle(self) -> None:
        eventually(self.service.monitor.loader.idle)

    def version(self, version: str = "1", model: str = "fraud") -> Version:
        return self.service.fleet.versions[model, version]

    def prepare(self, document: dict[str, Any] | bytes, key: str = "") -> Prepared:
        body = document if isinstance(document, bytes) else orjson.dumps(document)
        request = Request(JSON_TYPE, {}, body)
        batch = decode_predictions(body, JSON_TYPE, {}, self.settings)
        return prepare(request, batch, self.service.fleet, self.settings, self.clock(), key)

    def submit(self, document: dict[str, Any], key: str = "") -> Future[Answer]:
        return self.service.writer.submit(self.prepare(document, key))

    def post(self, document: dict[str, Any], key: str = "") -> Answer:
        """What `POST /v1/predictions` does."""
        return self.submit(document, key).result(TIMEOUT_SECONDS)

    def post_rows(self, rows: Sequence[dict[str, Any]], key: str = "", **target: str) -> Answer:
        return self.post(make_document(rows, **target), key)

    def together(self, documents: Sequence[dict[str, Any]], keys: Sequence[str] = ()) -> list[Future[Answer]]:
        """Post documents so that they share a commit."""
        with self.held():
            keys = keys or [""] * len(documents)
            return [self.submit(document, key) for document, key in zip(documents, keys, strict=True)]

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep the writer busy, so that what is posted queues up."""
        done: Future[None] = Future()
        running: Future[None] = Future()

        def wait() -> None:
            running.set_result(None)
            done.result(TIMEOUT_SECONDS)

        self.service.writer.call(wait)
        running.result(TIMEOUT_SECONDS)
        try:
            yield
        finally:
            done.set_result(None)

    def evaluate(self) -> None:
        self.service.monitor.evaluate_all()

    def series(self, *names: str) -> dict[str, float]:
        """The samples of `/metrics`, by name and labels as they are written."""
        page = self.service.scrape(Format.TEXT, names, ()).decode()
        lines = (line.rsplit(" ", 1) for line in page.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, value in lines}

    def sample(self, sample: str) -> float | None:
        return self.series().get(sample)

    def window_rows(self, window: str = "24h", version: str = "1", model: str = "fraud") -> float | None:
        self.evaluate()
        labels = f'{{model="{model}",model_version="{version}",window="{window}"}}'
        return self.sample(f"mlflow_model_window_rows{labels}")
