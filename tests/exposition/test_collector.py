"""The page as a whole, and the limit on its series."""

from __future__ import annotations

import os
import subprocess
from bisect import bisect_left
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

import exporter.exposition.bad_verdicts
import exporter.exposition.capture
import exporter.exposition.columns
import exporter.exposition.evidently_values
import exporter.exposition.experiments
import exporter.exposition.group
import exporter.exposition.habits
import exporter.exposition.importance
import exporter.exposition.quality
import exporter.exposition.remediation
import exporter.exposition.reports
import exporter.exposition.segments
import exporter.exposition.serving
import exporter.exposition.telemetry
import exporter.exposition.versions
from exporter.exposition.catalog import CATALOG
from exporter.exposition.collector import MetricsPage, SeriesCollector
from exporter.exposition.metric import Metric
from exporter.exposition.render import Format, render_prefix
from exporter.exposition.telemetry import Telemetry
from exporter.exposition.view import VersionView
from exporter.reference.bins import Column
from exporter.reference.profile import Reference
from exporter.settings import Settings
from tests.support.pages import collect, lines, text, values, version_series
from tests.support.views import NOW, make_bare_view, make_reference, make_runs, make_telemetry, make_view

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.mark.parametrize("form", Format)
def test_the_page_is_the_golden_one(form: Format, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a wanted change: `UPDATE_GOLDEN=1 pytest tests/exposition/test_versions.py`; read the diff."""
    monkeypatch.setattr("exporter.exposition.telemetry.__version__", "1.2.3")
    page = collect([make_view(), make_bare_view()]).select(groups=["core", "bins", "runs"]).render(form)
    golden = GOLDEN / {Format.TEXT: "metrics.txt", Format.OPENMETRICS: "metrics.openmetrics.txt"}[form]
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_bytes(page)
    assert page.decode() == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("module", "count"),
    [
        (exporter.exposition.versions, 2),
        (exporter.exposition.columns, 3),
        (exporter.exposition.habits, 2),
        (exporter.exposition.importance, 3),
        (exporter.exposition.quality, 3),
        (exporter.exposition.bad_verdicts, 2),
        (exporter.exposition.reports, 4),
        (exporter.exposition.segments, 1),
        (exporter.exposition.serving, 2),
        (exporter.exposition.evidently_values, 1),
        (exporter.exposition.experiments, 2),
        (exporter.exposition.telemetry, 2),
        (exporter.exposition.remediation, 2),
        (exporter.exposition.capture, 2),
        (exporter.exposition.group, 2),
    ],
)
def test_the_excerpt_in_a_docstring_is_on_the_golden_page(module: ModuleType, count: int) -> None:
    documented = str(module.__doc__).splitlines()
    excerpt = [line.strip() for line in documented if line.startswith("    mlflow_")]
    assert len(excerpt) == count
    assert set(excerpt) <= set((GOLDEN / "metrics.txt").read_text(encoding="utf-8").splitlines())


@pytest.mark.needs("promtool")
def test_promtool_finds_nothing_to_say(program: Callable[[str], str]) -> None:
    page = collect([make_view(), make_bare_view()]).render(Format.TEXT)
    done = subprocess.run([program("promtool"), "check", "metrics"], input=page, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_every_metric_of_the_catalogue_is_shown_with_exactly_its_labels() -> None:
    page = text(collect([make_view(), make_bare_view()]))
    parsed = {family.name: family for family in parse_text(page)}
    for metric in CATALOG:
        # the parser calls a counter by its name in OpenMetrics
        family = parsed.pop(metric.name.removesuffix("_total"), None)
        assert family is not None, metric.name
        assert family.type == metric.type
        assert family.documentation == metric.help
        assert {sample.name for sample in family.samples} == set(metric.series_names)
        for sample in family.samples:
            le = ("le",) if sample.name.endswith("_bucket") else ()
            assert tuple(sample.labels) == (*metric.labels, *le)
    assert not parsed


def test_both_formats_say_the_same() -> None:
    page = collect([make_view(), make_bare_view()])
    found = [
        {
            (sample.name, tuple(sample.labels.items())): sample.value
            for family in parse(page.render(form).decode())
            for sample in family.samples
        }
        for form, parse in ((Format.TEXT, parse_text), (Format.OPENMETRICS, parse_openmetrics))
    ]
    assert found[0] == found[1]
    assert len(found[0]) == page.series


def test_names_with_quotes_backslashes_and_newlines_come_back_as_they_were() -> None:
    page = collect([make_view(), make_bare_view()]).render(Format.OPENMETRICS)
    samples = [s for family in parse_openmetrics(page.decode()) for s in family.samples]
    assert 'odd "näme"\\' in {sample.labels.get("model") for sample in samples}
    assert '01 say "hi"\\\n' in {sample.labels.get("bin") for sample in samples}


def test_the_number_of_series_counts_every_line_and_itself() -> None:
    page = collect([make_view()])
    all_lines = [line for line in text(page).splitlines() if not line.startswith("#")]
    assert lines(page, "mlflow_exporter_series") == [f"mlflow_exporter_series {len(all_lines)}"]


def test_without_a_version_only_the_exporter_shows_itself() -> None:
    page = SeriesCollector(Settings(), Telemetry()).collect([], NOW)
    assert "mlflow_exporter_series " in text(page)
    assert not version_series(page)
    assert page.dropped == ()


def test_bins_do_not_come_and_go_with_runs() -> None:
    limit = smallest_limit_that_shows(3, [make_view()])
    collector = SeriesCollector(Settings(max_run_series=20, max_series=limit), make_telemetry())
    for runs in (make_runs(), ()):
        assert len(shown_columns(collector.collect([make_view()], NOW, runs), "3")) == 3
    # Where they are switched off, nothing is set aside for them.
    assert len(shown_columns(collector.collect([make_view()], NOW, None), "3")) > 3


def test_runs_are_a_group_of_their_own() -> None:
    page = collect([make_view()]).select(groups=["runs"])
    assert [family.metric.name for family in page.families] == [
        "mlflow_experiment_runs",
        "mlflow_experiment_last_run_timestamp_seconds",
        "mlflow_run_start_timestamp_seconds",
        "mlflow_run_metric",
        "mlflow_exporter_dropped_run_series",
    ]


def test_after_five_missed_evaluations_the_measures_go_and_the_rest_stays() -> None:
    collector = SeriesCollector(Settings(evaluation_interval_seconds=30), Telemetry())
    fresh = collector.collect([make_view()], NOW + 150)
    late = collector.collect([make_view()], NOW + 151)
    measures = (
        "mlflow_model_window_rows",
        "mlflow_model_drift_score",
        "mlflow_model_columns",
        "mlflow_model_data_quality_ratio",
    )
    for name in measures:
        assert lines(fresh, name)
        assert not lines(late, name)
    for name in (
        "mlflow_model_alias_info",
        "mlflow_model_values_total",
        "mlflow_exporter_last_evaluation_timestamp_seconds",
    ):
        assert lines(late, name) == lines(fresh, name) != []


def test_labels_are_rendered_once_and_forgotten_with_their_version(monkeypatch: pytest.MonkeyPatch) -> None:
    rendered: list[str] = []

    def render_and_tell(metric: Metric, labels: Sequence[str]) -> str:
        rendered.append(metric.name)
        return render_prefix(metric, labels)

    monkeypatch.setattr("exporter.exposition.prefixes.render_prefix", render_and_tell)

    def count(views: list[VersionView]) -> int:
        rendered.clear()
        collector.collect(views, NOW)
        return rendered.count("mlflow_model_values_total") + rendered.count("mlflow_model_drift_score")

    collector = SeriesCollector(Settings(), Telemetry())
    both = [make_view(quality=()), make_view(version="4", quality=())]
    assert count(both) > 0
    assert count(both) == 0
    assert count(both[:1]) == 0
    assert count(both) > 0


def test_scrapes_at_the_same_time_see_the_same_page() -> None:
    collector = SeriesCollector(Settings(), Telemetry())
    views = [make_view(version=str(number)) for number in range(1, 20)]
    with ThreadPoolExecutor(4) as pool:
        pages = list(pool.map(lambda _: "\n".join(version_series(collector.collect(views, NOW))), range(12)))
    assert len(set(pages)) == 1


def test_another_reference_of_a_version_has_labels_of_its_own() -> None:
    collector = SeriesCollector(Settings(), Telemetry())
    collector.collect([make_view()], NOW)
    column = Column("income", "feature", "number", edges=np.array([1.0]))
    reference = Reference((column,), np.ones(4, np.int64), np.zeros((1, 3)), 4, "binary", "file")
    found = values(collector.collect([make_view(reference)], NOW), "mlflow_model_values_total")
    assert {labels.partition(",")[0] for labels in found} == {'column="income"'}


# The limit on series


def shown_columns(page: MetricsPage, version: str) -> list[str]:
    marked = f'model_version="{version}",column="'
    found = [line.partition(marked)[2] for line in lines(page, "mlflow_model_values_total")]
    return list(dict.fromkeys(rest.partition('"')[0] for rest in found if rest))


def smallest_limit_that_shows(columns: int, views: Sequence[VersionView]) -> int:
    def shown(limit: int) -> int:
        return len(shown_columns(collect(views, max_series=limit), views[0].version))

    limits = range(1, 4000)
    return limits[bisect_left(limits, columns, key=shown)]


def test_below_the_limit_nothing_is_cut() -> None:
    assert collect([make_view()]).dropped == ()
    assert lines(collect([make_view()]), "mlflow_exporter_dropped_series") == [
        "mlflow_exporter_dropped_series 0"
    ]


def test_above_the_limit_bins_go_and_everything_else_stays() -> None:
    whole, limited = collect([make_view()]), collect([make_view()], max_series=1)
    bins = ("mlflow_model_values_total{", "mlflow_model_reference_ratio{")
    rest = [line for line in version_series(whole) if not line.startswith(bins)]
    assert version_series(limited) == rest


def test_what_was_cut_is_returned_and_exported() -> None:
    reference = make_reference()
    limited = collect([make_view(reference)], max_series=1)
    (dropped,) = limited.dropped
    assert (dropped.model, dropped.version) == ("fraud", "3")
    assert dropped.columns == ("age", "country", "user_id", "prediction", "score")
    assert dropped.series == 2 * reference.cells
    dropped = f"mlflow_exporter_dropped_series {dropped.series}"
    assert lines(limited, "mlflow_exporter_dropped_series") == [dropped]


def test_bins_go_by_whole_columns_the_last_features_first_and_alike_in_every_version() -> None:
    views = [make_view(), make_view(version="4")]
    limit = smallest_limit_that_shows(3, views)
    page = collect(views, max_series=limit)
    for version in ("3", "4"):
        assert shown_columns(page, version) == ["age", "prediction", "score"]
        shown = [line for line in lines(page, "mlflow_model_values_total") if f'"{version}"' in line]
        assert len(shown) == 5 + 6 + 4
    assert [dropped.columns for dropped in page.dropped] == [("country", "user_id")] * 2


def test_the_limit_holds() -> None:
    views = [make_view(), make_view(version="4")]
    least, most = (collect(views, max_series=limit).series for limit in (1, 10_000))
    for limit in range(least, most + 300, 7):
        assert collect(views, max_series=limit).series <= limit


def test_a_verdict_that_comes_and_goes_does_not_take_bins_along() -> None:
    view = make_view()
    limit = smallest_limit_that_shows(4, [view])
    for state in (view, replace(view, evaluation=None), replace(view, last_prediction=None)):
        assert len(shown_columns(collect([state], max_series=limit), "3")) == 4


# A version that fails


def test_a_version_that_fails_is_left_out_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    telemetry = make_telemetry()
    broken = replace(make_view(), run_metrics={"auc": "high"})  # type: ignore[dict-item]
    collector = SeriesCollector(Settings(), telemetry)
    page = collector.collect([broken, make_bare_view()], NOW)
    assert {line.split('"')[1] for line in version_series(page) if "alias_info" in line} == {"odd \\"}
    assert "fraud version 3 is left out" in caplog.text
    labels = 'model="fraud",model_version="3",stage="evaluation"'
    after = text(collector.collect([make_bare_view()], NOW))
    assert f"mlflow_exporter_evaluation_errors_total{{{labels}}} 1.0" in after
