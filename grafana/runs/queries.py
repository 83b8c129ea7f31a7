"""Queries of the dashboard of runs."""

from __future__ import annotations

from promql import gauge

EXPERIMENT = "experiment=${experiment:doublequote}"
_LAST_RUN = "mlflow_experiment_last_run_timestamp_seconds"
_RUNS = "mlflow_experiment_runs"

EXPERIMENTS = f"sort_desc({gauge(_LAST_RUN, '', 'experiment')} or 0 * {gauge(_RUNS, '', 'experiment')})"
RUNS = f"sum ({gauge(_RUNS, EXPERIMENT, 'status')})"
STATUSES = f"{gauge(_RUNS, EXPERIMENT, 'status')} > 0"
SINCE_RUN = f"time() - {gauge(_LAST_RUN, EXPERIMENT)}"
DROPPED = gauge("mlflow_exporter_dropped_run_series")


def _labelled(expression: str) -> str:
    """With a label `run`: the name of the run, which need not be unique, and the beginning of its id."""
    joined = f'label_join({expression}, "run", " ", "run_name", "run_id")'
    return f'label_replace({joined}, "run", "$1", "run", "(.* [^ ]{{8}}).*")'


CHOSEN = gauge("mlflow_run_metric", f"{EXPERIMENT}, metric=${{metric:doublequote}}", "run_name, run_id")
METRICS = _labelled(gauge("mlflow_run_metric", EXPERIMENT, "run_name, run_id, metric"))

# Every experiment


def runs_of(status: str) -> str:
    return f"""sum by (experiment) ({gauge(_RUNS, f'status=~"{status}"', "experiment, status")})"""


ALL_SINCE_RUN = f"time() - {gauge(_LAST_RUN, '', 'experiment')}"
