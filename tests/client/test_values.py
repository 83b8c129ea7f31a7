"""Values of any type become values of JSON, whatever they are."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from fractions import Fraction
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from exporter.client.values import (
    UNSENDABLE,
    as_list,
    id_text,
    json_score,
    json_value,
    key_text,
    moment,
    number_or_none,
    to_json_column,
)


class Colour(Enum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


class Rude:
    """An object whose every method fails."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)


UUID_TEXT = "12345678-1234-5678-1234-567812345678"
HUGE = 10**5000  # has no decimal text in Python


def repr_short(value: object) -> str:
    return "huge" if value is HUGE else str(value)


VALUES: dict[str, tuple[Any, Any]] = {
    "text": ("a", "a"),
    "integer": (3, 3),
    "large integer": (2**70, 2**70),
    "float": (0.5, 0.5),
    "boolean": (True, True),
    "none": (None, None),
    "NaN": (float("nan"), None),
    "infinity": (float("inf"), float("inf")),
    "numpy float": (np.float32(0.5), 0.5),
    "numpy double": (np.float64(0.25), 0.25),
    "numpy NaN": (np.float32("nan"), None),
    "numpy long double": (np.longdouble(0.5), 0.5),
    "numpy integer": (np.int64(7), 7),
    "numpy boolean": (np.bool_(True), True),
    "numpy text": (np.str_("x"), "x"),
    "numpy bytes": (np.bytes_(b"x"), "x"),
    "numpy date": (np.datetime64("2026-11-30T10:00"), "2026-11-30T10:00"),
    "numpy NaT": (np.datetime64("NaT"), None),
    "numpy span": (np.timedelta64(1500, "ms"), 1.5),
    "numpy array without dimensions": (np.array(2.0), 2.0),
    "numpy array": (np.arange(3), []),
    "pandas time": (pd.Timestamp("2026-11-30 10:00", tz="UTC"), "2026-11-30T10:00:00+00:00"),
    "pandas NaT": (pd.NaT, None),
    "pandas NA": (pd.NA, None),
    "pandas span": (pd.Timedelta(seconds=2), 2.0),
    "pandas interval": (pd.Interval(0, 1), "(0, 1]"),
    "pyarrow scalar": (pa.scalar(4), 4),
    "pyarrow null": (pa.scalar(None, pa.float64()), None),
    "decimal": (Decimal("1.5"), 1.5),
    "whole decimal": (Decimal("12345678901234567"), 12345678901234567),
    "decimal NaN": (Decimal("NaN"), None),
    "decimal sNaN": (Decimal("sNaN"), None),
    "decimal infinity": (Decimal("Infinity"), float("inf")),
    "fraction": (Fraction(1, 4), 0.25),
    "enumeration": (Colour.RED, "red"),
    "enumeration of integers": (Level.HIGH, 3),
    "time": (datetime(2026, 11, 30, 10, tzinfo=UTC), "2026-11-30T10:00:00+00:00"),
    "date": (date(2026, 11, 30), "2026-11-30"),
    "span": (timedelta(minutes=1), 60.0),
    "bytes": (b"abc", "abc"),
    "bytes that are no text": (b"\xff", UNSENDABLE),
    "uuid": (UUID(UUID_TEXT), UUID_TEXT),
    "path": (PurePosixPath("/a"), "/a"),
    "list": ([1, 2], []),
    "dictionary": ({"a": 1}, []),
    "set": ({1}, []),
    "complex": (1j, UNSENDABLE),
    "object": (object(), UNSENDABLE),
    "class": (int, UNSENDABLE),
    "object that fails": (Rude(), UNSENDABLE),
    "number beyond floats": (Fraction(10**400), UNSENDABLE),
}


@pytest.mark.parametrize("name", VALUES)
def test_a_value_becomes_one_of_json(name: str) -> None:
    value, expected = VALUES[name]
    found = json_value(value)
    assert type(found) is type(expected)
    assert found == expected


def test_a_column_of_everything_is_json_and_counts_what_is_lost() -> None:
    column, lost = to_json_column([value for value, _ in VALUES.values()])
    assert len(json.loads(json.dumps(column))) == len(VALUES)
    assert lost == sum(expected is UNSENDABLE for _, expected in VALUES.values())


@pytest.mark.parametrize(
    "values", [[1, None, "a", True], [0.5, 1e308], [0.5, float("nan")], [1e308, 1e308], []], ids=str
)
def test_a_column_of_plain_values_stays_as_it_is_but_for_nan(values: list[Any]) -> None:
    assert to_json_column(values) == ([None if value != value else value for value in values], 0)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (7, "7"),
        (7.0, "7"),
        ("7", "7"),
        (np.int64(7), "7"),
        (Decimal(7), "7"),
        (UUID(UUID_TEXT), UUID_TEXT),
        (None, None),
        (float("nan"), None),
        (..., None),
        ([1], None),
        (2.5, "2.5"),
        (2**127 + 1, str(2**127 + 1)),
        (HUGE, None),
    ],
    ids=repr_short,
)
def test_ids_are_read_as_the_exporter_reads_them(given: object, expected: str | None) -> None:
    assert id_text(given) == expected


def test_integers_without_a_text_are_missing() -> None:
    for others in ([1], ["a", None], [0.5], [np.int64(1)], [-(2**80)]):
        assert to_json_column([HUGE, *others]) == ([None, *others], 1)


def test_scores_of_several_classes_are_numbers() -> None:
    assert json_score({"yes": np.float32(0.5), 1: Decimal("0.5")}) == {"yes": 0.5, "1": 0.5}
    assert json_score(np.array([0.25, np.nan])) == [0.25, None]
    assert json_score((0.5, "?")) == [0.5, None]
    assert json_score(np.float32(0.5)) == 0.5
    assert json_score(object()) is None


def test_times_with_a_zone_are_seconds_and_others_texts() -> None:
    east = timezone(timedelta(hours=2))
    assert moment(datetime(1970, 1, 1, 3, tzinfo=east)) == 3600.0
    assert moment(datetime(1970, 1, 1)) == "1970-01-01T00:00:00"  # noqa: DTZ001 - the exporter counts these
    assert moment(np.float64(12.5)) == 12.5
    assert moment(pd.NaT) is None
    assert moment(object()) is None


def test_latencies_are_seconds() -> None:
    found = [number_or_none(value) for value in (timedelta(seconds=2), np.float32(0.5), 3, "1 s", None)]
    assert found == [2.0, 0.5, 3.0, None, None]


def test_names_of_columns_are_texts() -> None:
    assert [key_text(name) for name in ("age", 3, np.int64(4), True, ("a", "b"))] == [
        "age",
        "3",
        "4",
        "True",
        "('a', 'b')",
    ]
    assert key_text("\ud800é") == "?é"


def test_columns_of_any_library_are_lists() -> None:
    for column in (np.array([1, 2]), pd.Series([1, 2]), pa.array([1, 2]), (1, 2), range(1, 3), {1, 2}):
        assert as_list(column) == [1, 2]
    for other in ("ab", b"ab", 3, np.array(3)):
        with pytest.raises(TypeError, match="no list of values"):
            as_list(other)
