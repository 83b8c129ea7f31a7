"""Segments of a version in one window, for its page, bad ones first. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from exporter.evaluation.comparison import DRIFTED
from exporter.evaluation.model_quality import QualityEvaluation
from exporter.evaluation.segments import SegmentEvaluation
from exporter.measures.intervals import Interval


@dataclass(frozen=True)
class SegmentView:
    """A segment: its rows, the columns of it that drifted, its metrics that are degraded, and its figures.

    `figures` are metrics with their 99 % intervals; `why` says why there are none.
    """

    name: str
    rows: int
    drifted: tuple[str, ...]
    degraded: tuple[str, ...]
    figures: tuple[tuple[str, Interval], ...]
    why: str

    @property
    def bad(self) -> bool:
        return bool(self.drifted or self.degraded)


def view_segments(
    segments: Sequence[SegmentEvaluation], window: str, columns: Sequence[str]
) -> tuple[SegmentView, ...]:
    """Segments in a window: bad ones first, then by their rows.

    Args:
        segments: of a version.
        window: name of the window.
        columns: names of the reference's columns.
    """
    views = [_view(each, window, columns) for each in segments]
    return tuple(sorted(views, key=lambda view: (not view.bad, -view.rows)))


def _view(found: SegmentEvaluation, window: str, columns: Sequence[str]) -> SegmentView:
    drift = next((each for each in found.drift if each.window.name == window), None)
    quality = next((each for each in found.quality if each.window.name == window), None)
    own = found.segment.column  # has one value here, by definition
    drifted = np.flatnonzero(drift.verdict == DRIFTED).tolist() if drift is not None else []
    return SegmentView(
        name=found.segment.name,
        rows=drift.rows if drift is not None else 0,
        drifted=tuple(columns[place] for place in drifted if place != own),
        degraded=tuple(each.metric for each in quality.metrics if each.degraded) if quality else (),
        figures=tuple((each.metric, each.figure) for each in quality.metrics[:3]) if quality else (),
        why=_why_no_figures(quality),
    )


def _why_no_figures(quality: QualityEvaluation | None) -> str:
    if quality is None:
        return "its quality is not measured"
    return "" if quality.metrics else next(iter(quality.suppressed.values()), "no labels")
