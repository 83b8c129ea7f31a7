"""The exporter without HTTP and without background loops, which a test steps by hand."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pytest

from exporter.exposition.render import Format
from exporter.fleet import Version
from exporter.formats.labels import decode_labels
from exporter.formats.predictions import read_predictions
from exporter.formats.raw import JSON_TYPE, RawRequest
from exporter.ingest.batching import PredictionRequest
from exporter.ingest.commit import PredictionAnswer
from exporter.ingest.deduplication import IdempotencyKey
from exporter.ingest.join import LabelAnswer, prepare_labels
from exporter.service import Service
from exporter.settings import Settings
from tests.support.fakes import TIMEOUT_SECONDS, Clock, FakeRegistry

NOON = 20_500 * 86400.0 + 43200  # of a day in 2026


def make_table(rows: int = 1000, seed: int = 0) -> pa.Table:
    """Return a reference: a number, a category, a boolean, the prediction and its score."""
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
    """Return predictions like those of the reference, with ids `<prefix>0`, ... if there is a prefix."""
    rows = []
    for index, values in enumerate(make_table(count, seed).to_pylist()):
        outputs = {name: values.pop(name) for name in ("prediction", "score")}
        row = {"features": values, **outputs, **own}
        rows.append({"id": f"{prefix}{index}", **row} if prefix else row)
    return rows


def over_a_day(rows: Sequence[dict[str, Any]], end: float = NOON) -> list[dict[str, Any]]:
    """Rows with times that are evenly spread over the day before `end`, so that all of them are sampled."""
    step = 82_800 / max(1, len(rows))
    return [{**row, "timestamp": end - 60 - step * number} for number, row in enumerate(rows)]


def make_document(rows: Sequence[dict[str, Any]], model: str = "fraud", **target: str) -> dict[str, Any]:
    return {"model": model, **(target or {"version": "1"}), "predictions": list(rows)}


def eventually(condition: Callable[[], object], seconds: float = TIMEOUT_SECONDS) -> None:
    """Wait until a condition holds that another thread or process fulfils."""
    deadline, pause = time.monotonic() + seconds, 0.005
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(pause)
        pause = min(1.2 * pause, 0.05)  # what takes long needs the processor itself


class Rig:
    """A service that polls the registry at its start, then polls and evaluates on demand."""

    def __init__(
        self,
        store: str,
        registry: FakeRegistry,
        clock: Clock | None = None,
        *,
        settle: bool = True,
        **settings: Any,
    ) -> None:
        self.registry = registry
        self.clock = clock if clock is not None else Clock(NOON)
        self.settings = Settings(store=store, **settings)
        self.service = Service(self.settings, self.registry, self.clock, self.clock.monotonic)
        self._running = True
        self.service.writer.start()
        if self.service.topic_writer is not None:
            self.service.topic_writer.start()
        self.service.discovery.loader.start()
        self.service.discovery.restore()
        self.service.counting.load()
        self.service.discovery.poll()
        if settle:
            self.settle()

    def stop(self) -> None:
        if not self._running:
            return
        self._running = False
        self.service.discovery.loader.stop()
        if self.service.topic_writer is not None:
            self.service.topic_writer.stop()
        self.service.writer.stop()
        self.service.store.close()

    def poll(self) -> None:
        """Poll MLflow once, and finish all that follows from it."""
        self.service.discovery.poll()
        self.settle()

    def settle(self) -> None:
        eventually(self.service.discovery.loader.idle)

    def version(self, version: str = "1", model: str = "fraud") -> Version:
        return self.service.fleet.versions[model, version]

    def request(self, document: dict[str, Any] | bytes, key: str = "") -> PredictionRequest:
        """A decoded request, as the writer takes it."""
        body = document if isinstance(document, bytes) else orjson.dumps(document)
        decoded = read_predictions(body, JSON_TYPE, {}, self.settings)
        hashed = IdempotencyKey.of(decoded.target.model, key, body=body) if key else None
        return PredictionRequest(RawRequest(JSON_TYPE, {}, body), decoded, self.clock(), hashed)

    def submit(self, document: dict[str, Any], key: str = "") -> Future[PredictionAnswer]:
        return self.service.submit(self.request(document, key))

    def post(self, document: dict[str, Any], key: str = "") -> PredictionAnswer:
        """Send predictions as `POST /v1/predictions` does."""
        return self.submit(document, key).result(TIMEOUT_SECONDS)

    def post_rows(self, rows: Sequence[dict[str, Any]], key: str = "", **target: str) -> PredictionAnswer:
        return self.post(make_document(rows, **target), key)

    def submit_labels(self, document: dict[str, Any], key: str = "") -> Future[LabelAnswer]:
        body = orjson.dumps(document)
        batch = decode_labels(body, JSON_TYPE, {}, self.settings)
        self.service.fleet.require_model(batch.model)
        hashed = IdempotencyKey.of("labels", batch.model, key, body=body) if key else None
        return self.service.submit(prepare_labels(batch, self.clock(), hashed))

    def post_labels(
        self, labels: Mapping[str, Any], key: str = "", model: str = "fraud", **own: Any
    ) -> LabelAnswer:
        """Send labels by id as `POST /v1/labels` does."""
        rows = [{"id": row_id, "label": label, **own} for row_id, label in labels.items()]
        return self.submit_labels({"model": model, "labels": rows}, key).result(TIMEOUT_SECONDS)

    def quality(self, metric: str, window: str = "24h", version: str = "1") -> float | None:
        """A metric of a fresh evaluation."""
        self.evaluate()
        labels = f'{{model="fraud",model_version="{version}",metric="{metric}",window="{window}"}}'
        return self.sample(f"mlflow_model_quality{labels}")

    def together(
        self, documents: Sequence[dict[str, Any]], keys: Sequence[str] = ()
    ) -> list[Future[PredictionAnswer]]:
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
        self.service.evaluator.evaluate_all()

    def series(self, *names: str) -> dict[str, float]:
        """The samples of `/metrics`, by name and labels as they are written."""
        page = self.service.scrape(Format.TEXT, names, ()).decode()
        lines = (line.rsplit(" ", 1) for line in page.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, value in lines}

    def sample(self, sample: str) -> float | None:
        return self.series().get(sample)

    def outcomes(self) -> dict[str, float]:
        """Rows of predictions by outcome, where there were any."""
        family = "mlflow_exporter_ingest_rows_total"
        found = self.series(family)
        names = ("accepted", "duplicate", "conflict", "rejected")
        counts = {name: found[f'{family}{{kind="prediction",outcome="{name}"}}'] for name in names}
        return {name: count for name, count in counts.items() if count}

    def window_rows(self, window: str = "24h", version: str = "1", model: str = "fraud") -> float | None:
        """Rows of a window in a fresh evaluation."""
        self.evaluate()
        return self.shown_rows(window, version, model)

    def shown_rows(self, window: str = "24h", version: str = "1", model: str = "fraud") -> float | None:
        labels = f'{{model="{model}",model_version="{version}",window="{window}"}}'
        return self.sample(f"mlflow_model_window_rows{labels}")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Rig]]:
    """Start a rig: on a new SQLite store, unless `store` is given, with version 1 of `fraud` in its registry,
    unless `registry` is."""
    started: list[Rig] = []

    def start_one(**options: Any) -> Rig:
        registry = options.pop("registry", None)
        if registry is None:
            registry = FakeRegistry()
            registry.register("fraud", make_table(), alias="champion")
        rig = Rig(options.pop("store", f"sqlite:///{tmp_path}/exporter.db"), registry, **options)
        started.append(rig)
        return rig

    yield start_one
    for rig in started:
        rig.stop()


@pytest.fixture
def rig(start: Callable[..., Rig]) -> Rig:
    """One with version 1 of `fraud`, which has a reference."""
    return start()
