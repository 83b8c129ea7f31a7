"""Counts that were folded elsewhere are added as the rows themselves would be, once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
import pytest

from exporter.errors import (
    ConflictError,
    MalformedError,
    OverloadedError,
    StaleReferenceError,
    UnavailableError,
    UnknownModelError,
)
from exporter.folding.bodies import bodies
from exporter.folding.fold import Folder
from exporter.ingest.aggregates_body import read_aggregates
from exporter.ingest.commit import PredictionAnswer
from tests.support.fakes import TIMEOUT_SECONDS
from tests.support.folded import (
    assert_same_counts,
    counted_rows,
    make_bodies,
    make_body,
    make_live_table,
    make_registry,
    post_body,
    post_table,
    reference_of,
)
from tests.support.labelled import TASKS
from tests.support.rig import NOON, Rig

Start = Callable[..., Rig]
ROWS = 3000
DAY = 86400.0


@pytest.mark.parametrize("task", TASKS)
def test_folded_rows_count_as_posted_ones(task: str, start: Start, tmp_path: Path) -> None:
    registry = make_registry(task)
    posted = start(registry=registry)
    folded = start(registry=registry, store=f"sqlite:///{tmp_path}/folded.db")
    table = make_live_table(task, ROWS, span_seconds=30 * 3600)
    post_table(posted, table)
    answers = [post_body(folded, body) for body in make_bodies(reference_of(folded), table)]
    assert sum(answer.accepted for answer in answers) == ROWS
    assert counted_rows(folded.version().counts) == ROWS
    assert any(folded.version().counts.outcomes.values())
    assert_same_counts(folded.version(), posted.version())


@pytest.fixture
def labelled_rig(start: Start) -> Rig:
    return start(registry=make_registry("binary"))


def one_hour(rows: int = 200, seed: int = 1) -> pa.Table:
    return make_live_table("binary", rows, seed, span_seconds=3600)


def post(rig: Rig, table: pa.Table, *identity: object, **options: object) -> PredictionAnswer:
    return post_body(rig, make_body(reference_of(rig), table, *identity, **options))


def total(rig: Rig) -> int:
    return counted_rows(rig.version().counts)


def test_the_same_sequence_counts_once(labelled_rig: Rig) -> None:
    body = make_body(reference_of(labelled_rig), one_hour())
    first, second = post_body(labelled_rig, body), post_body(labelled_rig, body)
    assert (first.accepted, first.duplicates) == (200, 0)
    assert (second.accepted, second.duplicates) == (0, 200)
    assert total(labelled_rig) == 200


def test_the_same_sequence_within_one_commit_counts_once(labelled_rig: Rig) -> None:
    request = read_aggregates(make_body(reference_of(labelled_rig), one_hour()), NOON)
    with labelled_rig.held():
        futures = [labelled_rig.service.writer.submit(request) for _ in range(2)]
    answers = [future.result(TIMEOUT_SECONDS) for future in futures]
    assert [answer.accepted for answer in answers] == [200, 0]


def test_the_order_of_the_rows_does_not_matter_to_what_is_the_same(labelled_rig: Rig) -> None:
    table = one_hour()
    shuffled = table.take(np.random.default_rng(0).permutation(table.num_rows))
    post(labelled_rig, table)
    assert post(labelled_rig, shuffled).duplicates == 200


def test_a_sequence_with_other_counts_is_refused(labelled_rig: Rig) -> None:
    post(labelled_rig, one_hour())
    with pytest.raises(MalformedError, match="other counts before"):
        post(labelled_rig, one_hour(seed=2))
    assert total(labelled_rig) == 200


def test_a_sequence_that_goes_back_is_refused(labelled_rig: Rig) -> None:
    post(labelled_rig, one_hour(), "job", 7)
    with pytest.raises(MalformedError, match="goes back: 7 was taken"):
        post(labelled_rig, one_hour(seed=2), "job", 6)
    assert post(labelled_rig, one_hour(seed=3), "job", 8).accepted == 200
    assert post(labelled_rig, one_hour(seed=4), "another job", 6).accepted == 200


def test_a_sequence_is_remembered_over_a_restart(start: Start, store_uri: str) -> None:
    registry = make_registry("binary")
    rig = start(registry=registry, store=store_uri)
    body = make_body(reference_of(rig), one_hour())
    post_body(rig, body)
    rig.stop()
    again = start(registry=registry, store=store_uri)
    assert post_body(again, body).duplicates == 200
    assert total(again) == 200


def test_counts_in_other_bins_are_refused_with_the_current_digest(labelled_rig: Rig) -> None:
    document = orjson.loads(make_body(reference_of(labelled_rig), one_hour()))
    document["digest"] = "0" * 64
    with pytest.raises(StaleReferenceError) as refused:
        post_body(labelled_rig, orjson.dumps(document))
    assert refused.value.members == {"digest": reference_of(labelled_rig).digest}
    assert total(labelled_rig) == 0


def test_blocks_of_another_length_are_refused(labelled_rig: Rig) -> None:
    document = orjson.loads(make_body(reference_of(labelled_rig), one_hour()))
    document["block_seconds"] = 60
    with pytest.raises(ConflictError, match="of 300 seconds"):
        post_body(labelled_rig, orjson.dumps(document))


def test_a_version_without_a_reference_takes_no_counts(start: Start) -> None:
    rig = start(registry=make_registry("binary"))
    body = make_body(reference_of(rig), one_hour()).replace(b'"version":"1"', b'"version":"2"')
    rig.registry.register("fraud", alias="challenger")
    rig.poll()
    with pytest.raises(ConflictError, match="no reference"):
        post_body(rig, body)


def test_an_unknown_version_takes_no_counts(labelled_rig: Rig) -> None:
    body = make_body(reference_of(labelled_rig), one_hour()).replace(b'"version":"1"', b'"version":"9"')
    with pytest.raises(UnknownModelError):
        post_body(labelled_rig, body)


def test_blocks_outside_of_the_ages_that_are_taken_are_dropped(labelled_rig: Rig) -> None:
    days = pa.concat_tables(
        make_live_table("binary", rows, span_seconds=200, end=end)
        for rows, end in ((100, NOON), (20, NOON - 31 * DAY), (3, NOON + DAY))
    )
    answer = post(labelled_rig, days)
    assert (answer.accepted, answer.dropped) == (100, {"too_old": 20, "future": 3})
    assert total(labelled_rig) == 100
    series = labelled_rig.series("mlflow_exporter_dropped_rows_total")
    assert series['mlflow_exporter_dropped_rows_total{reason="too_old"}'] == 20


def test_rows_slightly_ahead_count_now(labelled_rig: Rig) -> None:
    answer = post(labelled_rig, make_live_table("binary", 50, span_seconds=10, end=NOON + 299))
    assert answer.accepted == 50
    assert labelled_rig.version().last_prediction == NOON


def test_hourly_counts_go_into_coarse_blocks(labelled_rig: Rig) -> None:
    post(labelled_rig, one_hour(), hourly=True)
    counts = labelled_rig.version().counts
    assert counts is not None
    assert not counts.timeline.fine
    assert sum(block.rows for block in counts.timeline.coarse.values()) == 200
    assert labelled_rig.window_rows() == 200


def test_a_full_store_takes_no_counts(labelled_rig: Rig) -> None:
    labelled_rig.service.writer.full = True
    with pytest.raises(UnavailableError, match="limit"):
        post(labelled_rig, one_hour())


def test_counts_wait_in_the_queue_by_their_blocks(start: Start) -> None:
    rig = start(registry=make_registry("binary"), max_queue_rows=20)
    first, second = (make_body(reference_of(rig), one_hour(seed=seed), "job", seed) for seed in (1, 2))
    with rig.held():
        rig.service.writer.submit(read_aggregates(first, NOON))
        with pytest.raises(OverloadedError):
            rig.service.writer.submit(read_aggregates(second, NOON))


def test_rows_of_counts_are_counted_by_outcome(labelled_rig: Rig) -> None:
    body = make_body(reference_of(labelled_rig), one_hour())
    post_body(labelled_rig, body)
    post_body(labelled_rig, body)
    name = "mlflow_exporter_ingest_rows_total"
    series = labelled_rig.series(name)
    found = {o: series[f'{name}{{kind="aggregate",outcome="{o}"}}'] for o in ("accepted", "duplicate")}
    assert found == {"accepted": 200, "duplicate": 200}


def test_a_source_is_forgotten_once_its_rows_would_be_too_old(labelled_rig: Rig) -> None:
    post(labelled_rig, one_hour(), "job", 7)
    for days in (20, 12):
        labelled_rig.clock.advance(days * DAY)
        labelled_rig.evaluate()
    fresh = make_live_table("binary", 10, span_seconds=60, end=labelled_rig.clock())
    assert post(labelled_rig, fresh, "job", 1).accepted == 10


def test_more_rows_of_an_hour_than_can_be_counted_are_refused(labelled_rig: Rig) -> None:
    reference = reference_of(labelled_rig)
    folder = Folder(reference)
    folder.add_rows(make_live_table("binary", 1000, span_seconds=100))
    for _ in range(20):  # a billion rows
        folder.add_parts(folder.parts)
    for sequence in (1, 2, 3):
        (body,) = bodies(folder.parts, reference, "job", sequence)
        if sequence < 3:
            post_body(labelled_rig, body.encode(reference))
    with pytest.raises(MalformedError, match="rows of one hour"):
        post_body(labelled_rig, body.encode(reference))
    assert total(labelled_rig) == 2 * 1000 * 2**20
