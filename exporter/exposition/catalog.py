"""Every metric once: name, type, help, labels. What exports, documents or queries is held against it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Type = Literal["gauge", "counter", "histogram"]
Group = Literal["core", "bins", "runs", "process"]


@dataclass(frozen=True)
class Metric:
    """One metric. `name` is the family's name in the text format, `_total` of a counter included.

    `labels` are those of every series, in the order in which they are shown; a histogram's `le` is not among
    them. `group` is the value of `collect[]` that asks for it.
    """

    name: str
    type: Type
    help: str
    labels: tuple[str, ...] = ()
    group: Group = "core"

    @property
    def series_names(self) -> tuple[str, ...]:
        """Names that a query can use: three of a histogram, else the metric's own."""
        if self.type == "histogram":
            return tuple(f"{self.name}{suffix}" for suffix in ("_bucket", "_sum", "_count"))
        return (self.name,)


_VERSION = ("model", "model_version")
_QUALITY = (*_VERSION, "metric", "window")
_SEGMENT = (*_VERSION, "segment")
_COLUMN = (*_VERSION, "column", "role")
_COLUMN_WINDOW = (*_COLUMN, "window")
_COLUMN_CHECK = (*_COLUMN, "check")

CATALOG: tuple[Metric, ...] = (
    Metric(
        "mlflow_model_version_info",
        "gauge",
        "Always 1: a monitored version, its source run, task and reference; natural variation is known "
        'from its "reference" or "live" days, else "none" (provisional) or "unknown".',
        (*_VERSION, "run_id", "task", "reference_source", "reference_digest", "variation"),
    ),
    Metric(
        "mlflow_model_alias_info",
        "gauge",
        "Always 1: an alias of a version and the team that owns the model.",
        (*_VERSION, "alias", "team"),
    ),
    Metric(
        "mlflow_model_alias_version",
        "gauge",
        "Number of the version that an alias points to.",
        ("model", "alias"),
    ),
    Metric(
        "mlflow_model_version_metric",
        "gauge",
        "Last value of a metric that the version's source run logged, in the unit of the run.",
        (*_VERSION, "metric"),
    ),
    Metric(
        "mlflow_model_predictions_total",
        "counter",
        "Predictions accepted by this process since it started.",
        _VERSION,
    ),
    Metric(
        "mlflow_model_labels_total",
        "counter",
        "Labels joined with a prediction of the version by this process since it started.",
        _VERSION,
    ),
    Metric(
        "mlflow_model_labels_unmatched_total",
        "counter",
        "Labels without a prediction at the end of the day after their arrival.",
        ("model",),
    ),
    Metric(
        "mlflow_model_label_delay_seconds",
        "histogram",
        "Time from a prediction to its label, in seconds.",
        _VERSION,
    ),
    Metric(
        "mlflow_model_alias_changed_timestamp_seconds",
        "gauge",
        "Time at which an alias was first seen to point to its version, in seconds since the epoch.",
        ("model", "alias"),
    ),
    Metric(
        "mlflow_model_last_prediction_timestamp_seconds",
        "gauge",
        "Time of the newest prediction, in seconds since the epoch.",
        _VERSION,
    ),
    Metric(
        "mlflow_model_latency_seconds",
        "histogram",
        "Time that the model took for a prediction, in seconds, as reported with the predictions.",
        _VERSION,
    ),
    Metric(
        "mlflow_model_values_total",
        "counter",
        "Values of a column that fell into a bin, counted by this process since it started.",
        (*_COLUMN, "bin"),
        "bins",
    ),
    Metric(
        "mlflow_model_reference_ratio",
        "gauge",
        "Share of the reference's rows in a bin of a column, from 0 to 1.",
        (*_COLUMN, "bin"),
        "bins",
    ),
    Metric(
        "mlflow_model_reference_rows",
        "gauge",
        "Rows of the reference.",
        _VERSION,
    ),
    Metric(
        "mlflow_model_window_rows",
        "gauge",
        "Predictions within a window.",
        (*_VERSION, "window"),
    ),
    Metric(
        "mlflow_model_drift_score",
        "gauge",
        "Population stability index of a column within a window against the reference; 0 is no difference.",
        _COLUMN_WINDOW,
    ),
    Metric(
        "mlflow_model_drift_limit",
        "gauge",
        "Drift score above which a column may count as drifted: threshold, sampling floor and "
        "natural variation added up.",
        _COLUMN_WINDOW,
    ),
    Metric(
        "mlflow_model_drift_significance",
        "gauge",
        "Adjusted -log10 of the p-value of no drift, at most 300; 3 is one in a thousand.",
        _COLUMN_WINDOW,
    ),
    Metric(
        "mlflow_model_drift_detected",
        "gauge",
        "1 where a column has drifted, 0 where it has not, absent without a verdict.",
        _COLUMN_WINDOW,
    ),
    Metric(
        "mlflow_model_drift_distance",
        "gauge",
        "A further distance of a column from the reference, by method; exported on demand, never judged.",
        (*_COLUMN_WINDOW, "method"),
    ),
    Metric(
        "mlflow_model_change_score",
        "gauge",
        "Population stability index of a column within a window of a day against the version's own past "
        "weeks; absent until there are enough of them.",
        _COLUMN_WINDOW,
    ),
    Metric(
        "mlflow_model_change_limit",
        "gauge",
        "Change score above which a column may count as changed: threshold, sampling floor and variation"
        " from day to day added up.",
        _COLUMN_WINDOW,
    ),
    Metric(
        "mlflow_model_change_significance",
        "gauge",
        "Adjusted -log10 of the p-value of no change, at most 300; 3 is one in a thousand.",
        _COLUMN_WINDOW,
    ),
    Metric(
        "mlflow_model_change_detected",
        "gauge",
        "1 where a column has changed against the past weeks, 0 where it has not, absent without a verdict.",
        _COLUMN_WINDOW,
    ),
    Metric(
        "mlflow_model_columns",
        "gauge",
        "Judged columns of a role by verdict within a window; the JSON says why a column is undecided.",
        (*_VERSION, "role", "window", "verdict"),
    ),
    Metric(
        "mlflow_model_data_quality_ratio",
        "gauge",
        "Share of a column's rows that fail a check, from 0 to 1, in the window of "
        "mlflow_model_data_quality_window_seconds.",
        _COLUMN_CHECK,
    ),
    Metric(
        "mlflow_model_data_quality_window_seconds",
        "gauge",
        "Length of the window in which a check is judged, in seconds: the shortest for which the "
        "reference is dense enough, or the shortest of all if half of the column fails there.",
        _COLUMN_CHECK,
    ),
    Metric(
        "mlflow_model_data_quality_reference_ratio",
        "gauge",
        "Share of a column's rows in the reference that fail a check, from 0 to 1.",
        _COLUMN_CHECK,
    ),
    Metric(
        "mlflow_model_data_quality_degraded",
        "gauge",
        "1 where a check fails significantly more often than in the reference, 0 where not, absent "
        "without a verdict.",
        _COLUMN_CHECK,
    ),
    Metric(
        "mlflow_model_window_labels",
        "gauge",
        "Labelled predictions within a matured window.",
        (*_VERSION, "window"),
    ),
    Metric(
        "mlflow_model_label_coverage_ratio",
        "gauge",
        "Share of the predictions within a matured window that have a label, from 0 to 1.",
        (*_VERSION, "window"),
    ),
    Metric(
        "mlflow_model_label_maturation_seconds",
        "gauge",
        "Time that labels are given to arrive before a window of quality ends, in seconds; 0 counts the "
        "labels that have arrived.",
        _VERSION,
    ),
    Metric("mlflow_model_quality", "gauge", "Quality within a matured window, by metric.", _QUALITY),
    Metric("mlflow_model_quality_lower", "gauge", "Lower end of the 99 % interval of the quality.", _QUALITY),
    Metric("mlflow_model_quality_upper", "gauge", "Upper end of the 99 % interval of the quality.", _QUALITY),
    Metric(
        "mlflow_model_quality_shortfall",
        "gauge",
        "Distance of the quality from its baseline; positive is worse, whatever the metric's direction.",
        _QUALITY,
    ),
    Metric(
        "mlflow_model_quality_degraded",
        "gauge",
        "1 where the shortfall significantly exceeds tolerance and allowance, in two adjacent windows or"
        " by twice as much in one, 0 where not, absent without a verdict.",
        _QUALITY,
    ),
    Metric(
        "mlflow_model_quality_allowance",
        "gauge",
        "Shortfall accepted beyond the tolerance, for natural variation; absent where that is not known "
        "and the verdict is provisional.",
        _QUALITY,
    ),
    Metric(
        "mlflow_model_quality_baseline",
        "gauge",
        "Expected quality of the version: from its reference, its source run or the configuration.",
        (*_VERSION, "metric"),
    ),
    Metric(
        "mlflow_model_quality_tolerance",
        "gauge",
        "Accepted shortfall of the quality, without natural variation.",
        (*_VERSION, "metric"),
    ),
    Metric(
        "mlflow_model_class_quality",
        "gauge",
        "Quality of one class within a matured window, by metric.",
        (*_VERSION, "class", "metric", "window"),
    ),
    Metric(
        "mlflow_segment_rows",
        "gauge",
        "Predictions of a segment within a window, in whole coarse blocks.",
        (*_SEGMENT, "window"),
    ),
    Metric(
        "mlflow_segment_drift_score",
        "gauge",
        "Population stability index of a column of a segment against the reference's rows of that segment.",
        (*_SEGMENT, "column", "role", "window"),
    ),
    Metric(
        "mlflow_segment_drift_detected",
        "gauge",
        "1 where a column of a segment has drifted, 0 where it has not, absent without a verdict.",
        (*_SEGMENT, "column", "role", "window"),
    ),
    Metric(
        "mlflow_segment_quality",
        "gauge",
        "Quality of a segment within a matured window, by metric, in its own unit.",
        (*_SEGMENT, "metric", "window"),
    ),
    Metric(
        "mlflow_segment_quality_degraded",
        "gauge",
        "1 where a metric is worse than in the reference's rows of the same segment, 0 where it is not.",
        (*_SEGMENT, "metric", "window"),
    ),
    Metric(
        "mlflow_model_estimated_quality",
        "gauge",
        "Quality within a window as estimated from scores alone, without labels; blind to concept drift.",
        _QUALITY,
    ),
    Metric(
        "mlflow_model_estimated_quality_lower",
        "gauge",
        "Lower end of the 99 % band of the estimated quality.",
        _QUALITY,
    ),
    Metric(
        "mlflow_model_estimated_quality_upper",
        "gauge",
        "Upper end of the 99 % band of the estimated quality.",
        _QUALITY,
    ),
    Metric(
        "mlflow_model_estimated_quality_degraded",
        "gauge",
        "1 where the estimate is below the baseline by significantly more than tolerance and allowance, "
        "else 0.",
        _QUALITY,
    ),
    Metric(
        "mlflow_model_estimated_quality_allowance",
        "gauge",
        "Shortfall of the estimate accepted beyond the tolerance, for natural variation; absent where "
        "that is not known and the verdict is provisional.",
        _QUALITY,
    ),
    Metric(
        "mlflow_model_estimated_quality_error",
        "gauge",
        "Estimated minus real quality of the matured window, where there are labels.",
        _QUALITY,
    ),
    Metric("mlflow_up", "gauge", "1 if MLflow answered the last poll, else 0."),
    Metric(
        "mlflow_last_success_timestamp_seconds",
        "gauge",
        "Time of the last poll of MLflow whose answer was processed, in seconds since the epoch.",
    ),
    Metric(
        "mlflow_exporter_poll_interval_seconds",
        "gauge",
        "Configured interval between polls of MLflow, in seconds.",
    ),
    Metric(
        "mlflow_exporter_poll_errors_total",
        "counter",
        "Failed polls of MLflow, by stage: it did not answer (ask), or its answer could not be processed"
        " (follow).",
        ("stage",),
    ),
    Metric(
        "mlflow_experiment_runs",
        "gauge",
        "Runs of an experiment by status, without the deleted ones.",
        ("experiment", "status"),
        "runs",
    ),
    Metric(
        "mlflow_experiment_last_run_timestamp_seconds",
        "gauge",
        "Time at which the newest run of an experiment started, in seconds since the epoch.",
        ("experiment",),
        "runs",
    ),
    Metric(
        "mlflow_run_metric",
        "gauge",
        "Last value of a metric of a run, of the newest 20 of each experiment, in the unit of the run.",
        ("experiment", "run_id", "run_name", "metric"),
        "runs",
    ),
    Metric(
        "mlflow_exporter_build_info",
        "gauge",
        "Always 1: the version of the exporter.",
        ("version",),
    ),
    Metric(
        "mlflow_exporter_last_evaluation_timestamp_seconds",
        "gauge",
        "Time of the last evaluation of a version, in seconds since the epoch.",
        _VERSION,
    ),
    Metric(
        "mlflow_exporter_evaluation_interval_seconds",
        "gauge",
        "Configured interval between evaluations of a version, in seconds.",
    ),
    Metric(
        "mlflow_exporter_evaluation_duration_seconds",
        "histogram",
        "Duration of the evaluation of one version, in seconds.",
    ),
    Metric(
        "mlflow_exporter_ingest_duration_seconds",
        "histogram",
        "Time from the receipt of a batch to its durable commit, in seconds.",
    ),
    Metric(
        "mlflow_exporter_evaluation_errors_total",
        "counter",
        "Failures while a version was prepared or evaluated, by stage.",
        (*_VERSION, "stage"),
    ),
    Metric(
        "mlflow_exporter_ingest_rows_total",
        "counter",
        "Rows received, by kind and outcome.",
        ("kind", "outcome"),
    ),
    Metric(
        "mlflow_exporter_config_last_reload_successful",
        "gauge",
        "1 if the configuration file was accepted when it was last read, else 0; absent without a file.",
    ),
    Metric(
        "mlflow_exporter_config_last_reload_success_timestamp_seconds",
        "gauge",
        "Time at which the configuration in use was read, in seconds since the epoch.",
    ),
    Metric("mlflow_exporter_queue_rows", "gauge", "Rows waiting to be committed."),
    Metric("mlflow_exporter_store_bytes", "gauge", "Size of the durable store, in bytes."),
    Metric(
        "mlflow_exporter_store_limit_bytes",
        "gauge",
        "Configured limit of the durable store's size, in bytes.",
    ),
    Metric(
        "mlflow_exporter_store_errors_total",
        "counter",
        "Failures of the store, by reason: failed, damaged, missing, lost.",
        ("reason",),
    ),
    Metric("mlflow_exporter_series", "gauge", "Series of this page, before any filter."),
    Metric(
        "mlflow_exporter_dropped_series",
        "gauge",
        "Series of bins that are left out because of the limit on series.",
    ),
    Metric(
        "mlflow_exporter_unmonitored_versions",
        "gauge",
        "Versions with an alias that are not monitored because of the limit on versions.",
    ),
    Metric(
        "mlflow_exporter_dropped_run_series",
        "gauge",
        "Series of experiments and runs that are left out because of the limits on them.",
        group="runs",
    ),
    Metric(
        "mlflow_exporter_ingest_requests_total",
        "counter",
        "Requests with samples, by kind and by the status of the answer.",
        ("kind", "status"),
    ),
    Metric(
        "mlflow_exporter_dropped_rows_total",
        "counter",
        "Rows not counted, by reason: too_old, future, no_version (the alias pointed to no version).",
        ("reason",),
    ),
    Metric(
        "mlflow_exporter_closed_connections_total",
        "counter",
        "Connections closed by the exporter, by reason: the client stalled (timeout), too many "
        "connections (limit), the head of a request too large (head).",
        ("reason",),
    ),
    Metric(
        "mlflow_exporter_naive_timestamps_total",
        "counter",
        "Rows whose time had no zone and was taken as UTC.",
    ),
    Metric("process_virtual_memory_bytes", "gauge", "Virtual memory, in bytes.", group="process"),
    Metric("process_resident_memory_bytes", "gauge", "Resident memory, in bytes.", group="process"),
    Metric(
        "process_start_time_seconds",
        "gauge",
        "Time at which the process started, in seconds since the epoch.",
        group="process",
    ),
    Metric("process_cpu_seconds_total", "counter", "User and system CPU time, in seconds.", group="process"),
    Metric("process_open_fds", "gauge", "Open file descriptors.", group="process"),
    Metric("process_max_fds", "gauge", "Maximum number of open file descriptors.", group="process"),
    Metric(
        "python_info",
        "gauge",
        "Always 1: the Python that runs the exporter.",
        ("implementation", "major", "minor", "patchlevel", "version"),
        "process",
    ),
)

BY_NAME = {metric.name: metric for metric in CATALOG}


def metrics_table(metrics: Iterable[Metric] = CATALOG) -> str:
    """Table of metrics in Markdown, for the README of this package."""
    lines = ["| Metric | Type | Labels | `collect[]` | Meaning |", "| --- | --- | --- | --- | --- |"]
    for metric in metrics:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        lines.append(f"| `{metric.name}` | {metric.type} | {labels} | `{metric.group}` | {metric.help} |")
    return "\n".join(lines) + "\n"
