"""Queries of the dashboard of runs."""

from __future__ import annotations

from promql import gauge, matching, series
from versions.queries import SERVING

EXPERIMENT = matching("experiment")
METRIC = matching("experiment", "metric")
_LAST_RUN = "mlflow_experiment_last_run_timestamp_seconds"
_RUNS = "mlflow_experiment_runs"
_START, _METRIC = "mlflow_run_start_timestamp_seconds", "mlflow_run_metric"

EXPERIMENTS = f"sort_desc({gauge(_LAST_RUN, '', 'experiment')} or 0 * {gauge(_RUNS, '', 'experiment')})"
RUNS = f"sum ({gauge(_RUNS, EXPERIMENT, 'status')})"
STATUSES = f"{gauge(_RUNS, EXPERIMENT, 'status')} > 0"
SINCE_RUN = f"time() - {gauge(_LAST_RUN, EXPERIMENT)}"
DROPPED = gauge("mlflow_exporter_dropped_run_series")

# Metrics of which less is better, by words of their names.
LESS_IS_BETTER = ".*(?i:loss|error|mae|mse|mape|brier|deviance|perplexity|divergence|second|duration).*"
# Metrics that runs are compared by, first: of rows held out, before others, before what it took.
_HELD_OUT, _EFFORT = (
    "(?i:.*(val|test|eval|held|holdout|cv).*)",
    "(?i:.*(second|duration|time|epoch|step|count|size).*)",
)
_RANKS = (
    (f'{EXPERIMENT}, metric=~"{_EFFORT}"', -1),
    (f'{EXPERIMENT}, metric=~"{_HELD_OUT}"', 1),
    (EXPERIMENT, 0),
)
_RANKED = [f"0 * {gauge(_METRIC, selector, 'metric')} + {rank}" for selector, rank in _RANKS]
CHOICE = f"sort_desc({' or '.join(_RANKED)})"

# The newest runs. `named` gives each figure the label `metric`, which becomes the title of its column.


def named(expression: str, title: str) -> str:
    return f'label_replace({expression}, "metric", "{title}", "", "")'


_RUN = "run_id, run_name"
_STARTED = gauge(_START, EXPERIMENT, f"{_RUN}, experiment_id, status")
STARTED = named(f"1000 * {_STARTED}", "Started")
METRICS = gauge(_METRIC, f'{EXPERIMENT}, metric=~"$columns"', f"{_RUN}, metric")
# Of several models with the same run, one.
_INFO = series("mlflow_model_version_info")
_ALIAS = series("mlflow_model_alias_info", f'alias=~"(?i:{SERVING})"')
_CHAMPIONS = (
    f"topk by (run_id) (1, max by (model, model_version, run_id) ({_INFO} @ end())"
    f" and on (model, model_version) max by (model, model_version) ({_ALIAS} @ end()))"
)
CHAMPION = named(
    f"{gauge(_START, EXPERIMENT, _RUN)} * 0 + on (run_id) group_left (model) {_CHAMPIONS}", "Champion"
)


def _best(selector: str) -> str:
    return gauge(_METRIC, f"{METRIC}{selector}", _RUN)


# The larger, the better.
RANK = named(f"""(-1 * {_best(', metric=~"$less_is_better"')} or {_best("")})""", "Rank")


def _at_start(champions: str) -> str:
    """The chosen metric of each run, at the one point of the chart at which the run started."""
    figure = f"max by ({_RUN}) ({series(_METRIC, METRIC)} @ end())"
    started = f"max by (run_id, experiment_id) ({series(_START, EXPERIMENT)} @ end())"
    here = f"(({started} > time() - $__interval_ms / 1000) <= time()) ^ 0"
    shown = f"{figure} * on (run_id) group_left (experiment_id) ({here})"
    return f"({shown}) {champions} on (run_id) ({_CHAMPIONS})"


AT_START, AT_START_CHAMPION = _at_start("unless"), _at_start("and")

# Every experiment


def runs_of(status: str) -> str:
    return f"""sum by (experiment) ({gauge(_RUNS, f'status=~"{status}"', "experiment, status")})"""


ALL_SINCE_RUN = f"time() - {gauge(_LAST_RUN, '', 'experiment')}"
