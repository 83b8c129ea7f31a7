"""Series of the importance of a version's columns.

    mlflow_model_feature_importance_ratio{model="fraud",model_version="3",column="age",role="feature"} 0.75
    mlflow_model_drift_importance{model="fraud",model_version="3",window="1h"} 0.48
    mlflow_model_attribution_drift{model="fraud",model_version="3"} 0.04

What is weighted by importance is shown, and no alert of its own.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from exporter.exposition.metric import COLUMN, VERSION, Metric, count_series
from exporter.exposition.prefixes import VersionPrefixes
from exporter.exposition.samples import Samples
from exporter.exposition.view import VersionView

# After which a figure that is made every hour is out of date.
ATTRIBUTION_MAX_AGE_SECONDS = 3 * 3600.0

IMPORTANCE_RATIO = Metric(
    "mlflow_model_feature_importance_ratio",
    "gauge",
    "Share of a feature in the model's answers, from 0 to 1, as declared or measured by permutation.",
    COLUMN,
)
DRIFT_IMPORTANCE = Metric(
    "mlflow_model_drift_importance",
    "gauge",
    "Drift of the features weighted by their importance, from 0 to 1: the sum of importance times "
    "1 - limit / score where the score is beyond its limit.",
    (*VERSION, "window"),
)
ATTRIBUTION_DRIFT = Metric(
    "mlflow_model_attribution_drift",
    "gauge",
    "Distance of what the model's answers depend on from the reference, from 0 to 1: total variation "
    "of the shares of the features in the score's changes under permutation.",
    VERSION,
)
IMPORTANCE_CATALOG = (IMPORTANCE_RATIO, DRIFT_IMPORTANCE, ATTRIBUTION_DRIFT)


@lru_cache(1024)
def count_importance_series(columns: int, windows: int) -> int:
    """Upper bound of the series that `add_importance` adds."""
    return count_series(IMPORTANCE_CATALOG, {"column": columns, "window": windows})


def add_importance(samples: Samples, view: VersionView, prefixes: VersionPrefixes, now: float) -> None:
    """Add importance and what is weighted by it; `prefixes` are of the evaluation's reference."""
    if view.importance is not None and prefixes.reference is not None:
        shares = view.importance.of_columns(prefixes.reference)
        samples.add_known(
            IMPORTANCE_RATIO, prefixes.of_columns(IMPORTANCE_RATIO), shares, np.isfinite(shares)
        )
    for window, value in view.drift_importance.items():
        samples.add(DRIFT_IMPORTANCE, prefixes.of_version(DRIFT_IMPORTANCE, window), [value])
    drift = view.attribution
    if drift is not None and now - drift.at <= ATTRIBUTION_MAX_AGE_SECONDS:
        samples.add(ATTRIBUTION_DRIFT, prefixes.of_version(ATTRIBUTION_DRIFT), [drift.value])
