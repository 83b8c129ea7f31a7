"""The section `calendar` of the configuration file: holidays, on which no traffic is expected.

    calendar:
      timezone: Europe/Berlin
      holidays: [2026-12-24, 2026-12-31]
      file: holidays.ics

Days of an iCalendar file are those of its all-day events; it is read again with the configuration.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from itertools import islice
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, model_validator

from exporter.config.section import Location, Section

MAX_HOLIDAYS = 10_000
MAX_CALENDAR_BYTES = 2**20
LAST_YEAR = 2100  # up to which events that repeat are followed


def _zone(value: object) -> object:
    try:
        ZoneInfo(str(value))
    except (OSError, ValueError, KeyError):
        raise ValueError(f"{value!r} is not a time zone such as Europe/Berlin") from None
    return value


def _day(value: object) -> object:
    try:
        return date.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        raise ValueError(f"{value!r} is not a date such as 2026-12-25") from None


Day = Annotated[date, BeforeValidator(_day)]


class Calendar(Section):
    """Holidays in the days of a time zone; `days` has those of the list and of the file, sorted."""

    timezone: Annotated[str, BeforeValidator(_zone)] = "UTC"
    holidays: Annotated[tuple[Day, ...], Field(max_length=MAX_HOLIDAYS)] = ()
    file: Location | None = None
    days: Annotated[tuple[date, ...], Field(init=False)] = ()

    @model_validator(mode="before")
    @classmethod
    def _no_days(cls, values: Any) -> Any:
        if isinstance(values, dict) and "days" in values:
            raise ValueError("days: unknown key; did you mean holidays?")
        return values

    @model_validator(mode="after")
    def _read_file(self) -> Calendar:
        days = {*self.holidays, *(read_calendar(Path(self.file)) if self.file else ())}
        object.__setattr__(self, "days", tuple(sorted(days)))
        return self


def read_calendar(path: Path) -> set[date]:
    """Days of the all-day events of an iCalendar file; events with a time of day are left out.

    Raises:
        ValueError: it cannot be read, is no iCalendar file, or has no such event, or too many.
    """
    from icalendar import Calendar as Parsed  # a third of a second, for those who use it

    try:
        if path.stat().st_size > MAX_CALENDAR_BYTES:
            raise ValueError(f"{path}: larger than {MAX_CALENDAR_BYTES} bytes")
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None
    try:
        events = Parsed.from_ical(content).walk("VEVENT")
        found = set[date]()
        for event in events:
            if str(event.get("STATUS", "")).upper() != "CANCELLED":
                found.update(_days_of(event))
            if len(found) > MAX_HOLIDAYS:
                break
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError) as error:
        raise ValueError(f"{path}: this is no iCalendar file that can be read: {error}") from None
    if not found:
        raise ValueError(f"{path}: it has no all-day event")
    if len(found) > MAX_HOLIDAYS:
        raise ValueError(f"{path}: its events are on more than {MAX_HOLIDAYS} days")
    return found


def _days_of(event: Any) -> Iterator[date]:
    """Yield the days of an event, with its repetitions."""
    from dateutil.rrule import rruleset, rrulestr

    first = event.start
    if isinstance(first, datetime):
        return
    length = max((event.end - first).days, 1)
    starts = rruleset()
    begin = datetime.combine(first, time())
    starts.rdate(begin)
    for rule in _listed(event.get("RRULE")):
        starts.rrule(rrulestr(rule.to_ical().decode(), dtstart=begin, ignoretz=True))
    for name, add in (("RDATE", starts.rdate), ("EXDATE", starts.exdate)):
        for dates in _listed(event.get(name)):
            for each in dates.dts:
                add(datetime.combine(each.dt, time()))
    for start in islice(starts, MAX_HOLIDAYS + 1):
        if start.year > LAST_YEAR:
            return
        for number in range(min(length, MAX_HOLIDAYS + 1)):
            yield start.date() + timedelta(days=number)


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
