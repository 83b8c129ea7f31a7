"""Requests that are committed together are prepared together, and answered each for itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import orjson
import pytest

from exporter.errors import RegistryUnreachableError, RequestError, UnknownModelError
from exporter.formats.batch import assemble
from exporter.formats.predictions import read_predictions
from exporter.formats.raw import JSON_TYPE, RawRequest
from exporter.ingest import batching, commit
from exporter.ingest.batching import Group, PredictionRequest, group_alike
from exporter.ingest.commit import PredictionAnswer
from exporter.profiling.build import build_reference
from exporter.profiling.data import ReferenceData
from exporter.settings import Settings
from tests.support.fakes import TIMEOUT_SECONDS, FakeRegistry
from tests.support.rig import NOON, Rig, make_document, make_rows, make_table
from tests.support.wire import bin_decoded

Start = Callable[..., Rig]
REFERENCE = build_reference(ReferenceData(make_table(500), "test"), Settings().windows, 500)


def request(rows: list[dict[str, Any]], **target: str) -> PredictionRequest:
    body = orjson.dumps(make_document(rows, **target))
    decoded = read_predictions(body, JSON_TYPE, {}, Settings())
    return PredictionRequest(RawRequest(JSON_TYPE, {}, body), decoded, NOON)


def group_sizes(*requests: PredictionRequest) -> list[int]:
    return [len(group.requests) for group in group_alike(requests)]


# -- grouping -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "r"])
def test_rows_of_a_group_are_binned_as_one_batch(prefix: str) -> None:
    parts = [
        make_rows(count, seed=seed, latency_seconds=0.1 * seed, prefix=prefix and f"{prefix}{seed}-")
        for seed, count in enumerate((3, 1, 20), 1)
    ]
    parts[2][0]["features"]["country"] = None
    (group,) = group_alike([request(rows) for rows in parts])
    merged = group.batch
    whole = assemble([request([row for rows in parts for row in rows]).decoded])
    assert merged.rows == whole.rows == 24
    assert merged.ids == whole.ids
    times = np.zeros(24)
    cells = [bin_decoded(REFERENCE, batch, times).cells for batch in (merged, whole)]
    assert np.array_equal(cells[0], cells[1])
    assert merged.latency is not None
    assert merged.latency.tolist() == pytest.approx([0.1] * 3 + [0.2] + [0.3] * 20)


def test_a_group_knows_whose_its_rows_are() -> None:
    group = Group.of([request(make_rows(count)) for count in (3, 1, 4)])
    assert group.count(np.array([0, 2, 4, 5, 7])) == [2, 0, 3]
    found = [
        (numbers.tolist(), inside.tolist()) for _, numbers, inside in group.split(np.array([0, 2, 4, 7]))
    ]
    assert found == [([0, 2], [0, 1]), ([0, 3], [2, 3])]


def test_requests_for_another_version_or_of_other_columns_are_not_alike() -> None:
    plain, fewer = request(make_rows(2)), make_rows(2)
    for row in fewer:
        del row["features"]["age"]
    assert group_sizes(plain, request(make_rows(5))) == [2]
    assert group_sizes(plain, request(make_rows(2), version="2")) == [1, 1]
    assert group_sizes(plain, request(fewer)) == [1, 1]


def test_a_group_is_no_larger_than_is_good_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "MAX_GROUP_VALUES", 25)  # five rows of five columns
    groups = group_alike([request(make_rows(count)) for count in (2, 3, 4, 7)])
    assert [group.batch.rows for group in groups] == [5, 4, 7]


# -- their answers ------------------------------------------------------------------------------------------


def post_together(rig: Rig, documents: Sequence[dict[str, Any]]) -> list[Any]:
    """The answers, or the errors."""
    futures = rig.together(documents)
    return [future.exception(TIMEOUT_SECONDS) or future.result() for future in futures]


@pytest.fixture
def prepared(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Rows of every batch that was prepared."""
    seen: list[int] = []
    prepare = commit.prepare

    def noting(batch: Any, *rest: Any) -> Any:
        seen.append(batch.rows)
        return prepare(batch, *rest)

    monkeypatch.setattr(commit, "prepare", noting)
    return seen


def test_each_is_told_of_its_own_rows(rig: Rig, prepared: list[int]) -> None:
    late = make_rows(4)
    late[0]["timestamp"], late[3]["timestamp"] = NOON + 10_000, NOON - 90 * 86400
    answers = post_together(rig, [make_document(rows) for rows in (make_rows(2), late, make_rows(3))])
    assert answers == [
        PredictionAnswer(2, 0, 0, {}),
        PredictionAnswer(2, 0, 0, {"future": 1, "too_old": 1}),
        PredictionAnswer(3, 0, 0, {}),
    ]
    assert prepared == [9]
    assert rig.window_rows() == 7


def test_rows_with_ids_are_repeated_or_in_conflict_in_their_own_request(
    rig: Rig, prepared: list[int]
) -> None:
    rows, changed = make_rows(4, prefix="a"), make_rows(1, prefix="a", seed=2)
    rig.post_rows(rows[3:])
    answers = post_together(rig, [make_document(some) for some in (rows[:2], rows[1:], changed)])
    assert answers == [
        PredictionAnswer(2, 0, 0, {}),
        PredictionAnswer(1, 2, 0, {}),
        PredictionAnswer(0, 0, 1, {}),
    ]
    assert prepared == [1, 6]
    assert rig.window_rows() == 5


def test_what_nobody_monitors_is_refused_without_the_others(rig: Rig) -> None:
    unknown = make_document(make_rows(2), "spam")
    first, second, third = post_together(rig, [unknown, make_document(make_rows(2)), unknown])
    assert isinstance(first, UnknownModelError)
    assert isinstance(third, UnknownModelError)
    assert second == PredictionAnswer(2, 0, 0, {})
    assert rig.sample('mlflow_exporter_ingest_rows_total{kind="prediction",outcome="rejected"}') == 4


def test_a_key_whose_first_request_was_refused_is_free_for_the_second(rig: Rig) -> None:
    with rig.held():
        refused = rig.submit(make_document(make_rows(2), version="9"), "k")
        taken = rig.submit(make_document(make_rows(2)), "k")
    assert isinstance(refused.exception(TIMEOUT_SECONDS), RequestError)
    assert taken.result(TIMEOUT_SECONDS) == PredictionAnswer(2, 0, 0, {})


def post_at(rig: Rig, times: Sequence[float]) -> list[Any]:
    """Post two rows of each time together, by the alias `champion`."""
    rows = [make_rows(2, timestamp=at) for at in times]
    return post_together(rig, [make_document(some, alias="champion") for some in rows])


def test_rows_from_while_the_alias_was_not_there_are_dropped_from_their_own_request(start: Start) -> None:
    registry = FakeRegistry()
    for alias in ("champion", "challenger"):
        registry.register("fraud", make_table(), alias=alias)
    rig = start(registry=registry)
    rig.clock.advance(600)
    gone = rig.clock.now
    registry.delete_alias("fraud", "champion")
    rig.poll()
    taken, dropped = PredictionAnswer(2, 0, 0, {}), PredictionAnswer(0, 0, 0, {"no_version": 2})
    # As if each had come alone: an alias that is gone is unknown to who has no row from before.
    first, second, third = post_at(rig, (gone - 60, gone + 60, gone - 60))
    assert (first, third) == (taken, taken)
    assert isinstance(second, UnknownModelError)
    rig.clock.advance(600)
    registry.set_alias("fraud", "champion", "2")
    rig.poll()
    now = rig.clock.now
    assert post_at(rig, (now, gone + 60, now)) == [taken, dropped, taken]
    assert rig.sample('mlflow_exporter_dropped_rows_total{reason="no_version"}') == 2


def test_those_that_wait_for_a_reference_wait_each_with_its_own_rows(start: Start) -> None:
    registry, table = FakeRegistry(), make_table()
    registry.register("fraud", RegistryUnreachableError("down"), alias="champion")
    rig = start(registry=registry)
    late = make_rows(3)
    late[0]["timestamp"] = NOON + 10_000
    post_together(rig, [make_document(rows) for rows in (make_rows(2), late, make_rows(4))])
    assert rig.version().waiting_rows == 8
    registry.set_reference("fraud", "1", table)
    rig.poll()
    assert rig.window_rows() == 8
