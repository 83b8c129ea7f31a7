"""Requests that come together are prepared and committed together, and answered each for itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import orjson
import pytest

from exporter.api import gathering
from exporter.api.gathering import Gathering
from exporter.errors import RegistryUnreachableError, UnknownModelError
from exporter.formats.predictions import decode_predictions
from exporter.formats.raw import JSON_TYPE, RawRequest
from exporter.ingest.commit import PredictionAnswer
from tests.support.fakes import FakeRegistry
from tests.support.rig import NOON, Rig, make_document, make_rows, make_table

Start = Callable[..., Rig]


def post_together(rig: Rig, documents: Sequence[dict[str, Any]]) -> list[Any]:
    """The answers, or what was raised instead."""

    async def post() -> list[Any]:
        gathered = Gathering(rig.service)
        requests = [RawRequest(JSON_TYPE, {}, orjson.dumps(document)) for document in documents]
        batches = [decode_predictions(each.body, JSON_TYPE, {}, rig.settings) for each in requests]
        takes = map(gathered.take, requests, batches)
        return await asyncio.gather(*takes, return_exceptions=True)

    return asyncio.run(post())


@pytest.fixture
def prepared(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Rows of every batch that was prepared."""
    seen: list[int] = []
    prepare = gathering.prepare

    def noting(source: Any, batch: Any, *rest: Any) -> Any:
        seen.append(batch.rows)
        return prepare(source, batch, *rest)

    monkeypatch.setattr(gathering, "prepare", noting)
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


def test_rows_with_ids_are_looked_at_by_themselves(rig: Rig, prepared: list[int]) -> None:
    named = make_rows(3, prefix="a")
    answers = post_together(rig, [make_document(rows) for rows in (named, make_rows(2), named)])
    assert [answer.accepted for answer in answers] == [3, 2, 0]
    assert answers[2].duplicates == 3
    assert sorted(prepared) == [2, 3, 3]


def test_what_nobody_monitors_is_refused_without_the_others(rig: Rig) -> None:
    unknown = make_document(make_rows(2), "spam")
    first, second, third = post_together(rig, [unknown, make_document(make_rows(2)), unknown])
    assert isinstance(first, UnknownModelError)
    assert isinstance(third, UnknownModelError)
    assert second == PredictionAnswer(2, 0, 0, {})


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


def test_as_many_as_are_good_for_the_first_are_taken_at_once(
    rig: Rig, prepared: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathering, "MAX_ROWS", 5)
    post_together(rig, [make_document(make_rows(count)) for count in (2, 3, 4, 7)])
    assert prepared == [5, 4, 7]
    assert rig.window_rows() == 16


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
