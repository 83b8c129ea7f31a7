"""Attempts, back-off and the end of what is not taken, by a clock that jumps to whatever is due next."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from exporter.client.columns import ColumnRules
from exporter.client.connection import Answer
from exporter.client.counts import Counts
from exporter.client.outbox import Entry, Outbox
from exporter.client.sender import (
    LONGEST_DELAY_SECONDS,
    LONGEST_RETRY_AFTER_SECONDS,
    REFUSED_AGE_SECONDS,
    Sender,
)
from exporter.client.uploads import Packer, Row
from exporter.errors import UnreachableError
from exporter.payloads.target import Target

MAX_AGE_SECONDS = 3600.0
TAKEN = Answer(202, {}, b"{}")


class World:
    """A sender, its clock, and an exporter whose answers are `answer(document)`."""

    def __init__(self, *, queue_rows: int = 100_000, queue_bytes: int = 2**26, batch_rows: int = 500) -> None:
        self.now = 1000.0
        self.requests: list[tuple[float, str, dict[str, Any]]] = []
        self.answer: Callable[[dict[str, Any]], Answer] = lambda document: TAKEN
        self.counts = Counts(None)
        self.outbox = Outbox(queue_rows, queue_bytes, batch_rows)
        packer = Packer(
            *(Target("fraud", "3"), ColumnRules(), self.counts),
            sample=1.0,
            feature_names=(),
            batch_rows=batch_rows,
            yield_thread=lambda: None,
        )
        self.sender = Sender(
            *(self.outbox, packer, self, self.counts),
            batch_rows=batch_rows,
            batch_seconds=1.0,
            max_age_seconds=MAX_AGE_SECONDS,
            now=lambda: self.now,
        )

    def request(self, method: str, path: str, query: None, body: bytes, headers: dict[str, str]) -> Answer:
        document = json.loads(gzip.decompress(body))
        self.requests.append((self.now, headers["Idempotency-Key"], document))
        return self.answer(document)

    def put(self, rows: int = 1) -> int:
        """Queue rows of one call each; return the number that found room."""
        contents = (Row({"age": row}, 1, None, None, None, None, None) for row in range(rows))
        entries = (Entry("prediction", 1, 600, self.now, self.now, each) for each in contents)
        return sum(map(self.outbox.put, entries))

    def run(self, seconds: float, rows_a_second: float = 0.0) -> None:
        """Let time pass, in which rows come at a rate."""
        end, next_row = self.now + seconds, self.now
        while self.now < end:
            wait = self.sender.step()
            due = end if wait is None else min(self.now + wait, end)
            if rows_a_second and next_row <= due:
                due = next_row
                next_row += 1 / rows_a_second
                if not self.put():
                    self.counts.drop("queue_full", 1)
            self.now = due

    @property
    def sent(self) -> int:
        return self.counts.sent.get("prediction", 0)


def down(document: dict[str, Any]) -> Answer:
    raise UnreachableError("the exporter at nowhere cannot be reached")


def answering(status: int, **headers: str) -> Callable[[dict[str, Any]], Answer]:
    return lambda document: Answer(status, {n.replace("_", "-"): v for n, v in headers.items()}, b"{}")


@pytest.fixture
def world() -> World:
    return World()


def test_rows_wait_for_others_and_go_together(world: World) -> None:
    world.put(3)
    world.run(0.9)
    assert not world.requests
    world.run(0.2)
    assert [document["columns"]["features"] for _, _, document in world.requests] == [{"age": [0, 1, 2]}]
    assert world.sent == 3


def test_a_full_batch_does_not_wait(world: World) -> None:
    world.put(1200)
    world.run(0.1)
    assert [len(document["columns"]["prediction"]) for _, _, document in world.requests] == [500, 500]
    world.run(1.0)
    assert world.sent == 1200


def test_an_hour_without_the_exporter_is_outlasted_and_its_losses_are_counted() -> None:
    world = World(queue_rows=10_000)
    world.answer = down
    world.run(3700.0, rows_a_second=20)
    lost = world.counts.dropped
    assert set(lost) == {"queue_full", "expired"}
    assert sum(lost.values()) == pytest.approx(3700 * 20 - 10_000, abs=600)
    assert len(world.requests) < 3700 / (LONGEST_DELAY_SECONDS / 2) + 10
    world.answer = answering(202)
    world.run(120.0)
    assert world.sent > 8_000
    assert world.sent + sum(world.counts.dropped.values()) == pytest.approx(3700 * 20, abs=1)
    assert world.outbox.rows == world.outbox.size_bytes == 0


def test_delays_grow_and_end_with_success(world: World) -> None:
    world.answer = down
    world.put()
    world.run(300.0)
    times = [at for at, _, _ in world.requests]
    delays = [later - earlier for earlier, later in pairwise(times)]
    bounds = [min(0.5 * 2**number, LONGEST_DELAY_SECONDS) for number in range(len(delays))]
    assert all(bound / 2 <= delay <= bound for delay, bound in zip(delays, bounds, strict=True)), delays
    assert len({key for _, key, _ in world.requests}) == 1
    world.answer = answering(202)
    world.run(31.0)
    world.answer = down
    world.put()
    world.run(1.6)
    assert world.requests[-1][0] - world.requests[-2][0] <= 0.5


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_busy_exporter_is_asked_again(world: World, status: int) -> None:
    world.answer = answering(status)
    world.put()
    world.run(5.0)
    world.answer = answering(202)
    world.run(40.0)
    assert (world.sent, world.counts.dropped) == (1, {})
    assert len({key for _, key, _ in world.requests}) == 1


def test_the_exporter_says_when_and_is_not_believed_for_long(world: World) -> None:
    world.answer = answering(429, retry_after="20")
    world.put()
    world.run(25.0)
    assert world.requests[1][0] - world.requests[0][0] == pytest.approx(20)
    world.answer = answering(503, retry_after="999999999")
    world.run(20.0 + LONGEST_RETRY_AFTER_SECONDS)
    assert world.requests[-1][0] - world.requests[-2][0] == pytest.approx(LONGEST_RETRY_AFTER_SECONDS)


@pytest.mark.parametrize("header", ["Mon, 30 Nov 2026 10:00:00 GMT", "-5", "1e9", "²", ""])
def test_another_time_to_wait_is_not_read(world: World, header: str) -> None:
    world.answer = answering(503, retry_after=header)
    world.put()
    world.run(1.6)
    assert len(world.requests) == 2


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (401, "unauthorized"),
        (403, "unauthorized"),
        (404, "unknown_model"),
        (302, "unexpected_answer"),
        (200, "unexpected_answer"),
        (400, "unexpected_answer"),
        (405, "unexpected_answer"),
    ],
)
def test_what_may_be_accepted_soon_waits_for_minutes(world: World, status: int, reason: str) -> None:
    world.answer = answering(status)
    world.put(10)
    world.run(REFUSED_AGE_SECONDS - 40)
    assert world.counts.dropped == {}
    world.put(10)
    world.run(80.0)
    assert world.counts.dropped == {reason: 10}
    world.answer = answering(202)
    world.run(REFUSED_AGE_SECONDS)
    assert (world.sent, world.counts.dropped) == (10, {reason: 10})


def test_a_model_that_stays_unknown_does_not_fill_memory(world: World) -> None:
    world.answer = answering(404)
    world.run(1200.0, rows_a_second=10)
    assert world.outbox.rows <= (REFUSED_AGE_SECONDS + 2 * LONGEST_DELAY_SECONDS) * 10
    assert set(world.counts.dropped) == {"unknown_model"}
    assert len(world.requests) < 120


@pytest.mark.parametrize("status", [413, 422])
@pytest.mark.parametrize("bad", [[0], [499], [17, 300], [100, 101, 102]], ids=str)
def test_bad_rows_cost_only_themselves(world: World, status: int, bad: list[int]) -> None:
    def refuse(document: dict[str, Any]) -> Answer:
        ages = document["columns"]["features"]["age"]
        return Answer(status, {}, b'{"detail": "bad age"}') if set(ages) & set(bad) else TAKEN

    world.answer = refuse
    world.put(500)
    world.run(5.0)
    assert (world.sent, world.counts.dropped) == (500 - len(bad), {"refused": len(bad)})
    assert len({key for _, key, _ in world.requests}) == len(world.requests)


def test_a_batch_of_which_no_body_can_be_made_is_counted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for broken in ("body", "pack"):
        with monkeypatch.context() as patch:
            patch.setattr(Packer, broken, lambda *arguments: 1 / 0)
            world.put(3)
            world.run(2.0)
    world.put(2)
    world.run(2.0)
    assert (world.counts.dropped, world.sent) == ({"invalid": 6}, 2)


def test_a_batch_of_bad_rows_takes_a_bounded_number_of_requests(world: World) -> None:
    world.answer = answering(422)
    world.put(500)
    world.run(5.0)
    assert world.counts.dropped == {"refused": 500}
    assert len(world.requests) <= 61


def test_what_hurries_skips_the_wait_once(world: World) -> None:
    world.answer = down
    world.put()
    world.run(100.0)
    before = len(world.requests)
    mark = world.sender.hurry()
    world.sender.step()
    assert len(world.requests) == before + 1
    assert world.sender.done < mark
    world.answer = answering(202)
    world.run(40.0)
    assert world.sender.done == mark


def test_what_is_abandoned_is_counted(world: World) -> None:
    world.answer = down
    world.put(700)
    world.run(5.0)
    world.sender.abandon("exit")
    assert world.counts.dropped == {"exit": 700}
    assert world.sender.step() is None


def test_the_queue_is_bounded_in_rows_and_bytes() -> None:
    assert World(queue_rows=10).put(20) == 10
    assert World(queue_bytes=6_000).put(20) == 10
