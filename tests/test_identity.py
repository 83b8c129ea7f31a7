"""A row is known again by its id and by what it says, in every process and on every machine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.identity import id_hashes, payload_hashes
from exporter.samples import ARROW_TYPE, Batch
from tests.wire import QUERY, decode, to_stream

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


def test_hashes_spread_over_all_bits() -> None:
    hashes = payload_hashes(batch_of({"x": list(range(10_000))}, [0] * 10_000))
    bits = (hashes[:, np.newaxis] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)

    assert len(set(hashes.tolist())) == 10_000
    assert (np.abs(bits.mean(axis=0) - 0.5) < 0.05).all()


def test_another_process_gets_the_same_hashes() -> None:
    code = (
        "from tests.test_identity import payload, id_hashes\n"
        "print(payload({'x': 1.5, 'y': 'a', 'z': [1], 'w': 2**60}), id_hashes('m', ['a'])[0].hex())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=Path(__file__).parents[1],
    )

    here = payload({"x": 1.5, "y": "a", "z": [1], "w": 2**60})
    assert done.stdout.split() == [str(here), id_hashes("m", ["a"])[0].hex()]
