"""Rows that are posted, and the same rows folded: tables, counts and bodies."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from exporter.aggregates.block import Block
from exporter.aggregates.outcome_layout import outcome_layout
from exporter.aggregates.outcomes import Outcomes
from exporter.aggregates.state import VersionCounts
from exporter.fleet import Version
from exporter.folding.bodies import bodies
from exporter.folding.fold import Folder
from exporter.folding.part import Part
from exporter.folding.reference_document import FoldingReference, read_reference
from exporter.formats.predictions import read_predictions
from exporter.formats.raw import ARROW_TYPE, RawRequest
from exporter.ingest.aggregates_body import folding_reference, read_aggregates
from exporter.ingest.batching import PredictionRequest
from exporter.ingest.commit import PredictionAnswer
from exporter.payloads.target import Target
from exporter.profiling.build import build_reference
from exporter.profiling.data import ReferenceData
from tests.support.fakes import TIMEOUT_SECONDS, FakeRegistry
from tests.support.labelled import make_table
from tests.support.rig import NOON, Rig
from tests.support.wire import to_stream


def make_reference_table(task: str, rows: int = 2000) -> pa.Table:
    """Reference of a task with labels: a number, a category, a boolean and a time beside."""
    return _with_features(make_table(task, rows, seed=3), np.random.default_rng(4))


def make_live_table(
    task: str, rows: int, seed: int = 1, span_seconds: float = 86_400.0, end: float = NOON
) -> pa.Table:
    """Rows for the reference of `make_reference_table`: with times, latencies, and labels of a part.

    Some values are missing, of another type or unknown to the reference.
    """
    random = np.random.default_rng(seed)
    table = _with_features(make_table(task, rows, seed, flaw=0.2), random, ["DE", "FR", "AT", "XX"])
    unlabelled = random.random(rows) < 0.3
    own = {
        "label": pc.if_else(pa.array(unlabelled), None, table["label"]),
        "latency_seconds": pa.array(random.exponential(0.05, rows), mask=random.random(rows) < 0.5),
        "timestamp": pa.array(end - span_seconds * random.random(rows)),
        "extra": pa.array(np.zeros(rows)),
    }
    if task == "binary":
        own["score"] = pc.if_else(pa.array(random.random(rows) < 0.04), None, table["score"])
    for name, column in own.items():
        table = table.drop_columns([name]) if name in table.schema.names else table
        table = table.append_column(name, column)
    return table


def _with_features(
    table: pa.Table, random: np.random.Generator, countries: Sequence[str] = ("DE", "FR", "AT")
) -> pa.Table:
    rows = table.num_rows
    days = random.integers(18_000, 20_000, rows)
    age = random.normal(40, 12, rows)
    age[random.random(rows) < 0.01] = np.inf
    for name, column in {
        "age": pa.array(age, mask=random.random(rows) < 0.05),
        "country": pa.array(random.choice(countries, rows).tolist(), mask=random.random(rows) < 0.02),
        "new": pa.array(random.random(rows) < 0.3),
        "since": pa.array(days.astype(np.int32), pa.date32()),
    }.items():
        table = table.append_column(name, column)
    return table


def make_folding_reference(task: str) -> FoldingReference:
    """Reference of a task, with a segment a country."""
    data = ReferenceData(make_reference_table(task), "tests", split="test", segments=("country",))
    reference = build_reference(data, (), 100)
    target = Target("fraud", version="1")
    return FoldingReference(target, reference, 300, 32 * 2**20, outcome_layout(reference))


def encode_document(reference: FoldingReference) -> bytes:
    """The reference as `GET` answers it."""
    return json.dumps(reference.to_json()).encode()


def make_registry(task: str) -> FakeRegistry:
    """Version 1 of `fraud`, of a task, with a segment a country."""
    registry = FakeRegistry()
    registry.register("fraud", make_reference_table(task), alias="champion")
    registry.tag("fraud", "1", segments="country")
    return registry


def post_table(rig: Rig, table: pa.Table, version: str = "1") -> PredictionAnswer:
    """Post the rows of a table as they are."""
    query = {"model": "fraud", "version": version}
    body = to_stream(table)
    decoded = read_predictions(body, ARROW_TYPE, query, rig.settings)
    request = PredictionRequest(RawRequest(ARROW_TYPE, query, body), decoded, rig.clock())
    answer = rig.service.writer.submit(request).result(TIMEOUT_SECONDS)
    assert isinstance(answer, PredictionAnswer)
    return answer


def reference_of(rig: Rig, version: str = "1") -> FoldingReference:
    """The reference of a version as `GET` answers it."""
    found = rig.version(version)
    assert found.counts is not None
    return read_reference(folding_reference(found, found.counts, rig.settings).to_json())


def make_bodies(
    reference: FoldingReference, table: pa.Table, source: str = "job", sequence: int = 1, **options: Any
) -> list[bytes]:
    """Bodies of all rows of a table; `options` are those of a folder."""
    folder = Folder(reference, **options)
    folder.add_rows(table)
    made = bodies(folder.parts, reference, source, sequence)
    return [body.encode(reference) for body in made]


def make_body(reference: FoldingReference, table: pa.Table, *identity: Any, **options: Any) -> bytes:
    """The only body of the rows of a table."""
    (body,) = make_bodies(reference, table, *identity, **options)
    return body


def post_body(rig: Rig, body: bytes) -> PredictionAnswer:
    """Post aggregates, whose refusal is raised."""
    answer = rig.service.writer.submit(read_aggregates(body, rig.clock())).result(TIMEOUT_SECONDS)
    assert isinstance(answer, PredictionAnswer)
    return answer


def assert_same_counts(left: Version, right: Version) -> None:
    """Check that two versions have counted the same rows: whole numbers equal, sums of floats within 1e-9."""
    mine, others = left.counts, right.counts
    assert mine is not None
    assert others is not None
    assert_same_blocks(mine.timeline.fine, others.timeline.fine)
    assert_same_blocks(mine.timeline.coarse, others.timeline.coarse)
    assert_same_outcomes(mine.outcomes, others.outcomes)
    assert mine.segments.keys() == others.segments.keys()
    for name, segment in mine.segments.items():
        assert_same_blocks(segment.timeline.coarse, others.segments[name].timeline.coarse)
        assert_same_outcomes(segment.outcomes, others.segments[name].outcomes)
    one, two = left.live.totals, right.live.totals
    assert (one.predictions, one.labels) == (two.predictions, two.labels)
    for first, second in ((one.values, two.values), (one.latency, two.latency)):
        np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(one.label_delay, two.label_delay)
    np.testing.assert_allclose(one.latency_sum, two.latency_sum, rtol=1e-9)
    assert left.last_prediction == right.last_prediction
    assert left.unknown_columns == right.unknown_columns


def assert_same_blocks(left: dict[int, Block], right: dict[int, Block]) -> None:
    assert left.keys() == right.keys()
    for start, block in left.items():
        other = right[start]
        assert block.rows == other.rows
        np.testing.assert_array_equal(block.counts, other.counts)
        np.testing.assert_array_equal(block.latency, other.latency)
        np.testing.assert_allclose(block.moments, other.moments, rtol=1e-9, atol=1e-9 * block.rows)
        np.testing.assert_allclose(block.latency_sum, other.latency_sum, rtol=1e-9)


def assert_same_outcomes(left: dict[int, Outcomes], right: dict[int, Outcomes]) -> None:
    assert left.keys() == right.keys()
    for start, outcomes in left.items():
        np.testing.assert_array_equal(outcomes.counts, right[start].counts)
        np.testing.assert_array_equal(outcomes.sums, right[start].sums)


def counted_rows(counts: VersionCounts | None) -> int:
    """Rows in all blocks of a version."""
    assert counts is not None
    return sum(block.rows for _, _, block in counts.timeline.blocks())


def assert_same_parts(left: Sequence[Part], right: Sequence[Part]) -> None:
    """Check that parts are of the same rows."""
    assert [_facts(part) for part in left] == [_facts(part) for part in right]
    for mine, others in zip(left, right, strict=True):
        pairs = [(mine.whole, others.whole)]
        pairs += [(counted, others.segments[name]) for name, counted in mine.segments.items()]
        for one, two in pairs:
            assert_same_blocks({0: one.block}, {0: two.block})
            assert (one.outcomes is None) == (two.outcomes is None)
            if one.outcomes is not None and two.outcomes is not None:
                assert_same_outcomes({0: one.outcomes}, {0: two.outcomes})


def _facts(part: Part) -> tuple[object, ...]:
    return part.key, part.newest, part.labels, part.rows, sorted(part.segments), part.unknown_columns
