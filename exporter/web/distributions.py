"""Distribution of a column in a window beside that of its reference, as bars in SVG. Pure.

Shares of bins are of the rows with a value, as in the PSI. Missing and mismatched values are shares of all
rows.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from markupsafe import Markup

from exporter.formats.texts import cut, printable
from exporter.reference.bins import MISMATCH, MISSING, Column
from exporter.settings import DAY_SECONDS
from exporter.typing import Ints

WIDTH = 340
PLOT_HEIGHT, LABEL_HEIGHT, TOP = 96, 19, 14
ROW_HEIGHT, NAME_WIDTH, SHARE_WIDTH = 24, 110, 78  # of horizontal bars
MAX_ROWS = 12  # of horizontal bars; other categories are one more
TICKS, FEW_TICKS, LONG_TICK = 4, 3, 8  # fewer where a text has more characters
NAME_LENGTH = 17  # characters of a name in a picture
LEAST_MOVE = 0.02  # difference of shares that is worth a sentence


YEAR_DAYS = 365.25
_POWER = re.compile(r"\d(?:\.\d+)?e\+(?:0\d|1[0-5])\b")  # of ten, which people write out


@dataclass(frozen=True)
class Bar:
    """A bin's share of the reference's rows and of the window's, from 0 to 1."""

    name: str
    reference: float
    live: float

    @property
    def difference(self) -> float:
        return self.live - self.reference


@dataclass(frozen=True)
class Distribution:
    """Bins of a column in their order, and what is not a value.

    `ordered` bins are neighbouring intervals of numbers; `edges` are the texts between them. `rows` have a
    value: without any, live shares are 0.
    """

    ordered: bool
    bars: tuple[Bar, ...]
    edges: tuple[str, ...]
    besides: tuple[Bar, ...]
    rows: int

    @property
    def moved(self) -> tuple[Bar, ...]:
        """At most three bins or other cells whose shares differ most."""
        most = sorted((*self.bars, *self.besides), key=lambda bar: -abs(bar.difference))[:3]
        return tuple(bar for bar in most if abs(bar.difference) >= LEAST_MOVE)

    @property
    def listed(self) -> tuple[Bar, ...]:
        """Bins and other cells that some row fell into."""
        return tuple(bar for bar in (*self.bars, *self.besides) if bar.reference or bar.live)


def find_distribution(column: Column, reference: Ints, live: Ints, *, named: bool = True) -> Distribution:
    """Shares of a column's cells.

    Args:
        column: its bins.
        reference: (column.cells,) counts of the reference.
        live: (column.cells,) counts of a window.
        named: False to show the index of a bin instead of its content.
    """
    names, edges = _names(column) if named else _numbers(column)
    ours, theirs = _shares(reference[: column.bins]), _shares(live[: column.bins])
    all_ours, all_theirs = _shares(reference), _shares(live)
    return Distribution(
        ordered=column.numeric,
        bars=tuple(map(Bar, names, ours, theirs)),
        edges=edges,
        besides=tuple(map(Bar, (MISSING, MISMATCH), all_ours[column.bins :], all_theirs[column.bins :])),
        rows=int(live[: column.bins].sum()),
    )


def _shares(counts: Ints) -> list[float]:
    shares: list[float] = (counts / max(int(counts.sum()), 1)).tolist()
    return shares


def _names(column: Column) -> tuple[list[str], tuple[str, ...]]:
    """Names of the bins and texts of the edges; the ages of a column of dates are in days."""
    if column.kind == "time" and len(column.edges):
        edges = tuple(map(_age, column.edges.tolist()))
        inner = [f"{low} to {high} old" for low, high in pairwise(edges)]
        return [f"less than {edges[0]} old", *inner, f"{edges[-1]} old or more"], edges
    names = [printable(name.partition(" ")[2]) for name in column.cell_names[: column.bins]]
    if not column.numeric:
        return names, ()
    names = [_POWER.sub(lambda power: f"{float(power[0]):.0f}", name) for name in names]
    edges = tuple(name.removeprefix("[").partition(",")[0] for name in names[1:-1])
    return names, (*edges, names[-1].removeprefix(">= ")) if len(names) > 1 else ()


def _age(seconds: float) -> str:
    """Age for people.

    >>> _age(-3600.0), _age(86400 * 12.5), _age(86400 * 365.25 * 30)
    ('-0.04167 d', '12.5 d', '30 years')
    """
    days = seconds / DAY_SECONDS
    return f"{days:.4g} d" if abs(days) < 2 * YEAR_DAYS else f"{days / YEAR_DAYS:.4g} years"


def _numbers(column: Column) -> tuple[list[str], tuple[str, ...]]:
    return [f"bin {index:02d}" for index in range(column.bins)], ()


# -- drawing -------------------------------------------------------------------------------------------------


def percent(share: float) -> str:
    """Share for people.

    >>> percent(0.4307), percent(0.0004), percent(0.0), percent(0.9999)
    ('43.1 %', '<0.1 %', '0 %', '>99.9 %')
    """
    if 0 < share < 0.0005:
        return "<0.1 %"
    if 0.9995 <= share < 1:
        return ">99.9 %"
    return f"{100 * share:.1f}".removesuffix(".0") + " %"


def draw(distribution: Distribution, label: str) -> Markup:
    """Picture of a distribution: pairs of bars, the reference's first.

    Args:
        distribution: of a column.
        label: name of the picture for those who do not see it.
    """
    if distribution.ordered:
        height, parts = TOP + PLOT_HEIGHT + LABEL_HEIGHT, _columns(distribution)
    else:
        bars = _strongest(distribution.bars)
        height, parts = ROW_HEIGHT * len(bars), _rows(bars)
    opening = Markup(
        '<svg class="bars" role="img" aria-label="{}" viewBox="0 0 {} {}" width="{}" height="{}">'
    )
    return opening.format(label, WIDTH, height, WIDTH, height) + Markup("").join(parts) + Markup("</svg>")


def _columns(distribution: Distribution) -> list[Markup]:
    """Upright bars over an axis with some of the edges."""
    bars, edges = distribution.bars, distribution.edges
    top = max((max(bar.reference, bar.live) for bar in bars), default=0.0) or 1.0
    slot, floor = WIDTH / len(bars), TOP + PLOT_HEIGHT
    parts = [Markup('<text x="0" y="10">{}</text>').format(percent(top))]
    for index, bar in enumerate(bars):
        parts.append(Markup("<g><title>{}</title>").format(_told(bar)))
        for kind, share, start in (("reference", bar.reference, 0.1), ("live", bar.live, 0.5)):
            size = max(PLOT_HEIGHT * share / top, 1.0 if share else 0.0)
            parts.append(_rect(kind, slot * (index + start), floor - size, slot * 0.4, size))
        parts.append(Markup("</g>"))
    parts.append(Markup('<path class="axis" d="M0 {0}.5H{1}"/>').format(floor, WIDTH))
    for place in _ticks(edges):
        at = slot * (place + 1)
        parts.append(Markup('<path class="axis" d="M{0:.1f} {1}v4"/>').format(at, floor))
        anchor = "start" if at < 24 else "end" if at > WIDTH - 24 else "middle"
        text = Markup('<text class="{}" x="{:.1f}" y="{}">{}</text>')
        parts.append(text.format(anchor, at, floor + 15, edges[place]))
    return parts


def _ticks(edges: Sequence[str]) -> list[int]:
    """Edges that are written, evenly spaced: the first and the last among them."""
    count = FEW_TICKS if any(len(edge) > LONG_TICK for edge in edges) else TICKS
    return sorted({int(place) for place in np.linspace(0, len(edges) - 1, count).round()}) if edges else []


def _rows(bars: Sequence[Bar]) -> list[Markup]:
    """Bars from left to right under each other, with the name of each category and its shares."""
    top = max((max(bar.reference, bar.live) for bar in bars), default=0.0) or 1.0
    room, parts = WIDTH - NAME_WIDTH - SHARE_WIDTH, list[Markup]()
    for index, bar in enumerate(bars):
        y = ROW_HEIGHT * index
        name = Markup('<g><title>{}</title><text x="0" y="{}">{}</text>')
        parts.append(name.format(_told(bar), y + 15, cut(bar.name, NAME_LENGTH)))
        for kind, share, down in (("reference", bar.reference, 3), ("live", bar.live, 11)):
            size = max(room * share / top, 1.0 if share else 0.0)
            parts.append(_rect(kind, NAME_WIDTH, y + down, size, 8))
        shares = Markup('<text class="end" x="{}" y="{}">{}</text></g>')
        parts.append(shares.format(WIDTH, y + 15, percent(bar.live)))
    return parts


def _strongest(bars: Sequence[Bar]) -> list[Bar]:
    """Bars that some row fell into; beyond `MAX_ROWS`, those with small shares are one."""
    some = [bar for bar in bars if bar.reference or bar.live]
    if len(some) <= MAX_ROWS + 1:
        return some
    order = sorted(range(len(some)), key=lambda k: -max(some[k].reference, some[k].live))
    shown, rest = sorted(order[:MAX_ROWS]), [some[k] for k in order[MAX_ROWS:]]
    others = Bar(f"{len(rest)} more", sum(b.reference for b in rest), sum(b.live for b in rest))
    return [*(some[k] for k in shown), others]


def _told(bar: Bar) -> str:
    return f"{bar.name}: {percent(bar.reference)} of the reference, {percent(bar.live)} of the window"


def _rect(kind: str, x: float, y: float, width: float, height: float) -> Markup:
    rect = Markup('<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>')
    return rect.format(kind, x, y, width, height)
