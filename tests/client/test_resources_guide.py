"""The queries of the guide on resources find what they are to find, by promtool."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.exposition.serving import SERVING_CATALOG
from tests.support.docs import page
from tests.support.programs import Program

SECTION = re.search(r"^## Resources\n(.*?)(?=^## |\Z)", page("exporter/client/README.md"), re.M | re.S)
# Two Pods of version 3 use 1.9 of 2 cores and one of version 2 half of one; 100 predictions a second.
SERIES = {
    'kube_pod_labels{namespace="ml",pod="a",label_model="fraud",label_model_version="3"}': "1x20",
    'kube_pod_labels{namespace="ml",pod="b",label_model="fraud",label_model_version="3"}': "1x20",
    'kube_pod_labels{namespace="ml",pod="c",label_model="fraud",label_model_version="2"}': "1x20",
    'kube_pod_labels{namespace="ml",pod="d"}': "1x20",
    'container_cpu_usage_seconds_total{namespace="ml",pod="a",container="model"}': "0+60x20",
    'container_cpu_usage_seconds_total{namespace="ml",pod="a",container=""}': "0+61x20",  # of the whole Pod
    'container_cpu_usage_seconds_total{namespace="ml",pod="b",container="model"}': "0+54x20",
    'container_cpu_usage_seconds_total{namespace="ml",pod="c",container="model"}': "0+30x20",
    'container_cpu_usage_seconds_total{namespace="ml",pod="d",container="other"}': "0+60x20",
    'container_cpu_usage_seconds_total{namespace="other",pod="a",container="model"}': "0+60x20",
    'kube_pod_container_resource_limits{namespace="ml",pod="a",container="model",resource="cpu"}': "1x20",
    'kube_pod_container_resource_limits{namespace="ml",pod="a",container="model",resource="memory"}': "9x20",
    'kube_pod_container_resource_limits{namespace="ml",pod="b",container="model",resource="cpu"}': "1x20",
    'kube_pod_container_resource_limits{namespace="ml",pod="c",container="model",resource="cpu"}': "1x20",
    'mlflow_model_latency_p95_seconds{instance="x",model="fraud",model_version="3"}': "0.5x20",
    'mlflow_model_latency_limit_seconds{instance="x",model="fraud",model_version="3"}': "0.2x20",
    'mlflow_model_latency_p95_seconds{instance="x",model="fraud",model_version="2"}': "0.1x20",
    'mlflow_model_latency_limit_seconds{instance="x",model="fraud",model_version="2"}': "0.2x20",
    'mlflow_model_predictions_total{instance="x",model="fraud",model_version="3"}': "0+4000x20",
    'mlflow_model_predictions_total{instance="y",model="fraud",model_version="3"}': "0+2000x20",
    'process_cpu_seconds_total{instance="a",model="fraud",model_version="3"}': "0+66x20",
    'process_cpu_seconds_total{instance="b",model="fraud",model_version="3"}': "0+54x20",
    'process_cpu_seconds_total{instance="x",job="mlflow-exporter"}': "0+60x20",
}
EXPECTED = [0.95, 0.02]  # of a limit; CPU seconds a prediction


def test_the_table_has_every_metric() -> None:
    assert SECTION is not None
    table = "\n".join(re.findall(r"^\| `.*", SECTION[1], re.M))
    names = {f"mlflow_model_serving_{name}" for name in re.findall(r"`(\w+)`", table)}
    assert {metric.name for metric in SERVING_CATALOG} <= names


@pytest.mark.needs("promtool")
def test_the_queries_join_what_is_scraped_with_what_the_exporter_shows(
    program: Program, tmp_path: Path
) -> None:
    assert SECTION is not None
    (rules,) = re.findall(r"^```yaml\n(.*?)^```", SECTION[1], re.M | re.S)
    queries = re.findall(r"^```promql\n(.*?)^```", SECTION[1], re.M | re.S)
    (tmp_path / "rules.yml").write_text(rules)
    tests: list[dict[str, Any]] = [
        {
            "expr": f"round({query}, 0.0001)",
            "eval_time": "15m30s",
            "exp_samples": [{"labels": '{model="fraud", model_version="3"}', "value": value}],
        }
        for query, value in zip(queries, EXPECTED, strict=True)
    ]
    series = [{"series": name, "values": values} for name, values in SERIES.items()]
    specification = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": "1m",
        "tests": [{"interval": "1m", "input_series": series, "promql_expr_test": tests}],
    }
    (tmp_path / "specification.yml").write_text(yaml.safe_dump(specification))
    command = [program("promtool"), "test", "rules", str(tmp_path / "specification.yml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
