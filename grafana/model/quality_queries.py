"""Queries of the model dashboard on quality and labels."""

from __future__ import annotations

from promql import gauge, increase, limit_of_quality, or_named, quantile, rate, tolerated

from model.queries import VERSION, WINDOW

_CHOSEN = f"{WINDOW}, metric=${{metric:doublequote}}"


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

_DEGRADED = f"sum ({by_metric('mlflow_model_quality_degraded')})"
_ESTIMATED_DEGRADED = f"sum ({by_metric('mlflow_model_estimated_quality_degraded')})"
# How many metrics are degraded; -1 where none is but the estimate has fallen, which may be ahead of the
# labels; 0 where none is; -2 where only the estimate says so; -3 where there are figures and no verdict.
STATE = (
    f"({_DEGRADED} > 0) or (0 * ({_ESTIMATED_DEGRADED} > 0) - 1) or {_DEGRADED}"
    f" or (0 * {_ESTIMATED_DEGRADED} - 2) or (0 * count ({QUALITY} or {ESTIMATE}) - 3)"
)
# The metric that fell furthest first.
METRICS = or_named(
    f"sort_desc({RELATIVE_SHORTFALL} or 0 * {ESTIMATE} - 1000 or 0 * {BASELINE} - 2000)", "metric", "quality"
)

CHOSEN_BASELINE = gauge("mlflow_model_quality_baseline", f"{VERSION}, metric=${{metric:doublequote}}")
CHOSEN_LIMIT = limit_of_quality(f"{VERSION}, metric=${{metric:doublequote}}", "metric")

# Labels

COVERAGE = gauge("mlflow_model_label_coverage_ratio", VERSION, "window")
CHOSEN_COVERAGE = gauge("mlflow_model_label_coverage_ratio", WINDOW)
LABELS = gauge("mlflow_model_window_labels", WINDOW)
LABEL_RATE = rate("mlflow_model_labels_total", VERSION)
MATURATION = gauge("mlflow_model_label_maturation_seconds", VERSION)
UNMATCHED = increase("mlflow_model_labels_unmatched_total", "model=${model:doublequote}", "$__range")
CLASSES = gauge("mlflow_model_class_quality", WINDOW, "class, metric")
CONFUSION = gauge("mlflow_model_confusion", WINDOW, "actual, predicted")
ESTIMATE_ERROR = by_metric("mlflow_model_estimated_quality_error")


def delay(q: float) -> str:
    """A quantile of the time from a prediction to its label."""
    return quantile(q, "mlflow_model_label_delay_seconds", VERSION)


def label_drift(figure: str) -> str:
    return gauge(f"mlflow_model_drift_{figure}", f'{WINDOW}, role="label"')
