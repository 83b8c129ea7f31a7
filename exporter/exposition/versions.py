"""Series of a version as a whole: facts, counters, histograms.

    mlflow_model_alias_info{model="fraud",model_version="3",alias="champion",team="risk"} 1
    mlflow_model_predictions_total{model="fraud",model_version="3"} 1204

Each metric stands beside the function that reads its value. No data, no series: what is not known is absent,
never 0 and never NaN.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import numpy as np

from exporter.aggregates.block import LATENCY_BOUNDS
from exporter.aggregates.outcomes import LABEL_DELAY_BOUNDS
from exporter.exposition.metric import VERSION, Metric, MetricOf, count_series
from exporter.exposition.prefixes import VersionPrefixes
from exporter.exposition.render import histogram_values
from exporter.exposition.samples import Samples
from exporter.exposition.view import VersionView
from exporter.typing import Ints

# Values of a metric's labels after model and version, and the value.
Labelled = tuple[tuple[str, ...], float]


def _if_known(value: float | None) -> list[Labelled]:
    return [((), value)] if value is not None else []


def _info(view: VersionView) -> list[Labelled]:
    digest = view.reference.digest if view.reference is not None else ""
    return [((view.run_id, view.task, view.reference_source, digest, view.variation), 1)]


FACTS: tuple[MetricOf[VersionView, Iterable[Labelled]], ...] = (
    MetricOf(
        "mlflow_model_version_info",
        "gauge",
        "Always 1: a monitored version, its source run, task and reference; natural variation is "
        'known from its "reference" or "live" days, else "none" (provisional) or "unknown".',
        (*VERSION, "run_id", "task", "reference_source", "reference_digest", "variation"),
        read=_info,
    ),
    MetricOf(
        "mlflow_model_version_created_timestamp_seconds",
        "gauge",
        "Time at which the version was registered in MLflow, in seconds since the epoch.",
        VERSION,
        read=lambda view: _if_known(view.created),
    ),
    MetricOf(
        "mlflow_model_alias_info",
        "gauge",
        "Always 1: an alias of a version and the team that owns the model.",
        (*VERSION, "alias", "team"),
        read=lambda view: [((alias, view.team), 1) for alias in view.aliases],
    ),
    MetricOf(
        "mlflow_model_alias_version",
        "gauge",
        "Number of the version that an alias points to.",
        ("model", "alias"),
        read=lambda view: [
            ((alias,), int(view.version)) for alias in view.aliases if view.version.isdecimal()
        ],
    ),
    MetricOf(
        "mlflow_model_alias_changed_timestamp_seconds",
        "gauge",
        "Time at which an alias was first seen to point to its version, in seconds since the epoch.",
        ("model", "alias"),
        read=lambda view: [
            ((alias,), view.alias_changes[alias]) for alias in view.aliases if alias in view.alias_changes
        ],
    ),
    MetricOf(
        "mlflow_model_version_metric",
        "gauge",
        "Last value of a metric that the version's source run logged, in the unit of the run.",
        (*VERSION, "metric"),
        read=lambda view: [
            ((name,), value) for name, value in view.run_metrics.items() if not np.isnan(value)
        ],
    ),
    MetricOf(
        "mlflow_model_reference_rows",
        "gauge",
        "Rows of the reference.",
        VERSION,
        read=lambda view: _if_known(view.reference.rows if view.reference is not None else None),
    ),
    MetricOf(
        "mlflow_model_missing_partitions",
        "gauge",
        "Partitions of the Kafka group that have not taken the newest reference; figures are in the bins of "
        "the one before until all have.",
        VERSION,
        read=lambda view: _if_known(view.missing_partitions),
    ),
    MetricOf(
        "mlflow_model_last_prediction_timestamp_seconds",
        "gauge",
        "Time of the newest prediction, in seconds since the epoch.",
        VERSION,
        read=lambda view: _if_known(view.last_prediction),
    ),
    MetricOf(
        "mlflow_model_first_prediction_timestamp_seconds",
        "gauge",
        "Start of the oldest block of predictions that are counted, in seconds since the epoch.",
        VERSION,
        read=lambda view: _if_known(view.first_prediction),
    ),
    MetricOf(
        "mlflow_model_first_label_timestamp_seconds",
        "gauge",
        "Start of the oldest block of predictions with labels that are counted, in seconds since the epoch.",
        VERSION,
        read=lambda view: _if_known(view.first_label),
    ),
    MetricOf(
        "mlflow_model_sample_rows",
        "gauge",
        "Rows in the sample of raw rows.",
        VERSION,
        read=lambda view: _if_known(view.sample.rows if view.sample is not None else None),
    ),
    MetricOf(
        "mlflow_model_sample_bytes",
        "gauge",
        "Size of the contents of the sampled rows, in bytes.",
        VERSION,
        read=lambda view: _if_known(view.sample.bytes if view.sample is not None else None),
    ),
    MetricOf(
        "mlflow_exporter_last_evaluation_timestamp_seconds",
        "gauge",
        "Time of the last evaluation of a version, in seconds since the epoch.",
        VERSION,
        # Shown however old it is: only so can one see that it is old.
        read=lambda view: _if_known(view.evaluation.at if view.evaluation is not None else None),
    ),
)

COUNTERS: tuple[MetricOf[VersionView, int], ...] = (
    MetricOf(
        "mlflow_model_predictions_total",
        "counter",
        "Predictions accepted by this process since it started, or by all partitions of a Kafka group.",
        VERSION,
        read=lambda view: view.predictions_total,
    ),
    MetricOf(
        "mlflow_model_labels_total",
        "counter",
        "Labels joined with a prediction of the version by this process since it started, or by all "
        "partitions of a Kafka group.",
        VERSION,
        read=lambda view: view.labels_total,
    ),
)

HISTOGRAMS: tuple[MetricOf[VersionView, tuple[Ints, float]], ...] = (
    MetricOf(
        "mlflow_model_latency_seconds",
        "histogram",
        "Time that the model took for a prediction, in seconds, as reported with the predictions.",
        VERSION,
        buckets=LATENCY_BOUNDS,
        read=lambda view: (view.latency, view.latency_sum),
    ),
    MetricOf(
        "mlflow_model_label_delay_seconds",
        "histogram",
        "Time from a prediction to its label, in seconds.",
        VERSION,
        buckets=LABEL_DELAY_BOUNDS,
        read=lambda view: (view.label_delay, view.label_delay_sum),
    ),
)

VERSION_CATALOG: tuple[Metric, ...] = (*FACTS, *COUNTERS, *HISTOGRAMS)


@lru_cache(1024)
def count_version_series(aliases: int, run_metrics: int) -> int:
    """Upper bound of the series that `add_version` adds."""
    return count_series(VERSION_CATALOG, {"alias": aliases, "metric": run_metrics})


def add_version(samples: Samples, view: VersionView, prefixes: VersionPrefixes) -> None:
    """Add the series of a version that are not of its columns, its quality or its segments."""
    for fact in FACTS:
        names = (view.model, view.version) if "model_version" in fact.labels else (view.model,)
        for labels, value in fact.read(view):
            samples.add_one(fact, (*names, *labels), value)
    for counter in COUNTERS:
        samples.add(counter, prefixes.of_version(counter), [counter.read(view)])
    for histogram in HISTOGRAMS:
        counts, total = histogram.read(view)
        samples.add(histogram, prefixes.of_histogram(histogram), histogram_values(counts.tolist(), total))
