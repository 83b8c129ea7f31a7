"""Metrics of the process."""

from __future__ import annotations

import pytest
from prometheus_client.process_collector import ProcessCollector

from exporter.exposition.process import PROCESS_CATALOG, ProcessMetrics


def names() -> set[str]:
    return {sample.name for metric in ProcessMetrics().collect() for sample in metric.samples}


def test_all_metrics_of_the_catalogue_are_collected() -> None:
    assert names() >= {metric.name for metric in PROCESS_CATALOG}


def test_an_unlimited_number_of_file_descriptors_leaves_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    def collect(_: ProcessCollector) -> None:
        float("unlimited")

    monkeypatch.setattr(ProcessCollector, "collect", collect)
    assert names() == {"python_info"}
