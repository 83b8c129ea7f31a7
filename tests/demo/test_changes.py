from __future__ import annotations

from dataclasses import replace
from math import nan

import pytest

from exporter.demo.changes import View, changes, settle
from exporter.demo.observation import Alert, Figure
from tests.demo.test_screen import DRIFT, FIRING, MAIL, NULLS, PENDING, QUALITY, STABLE, view

FALLEN = replace(QUALITY, estimated=Figure(0.781, True))
PROVEN = replace(FALLEN, real=Figure(0.801, True))
UNDECIDED = replace(QUALITY, estimated=Figure(0.85, None), real=Figure(0.85, None))
UNLABELLED = replace(QUALITY, real=Figure(nan, None), coverage=nan)


@pytest.mark.parametrize(
    ("before", "now", "lines"),
    [
        (View("healthy", "as ever"), view(), ["incident: in km"]),
        (view(STABLE), view(STABLE), []),
        (view(STABLE), view(DRIFT), ["distance: drifted, PSI 1.234 over 15s, limit 0.100"]),
        (view(DRIFT), view(DRIFT), []),
        (view(DRIFT), view(STABLE), ["distance: PSI is normal again"]),
        (view(), view(NULLS), ["seats: degraded, missing 100%, 15% in the reference"]),
        (view(), view(alerts=(PENDING,)), ["alert ModelFeatureDrift distance (warning): pending"]),
        (
            view(alerts=(PENDING,)),
            view(alerts=(FIRING,)),
            ["alert ModelFeatureDrift distance (warning): firing"],
        ),
        (view(alerts=(FIRING,)), view(), ["alert ModelFeatureDrift distance (warning): over"]),
        (
            view(alerts=(FIRING,)),
            view(alerts=(replace(FIRING, severity="critical"), FIRING)),
            ["alert ModelFeatureDrift distance (critical): firing"],
        ),
        (
            view(alerts=(replace(FIRING, severity="critical"), FIRING)),
            view(alerts=(FIRING,)),
            ["alert ModelFeatureDrift distance (critical): over"],
        ),
        (
            view(),
            view(alerts=(Alert("MLflowUnreachable", "", "critical", "firing"),)),
            ["alert MLflowUnreachable (critical): firing"],
        ),
        (view(mails=(MAIL,)), view(mails=(MAIL, MAIL)), ["mail: [warning] drift"]),
        (view(), view(quality=(UNLABELLED,)), []),
        (
            view(quality=(UNLABELLED,)),
            view(quality=(QUALITY,)),
            ["v1 champion: accuracy 0.904 over 30s, promised 0.907, with 95% of the labels; 0.910 estimated"],
        ),
        (view(quality=(QUALITY,)), view(quality=(QUALITY,)), []),
        (
            view(quality=(QUALITY,)),
            view(quality=(FALLEN,)),
            [
                "v1 champion: estimated accuracy degraded, 0.781 over 30s, promised 0.907, "
                "before the labels come"
            ],
        ),
        (
            view(quality=(replace(PROVEN, estimated=QUALITY.estimated),)),
            view(quality=(PROVEN,)),
            [
                "v1 champion: estimated accuracy degraded, 0.781 over 30s, promised 0.907, "
                "as labels have shown"
            ],
        ),
        (
            view(quality=(FALLEN,)),
            view(quality=(PROVEN,)),
            ["v1 champion: accuracy degraded, 0.801 over 30s, promised 0.907, with 95% of the labels"],
        ),
        (
            view(quality=(PROVEN,)),
            view(quality=(QUALITY,)),
            [
                "v1 champion: estimated accuracy not degraded any more, 0.910",
                "v1 champion: accuracy not degraded any more, 0.904",
            ],
        ),
    ],
)
def test_every_change_is_a_line(before: View, now: View, lines: list[str]) -> None:
    assert changes(before, now) == lines


def test_quality_that_cannot_be_judged_or_seen_for_a_moment_keeps_its_verdict() -> None:
    proven = view(quality=(PROVEN,))
    undecided = settle(proven, view(quality=(UNDECIDED,)))
    assert [(found.estimated, found.real) for found in undecided.quality] == [
        (Figure(0.85, True), Figure(0.85, True))
    ]
    assert settle(proven, view()).quality == [PROVEN]
