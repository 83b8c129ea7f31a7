"""The catalogue is what users see, so its conventions are tested."""

from __future__ import annotations

import re

import pytest

from exporter.exposition.catalog import BY_NAME, CATALOG, metrics_table
from exporter.exposition.metric import Metric

each_metric = pytest.mark.parametrize("metric", CATALOG, ids=lambda metric: metric.name)


def test_each_name_is_there_once() -> None:
    assert len(BY_NAME) == len(CATALOG)


@each_metric
def test_names_and_labels_are_valid(metric: Metric) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9_]*", metric.name)
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", label) for label in metric.labels)
    assert len(set(metric.labels)) == len(metric.labels)
    assert "le" not in metric.labels


@each_metric
def test_only_counters_end_in_total(metric: Metric) -> None:
    assert metric.name.endswith("_total") == (metric.type == "counter")
    assert not metric.name.endswith(("_bucket", "_sum", "_count", "_created"))


@each_metric
def test_help_is_one_sentence(metric: Metric) -> None:
    assert re.fullmatch(r"[0-9A-Z][^\n|]*\.", metric.help)
    assert ". " not in metric.help


@each_metric
def test_help_says_the_unit_that_the_name_ends_in(metric: Metric) -> None:
    units = {"seconds": "seconds", "bytes": "bytes", "ratio": "from 0 to 1"}
    name = metric.name.removesuffix("_total")
    for suffix, words in units.items():
        if name.endswith(f"_{suffix}"):
            assert words in metric.help


@each_metric
def test_a_version_is_never_called_version(metric: Metric) -> None:
    # Kubernetes relabelling owns `version`; only the exporter's and Python's own builds use it.
    if metric.name not in ("mlflow_exporter_build_info", "python_info"):
        assert "version" not in metric.labels
    assert ("model_version" not in metric.labels) or metric.labels[:2] == ("model", "model_version")


def test_names_of_mlflows_own_server_are_left_alone() -> None:
    assert not [name for name in BY_NAME if name == "mlflow_exporter_info" or name.startswith("mlflow_http_")]


def test_the_table_has_a_row_for_each_metric() -> None:
    lines = metrics_table().splitlines()
    assert len(lines) == 2 + len(CATALOG)
    assert all(line.count("|") == 6 for line in lines)
    assert (
        "| `mlflow_model_window_rows` | gauge | `model`, `model_version`, `window` | `core` "
        "| Predictions within a window. |" in lines
    )
