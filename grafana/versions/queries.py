"""Queries of the dashboard of versions: for each version, and for the two chosen aliases."""

from __future__ import annotations

from promql import gauge, limit_of_quality, matching, or_named, quantile, rate, tolerated

from exporter.evaluation.figures import HIGHER_IS_BETTER

MODEL = "model=${model:doublequote}"
WINDOW = f"{MODEL}, window=${{window:doublequote}}"
CHOSEN = f"{WINDOW}, metric=${{metric:doublequote}}"
CHAMPION, CHALLENGER = "$champion", "$challenger"

METRICS = or_named(
    "sort_desc("
    f"0 * {gauge('mlflow_model_quality', MODEL, 'metric')}"
    f" or 0 * {gauge('mlflow_model_estimated_quality', MODEL, 'metric')})",
    "metric",
    "quality",
)
CHALLENGERS = or_named(
    gauge("mlflow_model_alias_version", f"{MODEL}, alias!=${{champion:doublequote}}", "alias"),
    "alias",
    "challenger",
)


def by_version(metric: str, selector: str = MODEL) -> str:
    return gauge(metric, selector, "model_version")


def _named(alias: str) -> str:
    return f"{MODEL}, {matching(alias=alias.removeprefix('$'))}"


def version_of(alias: str) -> str:
    return gauge("mlflow_model_alias_version", _named(alias))


def since_move(alias: str) -> str:
    changed = gauge("mlflow_model_alias_changed_timestamp_seconds", _named(alias))
    return f"time() - {changed}"


def of_alias(metric: str, selector: str, alias: str, by: str = "") -> str:
    """A gauge of the version that the alias points to at the time."""
    named = gauge("mlflow_model_alias_info", _named(alias), "model_version")
    figure = gauge(metric, selector, f"{by}, model_version" if by else "model_version")
    return f"max{f' by ({by})' if by else ''} ({figure} and on (model_version) {named})"


# Comparison of the two

QUALITY = "mlflow_model_quality"


def compared(metric: str, alias: str) -> str:
    """A figure of each metric of quality, of the version that the alias points to."""
    return of_alias(metric, WINDOW, alias, "metric")


def chosen(end: str, alias: str) -> str:
    """The chosen metric of that version: its figure, or with `_lower` and `_upper` an end of its interval."""
    return of_alias(f"{QUALITY}{end}", CHOSEN, alias)


DIFFERENCE = f"{compared(QUALITY, CHALLENGER)} - {compared(QUALITY, CHAMPION)}"


def _apart(above: str, below: str, metrics: str) -> str:
    """1 where the whole interval of one alias is above that of the other, else 0."""
    selector = f"{WINDOW}, {metrics}"
    lower = of_alias(f"{QUALITY}_lower", selector, above, "metric")
    upper = of_alias(f"{QUALITY}_upper", selector, below, "metric")
    return f"({lower} > bool {upper})"


def _better() -> str:
    higher = "|".join(sorted(HIGHER_IS_BETTER))
    # Of bias neither direction is better.
    more, less = f'metric=~"{higher}"', f'metric!~"{higher}|bias"'
    return (
        f"({_apart(CHALLENGER, CHAMPION, more)} - {_apart(CHAMPION, CHALLENGER, more)})"
        f" or ({_apart(CHAMPION, CHALLENGER, less)} - {_apart(CHALLENGER, CHAMPION, less)})"
    )


# By metric: 1 the challenger is better, -1 worse, 0 too close to tell.
BETTER = _better()
# One series each for `better`, `close` and `worse`, none where nothing can be compared.
OUTCOMES = " or ".join(
    f'label_replace(sum (({BETTER}) == bool {value}), "outcome", "{name}", "", "")'
    for name, value in (("better", 1), ("close", 0), ("worse", -1))
)

LIMIT = limit_of_quality(f"{MODEL}, metric=${{metric:doublequote}}", "model_version, metric")


def limit_of(alias: str) -> str:
    """Value of the chosen metric at its accepted distance from the baseline, for the version of the alias."""
    named = gauge("mlflow_model_alias_info", _named(alias), "model_version")
    return f"max (({LIMIT}) and on (model_version) {named})"


# Every version

ALIASES = gauge("mlflow_model_alias_info", MODEL, "model_version, alias")
VERSIONS = by_version("mlflow_model_version_info")
BASELINE = by_version("mlflow_model_quality_baseline", f"{MODEL}, metric=${{metric:doublequote}}")
ROWS = by_version("mlflow_model_window_rows", WINDOW)
LABELS = by_version("mlflow_model_window_labels", WINDOW)
ESTIMATE = by_version("mlflow_model_estimated_quality", CHOSEN)
DEGRADED = (
    f"sum by (model_version) ({gauge('mlflow_model_quality_degraded', WINDOW, 'model_version, metric')})"
)
_TOLERATED = tolerated(f"{MODEL}, metric=${{metric:doublequote}}", "model_version")
RELATIVE_SHORTFALL = f"{by_version('mlflow_model_quality_shortfall', CHOSEN)} / {_TOLERATED}"
_DRIFTED = gauge("mlflow_model_columns", f'{WINDOW}, verdict="drifted"', "model_version, role")
DRIFTED = f"sum by (model_version) ({_DRIFTED})"
DRIFT_RATIO = " / ".join(
    gauge(metric, WINDOW, "column, role, model_version")
    for metric in ("mlflow_model_drift_score", "mlflow_model_drift_limit")
)
_FAILING = gauge("mlflow_model_data_quality_degraded", MODEL, "model_version, column, role, check")
FAILING = f"sum by (model_version) ({_FAILING})"
TRAFFIC = rate("mlflow_model_predictions_total", MODEL, "model_version")
LATENCY = quantile(0.99, "mlflow_model_latency_seconds", MODEL, "model_version")
SINCE_PREDICTION = f"time() - {by_version('mlflow_model_last_prediction_timestamp_seconds')}"
