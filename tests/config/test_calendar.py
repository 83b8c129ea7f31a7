"""Holidays in the configuration file."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from exporter.config.calendar import read_calendar
from exporter.config.file import load_config_file
from exporter.errors import ConfigError

YEARLY = """BEGIN:VCALENDAR
BEGIN:VEVENT
UID:1
DTSTART;VALUE=DATE:20251225
DTEND;VALUE=DATE:20251227
RRULE:FREQ=YEARLY
EXDATE;VALUE=DATE:20271225
END:VEVENT
BEGIN:VEVENT
UID:2
DTSTART:20260101T100000Z
END:VEVENT
BEGIN:VEVENT
UID:3
DTSTART;VALUE=DATE:20260106
STATUS:CANCELLED
END:VEVENT
END:VCALENDAR
"""
EVENT = "BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:1\n{}\nEND:VEVENT\nEND:VCALENDAR\n"


def test_days_are_those_of_the_list_and_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "days.ics").write_text(YEARLY.replace("\n", "\r\n"))
    path = tmp_path / "exporter.yml"
    path.write_text("calendar: {timezone: Europe/Berlin, holidays: [2026-05-01], file: days.ics}\n")
    days = load_config_file(path).calendar.days
    assert days[:5] == (
        *(date(2025, 12, 25), date(2025, 12, 26), date(2026, 5, 1)),
        *(date(2026, 12, 25), date(2026, 12, 26)),
    )
    assert date(2027, 12, 25) not in days
    assert not {date(2026, 1, 1), date(2026, 1, 6)} & set(days)


def test_rules_end_by_their_count_and_with_the_century(tmp_path: Path) -> None:
    path = tmp_path / "days.ics"
    path.write_text(EVENT.format("DTSTART;VALUE=DATE:20260101\nRRULE:FREQ=YEARLY;COUNT=3"))
    assert read_calendar(path) == {date(year, 1, 1) for year in (2026, 2027, 2028)}
    path.write_text(EVENT.format("DTSTART;VALUE=DATE:20260101\nRRULE:FREQ=YEARLY;UNTIL=20270101T000000Z"))
    assert read_calendar(path) == {date(2026, 1, 1), date(2027, 1, 1)}
    path.write_text(EVENT.format("DTSTART;VALUE=DATE:20260101\nRRULE:FREQ=YEARLY"))
    assert len(read_calendar(path)) == 75


@pytest.mark.parametrize(
    ("calendar", "file", "message"),
    [
        ("timezone: Mars/Olympus", None, "1: calendar.timezone: 'Mars/Olympus' is not a time zone"),
        ("holidays: [2026-13-01]", None, "1: calendar.holidays.0: '2026-13-01' is not a date"),
        ("holiday: [2026-12-01]", None, "1: calendar.holiday: unknown key; did you mean holidays?"),
        ("days: [2026-12-01]", None, "1: calendar: days: unknown key; did you mean holidays?"),
        ("file: days.ics", None, r"1: calendar: .*days.ics: No such file"),
        ("file: days.ics", "hello\n", r"days.ics: this is no iCalendar file that can be read"),
        ("file: days.ics", EVENT.format("DTSTART;VALUE=DATE:2026"), "no iCalendar file that can be read"),
        ("file: days.ics", EVENT.format("DTSTART:20260101T100000Z"), "days.ics: it has no all-day event"),
        (
            "file: days.ics",
            EVENT.format("DTSTART;VALUE=DATE:20260101\nRRULE:FREQ=DAILY"),
            "days.ics: its events are on more than 10000 days",
        ),
        (
            "file: days.ics",
            EVENT.format("DTSTART;VALUE=DATE:20260101\nRRULE:FREQ=SECONDLY;BYMONTH=2;BYMONTHDAY=30"),
            "a rule that no all-day event has: FREQ=SECONDLY",
        ),
        (
            "file: days.ics",
            EVENT.format("DTSTART;VALUE=DATE:20260101\nRRULE:FREQ=DAILY;INTERVAL=0"),
            "a rule that no all-day event has: FREQ=DAILY;INTERVAL=0",
        ),
        (
            "file: days.ics",
            EVENT.format("DTSTART;VALUE=DATE:20260101\nDURATION:P9000D\nRRULE:FREQ=DAILY;COUNT=900"),
            "days.ics: its events name days more than 100000 times again",
        ),
    ],
)
def test_a_mistake_is_an_error_with_its_line(
    tmp_path: Path, calendar: str, file: str | None, message: str
) -> None:
    if file is not None:
        (tmp_path / "days.ics").write_text(file)
    path = tmp_path / "exporter.yml"
    path.write_text(f"calendar: {{{calendar}}}\n")
    with pytest.raises(ConfigError, match=message):
        load_config_file(path)
