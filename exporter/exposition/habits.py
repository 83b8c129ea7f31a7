"""Series of usual traffic, latency and labels: a figure and its limit side by side.

    mlflow_model_silence_seconds{model="fraud",alias="champion"} 312.0
    mlflow_model_silence_limit_seconds{model="fraud",alias="champion"} 4500.0

A limit is absent where the past does not say.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from exporter.evaluation.habits.limits import Habit, Habits
from exporter.exposition.metric import VERSION, Metric, count_series
from exporter.exposition.samples import Samples

SILENCE = Metric(
    "mlflow_model_silence_seconds",
    "gauge",
    "Time since the last prediction of an alias arrived, in seconds.",
    ("model", "alias"),
)
SILENCE_LIMIT = Metric(
    "mlflow_model_silence_limit_seconds",
    "gauge",
    "Longest usual time without predictions of an alias, in seconds, for the present silence.",
    ("model", "alias"),
)
LABEL_SILENCE = Metric(
    "mlflow_model_label_silence_seconds",
    "gauge",
    "Time since the last label of a model arrived, in seconds.",
    ("model",),
)
LABEL_SILENCE_LIMIT = Metric(
    "mlflow_model_label_silence_limit_seconds",
    "gauge",
    "Longest usual time without labels of a model, in seconds, for the present silence.",
    ("model",),
)
LATENCY = Metric(
    "mlflow_model_latency_p95_seconds",
    "gauge",
    "95th percentile of the latency in the last 30 minutes or the last 10, whichever is less, in seconds; "
    "of at least 100 predictions.",
    VERSION,
)
LATENCY_LIMIT = Metric(
    "mlflow_model_latency_limit_seconds",
    "gauge",
    "Latency that is unusual: twice the 95th percentile of the slowest hours of a week, in seconds.",
    VERSION,
)
COVERAGE_LIMIT = Metric(
    "mlflow_model_label_coverage_limit_ratio",
    "gauge",
    "Half of the label coverage that the window with the most labels usually has, from 0 to 1.",
    (*VERSION, "window"),
)
HABIT_CATALOG = (
    SILENCE,
    SILENCE_LIMIT,
    LABEL_SILENCE,
    LABEL_SILENCE_LIMIT,
    LATENCY,
    LATENCY_LIMIT,
    COVERAGE_LIMIT,
)


def count_habit_series(aliases: int) -> int:
    """Upper bound of the series of a version, with those of its model and of its aliases."""
    return count_series(HABIT_CATALOG, {"alias": aliases})


def add_habits(samples: Samples, habits: Habits, versions: Collection[tuple[str, str]]) -> None:
    """Add the series of the habits of some versions, by model and version, and of their models."""
    models = {model for model, _ in versions}
    _add(samples, SILENCE, SILENCE_LIMIT, {k: v for k, v in habits.silences.items() if k[0] in models})
    of_labels: dict[tuple[str, ...], Habit] = {
        (model,): habit for model, habit in habits.label_silences.items() if model in models
    }
    _add(samples, LABEL_SILENCE, LABEL_SILENCE_LIMIT, of_labels)
    _add(samples, LATENCY, LATENCY_LIMIT, {k: v for k, v in habits.latencies.items() if k in versions})
    for key, limit in habits.coverages.items():
        if key[:2] in versions:
            samples.add_one(COVERAGE_LIMIT, key, limit)


def _add(samples: Samples, figure: Metric, limit: Metric, habits: Mapping[tuple[str, ...], Habit]) -> None:
    for labels, habit in habits.items():
        if habit.figure is not None:
            samples.add_one(figure, labels, habit.figure)
        if habit.limit is not None:
            samples.add_one(limit, labels, habit.limit)
