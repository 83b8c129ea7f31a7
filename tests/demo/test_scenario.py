from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from exporter.demo.scenario import SCENARIO, Phase, Scenario

FLIGHTS = pd.DataFrame(
    {
        "carrier": ["UA", "B6"],
        "dep_delay": [-3.0, 40.0],
        "distance": [100.0, 2000.0],
        "seats": [180.0, 20.0],
        "aircraft_age": [3.0, 30.0],
    }
)
HEALTHY, *INCIDENTS, RECOVERY = SCENARIO.phases


@pytest.mark.parametrize(
    ("day", "name"), [(0.0, "a"), (1.99, "a"), (2.0, "b"), (4.99, "b"), (5.0, "a"), (12.5, "b")]
)
def test_phases_follow_each_other_over_and_over(day: float, name: str) -> None:
    assert Scenario((Phase("a", 2, ""), Phase("b", 3, ""))).at(day).name == name


@pytest.mark.parametrize("phase", [HEALTHY, RECOVERY], ids=lambda phase: phase.name)
def test_healthy_flights_come_as_they_are(phase: Phase) -> None:
    pd.testing.assert_frame_equal(phase.apply(FLIGHTS), FLIGHTS)


def test_feeds_break_one_after_the_other() -> None:
    first, second, third = (phase.apply(FLIGHTS) for phase in INCIDENTS)
    for broken in (first, second, third):
        np.testing.assert_allclose(broken["distance"], [160.9344, 3218.688])
        assert broken["dep_delay"].tolist() == [27.0, 70.0]
    assert first["seats"].notna().all()
    for broken in (second, third):
        assert broken[["seats", "aircraft_age"]].isna().all(axis=None)
    assert second["carrier"].tolist() == ["UA", "B6"]
    assert third["carrier"].tolist() == ["ua", "b6"]
