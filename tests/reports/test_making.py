"""Reports by the real Evidently: what they have, and that no input loses them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exporter.cli import main
from exporter.config.named_metrics import NamedMetric
from exporter.errors import CrashedError, ReportError
from exporter.isolation import Children
from exporter.reports import making
from exporter.reports.contents import ReportColumn, ReportInput, ReportResult
from exporter.sampling.rows import SampledRow
from tests.support.report_inputs import (
    COLUMNS,
    binary_input,
    binary_rows,
    live_rows,
    reference_parquet,
)

Make = Callable[[ReportInput], ReportResult]
SCRIPT = "</script><script>alert(1)</script>"
COUNT = NamedMetric(name="RowCount")


def named(*written: str | dict[str, Any]) -> tuple[NamedMetric, ...]:
    return tuple(map(NamedMetric.model_validate, written))


def text(compressed: bytes) -> str:
    return gzip.decompress(compressed).decode()


def values_of(report: ReportResult) -> dict[tuple[str, str, str], float]:
    return {(each.metric, each.column, each.part): each.value for each in report.values}


def test_a_report_has_drift_quality_and_a_summary(made_report: ReportResult) -> None:
    values = values_of(made_report)
    assert values["DriftedColumnsCount", "", "count"] == 1
    assert values["ValueDrift", "amount", ""] > 0.5 > values["ValueDrift", "country", ""]
    assert 0.6 < values["Accuracy", "", ""] < values["RocAuc", "", ""] < 0.95
    assert values["RecallByLabel", "", "1"] == values["Recall", "", ""]
    assert values["MissingValueCount", "hour", "share"] == 0
    assert values["UniqueValueCount", "country", "count DE"] > 200
    assert values["QuantileValue(quantile=0.5)", "amount", ""] > 40
    assert not any(each.named for each in made_report.values)
    assert made_report.rows == 400


def test_a_report_says_what_it_is_about(made_report: ReportResult) -> None:
    about = json.loads(text(made_report.json))["about"]
    assert (about["rows"], about["rows_counted"], about["reference_rows"]) == (400, 4000, 1000)
    assert about["start"] == "2023-11-14 22:13:20 UTC"
    assert about["notes"] == list(made_report.notes) == ["a remark", "400 of 400 sampled rows have a label"]
    assert about["importance"] == {"amount": 0.75, "hour": 0.25}
    page = text(made_report.html)
    for shown in ("fraud 3", "amount drifted (24h)", "400 sampled of 4,000", "d1ce" * 16, "amount 75%"):
        assert shown in page
    assert '<a href="http://mlflow.example/#/models/fraud/versions/3">' in page


def test_a_report_is_a_snapshot_for_evidentlys_own_interface(made_report: ReportResult) -> None:
    snapshot = json.loads(text(made_report.snapshot))
    assert snapshot["metadata"]["model"] == "fraud"
    assert len(snapshot["metric_results"]) == len(snapshot["top_level_metrics"]) > 50


def test_drift_has_the_limits_of_the_version(made_report: ReportResult) -> None:
    metrics = json.loads(text(made_report.json))["metrics"]
    drift = {
        m["config"]["column"]: m["config"] for m in metrics if m["config"]["type"].endswith(":ValueDrift")
    }
    assert {config["method"] for config in drift.values()} == {"psi"}
    # 12 bins by Sturges' rule for 1,400 rows: 0.2 + 11 (1/400 + 1/1000)
    assert drift["amount"]["threshold"] == pytest.approx(0.2385)
    assert drift["country"]["threshold"] == pytest.approx(0.1 + 2 * (1 / 400 + 1 / 1000))


HOSTILE: dict[str, tuple[str, Callable[[int], Any], Callable[[int], Any]]] = {
    SCRIPT: ("category", lambda i: SCRIPT if i % 3 else "x", lambda i: "x"),
    "dicts": ("category", lambda i: {"a": i}, str),
    "nested": ("category", lambda i: "(nested)", str),
    "mixed": ("number", lambda i: i if i % 2 else f"t{i}", float),
    "nulls": ("number", lambda i: None, float),
    "infinite": ("number", lambda i: float("inf") if i % 5 == 0 else float(i), float),
    "huge": ("number", lambda i: 1e300 if i % 2 else float(i), float),
    "many": ("category", lambda i: f"c{i}", lambda i: f"c{i}"),
    "long": ("category", lambda i: "y" * 1_000_000 if i < 2 else "z", lambda i: "z"),
    "flag": ("boolean", lambda i: bool(i % 2), lambda i: bool(i % 2)),
    "when": ("time", lambda i: "2024-01-01T00:00:00+02:00" if i % 2 else 1.7e9, lambda i: "2024-01-01"),
    "constant": ("number", lambda i: 1.0, lambda i: 1.0),
    "prediction": ("number", lambda i: float(i % 7), lambda i: float(i % 7)),
    "odd \ud800": ("number", float, lambda i: None),
}


@pytest.fixture(scope="module")
def hostile(make_report: Make) -> ReportResult:
    rows = range(120)
    columns = tuple(ReportColumn(name, "feature", kind) for name, (kind, *_) in HOSTILE.items())  # type: ignore[arg-type]
    live = {name: list(map(value, rows)) for name, (_, value, _) in HOSTILE.items()}
    base = {name: list(map(value, rows)) for name, (_, _, value) in HOSTILE.items() if "\ud800" not in name}
    _, predictions, scores, labels = binary_rows(len(rows), 1)
    return make_report(
        binary_input(
            columns=columns + COLUMNS[-2:],
            rows=(SampledRow(0.0, b"{", None), *live_rows(live, predictions, scores, ["0"] * len(rows))),
            reference_rows=reference_parquet(base, prediction=predictions, score=scores, target=labels),
            model=SCRIPT,
            reason=SCRIPT,
            links={SCRIPT: "javascript:alert(1)", "ok": 'http://a/"onclick="'},
        )
    )


@pytest.mark.parametrize(
    "note",
    [
        "column dicts is left out: its values are no single values",
        "column nested is left out: its values are no single values",
        "column mixed: 60 values are no numbers and count as missing",
        "column nulls is left out: it has no value in the window",
        "column infinite: 24 infinite values count as missing",
        "column huge: 60 infinite values count as missing",
        "column many: of 120 categories the 30 most frequent are shown",
        "column odd \\ud800 is left out: it has no value in the reference",
        "120 of 120 sampled rows have a label",
        "no label in the window is 1, so figures that need all classes, such as ROC AUC, are not shown",
    ],
)
def test_what_a_value_costs_is_in_the_notes(hostile: ReportResult, note: str) -> None:
    assert note in hostile.notes


def test_only_what_cannot_be_used_is_left_out(hostile: ReportResult) -> None:
    values = values_of(hostile)
    drifted = {column for metric, column, _ in values if metric == "ValueDrift"}
    assert {SCRIPT, "mixed", "infinite", "many", "long", "flag", "prediction (of the model)"} <= drifted
    assert values["UniqueValueCount", "flag", "count true"] == 60
    assert max(len(part) for _, _, part in values) <= 100
    assert values["RecallByLabel", "", "0"] <= 1


def test_no_text_of_the_data_ends_a_script(hostile: ReportResult) -> None:
    page = text(hostile.html)
    assert "\\u003c/script>\\u003cscript>alert(1)" in page
    assert "<script>alert" not in page
    assert page.count("</script>") == 4  # data, two of its library, the call
    assert "javascript:" not in page.partition("<section")[2].partition("</section>")[0]
    assert 'href="http://a/&quot;onclick=&quot;"' in page
    assert json.loads(text(hostile.json))["about"]["model"] == SCRIPT


@pytest.mark.parametrize(
    ("labels", "note"),
    [
        (
            lambda label, i: None,
            "no row of the window has a label, so the quality of predictions is not shown",
        ),
        (
            lambda label, i: "2" if i < 9 else label,
            "column target: 9 values are no class of the model and count as missing",
        ),
        (lambda label, i: "0", "RocAuc is left out: "),
    ],
    ids=["none", "an unknown class", "one class"],
)
def test_labels_that_are_missing_or_wrong_are_noted(
    make_report: Make, labels: Callable[[str, int], str | None], note: str
) -> None:
    features, predictions, scores, right = binary_rows(200, 1)
    given = [labels(label, place) for place, label in enumerate(right)]
    rows = live_rows(features, predictions, scores, given)
    report = make_report(binary_input(rows=rows, metrics=named("RocAuc", "RowCount")))
    assert [each for each in report.notes if each.startswith(note)]
    assert values_of(report)["RowCount", "", ""] == 200


def test_without_a_reference_the_window_is_shown(make_report: Make) -> None:
    report = make_report(
        binary_input(reference_rows=b"", metrics=named("DataDriftPreset", "RowCount", "Recall"))
    )
    assert "the reference's rows are not stored, so nothing is compared with them" in report.notes
    assert "DataDriftPreset is left out: it needs the reference's rows" in report.notes
    assert {each.metric for each in report.values} == {"RowCount", "Recall"}


@pytest.mark.parametrize(
    "rows", [(), (SampledRow(0.0, b"[]", None), SampledRow(0.0, b'{"features": 3}', None))]
)
def test_a_window_without_rows_has_no_report(make_report: Make, rows: tuple[SampledRow, ...]) -> None:
    with pytest.raises(ReportError, match=r"^no rows of the window were sampled$"):
        make_report(binary_input(rows=rows))


def test_a_model_of_numbers_has_errors(make_report: Make) -> None:
    features, _, scores, _ = binary_rows(200, 1)
    labels = [str(score + 0.25 + 0.05 * (-1) ** place) for place, score in enumerate(scores)]
    given = binary_input(
        task="regression",
        classes=(),
        positive_class="",
        columns=(*COLUMNS[:3], ReportColumn("prediction", "prediction", "number")),
        rows=live_rows(features, scores, [None] * 200, labels),
        reference_rows=reference_parquet(features, prediction=scores, target=[float(x) for x in labels]),
    )
    values = values_of(make_report(replace(given, metrics=named("MAE", "RMSE"))))
    assert values["MAE", "", "mean"] == pytest.approx(0.25)
    assert values["RMSE", "", ""] == pytest.approx((0.25**2 + 0.05**2) ** 0.5)
    zeros = live_rows(features, scores, [None] * 200, ["0"] * 200)
    report = make_report(replace(given, rows=zeros, metrics=named("MAE", "RowCount")))
    assert "every label is 0, of which Evidently has no quality" in report.notes


def test_a_model_of_several_classes_has_probabilities(make_report: Make) -> None:
    probabilities = np.random.default_rng(0).dirichlet([1, 1, 1], 200)
    classes = ("a", "b", "c")
    predictions = [classes[place] for place in probabilities.argmax(1)]
    features = binary_rows(200, 1)[0]
    scores = probabilities.tolist()
    given = binary_input(
        task="multiclass",
        classes=classes,
        positive_class="",
        rows=live_rows(features, predictions, scores, predictions),
        reference_rows=reference_parquet(features, prediction=predictions, scores=scores, target=predictions),
        metrics=named("RocAucByLabel", "Accuracy"),
    )
    values = values_of(make_report(given))
    assert values["Accuracy", "", ""] == 1
    assert values["RocAucByLabel", "", "c"] > 0.9
    without_c = ["b" if label == "c" else label for label in predictions]
    rows = live_rows(features, predictions, scores, without_c)
    report = make_report(replace(given, rows=rows, metrics=named("RecallByLabel")))
    assert values_of(report)["RecallByLabel", "", "a"] == 1
    assert any(note.startswith("no label in the window is c") for note in report.notes)


@pytest.fixture(scope="module")
def of_named(make_report: Make) -> ReportResult:
    rows, predictions, scores, labels = binary_rows(150, 1)
    comments = [f"word {'very ' * (i % 5)}good" for i in range(150)]
    metrics = named(
        {"ValueDrift": {"column": "amount"}},
        {"ValueDrift": {"column": "amount", "method": "wasserstein", "threshold": "0.3"}},
        {"ValueDrift": {"column": "absent"}},
        {"ColumnMetricGenerator": {"metric_type": "MeanValue", "columns": ["hour", "words"]}},
        {"GroupBy": {"metric": {"MaxValue": {"column": "hour"}}, "column_name": "country"}},
        {"InListValueCount": {"column": "country", "values": ["DE", "FR"]}},
        {"MaxValue": {"column": "words", "tests": [{"lt": "3"}]}},
        {"DataDriftPreset": {"columns": ["hour", "country"], "cat_method": "wasserstein"}},
        "RMSE",
        "Acuracy",
    )
    descriptors = named(
        {"WordCount": {"column_name": "comment", "alias": "words"}},
        {"IncludesWords": {"column_name": "comment", "words_list": ["good"], "alias": "good"}},
        "Sentiment",
    )
    return make_report(
        binary_input(
            columns=(*COLUMNS, ReportColumn("comment", "feature", "category", unjudged="looks like an id")),
            rows=live_rows({**rows, "comment": comments}, predictions, scores, labels),
            reference_rows=reference_parquet({**rows, "comment": comments}),
            metrics=metrics,
            descriptors=descriptors,
        )
    )


def test_metrics_and_descriptors_are_those_of_the_configuration(of_named: ReportResult) -> None:
    values = values_of(of_named)
    assert values["ValueDrift", "amount", ""] == values["ValueDrift(method=wasserstein)", "amount", ""] == 0
    assert values["MeanValue", "words", ""] == pytest.approx(4)
    assert {part for metric, _, part in values if metric == "MaxValue by country"} == {"DE", "FR", "IT"}
    assert 20 < values["MaxValue by country", "hour", "DE"] <= 23
    assert values["InListValueCount(values=DE|FR)", "country", "share"] > 0.8
    assert all(each.named for each in of_named.values)


def test_tests_of_the_configuration_are_in_the_report(of_named: ReportResult) -> None:
    tests = json.loads(text(of_named.json))["tests"]
    assert {test["status"] for test in tests if "words" in test["name"]} == {"FAIL"}


def test_what_cannot_be_made_is_noted_and_the_rest_is_made(of_named: ReportResult) -> None:
    assert "ValueDrift is left out: column absent is not in the report" in of_named.notes
    assert (
        "Evidently has no preset or metric Acuracy; did you mean Accuracy?; it is left out" in of_named.notes
    )
    assert "Sentiment needs a network, so reports do not have it; it is left out" in of_named.notes
    assert any(note.startswith("RMSE is left out") for note in of_named.notes)
    assert any(note.startswith("ValueDrift of column country is left out") for note in of_named.notes)
    assert values_of(of_named)["DriftedColumnsCount", "", "count"] == 0


def test_evidently_that_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(making, "find_spec", lambda name: None)
    with pytest.raises(ReportError, match=r"not installed: pip install 'mlflow-exporter\[reports\]'"):
        making.make_report(binary_input(10, 10))


@pytest.mark.parametrize("answer", [b"", b"[]", b'{"html": "?"}'])
def test_an_answer_that_is_no_report_is_told(monkeypatch: pytest.MonkeyPatch, answer: bytes) -> None:
    monkeypatch.setattr(Children, "run", lambda *_: answer)
    with pytest.raises(CrashedError, match="the answer of its process is unreadable"):
        making.make_report(binary_input(10, 10))


def test_check_config_has_evidently_check_the_names(
    warm_child: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "exporter.yml"
    path.write_text(
        "reports:\n  metrics:\n  - DataDriftPreset\n  - ValueDrift: {colum: a}\n"
        "  - QuantileValue: {column: a, quantile: x}\n"
        "models:\n  fraud:\n    reports:\n      metrics: [ValueDrif, LLMJudge, TextLength]\n"
        "      descriptors:\n      - TextLength: {column_name: a}\n"
        "      - Contains: {column_name: a, items: [b]}\n      - OpenAI\n"
    )
    with pytest.raises(SystemExit) as ended:
        main(["check-config", str(path)])
    assert ended.value.code == 2
    told = capsys.readouterr().err
    for mistake in (
        "reports: ValueDrift has no argument colum; did you mean column?",
        "reports: QuantileValue cannot have 'x' as quantile",
        "reports: Evidently has no preset or metric ValueDrif; did you mean ValueDrift?",
        "reports: LLMJudge needs a network, so reports do not have it",
        "reports: TextLength is no preset or metric: put it below descriptors",
        "reports: OpenAI needs a network, so reports do not have it",
    ):
        assert mistake in told
    assert told.count("reports: ") == 6
