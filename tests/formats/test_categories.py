"""Canonical texts of categories, whatever notation they came in."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.formats.categories import MISMATCHED, canonical_text, match_class

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
JSON = st.recursive(
    SCALARS | st.sampled_from(["1", "01", "true", "False", "2026-11-23T10:00Z", 2**60, float(2**60)]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=4,
)


@given(JSON)
def test_a_category_is_a_text_that_says_what_the_value_is(value: object) -> None:
    text = canonical_text(value)

    if value is None or value != value:
        assert text is None
    elif isinstance(value, str):
        assert text == value
    elif isinstance(value, list | dict):
        assert text is MISMATCHED
    else:
        assert isinstance(value, int | float)
        assert float(str(text)) == value or math.isinf(float(str(text)))


@pytest.mark.parametrize(
    ("text", "classes", "meant"),
    [
        ("true", ("0", "1"), "1"),
        ("False", ("0", "1"), "0"),
        ("1.0", ("0", "1"), "1"),
        ("1.0", ("1", "1.0"), "1.0"),  # an exact name comes first
        ("true", ("true", "1"), "true"),
        ("01", ("0", "1"), None),  # a name and no number
        ("oak", ("ash", "oak"), "oak"),
        ("oak", ("ash", "elm"), None),
    ],
)
def test_a_class_is_found_in_any_notation(text: str, classes: tuple[str, ...], meant: str | None) -> None:
    assert match_class(text, classes) == meant
