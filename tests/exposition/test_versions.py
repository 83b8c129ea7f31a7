"""Facts and counters of a version."""

from __future__ import annotations

from dataclasses import replace

from exporter.exposition.collector import SeriesCollector
from exporter.exposition.telemetry import Telemetry
from exporter.settings import Settings
from tests.support.pages import collect, lines, values, version_series
from tests.support.views import NOW, make_bare_view, make_reference, make_view


def test_a_version_without_reference_shows_its_counters_from_zero_and_no_measure() -> None:
    page = SeriesCollector(Settings(), Telemetry()).collect([make_bare_view("m")], NOW)
    found = version_series(page)
    assert [line for line in found if "_latency_" not in line and "_delay_" not in line] == [
        'mlflow_model_version_info{model="m",model_version="1",run_id="",task="",reference_source="none",'
        'reference_digest="",variation="unknown"} 1',
        'mlflow_model_alias_info{model="m",model_version="1",alias="champion",team=""} 1',
        'mlflow_model_alias_version{model="m",alias="champion"} 1',
        'mlflow_model_predictions_total{model="m",model_version="1"} 0',
        'mlflow_model_labels_total{model="m",model_version="1"} 0',
    ]
    assert 'mlflow_model_latency_seconds_count{model="m",model_version="1"} 0' in found


def test_the_version_says_what_it_is_compared_with() -> None:
    reference = make_reference()
    assert values(collect([make_view(reference)]), "mlflow_model_version_info") == {
        'run_id="a1b2",task="binary",reference_source="extra_files/reference.parquet",'
        f'reference_digest="{reference.digest}",variation="reference"': 1
    }


def test_a_verdict_without_natural_variation_is_marked() -> None:
    (labels,) = values(collect([make_view(make_reference(variation={}))]), "mlflow_model_version_info")
    assert labels.endswith('variation="none"')


def test_a_removed_alias_is_gone_at_once() -> None:
    collector = SeriesCollector(Settings(), Telemetry())
    view = make_view()
    assert len(lines(collector.collect([view], NOW), "mlflow_model_alias_info")) == 2
    after = collector.collect([replace(view, aliases=())], NOW)
    assert not lines(after, "mlflow_model_alias_info")
    assert not lines(after, "mlflow_model_alias_version")
    assert lines(after, "mlflow_model_drift_score")


def test_an_alias_points_to_the_number_of_its_version() -> None:
    assert lines(collect([make_view()]), "mlflow_model_alias_version") == [
        'mlflow_model_alias_version{model="fraud",alias="champion"} 3',
        'mlflow_model_alias_version{model="fraud",alias="shadow"} 3',
    ]


def test_a_metric_of_the_run_that_is_no_number_is_left_out() -> None:
    view = make_view(run_metrics={"auc": float("nan"), "loss": 0.5})
    assert values(collect([view]), "mlflow_model_version_metric") == {'metric="loss"': 0.5}
