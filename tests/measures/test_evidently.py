"""Our measures against Evidently's, on a column of categories, where the definitions agree."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from exporter.measures.distances import jensen_shannon
from exporter.measures.psi import psi

WINDOW, REFERENCE = [480, 360, 240, 120], [900, 400, 500, 200]


@pytest.fixture(scope="module")
def evidently_values() -> dict[str, float]:
    with warnings.catch_warnings():
        # of its own and of what it is built on
        warnings.simplefilter("ignore", DeprecationWarning)
        from evidently import DataDefinition, Dataset, Report
        from evidently.metrics import ValueDrift

        definition = DataDefinition(categorical_columns=["plan"])
        window, reference = (
            Dataset.from_pandas(pd.DataFrame({"plan": np.repeat(list("abcd"), counts)}), definition)
            for counts in (WINDOW, REFERENCE)
        )
        report = Report([ValueDrift(column="plan", method=method) for method in ("psi", "jensenshannon")])
        metrics = report.run(window, reference).dict()["metrics"]
    return {metric["config"]["method"]: float(metric["value"]) for metric in metrics}


def test_psi_is_evidentlys(evidently_values: dict[str, float]) -> None:
    ours = psi(np.array(WINDOW) / sum(WINDOW), np.array(REFERENCE) / sum(REFERENCE))

    assert ours == pytest.approx(evidently_values["psi"])


def test_jensen_shannon_is_evidentlys(evidently_values: dict[str, float]) -> None:
    ours = jensen_shannon(np.array(WINDOW) / sum(WINDOW), np.array(REFERENCE) / sum(REFERENCE))

    assert ours == pytest.approx(evidently_values["jensenshannon"])
