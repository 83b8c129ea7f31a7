"""Series of habits."""

from __future__ import annotations

from exporter.exposition.collector import SeriesCollector
from exporter.settings import Settings
from tests.support.pages import collect, lines, text
from tests.support.views import NOW, make_habits, make_telemetry, make_view

LIMIT = "mlflow_model_silence_limit_seconds"


def test_a_figure_without_a_limit_stands_alone() -> None:
    page = collect([make_view()])
    assert lines(page, "mlflow_model_silence_seconds") == [
        'mlflow_model_silence_seconds{model="fraud",alias="champion"} 312.0',
        'mlflow_model_silence_seconds{model="fraud",alias="shadow"} 86400.0',
    ]
    assert lines(page, LIMIT) == [f'{LIMIT}{{model="fraud",alias="champion"}} 4500.0']


def test_models_that_are_not_on_the_page_have_no_habits() -> None:
    assert 'model="other"' not in text(collect([make_view()]))


def test_habits_of_an_evaluation_that_hangs_are_left_out() -> None:
    settings = Settings(evaluation_interval_seconds=30)
    for age, shown in ((140, True), (160, False)):
        page = SeriesCollector(settings, make_telemetry()).collect(
            [make_view()], NOW, habits=make_habits(NOW - age)
        )
        assert bool(lines(page, LIMIT)) is shown
