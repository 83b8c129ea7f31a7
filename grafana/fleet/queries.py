"""Queries of the fleet: for each alias of each model, and for each model over time."""

from __future__ import annotations

import trouble
from promql import among, gauge, joined, matching, rate, series, tolerated

VERSION = "model, model_version"
_WINDOW = matching("window")
_IS_DECIDED = 'verdict!="undecided"'
_CHOSEN = joined(among("alias"), among("team"))
# One series for each alias of each model.
ALIASES = gauge("mlflow_model_alias_info", _CHOSEN, "model, model_version, alias, team")
_NONE = f"0 * {ALIASES}"


def of_alias(figure: str, on: str = VERSION, *taken: str) -> str:
    """A figure by the labels `on`, for each alias; labels in `taken` come along."""
    return f"{_NONE} + on ({on}) group_left ({', '.join(taken)}) ({figure})"


def _or_none(figure: str) -> str:
    return f"({figure} or {_NONE})"


# Alerts


def alerts(severity: str, state: str = "firing") -> str:
    """Alerts about the version of an alias, about the alias, and about the whole model."""
    told = (
        of_alias(trouble.firing(on, severity, state, selector), on)
        for on, selector in (
            (VERSION, 'model_version!=""'),
            ("model, alias", 'model_version="", alias!=""'),
            ("model", 'model_version="", alias=""'),
        )
    )
    return " + ".join(_or_none(each) for each in told)


_TOLD = "warning|critical"
FIRING, PENDING = alerts(_TOLD), alerts(_TOLD, "pending")

# Verdicts

DRIFTED = of_alias(trouble.drifted(VERSION, _WINDOW))
JUDGED = of_alias(trouble.columns(VERSION, joined(_WINDOW, _IS_DECIDED)))
FAILING = of_alias(trouble.failing(VERSION))
_RATIO = " / ".join(
    gauge(f"mlflow_model_drift_{figure}", _WINDOW, f"{VERSION}, column") for figure in ("score", "limit")
)
# With the label `column`.
WORST_COLUMN = of_alias(f"topk by ({VERSION}) (1, {_RATIO})", VERSION, "column")

_METRIC = f"{VERSION}, metric"
_QUALITY = gauge("mlflow_model_quality", _WINDOW, _METRIC)
_SHORTFALL = f"{gauge('mlflow_model_quality_shortfall', _WINDOW, _METRIC)} / {tolerated('', _METRIC)}"
# The metric that is furthest below its baseline, or any where there is none.
_WORST = f"topk by ({VERSION}) (1, {_SHORTFALL} or 0 * {_QUALITY} - 1000)"
# With the label `metric`.
QUALITY = of_alias(f"{_QUALITY} and on ({_METRIC}) {_WORST}", VERSION, "metric")
BASELINE = of_alias(f"{gauge('mlflow_model_quality_baseline', '', _METRIC)} and on ({_METRIC}) {_WORST}")
SHORTFALL = of_alias(f"max by ({VERSION}) ({_SHORTFALL})")
COVERAGE = of_alias(gauge("mlflow_model_label_coverage_ratio", _WINDOW, VERSION))

# Traffic and age

TRAFFIC = of_alias(f"3600 * {rate('mlflow_model_predictions_total', '', VERSION)}")
SINCE_PREDICTION = of_alias(
    f"time() - {gauge('mlflow_model_last_prediction_timestamp_seconds', '', VERSION)}"
)
AGE = of_alias(f"time() - {gauge('mlflow_model_version_created_timestamp_seconds', '', VERSION)}")

# State, and score

_SILENT = of_alias(trouble.silent("model, alias"), "model, alias")
_STALE = of_alias(
    f"time() - {gauge('mlflow_exporter_last_evaluation_timestamp_seconds', '', VERSION)}"
    f" > on () group_left () clamp_min(5 * {gauge('mlflow_exporter_evaluation_interval_seconds')}, 300)"
)
_BAD = " or ".join(f"({of_alias(figure)}) > 0" for _, figure in trouble.judged(VERSION, _WINDOW))
# Beyond a limit, but no verdict yet.
_BEYOND = f"({SHORTFALL}) > 1 or ({of_alias(f'max by ({VERSION}) ({_RATIO})')}) > 1"
_DECIDED = " or ".join(
    (
        f"({JUDGED}) > 0",
        of_alias(f"group by ({VERSION}) ({gauge('mlflow_model_quality_degraded', _WINDOW, VERSION)})"),
    )
)
WELL, NOT_JUDGED, STALE, SILENT, WATCH, VERDICT, WARNING, CRITICAL = range(8)
STATE = " or ".join(
    (
        f"{CRITICAL} + 0 * (({alerts('critical')}) > 0)",
        f"{WARNING} + 0 * (({alerts('warning')}) > 0)",
        f"{SILENT} + 0 * (({_SILENT}) > 0)",
        f"{STALE} + 0 * ({_STALE})",
        f"{VERDICT} + 0 * ({_BAD})",
        f"{WATCH} + 0 * (({PENDING}) > 0 or {_BEYOND})",
        f"{WELL} + 0 * ({_DECIDED})",
        f"{NOT_JUDGED} + {_NONE}",
    )
)
# Points of a shortfall by its accepted distance, of which five count.
_SHORT = 10
SCORE = " + ".join(
    f"{points} * {_or_none(figure)}"
    for points, figure in (
        (trouble.CRITICAL, alerts("critical")),
        (trouble.WARNING, alerts("warning")),
        *((points, of_alias(figure)) for points, figure in trouble.judged(VERSION, _WINDOW)),
        (_SHORT, f"clamp_max(({SHORTFALL}) > 1, 5)"),
        (trouble.SILENT, of_alias(trouble.beyond_habit("model, alias"), "model, alias")),
    )
)
# Rows that the chosen severity leaves.
_LEVEL = f"(2 * (({alerts('critical')}) > bool 0) > 0) or ({alerts('warning')}) > bool 0"
ROWS = f"({SCORE}) and ({_LEVEL}) >= $severity"

# Counts of the head. "None" needs rules that are loaded and models that could have trouble.

_MODELS = gauge("mlflow_model_alias_info", _CHOSEN, "model")
_NO_ALERT = f"""0 * max (ALERTS{{alertname="Watchdog", alertstate="firing"}}) * count ({ALIASES})"""


def total(severity: str, state: str = "firing") -> str:
    """Alerts about the models that are shown."""
    found = trouble.firing("model, model_version, alias", severity, state)
    return f"sum ({found} and on (model) {_MODELS}) or {_NO_ALERT}"


STATES = f'count_values ("state", {STATE})'
# 1 all is up, 0 MLflow does not answer, -1 the exporter does not.
EXPORTER = f"min ({series('mlflow_up')}) or vector(-1)"

# Models over time: of the worst ones alone, since a hundred over a day take Prometheus too long


def worst(count: int) -> str:
    """Models that are shown and have most trouble now."""
    return f"topk ({count}, ({trouble.score()}) and on (model) {_MODELS})"


_SHOWN = "model=~`${worst:regex}`"
_VERDICT = " or ".join(f"({figure}) > 0" for _, figure in trouble.judged("model", _WINDOW, _SHOWN))
_QUIET = f"max by (model) ({trouble.silent('model, alias', _SHOWN)})"
STATE_OVER_TIME = " or ".join(
    (
        f"{CRITICAL} + 0 * ({trouble.firing('model', 'critical', selector=_SHOWN)})",
        f"{WARNING} + 0 * ({trouble.firing('model', 'warning', selector=_SHOWN)})",
        f"{SILENT} + 0 * ({_QUIET} > 0)",
        f"{VERDICT} + 0 * ({_VERDICT})",
        f"{WATCH} + 0 * ({trouble.firing('model', _TOLD, 'pending', _SHOWN)})",
        f"{WELL} + 0 * ({trouble.columns('model', joined(_SHOWN, _WINDOW, _IS_DECIDED))} > 0)",
        f"{NOT_JUDGED} + 0 * {gauge('mlflow_model_version_info', _SHOWN, 'model')}",
    )
)
