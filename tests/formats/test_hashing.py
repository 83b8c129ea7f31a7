"""A row is known again by its id and by what it says, in every process and on every machine."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.formats.batch import Batch
from exporter.formats.hashing import id_hashes, payload_hashes
from exporter.formats.raw import ARROW_TYPE
from tests.support.wire import QUERY, decode, to_stream

VALUES = (
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=3) | st.sampled_from([[1], {}])
)


def batch_of(features: dict[str, list[Any]], prediction: list[Any], **own: list[Any]) -> Batch:
    columns = {"features": features, "prediction": prediction, **own}
    return decode({"model": "m", "version": "1", "columns": columns})


def payload(features: dict[str, Any], prediction: object = 1, **own: Any) -> int:
    """The hash of a single row."""
    single = {name: [value] for name, value in features.items()}
    return int(payload_hashes(batch_of(single, [prediction], **{k: [v] for k, v in own.items()}))[0])


def test_an_id_has_128_bits_that_depend_on_the_model() -> None:
    hashes = id_hashes("fraud", ["a1", "a2", "\ud800", "\udc00"]) + id_hashes("churn", ["a1"])
    assert {len(each) for each in hashes} == {16}
    assert len(set(hashes)) == len(hashes)


def test_model_and_id_do_not_run_into_each_other() -> None:
    assert id_hashes("a", ["bc"]) != id_hashes("ab", ["c"])


def test_what_has_no_id_has_no_hash() -> None:
    assert id_hashes("fraud", [None, "a"]) == [b"", *id_hashes("fraud", ["a"])]


def test_what_a_row_says_is_features_prediction_and_score() -> None:
    row = payload({"x": 1, "y": "a"}, 1, score=0.5)

    assert row == payload({"x": 1, "y": "a"}, 1, score=0.5)
    assert row != payload({"x": 2, "y": "a"}, 1, score=0.5)
    assert row != payload({"x": 1, "y": "b"}, 1, score=0.5)
    assert row != payload({"x": 1, "z": "a"}, 1, score=0.5)
    assert row != payload({"x": 1, "y": "a"}, 0, score=0.5)
    assert row != payload({"x": 1, "y": "a"}, 1, score=0.6)


def test_time_and_latency_are_not_what_a_row_says() -> None:
    assert payload({"x": 1}) == payload({"x": 1}, timestamp=7, latency_seconds=0.1, id="a")


def test_columns_that_change_places_say_something_else() -> None:
    assert payload({"x": 1, "y": 2}) != payload({"x": 2, "y": 1})
    assert payload({"x": 1}, 2) != payload({"x": 2}, 1)
    assert payload({"prediction": 1}, None) != payload({} | {"x": None}, 1)


def test_the_order_of_columns_says_nothing() -> None:
    assert payload({"x": 1, "y": "a"}) == payload({"y": "a", "x": 1})


def test_what_is_missing_says_nothing_in_any_form() -> None:
    row = payload({"x": 1})

    assert (
        row
        == payload({"x": 1, "y": None})
        == payload({"x": 1, "y": float("nan")})
        == payload({"x": 1}, score=None)
    )
    assert payload({"x": 0}) != payload({"x": None})
    assert payload({"x": ""}) != payload({"x": None})


def test_numbers_say_the_same_in_every_notation() -> None:
    assert payload({"x": 1}) == payload({"x": 1.0}) == payload({"x": True})
    assert payload({"x": 0.0}) == payload({"x": -0.0}) == payload({"x": False})


def test_neighbours_among_large_integers_say_different_things() -> None:
    assert payload({"x": 2**60}) != payload({"x": 2**60 + 1})


@given(st.lists(st.tuples(VALUES, VALUES), min_size=2, max_size=6))
def test_a_row_says_the_same_alone_as_among_others(rows: list[tuple[object, object]]) -> None:
    together = payload_hashes(batch_of({"x": [x for x, _ in rows]}, [y for _, y in rows]))

    assert together.tolist() == [payload({"x": x}, y) for x, y in rows]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_a_time_says_the_same_in_every_unit(unit: str) -> None:
    times = pa.array([1_800_000_000], pa.timestamp("s"))
    hashes = [
        payload_hashes(
            decode(
                to_stream(pa.table({"x": times.cast(pa.timestamp(each)), "prediction": [1]})),
                None,
                ARROW_TYPE,
                **QUERY,
            )
        )[0]
        for each in ("s", unit)
    ]

    assert hashes[0] == hashes[1]


def arrow_payload(array: pa.Array, name: str = "x") -> int:
    """The hash of a single row whose column is an array."""
    table = pa.table({"x": pa.array([1]), "prediction": pa.array([1])} | {name: array})
    return int(payload_hashes(decode(to_stream(table), None, ARROW_TYPE, **QUERY))[0])


@pytest.mark.parametrize(
    ("array", "value"),
    [
        (pa.array([datetime(2026, 11, 23, 10, tzinfo=UTC)]), "2026-11-23T10:00:00Z"),
        (pa.array([datetime(2026, 11, 23, 10, tzinfo=UTC)]), "2026-11-23 11:00:00+01:00"),
        (pa.array([1_795_428_000_000_001], pa.timestamp("us")), "2026-11-23T10:00:00.000001"),
        (pa.array([253_402_300_799_999_999], pa.timestamp("us")), "9999-12-31T23:59:59.999999"),
        (pa.array([-1], pa.timestamp("ns")), "1969-12-31T23:59:59.999999999"),
        (pa.array([date(2026, 11, 23)]), "2026-11-23"),
        (pa.array([date(2026, 11, 23)], pa.date64()), "20261123"),
        (pa.array([date(2026, 11, 23)]).dictionary_encode(), "2026-11-23"),
        (pa.array(["2026-11-23"]), "2026-11-23T00:00:00"),
        (pa.array([date(2026, 11, 23)]), 1_795_392_000),
        (pa.array([Decimal("-7358.0754413267")]), -7358.0754413267),
        (pa.array([Decimal("0.3")]).dictionary_encode(), 0.3),
        (pa.array([2.0**60]), 2**60),
        (pa.array([2**60 + 1]), 2**60 + 1),
        (pa.array([2**63], pa.uint64()), 2**63),
        (pa.array([True]).dictionary_encode(), True),
        (pa.ExtensionArray.from_storage(pa.bool8(), pa.array([1], pa.int8())), True),
        (pa.ExtensionArray.from_storage(pa.json_(), pa.array(["a"])), "a"),
        (pa.array([None], pa.timestamp("us")), None),
        (pa.array([None]).dictionary_encode(), float("nan")),
    ],
    ids=str,
)
def test_a_value_says_the_same_in_json_and_in_arrow(array: pa.Array, value: object) -> None:
    assert arrow_payload(array) == payload({"x": value})


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("2026-11-23T10:00:00Z", "2026-11-23T10:00:01Z"),
        ("2026-13-01", "2026-13-02"),
        ("2026-11-23 and more", "2026-11-23"),
        ("9999-12-31T23:59:59-12:00", "9999-12-31T23:59:59-13:00"),
        ("1234567890", "1234567891"),
    ],
)
def test_what_are_two_times_or_none_says_different_things(text: str, other: str) -> None:
    assert payload({"x": text}) != payload({"x": other})


@pytest.mark.parametrize(
    ("array", "score"),
    [
        (pa.array([{"a": 0.25, "b": None}]), {"a": 0.25}),
        (pa.array([[("a", 0.25)]], pa.map_(pa.string(), pa.float64())), {"a": 0.25}),
        (pa.array([[Decimal("0.3"), None]]), [0.3, None]),
        (pa.array([[0.25, 0.75]], pa.list_view(pa.float64())), [0.25, 0.75]),
        (pa.array([[True, False]]), [1, 0]),
        (pa.array([[None, None]], pa.list_(pa.float64())), None),
    ],
    ids=str,
)
def test_scores_of_classes_say_the_same_in_json_and_in_arrow(array: pa.Array, score: object) -> None:
    assert arrow_payload(array, "score") == payload({"x": 1}, score=score)


def test_a_signalling_nan_is_missing_as_any_other() -> None:
    # Arrow brings it as it is, and numpy warns of what is done with one.
    numbers = np.array([0x7FF0_0000_0000_0001, 0x7FF8_0000_0000_0000], np.uint64).view(np.float64)
    body = to_stream(pa.table({"x": numbers, "y": [1.0, 1.0], "prediction": [1, 1]}))
    hashes = payload_hashes(decode(body, None, ARROW_TYPE, **QUERY))

    assert hashes[0] == hashes[1] == payload({"y": 1.0})


def test_hashes_spread_over_all_bits() -> None:
    hashes = payload_hashes(batch_of({"x": list(range(10_000))}, [0] * 10_000))
    bits = (hashes[:, np.newaxis] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)

    assert len(set(hashes.tolist())) == 10_000
    assert (np.abs(bits.mean(axis=0) - 0.5) < 0.05).all()


def test_hashes_stay_the_same_over_processes_and_releases() -> None:
    features = {
        "number": [1.5, -0.0, None],
        "text": ["DE", "2026-11-23T10:00Z", None],
        "mixed": [1, "1", [1]],
        "large": [2**53 + 1, 2**53, None],
        "switch": [True, False, None],
    }
    batch = batch_of(features, ["yes", 1, None], score=[0.5, [0.2, 0.8], {"yes": 0.9, "no": None}])

    assert payload_hashes(batch).tolist() == [
        14305014975780164006,
        8221968861512279053,
        15283272930818529719,
    ]
    assert id_hashes("fraud", ["a"])[0].hex() == "8a96b8adad6fd9541deac2c68ed41111"
