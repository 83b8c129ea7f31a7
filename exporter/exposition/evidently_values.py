"""Series of the configured metrics of Evidently, from the newest report of a version.

    mlflow_model_evidently_value{model="fraud",model_version="3",metric="ValueDrift",column="age",part=""} 0.1

Any number of Evidently's can be alerted on: metric, column and part are named as Evidently does.
"""

from __future__ import annotations

from exporter.exposition.metric import VERSION, Metric
from exporter.exposition.samples import Samples
from exporter.exposition.view import VersionView
from exporter.fleet import MAX_REPORTED_VALUES

VALUE = Metric(
    "mlflow_model_evidently_value",
    "gauge",
    "Value of a metric of Evidently that the configuration names, from the newest report of the version; "
    'part is "" for a single number, else "count", "share", "mean", "std" or a label.',
    (*VERSION, "metric", "column", "part"),
)
DROPPED_VALUES = Metric(
    "mlflow_exporter_dropped_evidently_values",
    "gauge",
    f"Values of configured metrics of Evidently beyond the first {MAX_REPORTED_VALUES} of a version, which "
    "are only in its report.",
    VERSION,
)
EVIDENTLY_CATALOG = (VALUE, DROPPED_VALUES)


def count_evidently_series(view: VersionView) -> int:
    """Number of the series that `add_evidently_values` adds."""
    return len(view.reported.values) + 1 if view.reported is not None and view.reported.values else 0


def add_evidently_values(samples: Samples, view: VersionView) -> None:
    """Add the values of the newest report; none where the configuration names no metrics."""
    if view.reported is None or not view.reported.values:
        return
    version = (view.model, view.version)
    for labels, value in view.reported.values.items():
        samples.add_one(VALUE, (*version, *labels), value)
    samples.add_one(DROPPED_VALUES, version, view.reported.left_out)
