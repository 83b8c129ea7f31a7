"""Preparation of a batch before its commit."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pytest

from exporter.aggregates.counting import count_rows
from exporter.aggregates.state import Totals, VersionCounts
from exporter.aggregates.timeline import Timeline
from exporter.errors import UnavailableError
from exporter.fleet import Fleet, Live, Status
from exporter.formats.hashing import id_hashes
from exporter.formats.predictions import decode_predictions
from exporter.formats.raw import ARROW_TYPE, JSON_TYPE
from exporter.ingest.prepare import MAX_WAITING_ROWS, Part, Prepared, count_raw_rows, prepare
from exporter.profiling.build import build_reference
from exporter.profiling.data import ReferenceData
from exporter.reference.profile import Reference
from exporter.settings import Settings
from exporter.storage.rows import PREDICTIONS, StoredPrediction
from exporter.storage.schema import AliasMove, RawRows
from tests.support.rig import NOON, make_document, make_rows, make_table
from tests.support.wire import FORMATS, Predictions, encode, type_of
from tests.test_fleet import make_fleet

DAY = 86400.0


def give_reference(fleet: Fleet, version: str = "1") -> Reference:
    reference = build_reference(ReferenceData(make_table(500), "test"), Settings().windows, 500)
    found = fleet.versions["fraud", version]
    totals = Totals(values=np.zeros(reference.cells, np.int64))
    found.live = Live(VersionCounts(1, reference, Timeline(Settings())), totals)
    found.status = Status.READY
    return reference


def prepare_document(
    document: dict[str, Any], fleet: Fleet | None = None, now: float = NOON, **settings: Any
) -> Prepared:
    configured = Settings(**settings)
    batch = decode_predictions(orjson.dumps(document), JSON_TYPE, {}, configured)
    return prepare(batch, now, fleet or make_fleet("1"), configured, now)


def prepare_body(
    body: bytes, content_type: str, query: dict[str, str], fleet: Fleet | None = None
) -> Prepared:
    batch = decode_predictions(body, content_type, query, Settings())
    return prepare(batch, NOON, fleet or make_fleet("1"), Settings(), NOON)


def prepare_rows(rows: list[dict[str, Any]], fleet: Fleet | None = None, **options: Any) -> Prepared:
    return prepare_document(make_document(rows), fleet, **options)


def dropped(prepared: Prepared) -> dict[str, int]:
    return {reason: int(mask.sum()) for reason, mask in prepared.lost.items()}


def stored(part: Part) -> list[StoredPrediction]:
    """The rows with an id as they are stored."""
    return [] if part.records is None else PREDICTIONS.unpack(part.records.take(part.identified))


def only_part(prepared: Prepared) -> Part:
    (part,) = prepared.parts
    return part


def row_at(timestamp: object, row_id: str = "a") -> dict[str, Any]:
    return {"id": row_id, "timestamp": timestamp, "features": {"age": 30}, "prediction": 1}


# -- times --------------------------------------------------------------------------------------------------


def test_a_row_without_a_time_gets_that_of_its_receipt() -> None:
    part = only_part(prepare_rows([row_at(None), row_at(NOON - 60)]))
    assert part.times.tolist() == [NOON, NOON - 60]
    assert part.exact.tolist() == [False, True]


def test_a_time_a_little_ahead_is_now() -> None:
    part = only_part(prepare_rows([row_at(NOON + 299)]))
    assert part.times.tolist() == [NOON]
    assert part.exact.tolist() == [False]


@pytest.mark.parametrize(
    ("timestamp", "reason"),
    [
        (NOON + 301, "future"),
        (NOON * 1000, "future"),  # milliseconds
        (NOON - 30 * DAY - 1, "too_old"),
        (-1e300, "too_old"),
    ],
)
def test_rows_that_cannot_count_are_counted_by_reason(timestamp: float, reason: str) -> None:
    prepared = prepare_rows([row_at(timestamp), row_at(NOON), row_at(timestamp)])
    assert dropped(prepared) == {reason: 2}
    assert only_part(prepared).row_numbers.tolist() == [1]


def test_a_batch_of_which_nothing_counts_has_no_parts() -> None:
    prepared = prepare_rows([row_at(NOON + 1000), row_at(0)])
    assert prepared.parts == []
    assert dropped(prepared) == {"future": 1, "too_old": 1}


def test_infinite_times_are_no_times() -> None:
    body = json.dumps(make_document([row_at(float("inf"))])).encode()
    batch = decode_predictions(body, JSON_TYPE, {}, Settings())
    prepared = prepare(batch, NOON, make_fleet("1"), Settings(), NOON)
    assert dropped(prepared) == {"future": 1}


def test_a_row_is_too_old_where_the_blocks_do_not_reach_back() -> None:
    assert dropped(prepare_rows([row_at(NOON - DAY)], block_seconds=5)) == {"too_old": 1}


# -- versions -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMATS)
def test_a_row_from_while_the_alias_pointed_to_nothing_does_not_take_the_others_along(form: str) -> None:
    fleet = make_fleet("1", "2")
    moves = [("1", 0), ("", NOON - 600), ("2", NOON - 300)]
    fleet.record(AliasMove("fraud", "champion", version, since) for version, since in moves)
    times = [NOON - 700, NOON - 400, NOON - 100, NOON - 200]
    split = form == "split"  # which has no times of its own but the request's
    rows = Predictions({"age": [30, 40, 50, 60]}, [1, 0, 1, 0], {} if split else {"timestamp": times})
    body, query = encode(form, rows), {"model": "fraud", "alias": "champion"}
    body = body.replace(b'"version": "3"', b'"alias": "champion"')
    prepared = prepare_body(body, type_of(form), {} if type_of(form) == JSON_TYPE else query, fleet)
    counted = {part.version.version: part.row_numbers.tolist() for part in prepared.parts}
    if split:
        assert (counted, dropped(prepared)) == ({"2": [0, 1, 2, 3]}, {})
    else:
        assert (counted, dropped(prepared)) == ({"1": [0], "2": [2, 3]}, {"no_version": 1})


def test_a_row_is_dropped_for_one_reason() -> None:
    fleet = make_fleet("1")
    moves = [("1", NOON - 50 * DAY), ("", NOON - 45 * DAY), ("1", NOON - 20 * DAY)]
    fleet.record(AliasMove("fraud", "champion", version, since) for version, since in moves)
    rows = [row_at(NOON - 40 * DAY), row_at(NOON - 25 * DAY), row_at(NOON + DAY)]
    prepared = prepare_document(make_document(rows, alias="champion"), fleet)
    assert prepared.parts == []
    assert dropped(prepared) == {"future": 1, "too_old": 1, "no_version": 1}


def test_rows_of_an_alias_are_split_by_the_version_of_their_time() -> None:
    fleet = make_fleet("1", "2")
    give_reference(fleet, "2")
    fleet.record([AliasMove("fraud", "champion", "1", 0), AliasMove("fraud", "champion", "2", NOON - 10)])
    rows = [row_at(NOON - 20, "a"), row_at(NOON, "b"), row_at(NOON - 5, "c")]
    prepared = prepare_document(make_document(rows, alias="champion"), fleet)
    old, new = prepared.parts
    assert (old.version.version, old.row_numbers.tolist()) == ("1", [0])
    assert (new.version.version, new.row_numbers.tolist()) == ("2", [1, 2])
    assert old.placed is None
    assert new.placed is not None
    assert new.placed.binned.cells.shape[1] == 2
    assert [row.id_hash for row in stored(new)] == [
        id_hashes("fraud", ["b"])[0],
        id_hashes("fraud", ["c"])[0],
    ]


def test_a_version_whose_reference_takes_long_asks_for_patience() -> None:
    fleet = make_fleet("1")
    version = fleet.versions["fraud", "1"]
    version.waiting_rows = MAX_WAITING_ROWS - 1
    prepare_rows(make_rows(3), fleet)
    version.waiting_rows = MAX_WAITING_ROWS
    with pytest.raises(UnavailableError, match="still being made") as error:
        prepare_rows(make_rows(3), fleet)
    assert error.value.retry_after_seconds == 10
    version.status = Status.COLLECTING
    prepare_rows(make_rows(3), fleet, reference_live_rows=10)
    version.status, version.waiting_rows = Status.NO_REFERENCE, 10**9
    prepare_rows(make_rows(3), fleet)


# -- identity -----------------------------------------------------------------------------------------------


def test_only_rows_with_an_id_are_kept_for_labels() -> None:
    rows = make_rows(3)
    rows[1]["id"] = "b"
    part = only_part(prepare_rows(rows))
    assert part.identified.tolist() == [1]
    (row,) = stored(part)
    assert (row.id_hash, row.version_id, row.at) == (*id_hashes("fraud", ["b"]), 1, NOON)
    assert (row.prediction, row.score) == (str(rows[1]["prediction"]), rows[1]["score"])


def test_the_same_row_is_the_same_in_every_format() -> None:
    rows = make_rows(20, prefix="r")
    by_row = stored(only_part(prepare_rows(rows)))
    columns = {
        "id": [row["id"] for row in rows],
        "prediction": [row["prediction"] for row in rows],
        "score": [row["score"] for row in rows],
        "features": {name: [row["features"][name] for row in rows] for name in rows[0]["features"]},
    }
    document = {"model": "fraud", "version": "1", "columns": columns}
    assert stored(only_part(prepare_document(document))) == by_row

    table = pa.table({name: values for name, values in columns.items() if name != "features"})
    for name, values in columns["features"].items():
        table = table.append_column(name, pa.array(values))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    query, body = {"model": "fraud", "version": "1"}, sink.getvalue().to_pybytes()
    batch = decode_predictions(body, ARROW_TYPE, query, Settings())
    prepared = prepare(batch, NOON, make_fleet("1"), Settings(), NOON)
    assert stored(only_part(prepared)) == by_row


@pytest.mark.parametrize(
    ("prediction", "kept"),
    [
        (1, "1"),
        (1.0, "1"),
        (True, "1"),
        ("1", "1"),
        ("01", "01"),
        (None, None),
        (0.25, "0.25"),
        ("no\0de", "node"),
        ("é" * 300, "é" * 256),
    ],
)
def test_a_prediction_is_kept_as_text_that_every_database_takes(prediction: object, kept: str | None) -> None:
    row = {"id": "a", "features": {"age": 1}, "prediction": prediction}
    document = json.dumps(make_document([row])).encode()
    batch = decode_predictions(document, JSON_TYPE, {}, Settings())
    prepared = prepare(batch, NOON, make_fleet("1"), Settings(), NOON)
    assert stored(only_part(prepared))[0].prediction == kept


def test_half_a_character_and_a_structure_do_no_harm() -> None:
    rows = [
        {"id": "\ud800", "features": {"age": 1}, "prediction": "\ud800"},
        {"id": "b", "features": {"age": {"x": 1}}, "prediction": [1], "score": "high"},
    ]
    body = json.dumps(make_document(rows)).encode()
    batch = decode_predictions(body, JSON_TYPE, {}, Settings())
    part = only_part(prepare(batch, NOON, make_fleet("1"), Settings(), NOON))
    assert stored(part)[0].prediction == "?"
    assert all(row.score is None for row in stored(part))


# -- waiting for a reference --------------------------------------------------------------------------------


def test_what_waited_is_counted_as_if_it_had_not() -> None:
    fleet = make_fleet("1")
    give_reference(fleet)
    version_counts = fleet.versions["fraud", "1"].counts
    assert version_counts is not None
    rows, chosen = make_rows(50, latency_seconds=0.02), np.arange(0, 50, 2)
    waiting = RawRows(JSON_TYPE, {}, orjson.dumps(make_document(rows)), chosen, np.full(25, NOON))
    counts, _ = count_raw_rows(waiting, fleet.versions["fraud", "1"], version_counts, NOON, Settings())
    part = only_part(prepare_rows(rows[::2], fleet))
    assert part.placed is not None
    expected = count_rows(version_counts, part.placed, part.times, NOON, Settings())
    assert counts.blocks.keys() == expected.blocks.keys()
    for start, block in expected.blocks.items():
        assert np.array_equal(counts.blocks[start].counts, block.counts)
        assert np.allclose(counts.blocks[start].moments, block.moments)
    assert sum(block.latency.sum() for block in counts.blocks.values()) == 25


def test_columns_that_the_reference_does_not_have_are_named() -> None:
    fleet = make_fleet("1")
    give_reference(fleet)
    rows = [{"features": {"age": 3, **{f"new{k}": 1 for k in range(30)}}, "prediction": 1}]
    part = only_part(prepare_rows(rows, fleet))
    assert len(part.unknown_columns) == 20
    assert "new0" in part.unknown_columns
    assert "age" not in part.unknown_columns
