"""Sparklines: small pictures of a figure over time, as inline SVG with a text alternative."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from math import isfinite

from markupsafe import Markup

from exporter.web.rendering import format_figure

WIDTH, HEIGHT, MARGIN = 120, 28, 3
# Least extent of the scale as a share of its line: noise far from it is to look like noise.
LEAST_SPAN = 0.2


def sparkline(
    values: Sequence[float], label: str, line: tuple[str, float] | None = None, *, from_zero: bool = True
) -> Markup:
    """Return a picture of values at equal distances in time, with gaps where they are NaN.

    Args:
        values: the oldest first.
        label: of the figure and the period, for those who do not see the picture.
        line: name and value of a limit or baseline, drawn dashed.
        from_zero: whether the scale begins at 0.
    """
    known = [value for value in values if isfinite(value)]
    if not known:
        return Markup('<span class="soft">no data</span>')
    line = line if line is not None and isfinite(line[1]) else None
    marked = [*known, line[1]] if line is not None else known
    low, high = (min(0.0, *marked) if from_zero else min(marked)), max(marked)
    span = max(high - low, LEAST_SPAN * abs(line[1]) if line is not None else 0.0) or 1.0

    def place(index: int, value: float) -> tuple[float, float]:
        x = MARGIN + index * (WIDTH - 2 * MARGIN) / max(len(values) - 1, 1)
        return round(x, 1), round(HEIGHT - MARGIN - (value - low) / span * (HEIGHT - 2 * MARGIN), 1)

    last = max(index for index, value in enumerate(values) if isfinite(value))
    lowest, highest, newest = map(format_figure, (min(known), max(known), values[last]))
    text = f"{label}: lowest {lowest}, highest {highest}, last {newest}"
    parts = []
    if line is not None:
        text += f", {line[0]} {format_figure(line[1])}"
        _, y = place(0, line[1])
        parts.append(Markup('<line x1="0" x2="{}" y1="{}" y2="{}"/>').format(WIDTH, y, y))
    for run in _runs(values):
        points = " ".join("{},{}".format(*place(index, values[index])) for index in [run[0], *run])
        parts.append(Markup('<polyline points="{}"/>').format(points))
    x, y = place(last, values[last])
    parts.append(Markup('<circle cx="{}" cy="{}" r="2"/>').format(x, y))
    return Markup(
        '<svg class="spark" role="img" aria-label="{}" width="{}" height="{}" viewBox="0 0 {} {}">'
        "<title>{}</title>{}</svg>"
    ).format(text, WIDTH, HEIGHT, WIDTH, HEIGHT, text, Markup("").join(parts))


def _runs(values: Sequence[float]) -> Iterator[list[int]]:
    """Indices of values without a gap between them."""
    for known, run in groupby(range(len(values)), key=lambda index: isfinite(values[index])):
        if known:
            yield list(run)
