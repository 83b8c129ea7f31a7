"""Our figures and Evidently's on the same rows: equal where the definitions agree, and as documented."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest

from exporter.config.named_metrics import NamedMetric
from exporter.measures.calibration import log_loss_terms
from exporter.measures.classification import accuracy, f1, precision, recall
from exporter.measures.distances import jensen_shannon
from exporter.measures.psi import psi, shares
from exporter.measures.ranking import roc_auc
from exporter.profiling.column_bins import number_column
from exporter.reports.contents import ReportInput, ReportResult
from exporter.typing import Floats
from tests.support.docs import page, section
from tests.support.report_inputs import binary_input, binary_rows

WINDOW, REFERENCE = binary_rows(400, 1, shift=1.0), binary_rows(1000, 2)
AGREE = ("Accuracy", "Precision", "Recall", "F1Score", "RocAuc", "LogLoss")


def confusion() -> Floats:
    _, predictions, _, labels = WINDOW
    pairs = list(zip(labels, predictions, strict=True))
    return np.array([[pairs.count((label, made)) for made in "01"] for label in "01"], np.float64)


def our_quality() -> dict[str, float]:
    counts, scores, positive = confusion(), np.array(WINDOW[2]), np.array(WINDOW[3]) == "1"
    places = np.unique(scores, return_inverse=True)[1]
    by_score = [
        np.bincount(places[chosen], minlength=len(scores)).astype(float) for chosen in (positive, ~positive)
    ]
    return {
        "Accuracy": accuracy(counts),
        "Precision": precision(counts)[1],
        "Recall": recall(counts)[1],
        "F1Score": f1(counts)[1],
        "RocAuc": float(roc_auc(*by_score)),
        "LogLoss": float(log_loss_terms(np.where(positive, scores, 1 - scores)).mean()),
    }


def country_counts() -> tuple[Floats, Floats]:
    window, reference = (
        np.array([features["country"].count(name) for name in ("DE", "FR", "IT")], np.float64)
        for features in (WINDOW[0], REFERENCE[0])
    )
    return window, reference


def our_psi(column: str) -> float:
    """With our bins and pseudo-count, without the pooling of rare bins."""
    if column == "country":
        window, reference = country_counts()
    else:
        base = np.array(REFERENCE[0][column], np.float64)
        edges = number_column(column, "feature", "number", base).edges
        window, reference = (
            np.bincount(
                np.searchsorted(edges, features[column], side="right"), minlength=len(edges) + 1
            ).astype(float)
            for features in (WINDOW[0], REFERENCE[0])
        )
    mask = np.full(len(window), True)
    return float(psi(shares(window, mask), shares(reference, mask)))


@pytest.fixture(scope="module")
def evidently(made_report: ReportResult) -> dict[tuple[str, str], float]:
    return {(each.metric, each.column): each.value for each in made_report.values if not each.part}


@pytest.mark.parametrize("metric", AGREE)
def test_quality_is_evidentlys(evidently: dict[tuple[str, str], float], metric: str) -> None:
    assert our_quality()[metric] == pytest.approx(evidently[metric, ""])


def test_psi_of_categories_is_evidentlys(evidently: dict[tuple[str, str], float]) -> None:
    window, reference = (counts / counts.sum() for counts in country_counts())
    assert psi(window, reference) == pytest.approx(evidently["ValueDrift", "country"])


def test_jensen_shannon_of_categories_is_evidentlys(
    make_report: Callable[[ReportInput], ReportResult],
) -> None:
    drift = NamedMetric(name="ValueDrift", arguments={"column": "country", "method": "jensenshannon"})
    (value,) = make_report(binary_input(metrics=(drift,))).values
    window, reference = (counts / counts.sum() for counts in country_counts())
    assert jensen_shannon(window, reference) == pytest.approx(value.value)


def test_the_documented_figures_are_these(evidently: dict[tuple[str, str], float]) -> None:
    ours = our_quality() | {f"PSI of {name}": our_psi(name) for name in ("amount", "hour", "country")}
    theirs = {name: evidently[name, ""] for name in AGREE}
    theirs |= {f"PSI of {name}": evidently["ValueDrift", name] for name in ("amount", "hour", "country")}
    table = section(page("exporter/reports/FIGURES.md"), "figures")
    shown = {name: (a, b) for name, a, b in re.findall(r"^\| (.+?) \| ([\d.]+) \| ([\d.]+) \|", table, re.M)}
    assert shown == {name: (f"{ours[name]:.4f}", f"{theirs[name]:.4f}") for name in ours}
