from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime
from math import nan

from rich.console import Console

from exporter.demo.changes import View
from exporter.demo.mailbox import Mail
from exporter.demo.observation import Alert, Figure, Finding, Quality
from exporter.demo.screen import LiveScreen, PlainScreen
from exporter.demo.wording import wrap

DRIFT = Finding("distance", "PSI", "15s", 1.2345, 0.1, True)
STABLE = Finding("distance", "PSI", "15s", 0.01, 0.1, False)
UNDECIDED = Finding("distance", "PSI", "15s", 0.2, 0.1, None)
NULLS = Finding("seats", "missing", "", 1.0, 0.15, True)
PENDING, FIRING = (
    Alert("ModelFeatureDrift", "distance", "warning", state) for state in ("pending", "firing")
)
MAIL = Mail(datetime(2026, 1, 1, 12, 30, tzinfo=UTC), "[warning] drift", "All about\nthe drift.")


QUALITY = Quality(
    "1",
    "champion",
    "accuracy",
    "30s",
    Figure(0.91, False),
    Figure(0.904, False),
    promised=0.907,
    coverage=0.95,
)


def view(
    *findings: Finding,
    quality: tuple[Quality, ...] = (),
    alerts: tuple[Alert, ...] = (),
    mails: tuple[Mail, ...] = (),
) -> View:
    return View("incident", "in km", findings, quality, alerts, mails)


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
    shadow = replace(QUALITY, version="2", alias="challenger", real=Figure(nan, None))
    with LiveScreen(console) as screen:
        screen.say("where to look")
        screen.show(view(DRIFT, failing, passing, quality=(QUALITY, shadow), alerts=(FIRING,), mails=(MAIL,)))
    for text in (
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
