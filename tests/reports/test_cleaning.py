"""Values that Evidently takes, and how many there were of others."""

from __future__ import annotations

import datetime
import math
from decimal import Decimal
from typing import Any

import pytest

from exporter.reference.bins import ColumnKind
from exporter.reports.cleaning import MAX_CATEGORIES, CleanColumn, clean, clean_texts, limit_categories

NOON = datetime.datetime(2024, 1, 1, 12, tzinfo=datetime.UTC).replace(tzinfo=None)


@pytest.mark.parametrize(
    ("kind", "raw", "expected"),
    [
        ("number", [1, 2.5, True, Decimal("0.5"), None, math.nan], CleanColumn([1, 2.5, 1, 0.5, None, None])),
        ("number", ["a", [1], {}, "1"], CleanColumn([None] * 4, wrong=4)),
        ("number", [math.inf, -math.inf, 1e200, 10**400], CleanColumn([None] * 4, infinite=4)),
        ("category", ["a", 1.0, True, None], CleanColumn(["a", "1", "1", None])),
        ("category", [["a"], {"a": 1}, "(nested)", b"a"], CleanColumn([None] * 4, wrong=4)),
        ("category", ["x" * 65, "a\ud800\0"], CleanColumn(["x" * 63 + "…", "a?"])),
        ("boolean", [True, 0, "1", "maybe", None], CleanColumn(["true", "false", "true", "maybe", None])),
        (
            "time",
            ["2024-01-01T14:00:00+02:00", "2024-01-01T12:00", NOON, NOON.replace(tzinfo=datetime.UTC)],
            CleanColumn([NOON] * 4),
        ),
        ("time", [datetime.date(2024, 1, 1), 1704067200], CleanColumn([NOON.replace(hour=0)] * 2)),
        ("time", ["noon", True, [1], 1e300], CleanColumn([None] * 4, wrong=4)),
    ],
)
def test_values_are_clean(kind: ColumnKind, raw: list[Any], expected: CleanColumn) -> None:
    assert clean(kind, raw) == expected


def test_texts_keep_256_characters() -> None:
    assert clean_texts(["x" * 1_000_000, 3, None]).values == ["x" * 255 + "…", "3", None]


def test_few_categories_stay() -> None:
    assert limit_categories(["a", None], ["b"]) == ([["a", None], ["b"]], 2)


def test_the_most_frequent_categories_of_both_stay() -> None:
    reference = [f"c{place}" for place in range(4000)] + ["usual"] * 4000
    columns, count = limit_categories(["new", "new", "c7"], reference)
    assert count == 4002
    assert columns[0][:2] == ["new", "new"]
    assert columns[1][-1] == "usual"
    assert len({*columns[0], *columns[1]}) == MAX_CATEGORIES + 1
    assert "(other)" in columns[1]
