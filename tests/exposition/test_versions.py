"""What versions show, and what they do not."""

from __future__ import annotations

import os
import subprocess
from bisect import bisect_left
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

import exporter.exposition.experiments
import exporter.exposition.versions
from exporter.exposition.catalog import CATALOG, Metric
from exporter.exposition.render import Format, render, render_prefix, select_families
from exporter.exposition.telemetry import Telemetry
from exporter.exposition.versions import Collection, SeriesCollector, VersionView
from exporter.reference.bins import Column
from exporter.reference.profile import Reference
from exporter.settings import Settings
from tests.support.views import (
    NOW,
    make_bare_view,
    make_evaluation,
    make_reference,
    make_runs,
    make_telemetry,
    make_view,
)

GOLDEN = Path(__file__).parents[1] / "golden"


def collect(views: Sequence[VersionView], **settings: Any) -> Collection:
    settings = {"max_run_series": 20, **settings}
    return SeriesCollector(Settings(**settings), make_telemetry()).collect(views, NOW, make_runs())


def text(collection: Collection) -> str:
    return render(collection.families, Format.TEXT).decode()


def lines(collection: Collection, name: str) -> list[str]:
    return [line for line in text(collection).splitlines() if line.startswith((f"{name}{{", f"{name} "))]


def values(collection: Collection, name: str) -> dict[str, float]:
    """Value by the labels after model and version."""
    samples = (line[len(name) :].rsplit(" ", 1) for line in lines(collection, name))
    return {labels.partition('model_version="3",')[2].rstrip("}"): float(value) for labels, value in samples}


def version_series(collection: Collection) -> list[str]:
    return [line for line in text(collection).splitlines() if line.startswith("mlflow_model_")]


def count_series(collection: Collection) -> int:
    return sum(len(family.prefixes) for family in collection.families)


# The page as a whole


@pytest.mark.parametrize("form", Format)
def test_the_page_is_the_golden_one(form: Format, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a wanted change: `UPDATE_GOLDEN=1 pytest tests/exposition/test_versions.py`; read the diff."""
    monkeypatch.setattr("exporter.exposition.telemetry.__version__", "1.2.3")
    families = select_families(
        collect([make_view(), make_bare_view()]).families, groups=["core", "bins", "runs"]
    )
    golden = GOLDEN / {Format.TEXT: "metrics.txt", Format.OPENMETRICS: "metrics.openmetrics.txt"}[form]
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_bytes(render(families, form))
    assert render(families, form).decode() == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("module", "count"), [(exporter.exposition.versions, 4), (exporter.exposition.experiments, 2)]
)
def test_the_excerpt_in_a_docstring_is_on_the_golden_page(module: ModuleType, count: int) -> None:
    documented = str(module.__doc__).splitlines()
    excerpt = [line.strip() for line in documented if line.startswith("    mlflow_")]
    assert len(excerpt) == count
    assert set(excerpt) <= set((GOLDEN / "metrics.txt").read_text(encoding="utf-8").splitlines())


@pytest.mark.needs("promtool")
def test_promtool_finds_nothing_to_say(program: Callable[[str], str]) -> None:
    page = render(collect([make_view(), make_bare_view()]).families, Format.TEXT)
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
    collection = collect([make_view(), make_bare_view()])
    found = [
        {
            (sample.name, tuple(sample.labels.items())): sample.value
            for family in parse(render(collection.families, form).decode())
            for sample in family.samples
        }
        for form, parse in ((Format.TEXT, parse_text), (Format.OPENMETRICS, parse_openmetrics))
    ]
    assert found[0] == found[1]
    assert len(found[0]) == count_series(collection)


def test_names_with_quotes_backslashes_and_newlines_come_back_as_they_were() -> None:
    families = collect([make_view(), make_bare_view()]).families
    samples = [
        s
        for family in parse_openmetrics(render(families, Format.OPENMETRICS).decode())
        for s in family.samples
    ]
    assert 'odd "näme"\\' in {sample.labels.get("model") for sample in samples}
    assert '01 say "hi"\\\n' in {sample.labels.get("bin") for sample in samples}


def test_the_number_of_series_counts_every_line_and_itself() -> None:
    collection = collect([make_view()])
    all_lines = [line for line in text(collection).splitlines() if not line.startswith("#")]
    assert lines(collection, "mlflow_exporter_series") == [f"mlflow_exporter_series {len(all_lines)}"]


def test_without_a_version_only_the_exporter_shows_itself() -> None:
    collection = SeriesCollector(Settings(), Telemetry()).collect([], NOW)
    assert "mlflow_exporter_series " in text(collection)
    assert not version_series(collection)
    assert collection.cut == ()


# One version


def test_a_version_without_reference_shows_its_counters_from_zero_and_no_measure() -> None:
    found = version_series(collect([make_bare_view("m")]))
    assert [line for line in found if "_latency_" not in line and "_delay_" not in line] == [
        'mlflow_model_version_info{model="m",model_version="1",run_id="",task="",reference_source="none",'
        'reference_digest="",variation="unknown"} 1',
        'mlflow_model_alias_info{model="m",model_version="1",alias="champion",team=""} 1',
        'mlflow_model_alias_version{model="m",alias="champion"} 1',
        'mlflow_model_predictions_total{model="m",model_version="1"} 0',
        'mlflow_model_labels_total{model="m",model_version="1"} 0',
        'mlflow_model_labels_unmatched_total{model="m"} 0',
    ]
    assert 'mlflow_model_latency_seconds_count{model="m",model_version="1"} 0' in found


def test_a_reference_without_columns_is_no_problem() -> None:
    reference = Reference((), np.empty(0, np.int64), np.empty((0, 3)), 0, "binary", "file")
    collection = collect([make_view(reference, evaluation=None)])
    assert not lines(collection, "mlflow_model_values_total")


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


def test_measures_without_a_figure_are_left_out() -> None:
    collection = collect([make_view(quality=())])
    age = 'column="age",role="feature",window="1h"'
    country = 'column="country",role="feature",window="1h"'
    prediction = 'column="prediction",role="prediction",window="1h"'
    assert values(collection, "mlflow_model_drift_score") == {age: 0.31, country: 0.002, prediction: 0.01}
    assert values(collection, "mlflow_model_drift_limit") == {age: 0.112, country: 0.12, prediction: 0.11}
    assert values(collection, "mlflow_model_drift_significance") == {age: 300, country: 0.25}
    assert values(collection, "mlflow_model_drift_detected") == {age: 1, country: 0}
    assert values(collection, "mlflow_model_drift_distance") == {f'{age},method="ks"': 0.2}


def test_an_empty_window_says_that_it_has_no_rows() -> None:
    found = values(collect([make_view()]), "mlflow_model_window_rows")
    assert found == {'window="1h"': 1204, 'window="24h"': 0}


def test_columns_are_counted_by_all_three_verdicts_of_each_role_and_window() -> None:
    found = values(collect([make_view()]), "mlflow_model_columns")
    assert len(found) == 3 * 2 * 3
    features = {
        (window, verdict): found[f'role="feature",window="{window}",verdict="{verdict}"']
        for window in ("1h", "24h")
        for verdict in ("drifted", "stable", "undecided")
    }
    # user_id is not judged, so it is not undecided either
    assert features == {
        ("1h", "drifted"): 1, ("1h", "stable"): 1, ("1h", "undecided"): 0,
        ("24h", "drifted"): 0, ("24h", "stable"): 0, ("24h", "undecided"): 2,
    }  # fmt: skip


def test_a_role_without_columns_is_not_counted() -> None:
    column = Column("x", "feature", "number", edges=np.array([1.0]))
    reference = Reference((column,), np.ones(4, np.int64), np.zeros((1, 3)), 4, "regression", "file")
    found = values(collect([make_view(reference)]), "mlflow_model_columns")
    assert {labels.partition(",")[0] for labels in found} == {'role="feature"'}


def test_checks_show_what_they_know() -> None:
    collection = collect([make_view()])
    missing = 'column="age",role="feature",check="missing"'
    outside = 'column="age",role="feature",check="out_of_range"'
    unseen = 'column="country",role="feature",check="unseen"'
    prefix = "mlflow_model_data_quality"
    assert values(collection, f"{prefix}_ratio") == {missing: 0.6, outside: 0, unseen: 0.5}
    assert values(collection, f"{prefix}_reference_ratio") == {missing: 0.1, outside: 0}
    assert values(collection, f"{prefix}_degraded") == {missing: 1, outside: 0}
    assert values(collection, f"{prefix}_window_seconds") == {missing: 3600, outside: 86400, unseen: 86400}


def test_every_bin_of_every_column_is_there_from_zero() -> None:
    reference = make_reference()
    view = make_view(reference, values=np.zeros(reference.cells, np.int64), evaluation=None)
    found = values(collect([view]), "mlflow_model_values_total")
    assert len(found) == reference.cells
    assert set(found.values()) == {0}


def test_bins_are_named_and_can_be_reduced_to_their_index() -> None:
    def bins(**settings: Any) -> list[str]:
        found = values(collect([make_view()], **settings), "mlflow_model_values_total")
        return [labels.partition('bin="')[2].rstrip('"') for labels in found if 'column="age"' in labels]

    assert bins() == ["00 < 18", "01 [18, 25.5)", "02 >= 25.5", "03 (missing)", "04 (mismatch)"]
    assert bins(bin_names=False) == ["00", "01", "02", "03", "04"]
    assert "DE" not in "".join(lines(collect([make_view()], bin_names=False), "mlflow_model_reference_ratio"))


def test_shares_of_the_reference_add_up_to_one_in_each_column() -> None:
    found = values(collect([make_view()]), "mlflow_model_reference_ratio")
    for column in ("age", "country", "user_id", "prediction"):
        shares = [share for labels, share in found.items() if labels.startswith(f'column="{column}"')]
        assert sum(shares) == pytest.approx(1)


def test_a_column_that_the_reference_has_no_rows_of_has_no_shares() -> None:
    found = values(collect([make_view()]), "mlflow_model_reference_ratio")
    assert not [labels for labels in found if 'column="score"' in labels]


def test_counters_must_have_the_layout_of_the_reference() -> None:
    with pytest.raises(ValueError, match="fraud 3: values"):
        make_view(values=np.zeros(3, np.int64))
    with pytest.raises(ValueError, match="fraud 3: values"):
        make_view(latency=np.zeros(3, np.int64))


# MLflow's own runs


def test_bins_do_not_come_and_go_with_runs() -> None:
    limit = smallest_limit_that_shows(3, [make_view()])
    collector = SeriesCollector(Settings(max_run_series=20, max_series=limit), make_telemetry())
    for runs in (make_runs(), ()):
        assert len(shown_columns(collector.collect([make_view()], NOW, runs), "3")) == 3
    # Where they are switched off, nothing is set aside for them.
    assert len(shown_columns(collector.collect([make_view()], NOW, None), "3")) > 3


def test_runs_are_a_group_of_their_own() -> None:
    families = select_families(collect([make_view()]).families, groups=["runs"])
    assert [family.metric.name for family in families] == [
        "mlflow_experiment_runs",
        "mlflow_experiment_last_run_timestamp_seconds",
        "mlflow_run_metric",
        "mlflow_exporter_dropped_run_series",
    ]


# In the course of time


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


def test_an_evaluation_against_a_former_reference_shows_its_own_columns() -> None:
    former = make_reference()
    column = Column("income", "feature", "number", edges=np.array([1.0]))
    current = Reference((column,), np.ones(4, np.int64), np.zeros((1, 3)), 4, "binary", "file")
    collection = collect([make_view(current, evaluation=make_evaluation(former))])
    assert all('column="income"' in labels for labels in values(collection, "mlflow_model_values_total"))
    assert 'column="age",role="feature",window="1h"' in values(collection, "mlflow_model_drift_score")


def test_labels_are_rendered_once_and_forgotten_with_their_version(monkeypatch: pytest.MonkeyPatch) -> None:
    rendered: list[str] = []

    def render_and_tell(metric: Metric, labels: Sequence[str]) -> str:
        rendered.append(metric.name)
        return render_prefix(metric, labels)

    monkeypatch.setattr("exporter.exposition.versions.render_prefix", render_and_tell)

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


def shown_columns(collection: Collection, version: str) -> list[str]:
    marked = f'model_version="{version}",column="'
    found = [line.partition(marked)[2] for line in lines(collection, "mlflow_model_values_total")]
    return list(dict.fromkeys(rest.partition('"')[0] for rest in found if rest))


def smallest_limit_that_shows(columns: int, views: Sequence[VersionView]) -> int:
    def shown(limit: int) -> int:
        return len(shown_columns(collect(views, max_series=limit), views[0].version))

    limits = range(1, 2000)
    return limits[bisect_left(limits, columns, key=shown)]


def test_below_the_limit_nothing_is_cut() -> None:
    assert collect([make_view()]).cut == ()
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
    (cut,) = limited.cut
    assert (cut.model, cut.version) == ("fraud", "3")
    assert cut.columns == ("age", "country", "user_id", "prediction", "score")
    assert cut.series == 2 * reference.cells
    dropped = f"mlflow_exporter_dropped_series {cut.series}"
    assert lines(limited, "mlflow_exporter_dropped_series") == [dropped]


def test_bins_go_by_whole_columns_the_last_features_first_and_alike_in_every_version() -> None:
    views = [make_view(), make_view(version="4")]
    limit = smallest_limit_that_shows(3, views)
    collection = collect(views, max_series=limit)
    for version in ("3", "4"):
        assert shown_columns(collection, version) == ["age", "prediction", "score"]
        shown = [line for line in lines(collection, "mlflow_model_values_total") if f'"{version}"' in line]
        assert len(shown) == 5 + 6 + 4
    assert [cut.columns for cut in collection.cut] == [("country", "user_id")] * 2


def test_the_limit_holds() -> None:
    views = [make_view(), make_view(version="4")]
    least, most = (count_series(collect(views, max_series=limit)) for limit in (1, 10_000))
    for limit in range(least, most + 300, 7):
        assert count_series(collect(views, max_series=limit)) <= limit


def test_a_verdict_that_comes_and_goes_does_not_take_bins_along() -> None:
    view = make_view()
    limit = smallest_limit_that_shows(4, [view])
    for state in (view, replace(view, evaluation=None), replace(view, last_prediction=None)):
        assert len(shown_columns(collect([state], max_series=limit), "3")) == 4
