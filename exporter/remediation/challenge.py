"""Comparison of a challenger with the champion by their own labels, as `ModelChallengerBetter` does it."""

from __future__ import annotations

from collections.abc import Sequence

from exporter.config.models import Minimums
from exporter.evaluation.figures import HIGHER_IS_BETTER
from exporter.evaluation.model_quality import QualityEvaluation
from exporter.evaluation.quality_verdicts import MetricQuality

MIN_LABELS = 200


def why_not_better(
    challenger: Sequence[QualityEvaluation],
    champion: Sequence[QualityEvaluation],
    minimums: Minimums,
) -> str:
    """Reason why a challenger is not shown to be better than the champion, empty if it is.

    It is better if the 99 % intervals of some metric do not overlap, in the matured window in which the
    challenger has most labels (of several the longest), and if no other metric is worse in the same sense.
    `bias` is left out: neither direction is better.

    Args:
        challenger: its quality by window.
        champion: that of the version that holds the alias.
        minimums: of labels and coverage, which both need.
    """
    least = max(MIN_LABELS, minimums.labels)
    if not challenger or not champion:
        return f"the quality of the {'champion' if challenger else 'challenger'} is unknown"
    best = max(challenger, key=lambda each: (each.labels, each.window))
    same = next((w for w in champion if (w.start, w.end) == (best.start, best.end)), None)
    if same is None:
        return f"the champion was not measured over the same {best.window.name}"
    for name, window in (("challenger", best), ("champion", same)):
        if window.labels < least:
            return f"the {name} has {window.labels} labels in {window.window.name}, {least} are needed"
        if not window.coverage >= minimums.coverage:
            return f"labels cover {window.coverage:.0%} of the {name}'s predictions"
    theirs = {each.metric: each for each in same.metrics}
    pairs = [(own, theirs[own.metric]) for own in best.metrics if own.metric in theirs]
    pairs = [(own, other) for own, other in pairs if own.metric != "bias"]
    better = [own.metric for own, other in pairs if _is_better(own, other)]
    worse = [own.metric for own, other in pairs if _is_better(other, own)]
    if worse:
        return f"its {', '.join(worse)} is worse than the champion's over {best.window.name}"
    return "" if better else f"no 99 % interval is beyond the champion's over {best.window.name}"


def _is_better(first: MetricQuality, second: MetricQuality) -> bool:
    if first.metric in HIGHER_IS_BETTER:
        return first.figure.lower > second.figure.upper
    return first.figure.upper < second.figure.lower
