"""Documents of requests."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from itertools import chain
from typing import Any

import orjson
import pytest

from exporter.client import uploads
from exporter.client.columns import ColumnRules, Columns, hash_value
from exporter.client.counts import Counts
from exporter.client.outbox import Entry, Kind
from exporter.client.uploads import Packer, Row, is_sampled
from exporter.formats.predictions import decode_predictions
from exporter.payloads.target import Target
from exporter.settings import Settings

TARGET = Target("fraud", "3")


class WordlessError(Exception):
    """An error without a text."""

    def __str__(self) -> str:
        raise RuntimeError


class Item:
    """An item of a queue with given columns, or an error."""

    def __init__(self, columns: Columns | Exception) -> None:
        self._columns = columns
        self.rows = columns.rows if isinstance(columns, Columns) else 3
        self.size_bytes = 100

    def columns(self) -> Columns:
        if isinstance(self._columns, Exception):
            raise self._columns
        return self._columns


def entry(content: Any, kind: Kind = "prediction", at: float = 50.0) -> Entry:
    return Entry(kind, getattr(content, "rows", 1), 100, at, 1000.0 + at, content)


def row(features: Any, prediction: Any = 1, **fields: Any) -> Entry:
    empty = {"score": None, "id": None, "timestamp": None, "label": None, "latency_seconds": None}
    return entry(Row(features, prediction, **{**empty, **fields}))


class Packing:
    """Uploads made of entries."""

    def __init__(self, *entries: Entry, target: Target = TARGET, **options: Any) -> None:
        self.counts = Counts(None)
        defaults = {"sample": 1.0, "feature_names": (), "batch_rows": 500, "yield_thread": lambda: None}
        rules = options.pop("rules", ColumnRules())
        packer = Packer(target, rules, self.counts, **{**defaults, **options})
        self.uploads = list(packer.pack(entries))
        self.bodies = [gzip.decompress(packer.body(upload)) for upload in self.uploads]
        self.documents = [json.loads(body) for body in self.bodies]

    @property
    def columns(self) -> dict[str, Any]:
        (document,) = self.documents
        found: dict[str, Any] = document["columns"]
        return found


def test_rows_of_single_calls_are_one_document() -> None:
    packing = Packing(row({"age": 40}, id="a", score=0.5), row({"age": 41}, 0, latency_seconds=0.25))
    assert packing.documents == [
        {
            "model": "fraud",
            "version": "3",
            "columns": {
                "id": ["a", None],
                "timestamp": [1050.0, 1050.0],
                "prediction": [1, 0],
                "score": [0.5, None],
                "latency_seconds": [None, 0.25],
                "features": {"age": [40, 41]},
            },
        }
    ]


def test_the_exporter_reads_the_document() -> None:
    values = {"a": float("nan"), "b": "ü\ud800", "c": [1], "d": 2**80, "e": None, "\ud800": 1}
    packing = Packing(row(values, id=7, score=[0.25, 0.75], timestamp="2026-11-30T10:00:00+00:00"))
    batch = decode_predictions(packing.bodies[0], "application/json", {}, Settings())
    assert (batch.rows, batch.ids, list(batch.features)) == (1, ["7"], ["a", "b", "c", "d", "e", "?"])
    orjson.loads(Packing(row({"a": "ü"})).bodies[0])  # the fast way


def test_labels_have_no_features_and_no_version() -> None:
    label = entry(Row(None, None, None, "a", None, 0, None), "label")
    assert Packing(label).documents == [
        {"model": "fraud", "columns": {"id": ["a"], "timestamp": [1050.0], "label": [0]}}
    ]


def test_an_alias_is_sent_as_such() -> None:
    assert (
        Packing(row({"a": 1}), target=Target("fraud", alias="champion")).documents[0]["alias"] == "champion"
    )


def test_items_and_rows_go_together_and_lack_what_they_lack() -> None:
    item = Item(Columns(2, {"prediction": [1, 1], "timestamp": [5.0, None]}, {"income": [1.5, 2.5]}))
    assert Packing(row({"age": 40}), entry(item)).columns == {
        "timestamp": [1050.0, 5.0, 1050.0],
        "prediction": [1, 1, 1],
        "features": {"age": [40, None, None], "income": [None, 1.5, 2.5]},
    }


@pytest.mark.parametrize(
    "broken",
    [
        ValueError("no JSON"),
        WordlessError(),
        Columns(3, {"prediction": [1]}, {}),
        Columns(3, {}, {"a": [1]}),
        Columns(3, {"prediction": [1, 1, 1], "score": [{WordlessError(): 1.0}] * 3}, {"age": [1, 2, 3]}),
    ],
    ids=["raises", "raises without a text", "short prediction", "short feature", "score of no class"],
)
def test_an_item_that_cannot_be_read_costs_only_itself(broken: Columns | Exception) -> None:
    packing = Packing(row({"age": 40}), entry(Item(broken)), row({"age": 41}))
    assert packing.columns["features"] == {"age": [40, 41]}
    assert packing.counts.dropped == {"invalid": 3}


def test_a_row_that_cannot_be_read_costs_only_itself() -> None:
    packing = Packing(row({"age": 40}), row(object()), row({"age": 41, "n": 10**5000}, id=10**5000))
    assert [each["columns"]["features"]["age"] for each in packing.documents] == [[40, 41]]
    assert packing.counts.dropped == {"invalid": 1}


def test_an_item_without_rows_sends_nothing() -> None:
    packing = Packing(entry(Item(Columns(0, {}, {}))))
    assert (packing.documents, packing.counts.dropped) == ([], {})


def test_values_that_json_lacks_are_missing_and_counted() -> None:
    packing = Packing(row({"a": object(), "b": 1j, "c": [1]}))
    assert packing.columns["features"] == {"a": [None], "b": [None], "c": [[]]}
    assert packing.counts.unsendable == 2


def test_columns_are_left_out_and_hashed() -> None:
    rules = ColumnRules({"name"}, {"email"}, b"key")
    packing = Packing(row({"name": "Ada", "email": "a@b", "age": 1}), row({"age": 2}), rules=rules)
    hashed = hash_value(b"key", "email", "a@b")
    assert packing.columns["features"] == {"email": [hashed, None], "age": [1, 2]}


def test_many_rows_are_cut_into_requests() -> None:
    item = Item(Columns(1200, {"prediction": [1] * 1200}, {"a": list(range(1200))}))
    packing = Packing(entry(item))
    assert [upload.rows for upload in packing.uploads] == [500, 500, 200]
    parts = [document["columns"]["features"]["a"] for document in packing.documents]
    assert list(chain(*parts)) == [*range(1200)]
    assert len({upload.key for upload in packing.uploads}) == 3


def test_rows_without_common_columns_do_not_blow_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MAX_VALUES", 2_000)
    many = [Item(Columns(10, {"prediction": [1] * 10}, _wide(part, 10))) for part in range(8)]
    single = [row({f"{number}-{column}": 1 for column in range(50)}) for number in range(100)]
    packing = Packing(*map(entry, many), *single)
    assert sum(upload.rows for upload in packing.uploads) == 180
    assert all(each.rows * len(each.columns.features) <= 2_000 for each in packing.uploads)
    assert len(packing.uploads) < 40


def _wide(part: int, rows: int) -> dict[str, Sequence[object]]:
    return {f"{part}-{column}": [1] * rows for column in range(30)}


def test_the_sample_is_the_same_everywhere_and_of_its_size() -> None:
    ids = [f"request-{number}" for number in range(4000)]
    kept = [row_id for row_id in ids if is_sampled(row_id, 0.25)]
    assert 900 < len(kept) < 1100
    assert kept[:3] == ["request-0", "request-13", "request-21"]
    assert set(kept) <= {row_id for row_id in ids if is_sampled(row_id, 0.5)}
    without = sum(is_sampled(None, 0.25) for _ in range(4000))
    assert 800 < without < 1200


def test_items_are_sampled_by_the_ids_of_their_rows() -> None:
    ids = [f"request-{number}" for number in range(10)]
    item = Item(Columns(10, {"prediction": [1] * 10, "id": ids}, {"a": list(range(10))}))
    packing = Packing(entry(item), sample=0.25)
    assert packing.columns["id"] == [row_id for row_id in ids if is_sampled(row_id, 0.25)]
