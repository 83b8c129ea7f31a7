"""Descriptions of metrics."""

from __future__ import annotations

from exporter.exposition.metric import Metric, count_series

GAUGE = Metric("drift", "gauge", "Drift.", ("model", "column", "role", "window"))
COUNTER = Metric("visits_total", "counter", "Visits.")
HISTOGRAM = Metric("wait_seconds", "histogram", "Wait.", ("queue",), buckets=(0.5, 1))


def test_a_histogram_has_three_series_names() -> None:
    assert HISTOGRAM.series_names == ("wait_seconds_bucket", "wait_seconds_sum", "wait_seconds_count")
    assert COUNTER.series_names == ("visits_total",)


def test_openmetrics_names_a_counter_without_total() -> None:
    assert COUNTER.openmetrics_name == "visits"
    assert GAUGE.openmetrics_name == "drift"


def test_series_are_the_product_of_the_values_of_the_labels() -> None:
    assert count_series([GAUGE, COUNTER], {"column": 50, "window": 3}) == 151
    assert count_series([GAUGE], {"column": 0, "window": 3}) == 0


def test_a_histogram_has_a_series_for_each_bucket_infinity_sum_and_count() -> None:
    assert count_series([HISTOGRAM], {"queue": 2}) == 2 * (2 + 3)
