"""The bytes of a record are canonical, bounded, and say what was recorded."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

import numpy as np
import orjson
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from exporter import __version__
from exporter.audit.record import GENESIS, MAX_BODY_BYTES, Entry, chain, digest_body, format_time, make_body
from tests.support.trail import make_entry

SALT = bytes(range(16))


def data_of(value: Any) -> Any:
    body, _ = make_body(make_entry(data={"value": value}), 1, 0.0, SALT)
    return orjson.loads(body)["data"]["value"]


def test_a_body_is_canonical_json_of_all_fields() -> None:
    entry = Entry("alias_moved", "ada", "fraud", "3", "champion", "ab12", {"z": 1, "ä": 1e21}, "r1", "c1")
    body, columns = make_body(entry, 7, 1764460800.25, SALT)
    assert body.decode() == (
        '{"action_id":"ab12","actor":"ada","at":"2025-11-30T00:00:00.250000Z","config_digest":"c1",'
        f'"data":{{"z":1,"ä":1e+21}},"exporter":"{__version__}","kind":"alias_moved","model":"fraud",'
        '"model_version":"3","reference_digest":"r1","salt":"000102030405060708090a0b0c0d0e0f","seq":7,'
        '"subject":"champion","v":1}'
    )
    assert columns == (1764460800.25, "alias_moved", "ada", "ab12", "fraud", "3")


def test_the_chain_is_the_hash_of_the_one_before_and_of_the_body() -> None:
    body = b"{}"
    expected = hashlib.sha256(b"\x01" + GENESIS + hashlib.sha256(body).digest()).digest()
    assert chain(GENESIS, digest_body(body)) == expected


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (float("nan"), "NaN"),
        (float("inf"), "Infinity"),
        (-np.inf, "-Infinity"),
        (-0.0, 0),
        (2**53 - 1, 2**53 - 1),
        (2**53, "9007199254740992"),
        (-(2**70), "-1180591620717411303424"),
        (np.float32(0.5), 0.5),
        (np.int64(7), 7),
        (np.array([[1.0, np.nan]]), [[1, "NaN"]]),
        ((1, None, True), [1, None, True]),
        pytest.param({"b", "a"}, ["a", "b"], id="set"),  # whose text differs from process to process
        ({3: "x"}, {"3": "x"}),
        ("a\0b\ud800", "ab?"),
    ],
    ids=str,
)
def test_values_that_json_does_not_have_get_a_form(value: Any, shown: Any) -> None:
    assert data_of(value) == shown


def test_a_number_of_a_million_digits_is_no_problem() -> None:
    assert data_of(1 << 5000) == hex(1 << 5000)
    body, _ = make_body(make_entry(data={"value": 1 << 3_000_000}), 1, 0.0, SALT)
    assert orjson.loads(body)["data"]["cut"]["bytes"] > 750_000


def test_what_has_no_form_at_all_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(TypeError, match="object is no value of JSON"):
        data_of(object())


def test_nesting_is_bounded() -> None:
    value: Any = 1
    for _ in range(5_000):
        value = [value]
    assert "nested too deeply" in str(data_of(value))


def test_large_data_are_cut_and_say_so() -> None:
    data = {"columns": ["é" * 100] * 1000}
    body, _ = make_body(make_entry(data=data), 1, 0.0, SALT)
    whole = rfc8785.dumps(data)
    cut = orjson.loads(body)["data"]["cut"]
    assert (cut["bytes"], cut["sha256"]) == (len(whole), hashlib.sha256(whole).hexdigest())
    assert whole.decode().startswith(cut["begins"])
    assert len(body) <= MAX_BODY_BYTES


@given(text=st.text(st.characters(exclude_categories=()), max_size=3000))
def test_no_text_makes_a_body_too_large_or_unreadable(text: str) -> None:
    entry = Entry("started", text, text, text, text, text, {text: text * 30}, text, text)
    body, columns = make_body(entry, 1, 0.0, SALT)
    assert len(body) <= MAX_BODY_BYTES
    found = json.loads(body)
    assert (found["actor"], found["model"]) == (columns.actor, columns.model)
    assert "\0" not in columns.actor


def test_a_long_text_is_cut_visibly() -> None:
    _, columns = make_body(make_entry(actor="x" * 2000), 1, 0.0, SALT)
    assert columns.actor == "x" * 999 + "…"


@given(
    st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=20)
)
def test_the_bytes_are_those_of_rfc_8785(value: Any) -> None:
    body, _ = make_body(make_entry(data={"value": value}), 1, 0.0, SALT)
    assert rfc8785.dumps(json.loads(body, parse_int=float)) == body


def test_equal_events_have_different_digests() -> None:
    bodies = {make_body(make_entry(), 1, 0.0, bytes([salt]) * 16)[0] for salt in (1, 2)}
    assert len(bodies) == 2


def test_a_time_has_microseconds_and_its_zone() -> None:
    assert format_time(0.1) == "1970-01-01T00:00:00.100000Z"


def test_an_entry_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        make_entry().actor = "x"  # type: ignore[misc]
    assert replace(make_entry(), actor="x").actor == "x"
