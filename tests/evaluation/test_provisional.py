"""A version whose reference has no times, compared with the same version with times."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest

from exporter.reference.profile import PROVISIONAL
from exporter.views.versions import version_detail
from tests.support.fakes import FakeRegistry
from tests.support.rig import NOON, Rig, make_rows, make_table

ROWS = 20_000
DAY_SECONDS = 86400
TIMED, TIMELESS = "1", "2"


@pytest.fixture
def registry() -> FakeRegistry:
    """Two registrations of the same model: version 1 has times over sixty days, version 2 has none."""
    table = make_table(ROWS)
    seconds = NOON - 60 * DAY_SECONDS + np.linspace(0, 60 * DAY_SECONDS - 1, ROWS)
    times = pa.array((seconds * 1e6).astype("datetime64[us]"))
    registry = FakeRegistry()
    registry.register("fraud", table.append_column("timestamp", times), alias="champion")
    registry.register("fraud", table, alias="challenger")
    return registry


def send(rig: Rig, rows: int, *, broken: bool = False) -> None:
    """The same rows to both versions; broken ones have a column in inches and not in millimetres."""
    sent = make_rows(rows)
    for row in sent if broken else ():
        row["features"]["age"] /= 25.4
    for version in (TIMED, TIMELESS):
        rig.post_rows(sent, version=version)
    rig.evaluate()


def drift(rig: Rig, what: str, version: str, window: str = "24h") -> float | None:
    labels = f'model="fraud",model_version="{version}",column="age",role="feature",window="{window}"'
    return rig.sample(f"mlflow_model_drift_{what}{{{labels}}}")


def variation(rig: Rig, version: str) -> str:
    (name,) = (
        name for name in rig.series("mlflow_model_version_info") if f'model_version="{version}"' in name
    )
    return name.rpartition('variation="')[2].removesuffix('"}')


def test_the_same_broken_input_is_told_at_once_with_times_and_without(
    start: Callable[..., Rig], registry: FakeRegistry
) -> None:
    rig = start(registry=registry)
    send(rig, 2000, broken=True)
    for version in (TIMED, TIMELESS):
        score, limit = drift(rig, "score", version), drift(rig, "limit", version)
        assert drift(rig, "detected", version) == 1
        assert score is not None
        assert limit is not None
        assert score > 3 * limit  # which the alert does not wait half a day for
    assert (variation(rig, TIMED), variation(rig, TIMELESS)) == ("reference", "none")


def test_two_weeks_of_traffic_teach_it_and_a_restart_forgets_nothing(
    start: Callable[..., Rig], registry: FakeRegistry
) -> None:
    rig = start(registry=registry)
    for _ in range(16):
        send(rig, 1000)
        rig.clock.advance(DAY_SECONDS)
    rig.evaluate()
    limit = drift(rig, "limit", TIMELESS)
    assert variation(rig, TIMELESS) == "live"
    assert limit is not None
    assert limit < 0.5
    rig.stop()

    again = start(registry=registry, clock=rig.clock)
    again.evaluate()
    assert variation(again, TIMELESS) == "live"
    assert drift(again, "limit", TIMELESS) == limit


def test_people_are_told_what_it_costs_and_how_to_end_it(
    start: Callable[..., Rig], registry: FakeRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="exporter"):
        rig = start(registry=registry)
    rig.evaluate()
    assert [record.getMessage() for record in caplog.records if PROVISIONAL in record.getMessage()] == [
        f"fraud version {TIMELESS}: {PROVISIONAL}"
    ]
    timed, timeless = (version_detail(rig.version(version)) for version in (TIMED, TIMELESS))
    assert (timed.detail, timeless.detail) == ("", PROVISIONAL)
    assert timed.reference is not None
    assert timeless.reference is not None
    assert PROVISIONAL not in timed.reference.notes
    assert PROVISIONAL in timeless.reference.notes
    assert "`timestamp`" in PROVISIONAL
