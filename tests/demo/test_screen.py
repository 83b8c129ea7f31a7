from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime
from math import nan

import pytest
from rich.console import Console

from exporter.demo.mailbox import Mail
from exporter.demo.observation import Alert, Figure, Finding, Quality, Remediation, Report
from exporter.demo.screen import LiveScreen, PlainScreen, View, changes, settle, wrap

DRIFT = Finding("distance", "PSI", "15s", 1.2345, 0.1, True)
STABLE = Finding("distance", "PSI", "15s", 0.01, 0.1, False)
UNDECIDED = Finding("distance", "PSI", "15s", 0.2, 0.1, None)
NULLS = Finding("seats", "missing", "", 1.0, 0.15, True)
PENDING, FIRING = (
    Alert("ModelFeatureDrift", "distance", "warning", state) for state in ("pending", "firing")
)
REHEARSED = Remediation("ab12", "rollback", "champion to v1", "dry_run", "version 1 drifts as well")
MAIL = Mail(datetime(2026, 1, 1, 12, 30, tzinfo=UTC), "[warning] drift", "All about\nthe drift.")


QUALITY = Quality(
    "1",
    "champion",
    "accuracy",
    "30s",
    Figure(0.91, False),
    Figure(0.904, False),
    baseline=0.907,
    coverage=0.95,
)

REPORT = Report("7", "2", "drift of distance", "done", ("the exporter", "MLflow"))


def view(
    *findings: Finding,
    quality: tuple[Quality, ...] = (),
    alerts: tuple[Alert, ...] = (),
    remediations: tuple[Remediation, ...] = (),
    reports: tuple[Report, ...] = (),
    mails: tuple[Mail, ...] = (),
) -> View:
    return View("incident", "in km", findings, quality, alerts, remediations, reports, mails)


def plain(*views: View) -> str:
    output = io.StringIO()
    with PlainScreen(Console(file=output, width=200)) as screen:
        for each in views:
            screen.show(each)
    return output.getvalue()


def test_what_cannot_be_judged_for_a_moment_is_no_news() -> None:
    assert plain(view(DRIFT), view(UNDECIDED), view(DRIFT)).count("distance") == 1


def test_a_mail_is_shown_in_full_once() -> None:
    output = plain(view(mails=(MAIL,)), view(mails=(MAIL,)))
    assert "    All about\n    the drift.\n" in output
    assert output.count("the drift.") == 1


def test_each_state_of_a_remediation_is_news() -> None:
    planned = replace(REHEARSED, state="planned", reason="")
    output = plain(*(view(remediations=(each,)) for each in (planned, planned, REHEARSED)))
    assert [line[8:] for line in output.splitlines() if "remediation" in line] == [
        "remediation: rollback champion to v1: planned",
        "remediation: rollback champion to v1: dry_run, version 1 drifts as well",
    ]


def test_each_state_of_a_report_is_news() -> None:
    running = replace(REPORT, state="running", places=())
    output = plain(*(view(reports=(each,)) for each in (running, running, REPORT)))
    assert [line[8:] for line in output.splitlines() if "report" in line] == [
        "report on v2, drift of distance: running",
        "report on v2, drift of distance: done, in the exporter, MLflow",
    ]


def test_the_live_table_shows_everything() -> None:
    output = io.StringIO()
    console = Console(file=output, force_terminal=True, width=120, height=60)
    failing, passing = NULLS, Finding("carrier", "unseen", "", 0.0, 0.0, False)
    shadow = replace(QUALITY, version="2", alias="challenger", real=Figure(nan, None))
    with LiveScreen(console) as screen:
        screen.say("where to look")
        screen.show(
            view(
                *(DRIFT, failing, passing),
                quality=(QUALITY, shadow),
                alerts=(FIRING,),
                remediations=(REHEARSED,),
                reports=(REPORT,),
                mails=(MAIL,),
            )
        )
    for text in (
        "champion to v1",
        "done, in the exporter, MLflow",
        "version 1 drifts as well",
        "where to look",
        "incident",
        "in km",
        "1.234",
        "drifted",
        "missing",
        "warning",
        "firing",
        "All about",
    ):
        assert text in output.getvalue()
    for text in ("v1 champion", "v2 challenger", "0.910", "0.904", "0.907", "95%"):
        assert text in output.getvalue()
    assert "unseen" not in output.getvalue()


def test_long_paragraphs_are_wrapped_and_addresses_are_not() -> None:
    url = "Runbook: http://localhost/" + "x" * 100
    assert wrap(f"- {'word ' * 30}\n  {url}").splitlines() == [
        "- " + ("word " * 17).strip(),
        "  " + ("word " * 13).strip(),
        "  " + url,
    ]


FALLEN = replace(QUALITY, estimated=Figure(0.781, True))
PROVEN = replace(FALLEN, real=Figure(0.801, True))
UNJUDGED = replace(QUALITY, estimated=Figure(0.85, None), real=Figure(0.85, None))
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
            ["v1 champion: accuracy 0.904 over 30s, baseline 0.907, with 95% of the labels; 0.910 estimated"],
        ),
        (view(quality=(QUALITY,)), view(quality=(QUALITY,)), []),
        (
            view(quality=(QUALITY,)),
            view(quality=(FALLEN,)),
            [
                "v1 champion: estimated accuracy degraded, 0.781 over 30s, baseline 0.907, "
                "before the labels come"
            ],
        ),
        (
            view(quality=(replace(PROVEN, estimated=QUALITY.estimated),)),
            view(quality=(PROVEN,)),
            [
                "v1 champion: estimated accuracy degraded, 0.781 over 30s, baseline 0.907, "
                "as labels have shown"
            ],
        ),
        (
            view(quality=(FALLEN,)),
            view(quality=(PROVEN,)),
            ["v1 champion: accuracy degraded, 0.801 over 30s, baseline 0.907, with 95% of the labels"],
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
    undecided = settle(proven, view(quality=(UNJUDGED,)))
    assert [(found.estimated, found.real) for found in undecided.quality] == [
        (Figure(0.85, True), Figure(0.85, True))
    ]
    assert settle(proven, view()).quality == [PROVEN]
