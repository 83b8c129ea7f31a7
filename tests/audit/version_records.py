"""Records of version 3 of `fraud` on a day, and records to put between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from exporter.audit.record import Entry

HOUR = 3600.0
START = 1_793_491_200.0  # 2026-11-01
END = START + 24 * HOUR
LATER = END + 2 * HOUR
REFERENCE, CONFIGURATION = "9f" * 32, "ab" * 32
Records = Sequence[tuple[float, Entry]]


def entry(kind: str, data: dict[str, Any] | None = None, **fields: Any) -> Entry:
    said = {"actor": "monitor", "model": "fraud", "model_version": "3", "reference_digest": REFERENCE}
    return Entry(kind, data=data or {}, **{**said, **fields})  # type: ignore[arg-type]


def system(kind: str, **data: Any) -> Entry:
    return Entry(kind, "system", data=data)  # type: ignore[arg-type]


def summary(place: int, *, bad: int = 0, **data: Any) -> tuple[float, Entry]:
    """Summary of an hour of the day, written a second after it."""
    start = START + place * HOUR
    said = {
        "hour": start,
        "from": start,
        "to": start + HOUR,
        "evaluations": 120,
        "failed": 1,
        "rows": 1000,
        "window": "24h",
        "score_thousandths": {"amount": [10, 300 if bad else 50, 20]},
        "quality": {"recall": [0.8, 0.85, 0.82]},
        "verdicts": {"bad": bad, "good": 15, "undecided": 2},
    }
    return start + HOUR + 1, entry("summary", {**said, **data})


BUILT = {"new_digest": REFERENCE, "source": "models:/fraud/3", "rows": 9}
MONITORED = (START - HOUR, entry("version_monitored", actor="system"))
DAY: Records = [
    (START - 2 * HOUR, entry("reference_built", BUILT)),
    MONITORED,
    *(summary(place) for place in range(24)),
]


def day_without(*places: int) -> Records:
    """The day without the summaries of some hours."""
    left_out = {summary(place)[0] for place in places}
    return [record for record in DAY if record[0] not in left_out]


def in_order(records: Records) -> Records:
    return sorted(records, key=lambda record: record[0])
