"""Messages that share a commit."""

from __future__ import annotations

from typing import Any

import orjson

from exporter.ingest.commit import IngestRequest
from exporter.kafka.messages import Received, decode
from exporter.settings import Settings
from exporter.worker.entries import Entry, of_one_commit


def request(kind: str, **document: Any) -> IngestRequest:
    body = orjson.dumps({"model": "fraud", **document})
    return decode(Received(body, {"kind": kind.encode()}, 0.0), Settings())


def test_predictions_that_bring_labels_along_do_not_overtake_labels_before_them() -> None:
    row = {"id": "a", "features": {"x": 1}, "prediction": 1}
    rows = request("predictions", version=1, predictions=[row])
    labelled = request("predictions", version=1, predictions=[{**row, "label": 1}])
    labels = request("labels", labels=[{"id": "a", "label": 0}])

    def committed(*requests: IngestRequest) -> int:
        entries = [Entry(b"", place, 0.0, each) for place, each in enumerate(requests)]  # type: ignore[arg-type]
        return len(of_one_commit(entries))

    assert committed(labelled, labels, rows, labels) == 4
    assert committed(rows, labels, rows, labelled) == 3
    assert committed(labelled) == 1
