"""Batches that are merged are what one batch of all their rows would have been."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import pytest

from exporter.formats.predictions import Batch, decode_predictions
from exporter.formats.raw import JSON_TYPE
from exporter.ingest.batches import likeness, merge
from exporter.profiling.build import build_reference
from exporter.profiling.data import ReferenceData
from exporter.reference.binning import bin_batch
from exporter.settings import Settings
from tests.support.rig import make_document, make_rows, make_table

REFERENCE = build_reference(ReferenceData(make_table(500), "test"), Settings().windows, 500)


def decode(rows: list[dict[str, Any]], **target: str) -> Batch:
    return decode_predictions(orjson.dumps(make_document(rows, **target)), JSON_TYPE, {}, Settings())


def test_merged_batches_are_binned_as_one() -> None:
    parts = [
        make_rows(count, seed=seed, latency_seconds=0.1 * seed) for seed, count in enumerate((3, 1, 20), 1)
    ]
    parts[2][0]["features"]["country"] = None
    batches = [decode(rows) for rows in parts]
    assert len({likeness(batch) for batch in batches}) == 1
    merged, whole = merge(batches), decode([row for rows in parts for row in rows])
    assert merged.rows == whole.rows == 24
    times = np.zeros(24)
    assert np.array_equal(bin_batch(REFERENCE, merged, times).cells, bin_batch(REFERENCE, whole, times).cells)
    assert merged.latency is not None
    assert merged.latency.tolist() == pytest.approx([0.1] * 3 + [0.2] + [0.3] * 20)


def test_one_batch_stays_as_it_is() -> None:
    batch = decode(make_rows(3))
    assert merge([batch]) is batch


def test_rows_with_ids_or_labels_and_odd_columns_are_merged_with_none() -> None:
    assert likeness(decode(make_rows(2, prefix="a"))) is None
    assert likeness(decode(make_rows(2, label=1))) is None
    odd = make_rows(2)
    odd[0]["features"]["age"] = [1, 2]
    assert likeness(decode(odd)) is None


def test_batches_for_another_version_or_of_other_columns_are_not_alike() -> None:
    plain = likeness(decode(make_rows(2)))
    fewer = make_rows(2)
    for row in fewer:
        del row["features"]["age"]
    assert plain == likeness(decode(make_rows(5)))
    assert likeness(decode(make_rows(2), version="2")) != plain
    assert likeness(decode(fewer)) != plain
    assert likeness(decode(make_rows(2, latency_seconds=1.0))) != plain
