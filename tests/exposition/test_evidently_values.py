"""Values of configured metrics of Evidently on /metrics."""

from __future__ import annotations

from exporter.fleet import ReportedValues
from tests.support.pages import collect, values
from tests.support.views import make_bare_view, make_view


def test_a_value_has_the_names_that_evidently_gives_it() -> None:
    hostile = 'a"b\\c\nd'
    reported = ReportedValues("1", {("ValueDrift", hostile, "count DE"): 0.5, ("RowCount", "", ""): 12.0})
    page = collect([make_view(reported=reported)])
    assert values(page, "mlflow_model_evidently_value") == {
        'metric="ValueDrift",column="a\\"b\\\\c\\nd",part="count DE"': 0.5,
        'metric="RowCount",column="",part=""': 12.0,
    }
    assert values(page, "mlflow_exporter_dropped_evidently_values") == {"": 0}


def test_without_a_report_of_configured_metrics_there_is_no_series() -> None:
    page = collect([make_bare_view()])
    assert not values(page, "mlflow_model_evidently_value")
    assert not values(page, "mlflow_exporter_dropped_evidently_values")


def test_the_values_have_room_within_the_limit_on_series() -> None:
    many = ReportedValues("1", {("ValueDrift", str(n), ""): 0.0 for n in range(500)}, left_out=7)
    whole = collect([make_view(reported=many)], max_series=10_000)
    limited = collect([make_view(reported=many)], max_series=whole.series - 1)
    assert len(values(limited, "mlflow_model_evidently_value")) == 500
    assert limited.series < whole.series
