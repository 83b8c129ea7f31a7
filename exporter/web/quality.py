"""Quality of a version in one window, for its page: figures beside their baselines. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

from markupsafe import Markup

from exporter.evaluation.figures import HIGHER_IS_BETTER
from exporter.evaluation.model_quality import Confusion, EstimatedQuality, QualityEvaluation
from exporter.evaluation.quality_verdicts import MetricQuality
from exporter.measures.intervals import Interval
from exporter.monitoring.verdicts import Subject
from exporter.views.versions import or_none, verdict_name
from exporter.web.history import History
from exporter.web.pictures import quality_trend

MAX_CLASSES = 12  # of a confusion matrix that is shown
PLOT_WIDTH, PLOT_HEIGHT, PLOT_EDGE = 150, 18, 5

Since = Mapping[tuple[str, str, str, str], float]


@dataclass(frozen=True)
class FigureView:
    """A metric: its figure with its 99 % interval, against its baseline; None where something is not known.

    `limit` is how much worse than the baseline it may be. `verdict` is `degraded`, `ok`, `undecided`, or
    `absent` if there is no figure; `why` says why there is no figure or no verdict. `since` is in seconds
    since the epoch, None unless it is degraded. `picture` shows the interval and the baseline, `trend` the
    figure over time.
    """

    metric: str
    figure: Interval | None
    baseline: float | None
    limit: float | None
    verdict: str
    why: str = ""
    provisional: bool = False
    error: float | None = None
    since: float | None = None
    picture: Markup | None = None
    trend: Markup | None = None


@dataclass(frozen=True)
class MatrixView:
    """Confusion matrix: labelled rows by actual class (first axis) and predicted class."""

    classes: tuple[str, ...]
    rows: tuple[tuple[int, ...], ...]
    left_out: int  # classes

    def share(self, actual: int, predicted: int) -> float:
        """Share of the rows of an actual class that were predicted to be of another."""
        return self.rows[actual][predicted] / max(sum(self.rows[actual]), 1)


@dataclass(frozen=True)
class QualityView:
    """Quality in one window, with what `QualityEvaluation` says of it."""

    found: QualityEvaluation
    metrics: tuple[FigureView, ...]
    estimates: tuple[FigureView, ...]
    classes: tuple[tuple[str, tuple[tuple[str, Interval], ...]], ...]
    matrix: MatrixView | None
    label_drift: str  # its verdict, empty if labels are not compared

    @property
    def bad(self) -> bool:
        drifted = self.label_drift == "drifted"
        return drifted or any(each.verdict == "degraded" for each in (*self.metrics, *self.estimates))


def view_quality(found: QualityEvaluation, history: History | None, since: Since) -> QualityView:
    """Quality of a window, with what is degraded first.

    Args:
        found: of the window.
        history: with the metrics over time; None if it is not known.
        since: time by bad subject, as `fleet.Version.bad_since`.
    """
    window = found.window.name
    metrics = [
        _metric(each, history, since.get(Subject("quality", each.metric, window))) for each in found.metrics
    ] + [
        FigureView(metric, None, None, None, "absent", reason) for metric, reason in found.suppressed.items()
    ]
    estimates = [
        _estimate(each, since.get(Subject("estimated_quality", each.metric, window)))
        for each in found.estimates
    ]
    by_class: dict[str, list[tuple[str, Interval]]] = {}
    for one in found.classes:
        by_class.setdefault(one.label, []).append((one.metric, one.figure))
    label_drift = ""
    if found.label_drift is not None:
        label_drift = verdict_name(found.label_drift.verdict[0])
    return QualityView(
        found=found,
        metrics=tuple(sorted(metrics, key=lambda each: each.verdict != "degraded")),
        estimates=tuple(sorted(estimates, key=lambda each: each.verdict != "degraded")),
        classes=tuple((label, tuple(figures)) for label, figures in by_class.items()),
        matrix=_matrix(found.confusion) if found.confusion is not None and found.labels else None,
        label_drift=label_drift,
    )


def _metric(quality: MetricQuality, history: History | None, since: float | None) -> FigureView:
    limit = or_none(quality.limit)
    return FigureView(
        metric=quality.metric,
        figure=quality.figure,
        baseline=or_none(quality.baseline),
        limit=limit,
        verdict=_verdict(quality.degraded),
        why=quality.undecided,
        provisional=quality.provisional and isfinite(quality.baseline),
        since=since,
        picture=draw_interval(quality.metric, quality.figure, or_none(quality.baseline), limit),
        trend=quality_trend(history, quality) if history is not None else None,
    )


def _estimate(estimate: EstimatedQuality, since: float | None) -> FigureView:
    baseline = or_none(estimate.baseline)
    return FigureView(
        metric=estimate.metric,
        figure=estimate.figure,
        baseline=baseline,
        limit=None,
        verdict=_verdict(estimate.degraded),
        why=estimate.undecided,
        error=or_none(estimate.error),
        since=since,
        picture=draw_interval(estimate.metric, estimate.figure, baseline, None),
    )


def _matrix(confusion: Confusion) -> MatrixView:
    """The classes with most labelled rows; the last one, of all others, only if it has any."""
    rows = confusion.rows.tolist()
    totals = [sum(own) + sum(other[k] for other in rows) for k, own in enumerate(rows)]
    places = [k for k in range(len(rows)) if totals[k] or k < len(rows) - 1]
    chosen = sorted(sorted(places, key=lambda k: -totals[k])[:MAX_CLASSES])
    return MatrixView(
        classes=tuple(confusion.classes[k] for k in chosen),
        rows=tuple(tuple(rows[a][p] for p in chosen) for a in chosen),
        left_out=len(places) - len(chosen),
    )


def _verdict(degraded: bool | None) -> str:
    return "undecided" if degraded is None else "degraded" if degraded else "ok"


# -- comparison with another version -------------------------------------------------------------------------


@dataclass(frozen=True)
class ComparedFigure:
    """A metric of two versions over the same window; `better` is `own`, `other`, or empty if neither is.

    One is better than the other if their 99 % intervals do not overlap.
    """

    metric: str
    own: Interval
    other: Interval
    better: str


def compare_figures(
    own: Sequence[MetricQuality], other: Sequence[MetricQuality]
) -> tuple[ComparedFigure, ...]:
    """Metrics that both versions have."""
    theirs = {each.metric: each.figure for each in other}
    return tuple(
        ComparedFigure(
            each.metric,
            each.figure,
            theirs[each.metric],
            _better(each.metric, each.figure, theirs[each.metric]),
        )
        for each in own
        if each.metric in theirs
    )


def _better(metric: str, own: Interval, other: Interval) -> str:
    if metric == "bias":  # neither direction is better
        return ""
    higher, lower = ("own", "other") if metric in HIGHER_IS_BETTER else ("other", "own")
    return higher if own.lower > other.upper else lower if own.upper < other.lower else ""


# -- drawing -------------------------------------------------------------------------------------------------


def draw_interval(
    metric: str, figure: Interval, baseline: float | None, limit: float | None
) -> Markup | None:
    """Picture of a figure with its interval, its baseline, and the range where it counts as degraded.

    Args:
        metric: its name, which tells whether lower is worse.
        figure: with its 99 % interval.
        baseline: None without one.
        limit: how much worse than the baseline it may be; None if that is unknown.
    """
    if not all(map(isfinite, figure)):
        return None
    worst = None
    if baseline is not None and limit is not None and metric != "bias":
        worst = baseline - limit if metric in HIGHER_IS_BETTER else baseline + limit
    marks = [*figure, *(mark for mark in (baseline, worst) if mark is not None)]
    low, span = min(marks), (max(marks) - min(marks)) or 1.0

    def place(value: float) -> float:
        return PLOT_EDGE + (PLOT_WIDTH - 2 * PLOT_EDGE) * (value - low) / span

    middle = PLOT_HEIGHT / 2
    opening = Markup(
        '<svg class="interval" aria-hidden="true" viewBox="0 0 {0} {1}" width="{0}" height="{1}">'
    )
    parts = [opening.format(PLOT_WIDTH, PLOT_HEIGHT)]
    if worst is not None:
        start, end = (0.0, place(worst)) if metric in HIGHER_IS_BETTER else (place(worst), float(PLOT_WIDTH))
        zone = Markup('<rect class="zone" x="{:.1f}" y="0" width="{:.1f}" height="{}"/>')
        parts.append(zone.format(start, end - start, PLOT_HEIGHT))
    if baseline is not None:
        line = Markup('<path class="baseline" d="M{:.1f} 0V{}"/>')
        parts.append(line.format(place(baseline), PLOT_HEIGHT))
    whisker = Markup('<path class="whisker" d="M{:.1f} {}H{:.1f}"/>')
    parts.append(whisker.format(place(figure.lower), middle, place(figure.upper)))
    parts.append(Markup('<circle cx="{:.1f}" cy="{}" r="3.5"/></svg>').format(place(figure.value), middle))
    return Markup("").join(parts)
