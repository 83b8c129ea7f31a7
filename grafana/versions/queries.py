"""Queries of the dashboard of versions: for each version, and for the two chosen aliases."""

from __future__ import annotations

from collections.abc import Mapping

from promql import gauge, limit_of_quality, matching, or_named, quantile, rate, series, tolerated

from exporter.evaluation.figures import HIGHER_IS_BETTER

MODEL = matching("model")
WINDOW = matching("model", "window")
METRIC = matching("model", "metric")
CHOSEN = matching("model", "window", "metric")
# The variables that name the two aliases.
CHAMPION, CHALLENGER = "champion", "challenger"

METRICS = or_named(
    "sort_desc("
    f"0 * {gauge('mlflow_model_quality', MODEL, 'metric')}"
    f" or 0 * {gauge('mlflow_model_estimated_quality', MODEL, 'metric')})",
    "metric",
    "quality",
)


# Aliases have any names: the champion is the one whose name says that it serves, not that it waits.
SERVING = "champion|prod.*|live|main|stable|current|default"
_WAITING = "challenger|candidate|canary|shadow|staging|next"
_AS_CHAMPION = {"champion": 2, SERVING: 1, f"{_WAITING}|previous|old|archived|dev.*|test.*": -1}
_AS_CHALLENGER = {"challenger": 2, _WAITING: 1}


def _ranked(selector: str, ranks: Mapping[str, int]) -> str:
    """Aliases in the order of the ranks of their names, by patterns; the others rank 0."""
    patterns = [(f'{selector}, alias=~"(?i:{names})"', rank) for names, rank in ranks.items()]
    ranked = [
        f"0 * {gauge('mlflow_model_alias_version', each, 'alias')} + {rank}"
        for each, rank in (*patterns, (selector, 0))
    ]
    return f"sort_desc({' or '.join(ranked)})"


CHAMPIONS = or_named(_ranked(MODEL, _AS_CHAMPION), "alias", "champion")
_OTHER_ALIASES = f"{MODEL}, alias!=${{champion:doublequote}}"
CHALLENGERS = or_named(_ranked(_OTHER_ALIASES, _AS_CHALLENGER), "alias", "challenger")

# Roles of versions: those at the end of the time range, so that a version has one colour over all of it.


def last(metric: str, selector: str, by: str = "") -> str:
    """The gauge at the end of the time range, or where it is gone by then its last value before.

    The same at every point.
    """
    grouping = f"max by ({by})" if by else "max"
    found = series(metric, selector)
    return f"({grouping} ({found} @ end()) or {grouping} (last_over_time({found}[$__range] @ end())))"


def named(alias: str) -> str:
    """1 for the version that an alias, of this variable, pointed to last."""
    return f'count_values ("model_version", {last("mlflow_model_alias_version", _of_alias(alias))})'


def _of_alias(alias: str) -> str:
    return matching("model", alias=alias)


# Monitored at some time in the range.
VERSIONS = last("mlflow_model_version_info", MODEL, "model_version")


def _placed(versions: str, place: str, name: str, pattern: str = ".+") -> str:
    """With its name in a legend, and with its place there: series are sorted by their labels."""
    placed = f'label_replace({versions}, "legend_order", "{place}", "model_version", "{pattern}")'
    return f'label_replace({placed}, "series", "{name}$1", "model_version", "(.+)")'


def _numbered() -> str:
    """Versions with their number of digits as place, or 10 would be before 2."""
    placed = VERSIONS
    for digits in range(1, 5):
        pattern = "." * digits if digits < 4 else ".{4,}"
        placed = f'label_replace({placed}, "legend_order", "{digits}", "model_version", "{pattern}")'
    return f'label_replace({placed}, "series", "version $1", "model_version", "(.+)")'


_ROLES = " or on (model_version) ".join(
    (
        _placed(named(CHAMPION), "0", "champion, version "),
        _placed(named(CHALLENGER), "00", "challenger, version "),
        _numbered(),
    )
)


def with_roles(by_version: str) -> str:
    """Series of versions with a label `series` for legends, in the order champion, challenger, 1, 2, 10."""
    return f"({by_version}) * on (model_version) group_left (legend_order, series) ({_ROLES})"


def with_role(by_version: str, alias: str) -> str:
    """The series of the version that the alias pointed to last."""
    return f"({by_version}) and on (model_version) {named(alias)}"


def others(by_version: str) -> str:
    """Series of versions with neither alias, with labels as from `with_roles`."""
    return (
        f"({by_version}) * on (model_version) group_left (legend_order, series) ({_numbered()})"
        f" unless on (model_version) ({named(CHAMPION)} or {named(CHALLENGER)})"
    )


def by_version(metric: str, selector: str = MODEL) -> str:
    return gauge(metric, selector, "model_version")


# The two

CREATED = "mlflow_model_version_created_timestamp_seconds"
_CREATED = last(CREATED, MODEL, "model_version")


def version_of(alias: str) -> str:
    return gauge("mlflow_model_alias_version", _of_alias(alias))


def age_of(alias: str) -> str:
    return f"time() - max ({with_role(_CREATED, alias)})"


def since_move(alias: str) -> str:
    changed = gauge("mlflow_model_alias_changed_timestamp_seconds", _of_alias(alias))
    return f"time() - {changed}"


def _of(alias: str, metric: str, selector: str, by: str = "") -> str:
    """A gauge of the version that the alias pointed to last."""
    figure = gauge(metric, selector, f"{by}, model_version" if by else "model_version")
    return f"max{f' by ({by})' if by else ''} ({with_role(figure, alias)})"


_ROWS_OF = {alias: _of(alias, "mlflow_model_window_rows", WINDOW) for alias in (CHAMPION, CHALLENGER)}
ROWS_RATIO = f"{_ROWS_OF[CHALLENGER]} / ({_ROWS_OF[CHAMPION]} > 0)"

QUALITY = "mlflow_model_quality"


def compared(metric: str, alias: str) -> str:
    """A figure of each metric of quality, of the version that the alias points to."""
    return _of(alias, metric, WINDOW, "metric")


def chosen(end: str, alias: str) -> str:
    """The chosen metric of that version: its figure, or with `_lower` and `_upper` an end of its interval."""
    return with_role(by_version(f"{QUALITY}{end}", CHOSEN), alias)


DIFFERENCE = f"{compared(QUALITY, CHALLENGER)} - {compared(QUALITY, CHAMPION)}"


def _apart(above: str, below: str, metrics: str) -> str:
    """1 where the whole interval of one alias is above that of the other, else 0."""
    selector = f"{WINDOW}, {metrics}"
    lower = _of(above, f"{QUALITY}_lower", selector, "metric")
    upper = _of(below, f"{QUALITY}_upper", selector, "metric")
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
# A series for each of `better`, `close` and `worse` with the number of metrics.
OUTCOMES = f'count_values ("outcome", {BETTER})'
for _value, _word in (("1", "better"), ("0", "close"), ("-1", "worse")):
    OUTCOMES = f'label_replace({OUTCOMES}, "outcome", "{_word}", "outcome", "{_value}")'
# Value of the chosen metric at its accepted distance from the champion's baseline.
LIMIT = f"max ({with_role(limit_of_quality(METRIC, 'model_version, metric'), CHAMPION)})"


def of_run(alias: str) -> str:
    """Metrics that the source run of the version logged."""
    return _of(alias, "mlflow_model_version_metric", MODEL, "metric")


RUN_DIFFERENCE = f"{of_run(CHALLENGER)} - {of_run(CHAMPION)}"

# Every version

ALIASES = gauge("mlflow_model_alias_info", MODEL, "model_version, alias")
# Champion, challenger, then the newest first.
ORDER = (
    "sum by (model_version) ("
    f'label_replace({_CREATED} or 0 * {VERSIONS}, "part", "created", "", "")'
    f' or label_replace(1e12 * {named(CHAMPION)}, "part", "champion", "", "")'
    f' or label_replace(1e11 * {named(CHALLENGER)}, "part", "challenger", "", ""))'
)
AGE = f"time() - {_CREATED}"
BASELINE = by_version("mlflow_model_quality_baseline", METRIC)
ROWS = by_version("mlflow_model_window_rows", WINDOW)
LABELS = by_version("mlflow_model_window_labels", WINDOW)
ESTIMATE = by_version("mlflow_model_estimated_quality", CHOSEN)
DEGRADED = (
    f"sum by (model_version) ({gauge('mlflow_model_quality_degraded', WINDOW, 'model_version, metric')})"
)
_TOLERATED = tolerated(METRIC, "model_version")
RELATIVE_SHORTFALL = f"{by_version('mlflow_model_quality_shortfall', CHOSEN)} / {_TOLERATED}"
_DRIFTED = gauge("mlflow_model_columns", f'{WINDOW}, verdict="drifted"', "model_version, role")
DRIFTED = f"sum by (model_version) ({_DRIFTED})"
_FAILING = gauge("mlflow_model_data_quality_degraded", MODEL, "model_version, column, role, check")
FAILING = f"sum by (model_version) ({_FAILING})"
TRAFFIC = rate("mlflow_model_predictions_total", MODEL, "model_version")
LATENCY = quantile(0.99, "mlflow_model_latency_seconds", MODEL, "model_version")
SINCE_PREDICTION = f"time() - {by_version('mlflow_model_last_prediction_timestamp_seconds')}"


def drift_ratio(alias: str) -> str:
    """Drift of each column of the version in multiples of its limit."""
    score, limit = (
        _of(alias, metric, WINDOW, "column, role")
        for metric in ("mlflow_model_drift_score", "mlflow_model_drift_limit")
    )
    return f"{score} / {limit}"


# By age. A version is as old as the champion is at the end of the time range, at the time at which
# time() - created = end - created of the champion.


def _at_the_same_age(times: str) -> str:
    created = by_version(CREATED)
    of_champion = f"max ({with_role(_CREATED, CHAMPION)})"
    until_then = f"time() - {created} <= on () group_left () ($__to / 1000 - {of_champion})"
    quality = by_version(QUALITY, CHOSEN)
    month = f"max by (model_version) (last_over_time({series(CREATED, MODEL)}[30d]))"
    reached = f"{month} <= on () group_left () {of_champion}"
    return (
        f"last_over_time(({quality} and on (model_version) ({until_then}))[{times}] @ end())"
        f" and on (model_version) ({reached})"
    )


# In the time range, else within a month.
AT_THE_SAME_AGE = f"{_at_the_same_age('$__range:$__interval')} or {_at_the_same_age('30d:1h')}"
AGE_AT_THE_TIME = f"time() - {by_version(CREATED)}"
