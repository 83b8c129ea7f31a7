"""Runs of the study -> rates with what chance allows -> Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from scipy.special import gammaincinv

from tests.study.peers import PEERS

QUARTER_DAYS, WEEK_DAYS = 365.25 / 4, 7


@dataclass(frozen=True)
class Row:
    """A scenario: pages, and days on which a peer's job tells of drift, in so many model-days."""

    scenario: str
    days: float
    windows: int
    pages: int
    peers: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Delay:
    """Hours until an incident is told, of each run, infinity where it is not within the time looked at.

    `peers` is empty where they do not look at such a thing.
    """

    incident: str
    hours: tuple[float, ...]
    peers: dict[str, tuple[float, ...]]


@dataclass(frozen=True)
class Choice:
    """A threshold of the exporter or of another detector: false pages and days with a false alarm in so many
    clean model-days, and of each change the hours until it is told, by run, infinity where it is not."""

    name: str
    days: float
    pages: int
    false_days: int
    hours: tuple[tuple[float, ...], ...]


def upper_bound(events: int) -> float:
    """The Poisson mean with which so few events come in 5 % of the times (Garwood 1936), one-sided.

    >>> round(upper_bound(0), 2)
    3.0
    """
    return float(gammaincinv(events + 1, 0.95))


def per_quarter(row: Row) -> tuple[float, float]:
    """Pages per model and quarter, and the bound that the rate is below with 95 % confidence."""
    quarters = row.days / QUARTER_DAYS
    return row.pages / quarters, upper_bound(row.pages) / quarters


def alarms_table(rows: Iterable[Row]) -> str:
    """One line for each scenario."""
    lines = [
        "| Clean traffic | Windows | Pages per model-week | Pages per model-quarter (95 %) | "
        + " | ".join(PEERS)
        + " |",
        "| --- " * (4 + len(PEERS)) + "|",
    ]
    for row in rows:
        rate, bound = per_quarter(row)
        peers = [f"{row.peers[name] / row.days:.0%}" for name in PEERS]
        lines.append(
            f"| {row.scenario} | {row.windows:,} | {row.pages * WEEK_DAYS / row.days:.2f} "
            f"| {rate:.1f} (< {bound:.1f}) | {' | '.join(peers)} |"
        )
    return "\n".join(lines)


def habits_table(rows: Iterable[Row]) -> str:
    """One line for each scenario that has no peers: they look at features alone."""
    lines = [
        "| Clean traffic | Moments and windows | Pages per model-week | Pages per model-quarter (95 %) |",
        "| --- " * 4 + "|",
    ]
    for row in rows:
        rate, bound = per_quarter(row)
        lines.append(
            f"| {row.scenario} | {row.windows:,} | {row.pages * WEEK_DAYS / row.days:.2f} "
            f"| {rate:.1f} (< {bound:.1f}) |"
        )
    return "\n".join(lines)


def frontier_table(choices: Iterable[Choice], changes: Sequence[str]) -> str:
    """One line for each choice: its price in false pages, and what it buys."""
    lines = [
        "| Threshold | False pages per model-quarter (95 %) | Days with a false alarm "
        f"| {' | '.join(changes)} |",
        "| --- " * (3 + len(changes)) + "|",
    ]
    for choice in choices:
        quarters = choice.days / QUARTER_DAYS
        rate, bound = choice.pages / quarters, upper_bound(choice.pages) / quarters
        cells = " | ".join(_delay(hours) for hours in choice.hours)
        days = f"{choice.false_days / choice.days:.0%}"
        lines.append(f"| {choice.name} | {rate:.1f} (< {bound:.1f}) | {days} | {cells} |")
    return "\n".join(lines)


def merge(
    before: str,
    results: Iterable[Row | Delay | Choice],
    tables: Iterable[tuple[Callable[[list[Any]], str], list[str]]],
) -> str:
    """The tables with new rows in the place of those of the same name, in the order of each table's names."""
    known = {line.split(" | ")[0].removeprefix("| "): line for line in before.splitlines()}
    merged = []
    for write, names in tables:
        found = [each for each in results if _name(each) in names]
        header, rule, *lines = write(found).splitlines()
        known |= {line.split(" | ")[0].removeprefix("| "): line for line in lines}
        merged.append("\n".join([header, rule, *(known[name] for name in names if name in known)]))
    return "\n\n".join(merged)


def _name(result: Row | Delay | Choice) -> str:
    if isinstance(result, Choice):
        return result.name
    return result.scenario if isinstance(result, Row) else result.incident


def delays_table(delays: Iterable[Delay]) -> str:
    """One line for each incident: the median delay, and in how many runs it is told."""
    lines = [
        "| Incident | mlflow-exporter | " + " | ".join(PEERS) + " |",
        "| --- " * (2 + len(PEERS)) + "|",
    ]
    for delay in delays:
        cells = [_delay(delay.hours), *(_delay(delay.peers[name]) if delay.peers else "" for name in PEERS)]
        lines.append(f"| {delay.incident} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _delay(hours: tuple[float, ...]) -> str:
    told = sorted(hour for hour in hours if hour < float("inf"))
    if not told:
        return "never"
    text = f"{told[len(told) // 2]:.0f} h"
    return text if len(told) == len(hours) else f"{text}, in {len(told)} of {len(hours)}"
