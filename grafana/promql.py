"""The forms of all queries.

Replicas serve the same gauges from the store they share, so a gauge is their maximum; a counter is each
replica's own, so its rates are summed. All series are those of the chosen cluster, namespace and job.
"""

from __future__ import annotations

from exporter.evaluation.figures import HIGHER_IS_BETTER

# With All, which is `.*`, series without these labels match too.
SCOPE = ", ".join(f'{label}=~"${label}"' for label in ("cluster", "namespace", "job"))


def matching(*labels: str, **variables: str) -> str:
    """Selector of labels whose values are those of variables: of the same name, or named by `variables`.

    Grafana writes the quotes, and escapes those in the value.
    """
    named = {label: label for label in labels} | variables
    return ", ".join(f"{label}=${{{variable}:doublequote}}" for label, variable in named.items())


def among(label: str) -> str:
    """Selector of a label whose value is that of a variable, or any with All, which is `.*`.

    Grafana escapes what has a meaning in regular expressions; within backticks quotes need no escape.
    """
    return f"{label}=~`${{{label}:regex}}`"


def series(metric: str, selector: str = "") -> str:
    """Series of all replicas, without an aggregation."""
    return f"{metric}{{{joined(selector, SCOPE)}}}"


def joined(*selectors: str) -> str:
    """All of the selectors that are not empty."""
    return ", ".join(filter(None, selectors))


def gauge(metric: str, selector: str = "", by: str = "") -> str:
    """The gauge of any replica, one series per value of the labels in `by`."""
    grouping = f"max by ({by})" if by else "max"
    return f"{grouping} ({series(metric, selector)})"


def highest(expression: str) -> str:
    """The highest value in the time range, the same at every point, so that a selection by it is stable."""
    return f"max_over_time(({expression})[$__range:$__interval] @ end())"


def rate(counter: str, selector: str, by: str = "") -> str:
    """Growth per second over all replicas."""
    grouping = f"sum by ({by})" if by else "sum"
    return f"{grouping} (rate({series(counter, selector)}[$__rate_interval]))"


def increase(counter: str, selector: str, time: str, by: str = "") -> str:
    """Growth within a range of time over all replicas."""
    grouping = f"sum by ({by})" if by else "sum"
    return f"{grouping} (increase({series(counter, selector)}[{time}]))"


def quantile(q: float, histogram: str, selector: str = "", by: str = "") -> str:
    """A quantile over all replicas; no series where nothing was observed."""
    buckets = rate(f"{histogram}_bucket", selector, f"le, {by}" if by else "le")
    return f"histogram_quantile({q}, {buckets}) >= 0"


def or_named(expression: str, label: str, value: str) -> str:
    """The expression, and where it finds nothing a series of value 0 with this one label."""
    return f'{expression} or on () label_replace(vector(0), "{label}", "{value}", "", "")'


def or_blank(expression: str, figures: str, label: str, value: str) -> str:
    """The expression, and if `figures` finds nothing in the time range a series without values, named so.

    For panels over time that cannot be given words for that.
    """
    blank = f'label_replace(vector(NaN), "{label}", "{value}", "", "")'
    return f"{expression} or on () ({blank} unless on () {highest(figures)})"


def tolerated(selector: str, by: str) -> str:
    """Accepted distance of a quality metric from its baseline in $window: tolerance and known allowance."""
    tolerance = gauge("mlflow_model_quality_tolerance", selector, by)
    allowance = gauge("mlflow_model_quality_allowance", joined(selector, matching("window")), by)
    return f"({tolerance} + ({allowance} or 0 * {tolerance}))"


def limit_of_quality(selector: str, by: str) -> str:
    """Value of a quality metric at its accepted distance from the baseline, on the worse side.

    Bias has no such line: it may leave its baseline on both sides.
    """
    better = "|".join(sorted(HIGHER_IS_BETTER))
    baseline = "mlflow_model_quality_baseline"
    higher, lower = f'{selector}, metric=~"{better}"', f'{selector}, metric!~"{better}|bias"'
    return (
        f"({gauge(baseline, higher, by)} - {tolerated(higher, by)})"
        f" or ({gauge(baseline, lower, by)} + {tolerated(lower, by)})"
    )
