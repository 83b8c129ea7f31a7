"""Halves of exchanges in the waiting room."""

from __future__ import annotations

import pytest

from exporter.capture import waiting
from exporter.capture.events import Event, Half
from exporter.capture.waiting import HALF_BYTES, Exchange, WaitingRoom
from tests.support.fakes import Clock


class Room(WaitingRoom):
    def __init__(self) -> None:
        self.clock = Clock(0.0)
        self.overflowed: list[str] = []
        super().__init__(self.clock.monotonic, lambda event: self.overflowed.append(event.id))


@pytest.fixture
def room() -> Room:
    return Room()


def half(kind: Half, event_id: str = "7", body: bytes = b"{}") -> Event:
    return Event(kind, event_id, "fraud", body=body)


@pytest.mark.parametrize("first", ["request", "response"])
def test_halves_meet_whichever_comes_first(room: Room, first: Half) -> None:
    second: Half = "response" if first == "request" else "request"
    assert room.meet(half(first)) == "waits"
    assert room.meet(half(second, "8")) == "waits"
    met = room.meet(half(second))
    assert isinstance(met, Exchange)
    assert (met.request.half, met.response.half) == ("request", "response")
    assert (met.first.half, met.second.half) == (first, second)
    assert (room.halves, room.size_bytes) == (1, HALF_BYTES + 2)


def test_a_half_that_comes_again_is_a_duplicate_before_and_after(room: Room) -> None:
    assert [room.meet(half("request")) for _ in range(2)] == ["waits", "duplicate"]
    assert isinstance(room.meet(half("response")), Exchange)
    assert [room.meet(half("response")), room.meet(half("request"))] == ["duplicate", "duplicate"]
    assert room.halves == 0


def test_a_complete_exchanges_id_with_other_content_is_another_exchange(room: Room) -> None:
    for body in (b"1", b"2"):
        assert room.meet(half("request", body=body)) == "waits"
        assert isinstance(room.meet(half("response", body=body)), Exchange)
    assert room.meet(half("response", body=b"2")) == "duplicate"


def test_an_id_that_is_reused_meanwhile_is_not_taken_until_it_expires(room: Room) -> None:
    room.meet(half("request", body=b"1"))
    assert room.meet(half("request", body=b"2")) == "reused"
    assert room.meet(half("response", body=b"1")) == "reused"
    room.clock.advance(60)
    (expired,) = room.expire()
    assert (expired.event.body, expired.reused) == (b"1", True)
    assert room.meet(half("request", body=b"3")) == "waits"


def test_halves_expire_in_the_order_in_which_they_came(room: Room) -> None:
    for number in range(3):
        room.meet(half("request", str(number)))
        room.clock.advance(10)
    room.clock.advance(40)
    assert [each.event.id for each in room.expire()] == ["0", "1"]
    assert room.expire() == []
    room.wait_seconds = 5.0
    assert [each.event.id for each in room.expire()] == ["2"]
    assert (room.halves, room.size_bytes) == (0, 0)


def test_what_was_complete_is_forgotten_after_the_wait(room: Room) -> None:
    room.meet(half("request"))
    room.meet(half("response"))
    room.clock.advance(60)
    room.expire()
    assert room.meet(half("request")) == "waits"


def test_the_oldest_half_makes_room(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "MAX_HALVES", 2)
    for number in range(4):
        assert room.meet(half("request", str(number))) == "waits"
    assert (room.overflowed, room.halves) == (["0", "1"], 2)
    assert isinstance(room.meet(half("response", "3")), Exchange)


def test_bytes_are_bounded(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "MAX_BYTES", 3 * (HALF_BYTES + 1000))
    for number in range(5):
        room.meet(half("request", str(number), b"x" * 1000))
    assert (room.overflowed, room.size_bytes) == (["0", "1"], 3 * (HALF_BYTES + 1000))
    assert room.meet(half("request", "large", b"x" * 10_000)) == "overflow"
    assert room.halves == 3


def test_long_attributes_take_room(room: Room) -> None:
    room.meet(half("request", "7" * 1000))
    assert room.size_bytes > HALF_BYTES + 2000


def test_remembered_exchanges_are_bounded(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "MAX_REMEMBERED", 2)
    for number in range(3):
        room.meet(half("request", str(number)))
        room.meet(half("response", str(number)))
    assert [room.meet(half("request", str(number))) for number in range(3)] == [
        "waits",
        "duplicate",
        "duplicate",
    ]


def test_an_exchange_that_is_taken_back_can_be_completed_again(room: Room) -> None:
    room.meet(half("request"))
    met = room.meet(half("response"))
    assert isinstance(met, Exchange)
    room.take_back(met)
    again = room.meet(half("response"))
    assert isinstance(again, Exchange)
    room.take_back(again)
    room.clock.advance(60)
    (expired,) = room.expire()
    assert (expired.event.half, expired.refused) == ("request", True)
