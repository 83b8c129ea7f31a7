from __future__ import annotations

import io
from datetime import UTC, datetime

import pytest
from rich.console import Console

from exporter.demo.mailbox import Mail
from exporter.demo.observation import Alert, Finding
from exporter.demo.screen import LiveScreen, PlainScreen, View, changes, wrap

DRIFT = Finding("distance", "PSI", "15s", 1.2345, 0.1, True)
STABLE = Finding("distance", "PSI", "15s", 0.01, 0.1, False)
UNDECIDED = Finding("distance", "PSI", "15s", 0.2, 0.1, None)
NULLS = Finding("seats", "missing", "", 1.0, 0.15, True)
PENDING, FIRING = (Alert("ModelFeatureDrift", "distance", state) for state in ("pending", "firing"))
MAIL = Mail(datetime(2026, 1, 1, 12, 30, tzinfo=UTC), "[warning] drift", "All about\nthe drift.")


def view(*findings: Finding, alerts: tuple[Alert, ...] = (), mails: tuple[Mail, ...] = ()) -> View:
    return View("incident", "in km", findings, alerts, mails)


@pytest.mark.parametrize(
    ("before", "now", "lines"),
    [
        (View("healthy", "as ever"), view(), ["incident: in km"]),
        (view(STABLE), view(STABLE), []),
        (view(STABLE), view(DRIFT), ["distance: drifted, PSI 1.234 over 15s, limit 0.100"]),
        (view(DRIFT), view(DRIFT), []),
        (view(DRIFT), view(STABLE), ["distance: PSI is normal again"]),
        (view(), view(NULLS), ["seats: degraded, missing 100%, limit 15% in the reference"]),
        (view(), view(alerts=(PENDING,)), ["alert ModelFeatureDrift distance: pending"]),
        (view(alerts=(PENDING,)), view(alerts=(FIRING,)), ["alert ModelFeatureDrift distance: firing"]),
        (view(alerts=(FIRING,)), view(), ["alert ModelFeatureDrift distance: over"]),
        (
            view(),
            view(alerts=(Alert("MLflowUnreachable", "", "firing"),)),
            ["alert MLflowUnreachable: firing"],
        ),
        (view(mails=(MAIL,)), view(mails=(MAIL, MAIL)), ["mail: [warning] drift"]),
    ],
)
def test_every_change_is_a_line(before: View, now: View, lines: list[str]) -> None:
    assert changes(before, now) == lines


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


def test_the_live_table_shows_everything() -> None:
    output = io.StringIO()
    console = Console(file=output, force_terminal=True, width=120, height=60)
    failing, passing = NULLS, Finding("carrier", "unseen", "", 0.0, 0.0, False)
    with LiveScreen(console) as screen:
        screen.say("where to look")
        screen.show(view(DRIFT, failing, passing, alerts=(FIRING,), mails=(MAIL,)))
    for text in ("where to look", "incident", "in km", "1.234", "drifted", "missing", "firing", "All about"):
        assert text in output.getvalue()
    assert "unseen" not in output.getvalue()


def test_long_paragraphs_are_wrapped_and_addresses_are_not() -> None:
    url = "Runbook: http://localhost/" + "x" * 100
    assert wrap(f"- {'word ' * 30}\n  {url}").splitlines() == [
        "- " + ("word " * 17).strip(),
        "  " + ("word " * 13).strip(),
        "  " + url,
    ]
