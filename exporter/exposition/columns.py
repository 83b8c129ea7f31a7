"""Series of a version's columns.

    mlflow_model_drift_score{model="fraud",model_version="3",column="age",role="feature",window="1h"} 0.31
    mlflow_model_drift_detected{model="fraud",model_version="3",column="age",role="feature",window="1h"} 1
    mlflow_model_values_total{model="fraud",model_version="3",column="age",role="feature",bin="00 < 18"} 0

Bins, drift from the reference, change against the weeks before, and data quality.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from itertools import compress
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from exporter.evaluation.change import ChangeEvaluation, is_compared
from exporter.evaluation.comparison import DRIFTED, STABLE, UNDECIDED
from exporter.evaluation.data_quality import QualityCheck
from exporter.evaluation.drift import Evaluation, WindowEvaluation
from exporter.exposition.metric import COLUMN, VERSION, Metric, MetricOf, count_series
from exporter.exposition.prefixes import ROLES, VersionPrefixes
from exporter.exposition.samples import Samples
from exporter.exposition.view import VersionView
from exporter.settings import Window
from exporter.typing import Bools, Floats, Ints

VERDICTS = {"drifted": DRIFTED, "stable": STABLE, "undecided": UNDECIDED}

_Source = TypeVar("_Source")

# Values by column, and which of them are known.
Known = tuple[Floats | Ints, Bools]

VALUES = Metric(
    "mlflow_model_values_total",
    "counter",
    "Values of a column that fell into a bin, counted by this process since it started.",
    (*COLUMN, "bin"),
    "bins",
)
REFERENCE_RATIO = Metric(
    "mlflow_model_reference_ratio",
    "gauge",
    "Share of the reference's rows in a bin of a column, from 0 to 1.",
    (*COLUMN, "bin"),
    "bins",
)

WINDOW_ROWS = Metric(
    "mlflow_model_window_rows", "gauge", "Predictions within a window.", (*VERSION, "window")
)
JUDGED_COLUMNS = Metric(
    "mlflow_model_columns",
    "gauge",
    "Judged columns of a role by verdict within a window.",
    (*VERSION, "role", "window", "verdict"),
)
UNDECIDED_COLUMNS = Metric(
    "mlflow_model_columns_undecided",
    "gauge",
    "Judged columns of a role without a verdict within a window, by reason: `no_values`, `no_base` to "
    "compare with, unknown `variation`, too few `rows`, or beyond the limit without `significance` or "
    "without `persistence`; absent where there is none.",
    (*VERSION, "role", "window", "reason"),
)
_REASONS = 6  # of UNDECIDED_COLUMNS


def finite(values: Floats) -> Known:
    """Values by column, known where they are finite."""
    return values, np.isfinite(values)


def detected(verdicts: npt.NDArray[np.int8]) -> Known:
    """1 where a column has drifted, else 0; unknown where it is undecided."""
    return (verdicts == DRIFTED).astype(np.int64), verdicts != UNDECIDED


DRIFT: tuple[MetricOf[WindowEvaluation, Known], ...] = (
    MetricOf(
        "mlflow_model_drift_score",
        "gauge",
        "Population stability index of a column within a window against the reference; 0 is no difference.",
        (*COLUMN, "window"),
        read=lambda found: finite(found.drift_score),
    ),
    MetricOf(
        "mlflow_model_drift_limit",
        "gauge",
        "Drift score above which a column may count as drifted: threshold, sampling floor and "
        "natural variation added up.",
        (*COLUMN, "window"),
        read=lambda found: finite(found.drift_limit),
    ),
    MetricOf(
        "mlflow_model_drift_significance",
        "gauge",
        "Adjusted -log10 of the p-value of no drift, at most 300; 3 is one in a thousand.",
        (*COLUMN, "window"),
        read=lambda found: finite(found.drift_significance),
    ),
    MetricOf(
        "mlflow_model_drift_detected",
        "gauge",
        "1 where a column has drifted, 0 where it has not, absent without a verdict.",
        (*COLUMN, "window"),
        read=lambda found: detected(found.verdict),
    ),
)

DRIFT_DISTANCE = Metric(
    "mlflow_model_drift_distance",
    "gauge",
    "A further distance of a column from the reference, by method; exported on demand, never judged.",
    (*COLUMN, "window", "method"),
)

CHANGE: tuple[MetricOf[ChangeEvaluation, Known], ...] = (
    MetricOf(
        "mlflow_model_change_score",
        "gauge",
        "Population stability index of a column within a window of a day against the version's own "
        "past weeks; absent until there are enough of them.",
        (*COLUMN, "window"),
        read=lambda found: finite(found.score),
    ),
    MetricOf(
        "mlflow_model_change_limit",
        "gauge",
        "Change score above which a column may count as changed: threshold, sampling floor and "
        "variation from day to day added up.",
        (*COLUMN, "window"),
        read=lambda found: finite(found.limit),
    ),
    MetricOf(
        "mlflow_model_change_significance",
        "gauge",
        "Adjusted -log10 of the p-value of no change, at most 300; 3 is one in a thousand.",
        (*COLUMN, "window"),
        read=lambda found: finite(found.significance),
    ),
    MetricOf(
        "mlflow_model_change_detected",
        "gauge",
        "1 where a column has changed against the past weeks, 0 where it has not, absent without a verdict.",
        (*COLUMN, "window"),
        read=lambda found: detected(found.verdict),
    ),
)

CHECKS: tuple[MetricOf[QualityCheck, float | None], ...] = (
    MetricOf(
        "mlflow_model_data_quality_ratio",
        "gauge",
        "Share of a column's rows that fail a check, from 0 to 1, in the window of "
        "mlflow_model_data_quality_window_seconds.",
        (*COLUMN, "check"),
        read=lambda found: found.ratio,
    ),
    MetricOf(
        "mlflow_model_data_quality_window_seconds",
        "gauge",
        "Length of the window in which a check is judged, in seconds: the shortest for which the "
        "reference is dense enough, or the shortest of all if half of the column fails there.",
        (*COLUMN, "check"),
        read=lambda found: found.window.seconds,
    ),
    MetricOf(
        "mlflow_model_data_quality_reference_ratio",
        "gauge",
        "Share of a column's rows in the reference that fail a check, from 0 to 1.",
        (*COLUMN, "check"),
        read=lambda found: found.reference_ratio,
    ),
    MetricOf(
        "mlflow_model_data_quality_degraded",
        "gauge",
        "1 where a check fails significantly more often than in the reference, 0 where not, absent "
        "without a verdict.",
        (*COLUMN, "check"),
        read=lambda found: found.degraded,
    ),
)
CHECKS_PER_COLUMN = 4  # missing, type_mismatch, unseen, out_of_range

BINS = (VALUES, REFERENCE_RATIO)
COLUMN_CATALOG: tuple[Metric, ...] = (
    *BINS,
    WINDOW_ROWS,
    JUDGED_COLUMNS,
    UNDECIDED_COLUMNS,
    *DRIFT,
    DRIFT_DISTANCE,
    *CHANGE,
    *CHECKS,
)


@lru_cache(1024)
def count_column_series(columns: int, windows: tuple[Window, ...], distances: int) -> int:
    """Upper bound of the series that `add_evaluation` adds."""
    compared = sum(is_compared(window) for window in windows)
    by_window = {
        "window": len(windows),
        "role": len(ROLES),
        "verdict": len(VERDICTS),
        "reason": _REASONS,
    }
    by_column = {"column": columns, "window": len(windows), "method": distances}
    return (
        count_series((WINDOW_ROWS, JUDGED_COLUMNS, UNDECIDED_COLUMNS), by_window)
        + count_series((*DRIFT, DRIFT_DISTANCE), by_column)
        + count_series(CHANGE, {"column": columns, "window": compared})
        + count_series(CHECKS, {"column": columns, "check": CHECKS_PER_COLUMN})
    )


def add_bins(samples: Samples, view: VersionView, prefixes: VersionPrefixes, shown: int) -> None:
    """Add the bins of the first `shown` columns, by rank."""
    visible = np.repeat(prefixes.ranks < shown, prefixes.sizes)
    for metric, values in ((VALUES, view.values), (REFERENCE_RATIO, prefixes.reference_ratios)):
        samples.add_known(metric, prefixes.of_bins(metric), values, visible & np.isfinite(values))


def add_evaluation(samples: Samples, evaluation: Evaluation, prefixes: VersionPrefixes) -> None:
    """Add drift, change and data quality; `prefixes` are of the evaluation's reference."""
    for found in evaluation.windows:
        window = found.window.name
        samples.add(WINDOW_ROWS, prefixes.of_version(WINDOW_ROWS, window), [found.rows])
        _add_columns(samples, DRIFT, prefixes, window, found)
        for method, distances in found.distances.items():
            named = prefixes.of_columns(DRIFT_DISTANCE, window, method)
            samples.add_known(DRIFT_DISTANCE, named, *finite(distances))
        for role, judged in prefixes.judged_by_role.items():
            for verdict, code in VERDICTS.items():
                count = int((found.verdict[judged] == code).sum())
                named = prefixes.of_version(JUDGED_COLUMNS, role, window, verdict)
                samples.add(JUDGED_COLUMNS, named, [count])
            codes = Counter(compress(found.undecided_codes, judged.tolist()))
            for reason in sorted(codes.keys() - {""}):
                named = prefixes.of_version(UNDECIDED_COLUMNS, role, window, reason)
                samples.add(UNDECIDED_COLUMNS, named, [codes[reason]])
    for change in evaluation.changes:
        _add_columns(samples, CHANGE, prefixes, change.window.name, change)
    for check in evaluation.checks:
        for metric in CHECKS:
            value = metric.read(check)
            if value is not None and np.isfinite(value):
                samples.add(metric, [prefixes.of_columns(metric, check.check)[check.column]], [value])


def _add_columns(
    samples: Samples,
    metrics: Iterable[MetricOf[_Source, Known]],
    prefixes: VersionPrefixes,
    window: str,
    source: _Source,
) -> None:
    for metric in metrics:
        samples.add_known(metric, prefixes.of_columns(metric, window), *metric.read(source))
