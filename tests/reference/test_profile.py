"""A reference is stored, restored, and identified by its digest."""

from __future__ import annotations

import subprocess
import sys
import zlib
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import StoreError
from exporter.reference.bins import Column
from exporter.reference.profile import Reference, Segment, Variation, decode_reference
from tests.support.references import make_reference


@pytest.fixture(scope="module")
def reference() -> Reference:
    return make_reference()


# -- store --------------------------------------------------------------------------------------------------


def assert_same(one: object, other: object) -> None:
    """Equal in every field, arrays and NaN included."""
    assert type(one) is type(other)
    if isinstance(one, Reference | Column | Variation):
        for item in fields(one):
            assert_same(getattr(one, item.name), getattr(other, item.name))
    elif isinstance(one, np.ndarray):
        assert isinstance(other, np.ndarray)
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    elif isinstance(one, tuple):
        assert isinstance(other, tuple)
        assert len(one) == len(other)
        for left, right in zip(one, other, strict=True):
            assert_same(left, right)
    elif isinstance(one, dict):
        assert isinstance(other, dict)
        assert_same(tuple(one.items()), tuple(other.items()))
    else:
        assert one == other


def test_a_reference_comes_back_from_its_bytes(reference: Reference) -> None:
    back = decode_reference(reference.encode())

    assert_same(back, reference)
    assert back.digest == reference.digest
    assert back.encode() == reference.encode()


FLOATS = st.floats(allow_nan=False)


@given(
    st.lists(FLOATS, unique=True, max_size=5),
    FLOATS,
    st.lists(st.text(st.characters(exclude_categories=["Cs"]))),
)
def test_any_number_and_any_text_comes_back(edges: list[float], low: float, texts: list[str]) -> None:
    columns = (
        Column("x" + "".join(texts), "feature", "number", edges=np.sort(edges), low=low),
        Column("y", "feature", "category", categories=tuple(texts), known=np.array([2**64 - 1], np.uint64)),
    )
    reference = Reference(
        columns, np.zeros(9, np.int64), np.full((2, 3), np.nan), 1, "", "tests", notes=tuple(texts)
    )

    assert_same(decode_reference(reference.encode()), reference)


@pytest.mark.parametrize(
    "data",
    [b"", b"\x01", b"\x02{}", b"\x01{}", *(b"\x01" + zlib.compress(b) for b in (b"{}", b"[]", b"\xff"))],
)
def test_bytes_of_something_else_are_an_error(data: bytes) -> None:
    with pytest.raises(StoreError, match="the stored reference"):
        decode_reference(data)


def test_damaged_bytes_are_an_error(reference: Reference) -> None:
    encoded = reference.encode()
    draw = np.random.default_rng(1)
    for place in draw.integers(0, len(encoded), 100):
        damaged = bytearray(encoded)
        damaged[place] ^= 1 << int(draw.integers(8))
        try:
            assert decode_reference(bytes(damaged)).digest == reference.digest  # a bit that means nothing
        except StoreError:
            continue


# -- digest -------------------------------------------------------------------------------------------------


def test_another_process_finds_the_same_bins(reference: Reference) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from tests.support.references import make_reference; print(make_reference().digest)",
        ],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
        env={"PYTHONHASHSEED": "7"},
    )

    assert done.stdout.strip() == reference.digest


def changed(value: Any) -> Any:
    """Something else of the same type."""
    if isinstance(value, np.ndarray):
        return value + 1 if len(value) else np.ones(1, value.dtype)
    if isinstance(value, bool):
        return not value
    if isinstance(value, float):
        return 0.5 if value == float("inf") or value == -float("inf") else value + 1
    if isinstance(value, int):
        return value + 1
    if isinstance(value, str):
        return value + "x"
    if isinstance(value, bytes):
        return value + b"x"
    if isinstance(value, tuple):
        return (*value, "x")
    if isinstance(value, dict):
        return {**value, "score": "x"}
    raise TypeError(type(value))


@pytest.mark.parametrize("name", [item.name for item in fields(Reference)])
def test_the_digest_depends_on_everything_that_is_in_a_reference(reference: Reference, name: str) -> None:
    if name == "columns":
        other: Any = (*reference.columns[:-1], replace(reference.columns[-1], name="x"))
    elif name in ("quality_variation", "estimate_variation"):
        other = {3600: getattr(reference, name)[86400]}
    elif name == "variation":
        other = {3600: reference.variation[86400]}
    elif name == "labels":
        other = None
    elif name == "segments":
        other = (Segment("a=b", 0, 0, replace(reference, rows=7)),)
    else:
        other = changed(getattr(reference, name))

    assert replace(reference, **{name: other}).digest != reference.digest


@pytest.mark.parametrize("name", [item.name for item in fields(Column)])
@pytest.mark.parametrize("place", [0, 1])
def test_the_digest_depends_on_everything_that_is_in_a_column(
    reference: Reference, place: int, name: str
) -> None:
    column = reference.columns[place]
    other = replace(column, **{name: changed(getattr(column, name))})
    columns = (*reference.columns[:place], other, *reference.columns[place + 1 :])

    assert replace(reference, columns=columns).digest != reference.digest


@pytest.mark.parametrize("name", [item.name for item in fields(Variation)])
def test_the_digest_depends_on_the_natural_variation(reference: Reference, name: str) -> None:
    variation = reference.variation[86400]
    other = replace(variation, **{name: changed(getattr(variation, name))})

    assert replace(reference, variation={86400: other}).digest != reference.digest
