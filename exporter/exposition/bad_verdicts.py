"""Series of a version's bad verdicts: since when each is bad, and if it has been severe.

    mlflow_model_drift_severe{model="fraud",model_version="3",column="is_fraud",role="label",window="24h"} 1
    mlflow_model_quality_severe{model="fraud",model_version="3",metric="recall",window="24h"} 0

There is none where the verdict is good or undecided.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from exporter.evaluation.change import is_compared
from exporter.exposition.columns import CHECKS_PER_COLUMN
from exporter.exposition.metric import COLUMN, VERSION, MetricOf, count_series
from exporter.exposition.quality import MAX_METRICS
from exporter.exposition.samples import Samples
from exporter.exposition.view import VersionView
from exporter.fleet import BadVerdict
from exporter.reference.profile import Reference
from exporter.settings import Window


def _since(measure: str, what: str, labels: tuple[str, ...]) -> MetricOf[BadVerdict, float]:
    return MetricOf(
        f"mlflow_model_{measure}_since_timestamp_seconds",
        "gauge",
        f"Time since which {what}, as the audit trail has it, in seconds since the epoch; absent otherwise; "
        "windows that follow each other without a gap count as one.",
        labels,
        read=lambda verdict: verdict.since,
    )


def _severe(measure: str, what: str, how: str, labels: tuple[str, ...]) -> MetricOf[BadVerdict, float]:
    return MetricOf(
        f"mlflow_model_{measure}_severe",
        "gauge",
        f"1 while {what} if {how} since, in any window, 0 if not; absent otherwise.",
        labels,
        read=lambda verdict: int(verdict.severe),
    )


_DRIFTED, _CHANGED = "a column has drifted", "a column has changed against the past weeks"
_FAILS = "a column's data quality is degraded"
_WORSE, _ESTIMATED = "the quality is degraded", "the estimated quality is degraded"
_BY_WINDOW, _BY_CHECK, _BY_METRIC = (*COLUMN, "window"), (*COLUMN, "check"), (*VERSION, "metric", "window")

# By measure, as in `monitoring.verdicts.Subject`.
BAD: Mapping[str, tuple[MetricOf[BadVerdict, float], ...]] = {
    "drift": (
        _since("drift", _DRIFTED, _BY_WINDOW),
        _severe("drift", _DRIFTED, "its score has reached three times the limit", _BY_WINDOW),
    ),
    "change": (_since("change", _CHANGED, _BY_WINDOW),),
    "data_quality": (
        _since("data_quality", _FAILS, _BY_CHECK),
        _severe(
            "data_quality",
            _FAILS,
            "the share of failing rows has been more than 0.5 above the reference's",
            _BY_CHECK,
        ),
    ),
    "quality": (
        _since("quality", _WORSE, _BY_METRIC),
        _severe(
            "quality",
            _WORSE,
            "the shortfall has exceeded three times the sum of tolerance and allowance",
            _BY_METRIC,
        ),
    ),
    "estimated_quality": (_since("estimated_quality", _ESTIMATED, _BY_METRIC),),
}
BAD_CATALOG = tuple(metric for metrics in BAD.values() for metric in metrics)


@lru_cache(1024)
def count_bad_series(columns: int, windows: tuple[Window, ...]) -> int:
    """Upper bound of the series that `add_bad` adds."""
    compared = sum(is_compared(window) for window in windows)
    by_metric = {"metric": MAX_METRICS, "window": len(windows)}
    return (
        count_series(BAD["drift"], {"column": columns + 1, "window": len(windows)})  # of the label, too
        + count_series(BAD["change"], {"column": columns, "window": compared})
        + count_series(BAD["data_quality"], {"column": columns, "check": CHECKS_PER_COLUMN})
        + count_series((*BAD["quality"], *BAD["estimated_quality"]), by_metric)
    )


def add_bad(samples: Samples, view: VersionView, reference: Reference) -> None:
    """Add the bad verdicts of a version that are not of its segments; `reference` is the evaluation's."""
    of_version, label = (view.model, view.version), reference.labels
    roles: dict[str, str] = {column.name: column.role for column in reference.columns}
    for (measure, name, window, segment), verdict in view.bad.items():
        measure, _, check = measure.partition("/")
        labels: tuple[str, ...] = (name, window)
        if measure == "label_drift" and label is not None:
            measure, labels = "drift", (label.columns[0].name, label.columns[0].role, window)
        elif measure in ("drift", "change", "data_quality"):
            labels = (name, roles[name], check or window)
        if not segment:
            samples.add_read(BAD.get(measure, ()), (*of_version, *labels), verdict)
