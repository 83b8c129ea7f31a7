"""Fields of rows and of requests: what is read, and what is refused and where."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import pytest

from exporter.errors import MalformedError, RequestError
from exporter.payloads.target import Target
from tests.support.documents import ROW, columns, refuse, rows, split
from tests.support.wire import (
    decode,
    listed,
)


def test_an_alias_may_stand_for_a_version() -> None:
    document = rows(ROW) | {"alias": "champion"}
    del document["version"]

    assert decode(document).target == Target("fraud", alias="champion")


def test_a_version_may_be_a_number() -> None:
    assert decode(rows(ROW, version=3)).target == Target("fraud", "3")


@pytest.mark.parametrize("value", [2**64, 1.5, True, [1], {}])
def test_what_is_no_id_is_told_what_one_is(value: object) -> None:
    with pytest.raises(MalformedError, match="a text, a UUID or an integer of at most 64 bits"):
        decode(rows(ROW | {"id": value}))


MOMENT = datetime(2026, 11, 23, 10, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("value", "seconds", "naive"),
    [
        ("2026-11-23T10:00:00Z", MOMENT, 0),
        ("2026-11-23T11:00:00+01:00", MOMENT, 0),
        ("2026-11-23 10:00:00.123456789+00:00", MOMENT + 0.123456, 0),
        ("2026-11-23T10:00:00", MOMENT, 1),
        ("2026-11-23", MOMENT - 36000, 1),
        (MOMENT, MOMENT, 0),
        (int(MOMENT), MOMENT, 0),
        (None, math.nan, 0),
        (math.nan, math.nan, 0),
    ],
)
def test_a_timestamp_is_iso_text_or_seconds_since_the_epoch(
    value: object, seconds: float, naive: int
) -> None:
    batch = decode(columns(features={"x": [1, 2]}, prediction=[1, 1], timestamp=[value, "2026-11-23T10:00Z"]))

    assert batch.timestamps[0] == pytest.approx(seconds, abs=1e-6, nan_ok=True)
    assert batch.naive_timestamps == naive


@pytest.mark.parametrize(
    "value",
    [
        "",
        "soon",
        "2026-13-01",
        "2026-11-23T10:00:60Z",
        "10:00",
        "1795428000",
        [],
        {},
        "\ud800",
        "\0",
        "9" * 5000,
    ],
    ids=ascii,
)
def test_what_is_no_time_is_refused_with_its_place(value: object) -> None:
    def refusal(document: dict[str, Any]) -> RequestError:
        with pytest.raises(MalformedError, match="ISO 8601") as error:
            decode(document)
        return error.value

    assert refusal(rows(ROW, ROW | {"timestamp": value})).where == "predictions[1].timestamp"
    features = {"x": [1, 2, 3]}
    mixed = columns(features=features, prediction=[1, 1, 1], timestamp=[None, MOMENT, value])
    assert refusal(mixed).where == "columns.timestamp[2]"
    assert refusal(split(timestamp=["2026-11-23T10:00Z", value])).where == "timestamp[1]"


NO_VERSION = {"model": "fraud", "predictions": [ROW]}


@pytest.mark.parametrize(
    ("document", "where"),
    [
        ({"version": "3", "predictions": [ROW]}, "model"),
        (rows(ROW, model=7), "model"),
        (rows(ROW, model=""), "model"),
        (rows(ROW, model="m" * 257), "model"),
        (rows(ROW, model="\ud800"), "model"),
        (NO_VERSION, "version"),
        (NO_VERSION | {"version": None}, "version"),
        (rows(ROW, alias="champion"), "version"),
        (rows(ROW, version=True), "version"),
        (rows(ROW, version=3.0), "version"),
        (rows(ROW, version=""), "version"),
        (rows(ROW, version="\udfff"), "version"),
        (NO_VERSION | {"alias": ["champion"]}, "alias"),
        (NO_VERSION | {"alias": "a" * 257}, "alias"),
    ],
    ids=str,
)
def test_a_batch_is_for_one_model_and_one_version_or_alias(document: dict[str, Any], where: str) -> None:
    assert refuse(document) == (422, where)


def test_a_latency_that_nobody_can_have_measured_is_none() -> None:
    given = [0.0, 1.5, -1.0, math.inf, -math.inf, math.nan, 1e300, None, True]
    batch = decode(columns(features={"x": [1] * 9}, prediction=[1] * 9, latency_seconds=given))

    assert batch.latency is not None
    assert listed(batch.latency) == [0.0, 1.5, None, None, None, None, None, None, 1.0]
