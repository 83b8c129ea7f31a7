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
from itertools import chain, islice
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, model_validator

from exporter.config.section import Location, Section

MAX_HOLIDAYS = 10_000
MAX_CALENDAR_BYTES = 2**20
MAX_REPEATED = 100_000  # days that several events, or repetitions of one, name again
FREQUENCIES = {"DAILY", "WEEKLY", "MONTHLY", "YEARLY"}
LAST_DAY = date(2100, 12, 31)  # up to which events that repeat are followed


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
        with path.open("rb") as file:
            content = file.read(MAX_CALENDAR_BYTES + 1)
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None
    if len(content) > MAX_CALENDAR_BYTES:
        raise ValueError(f"{path}: larger than {MAX_CALENDAR_BYTES} bytes")
    found, repeated = set[date](), 0
    try:
        events = Parsed.from_ical(content).walk("VEVENT")
        kept = (event for event in events if str(event.get("STATUS", "")).upper() != "CANCELLED")
        for day in chain.from_iterable(map(_days_of, kept)):
            repeated += day in found
            found.add(day)
            if len(found) > MAX_HOLIDAYS or repeated > MAX_REPEATED:
                break
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError) as error:
        raise ValueError(f"{path}: this is no iCalendar file that can be read: {error}") from None
    if not found:
        raise ValueError(f"{path}: it has no all-day event")
    if len(found) > MAX_HOLIDAYS:
        raise ValueError(f"{path}: its events are on more than {MAX_HOLIDAYS} days")
    if repeated > MAX_REPEATED:
        raise ValueError(f"{path}: its events name days more than {MAX_REPEATED} times again")
    return found


def _days_of(event: Any) -> Iterator[date]:
    """Yield the days of an event, with its repetitions."""
    first = event.start
    if isinstance(first, datetime):
        return
    length = max((event.end - first).days, 1)
    starts = {first}
    for rule in _listed(event.get("RRULE")):
        starts.update(_repetitions(rule, first))
    for name, change in (("RDATE", starts.add), ("EXDATE", starts.discard)):
        for dates in _listed(event.get(name)):
            for each in dates.dts:
                change(datetime.combine(each.dt, time()).date())
    for start in sorted(starts):
        for number in range(length):
            yield start + timedelta(days=number)


def _repetitions(rule: Any, first: date) -> Iterator[date]:
    """Yield days on which an event from `first` on is repeated, until `LAST_DAY`, of endless rules, too.

    Raises:
        ValueError: it repeats within a day or without a step, which would never end.
    """
    from dateutil.rrule import rrulestr
    from icalendar import vRecur

    if not {*map(str.upper, rule.get("FREQ", ()))} <= FREQUENCIES or min(rule.get("INTERVAL", [1])) < 1:
        raise ValueError(f"a rule that no all-day event has: {rule.to_ical().decode()}")
    ends = [datetime.combine(end, time()) for end in rule.get("UNTIL", ())]
    count = min([MAX_HOLIDAYS + 1, *rule.get("COUNT", ())])
    rule = vRecur({name: value for name, value in rule.items() if name not in ("COUNT", "UNTIL")})
    starts = rrulestr(rule.to_ical().decode(), dtstart=datetime.combine(first, time()))
    for start in islice(starts.replace(until=min([datetime.combine(LAST_DAY, time()), *ends])), count):
        yield start.date()


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
