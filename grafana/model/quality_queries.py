"""Queries of the model dashboard on quality and labels."""

from __future__ import annotations

from promql import gauge, increase, joined, limit_of_quality, matching, or_named, quantile, rate, tolerated

from model.queries import VERSION, WINDOW

_CHOSEN = joined(WINDOW, matching("metric"))


def by_metric(metric: str) -> str:
    """A figure of the window for each metric of quality."""
    return gauge(metric, WINDOW, "metric")


def of_metric(metric: str) -> str:
    """A figure of the chosen metric, as one series."""
    return gauge(metric, _CHOSEN)


QUALITY = by_metric("mlflow_model_quality")
ESTIMATE = by_metric("mlflow_model_estimated_quality")
SHORTFALL = by_metric("mlflow_model_quality_shortfall")
BASELINE = gauge("mlflow_model_quality_baseline", VERSION, "metric")
RELATIVE_SHORTFALL = f"{SHORTFALL} / {tolerated(VERSION, 'metric')}"
# 1 degraded, 0 not, -1 where labels are too few, -2 where there is an estimate alone.
VERDICT = f"{by_metric('mlflow_model_quality_degraded')} or (0 * {QUALITY} - 1) or (0 * {ESTIMATE} - 2)"
ESTIMATED_VERDICT = f"{by_metric('mlflow_model_estimated_quality_degraded')} or (0 * {ESTIMATE} - 1)"
SINCE = f"1000 * {gauge('mlflow_model_quality_since_timestamp_seconds', WINDOW, 'metric')}"
# The metric that fell furthest first.
METRICS = or_named(
    f"sort_desc({RELATIVE_SHORTFALL} or 0 * {ESTIMATE} - 1000 or 0 * {BASELINE} - 2000)", "metric", "quality"
)

CHOSEN_BASELINE = gauge("mlflow_model_quality_baseline", joined(VERSION, matching("metric")))
CHOSEN_LIMIT = limit_of_quality(joined(VERSION, matching("metric")), "metric")

# Labels

COVERAGE = gauge("mlflow_model_label_coverage_ratio", VERSION, "window")
CHOSEN_COVERAGE = gauge("mlflow_model_label_coverage_ratio", WINDOW)
LABELS = gauge("mlflow_model_window_labels", WINDOW)
LABEL_RATE = rate("mlflow_model_labels_total", VERSION)
MATURATION = gauge("mlflow_model_label_maturation_seconds", VERSION)
UNMATCHED = increase("mlflow_model_labels_unmatched_total", matching("model"), "$__range")
CLASSES = gauge("mlflow_model_class_quality", WINDOW, "class, metric")
CONFUSION = gauge("mlflow_model_confusion", WINDOW, "actual, predicted")
ESTIMATE_ERROR = by_metric("mlflow_model_estimated_quality_error")


def delay(q: float) -> str:
    """A quantile of the time from a prediction to its label."""
    return quantile(q, "mlflow_model_label_delay_seconds", VERSION)


def label_drift(figure: str) -> str:
    return gauge(f"mlflow_model_drift_{figure}", f'{WINDOW}, role="label"')
