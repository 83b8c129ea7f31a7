"""Series of MLflow's experiments and runs.

    mlflow_experiment_runs{experiment="fraud",status="FINISHED"} 41
    mlflow_run_metric{experiment="fraud",run_id="a1b2",run_name="bold-owl-7",metric="val/f1 score"} 0.91

Every run counts for its status; the newest of an experiment show their start, status and metrics.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from exporter.exposition.metric import Metric
from exporter.exposition.render import Family, render_prefix
from exporter.registry.runs import NEWEST_RUNS, RUN_STATUSES, Experiment, Run

EXPERIMENT_RUNS = Metric(
    "mlflow_experiment_runs",
    "gauge",
    "Runs of an experiment by status, without the deleted ones.",
    ("experiment", "status"),
    "runs",
)
LAST_RUN = Metric(
    "mlflow_experiment_last_run_timestamp_seconds",
    "gauge",
    "Time at which the newest run of an experiment started, in seconds since the epoch.",
    ("experiment",),
    "runs",
)
RUN_START = Metric(
    "mlflow_run_start_timestamp_seconds",
    "gauge",
    "Time at which a run started, of the newest 20 of each experiment, in seconds since the epoch; the "
    "status is the present one.",
    ("experiment", "experiment_id", "run_id", "run_name", "status"),
    "runs",
)
RUN_METRIC = Metric(
    "mlflow_run_metric",
    "gauge",
    "Last value of a metric of a run, of the newest 20 of each experiment, in the unit of the run.",
    ("experiment", "run_id", "run_name", "metric"),
    "runs",
)
DROPPED_RUN_SERIES = Metric(
    "mlflow_exporter_dropped_run_series",
    "gauge",
    "Series of experiments and runs that are left out because of the limits on them.",
    group="runs",
)
RUN_CATALOG = (EXPERIMENT_RUNS, LAST_RUN, RUN_START, RUN_METRIC, DROPPED_RUN_SERIES)

SERIES_PER_EXPERIMENT = len(RUN_STATUSES) + 1

_Samples = dict[tuple[str, ...], float]  # value by labels


def experiment_families(experiments: Sequence[Experiment], known: int, max_series: int) -> tuple[Family, ...]:
    """Families of at most `max_series` series; the first experiments and the newest runs win.

    `known` is the number of all experiments, those included that are not to be shown.
    """
    shown = experiments[: max_series // SERIES_PER_EXPERIMENT]
    left = max_series - SERIES_PER_EXPERIMENT * len(shown)
    dropped = SERIES_PER_EXPERIMENT * (known - len(shown))
    counts: _Samples = {(e.name, status): e.runs_by_status[status] for e in shown for status in RUN_STATUSES}
    last_runs: _Samples = {(e.name,): e.last_run_at for e in shown if e.last_run_at > 0}
    starts: _Samples = {}
    metrics: _Samples = {}
    for experiment, run in _by_rank(shown):
        series = len(run.metrics) + 1
        dropped += run.metrics_left_out
        if series > left:  # shown in part it would look as if it had not logged the rest
            dropped += series
            continue
        left -= series
        starts[experiment.name, run.experiment_id, run.run_id, run.name, run.status] = run.started_at
        labels = (experiment.name, run.run_id, run.name)
        metrics.update(((*labels, name), value) for name, value in run.metrics.items())
    return (
        _family(EXPERIMENT_RUNS, counts),
        _family(LAST_RUN, last_runs),
        _family(RUN_START, starts),
        _family(RUN_METRIC, metrics),
        _family(DROPPED_RUN_SERIES, {(): dropped}),
    )


def _by_rank(experiments: Sequence[Experiment]) -> Iterator[tuple[Experiment, Run]]:
    """The newest run of each, then the second of each, and so on."""
    for rank in range(NEWEST_RUNS):
        for experiment in experiments:
            if rank < len(experiment.newest):
                yield experiment, experiment.newest[rank]


def _family(metric: Metric, samples: _Samples) -> Family:
    return Family(metric, [render_prefix(metric, labels) for labels in samples], list(samples.values()))
