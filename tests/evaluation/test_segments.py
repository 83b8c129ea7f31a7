"""Segments: slices of a version's rows, each compared with the reference's own rows of the same slice."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn import metrics

import exporter.monitoring.evaluator
from exporter.aggregates.outcomes import Outcomes
from exporter.config.models import ModelsConfig
from exporter.errors import RegistryUnreachableError
from exporter.evaluation.segments import SegmentEvaluation, evaluate_segment
from exporter.ingest.recount import recount
from exporter.profiling.build import build_reference
from exporter.profiling.data import ReferenceData
from exporter.profiling.segments import MAX_SEGMENTS_PER_VERSION
from exporter.reference.profile import Reference, Segment, decode_reference
from exporter.views.versions import version_detail
from tests.ingest.test_join import make_labelled_table
from tests.support.fakes import TIMEOUT_SECONDS, Clock, FakeRegistry
from tests.support.rig import NOON, Rig, make_rows

Start = Callable[..., Rig]
KEY = 'model="fraud",model_version="1"'


def make_registry(segments: str = "country", table: pa.Table | None = None) -> FakeRegistry:
    registry = FakeRegistry()
    registry.register("fraud", make_labelled_table() if table is None else table, alias="champion")
    registry.tag("fraud", "1", segments=segments)
    return registry


@pytest.fixture
def sliced(start: Start) -> Rig:
    return start(registry=make_registry())


def shown(rig: Rig, name: str, segment: str, **labels: str) -> float | None:
    rig.evaluate()
    rest = "".join(f',{label}="{value}"' for label, value in labels.items())
    return rig.sample(f'mlflow_segment_{name}{{{KEY},segment="{segment}"{rest},window="24h"}}')


def build(table: pa.Table, *segments: str) -> Reference:
    return build_reference(ReferenceData(table, "tests", split="test", segments=segments), (), 100)


# -- the reference's ----------------------------------------------------------------------------------------


def test_a_segment_has_the_profile_of_its_own_rows() -> None:
    table = make_labelled_table()
    whole = build(table, "country")
    segment = whole.segments[0]
    german = build(table.filter(pa.compute.equal(table["country"], "DE")))
    assert [each.name for each in whole.segments] == ["country=DE", "country=FR", "country=AT"]
    assert (segment.reference.rows, segment.reference.outcomes != b"") == (german.rows, True)
    assert segment.reference.counts.sum() == german.rows * len(whole.columns)
    assert segment.reference.columns == whole.columns
    assert sum(each.reference.counts for each in whole.segments).tolist() == whole.counts.tolist()


def test_segments_are_read_back_as_they_were_stored() -> None:
    whole = build(make_labelled_table(), "country", "new")
    again = decode_reference(whole.encode())
    assert again.digest == whole.digest
    assert [each.name for each in again.segments][3:] == ["new=false", "new=true"]
    assert again.segments[0].reference.columns is again.columns


def test_without_segments_nothing_of_a_reference_changes() -> None:
    table = make_labelled_table()
    assert replace(build(table, "country"), segments=()).digest == build(table).digest


def test_the_frequent_categories_are_segments_and_the_notes_say_what_is_left_out() -> None:
    rows = 4000
    table = pa.table(
        {f"c{k}": [f"v{min(row % 97, 40) % 20}" for row in range(rows)] for k in range(4)}
        | {"x": np.arange(rows) % 7 + 0.5}
    )
    whole = build(table, "c0", "c1", "c2", "c3", "x")
    assert len(whole.segments) == MAX_SEGMENTS_PER_VERSION
    assert "segments of column c0 are its 10 most frequent categories" in whole.notes
    assert "segments of column c3 are its 0 most frequent categories" in whole.notes
    assert "column x has no categories to slice by" in whole.notes


def test_of_two_segments_with_one_name_the_second_is_left_out() -> None:
    table = pa.table({"a": ["b=c", "x"] * 300, "a=b": ["c", "y", "y"] * 200, "x": np.arange(600) + 0.5})
    whole = build(table, "a", "a=b")
    assert sorted(each.name for each in whole.segments) == ["a=b=c", "a=b=y", "a=x"]
    assert next(each for each in whole.segments if each.name == "a=b=c").reference.rows == 300
    assert "a segment of column a=b is left out: another is called a=b=c, too" in whole.notes


def test_two_segments_that_differ_in_what_cannot_be_stored_are_one() -> None:
    whole = build(pa.table({"a": ["b\0", "b", "b"] * 200, "x": np.arange(600) + 0.5}), "a")
    assert [(each.name, each.reference.rows) for each in whole.segments] == [("a=b", 400)]
    assert "a segment of column a is left out: another is called a=b, too" in whole.notes


# -- live ---------------------------------------------------------------------------------------------------


def test_a_category_that_no_database_takes_is_a_segment_all_the_same(start: Start, store_uri: str) -> None:
    table = make_labelled_table()
    countries = pa.array(["a\0b" if each == "DE" else each for each in table["country"].to_pylist()])
    table = table.set_column(table.column_names.index("country"), "country", countries)
    rig = start(store=store_uri, registry=make_registry(table=table))
    rows = make_rows(20, prefix="p")
    for row in rows:
        row["features"]["country"] = "a\0b"
    rig.post_rows(rows)
    rig.post_labels({f"p{number}": number % 2 for number in range(20)})
    assert shown(rig, "rows", "country=ab") == 20


def test_rows_are_counted_in_their_segment(sliced: Rig) -> None:
    rows = make_rows(300)
    sliced.post_rows(rows)
    by_country: dict[str, int] = defaultdict(int)
    for row in rows:
        by_country[row["features"]["country"]] += 1
    for country, count in by_country.items():
        assert shown(sliced, "rows", f"country={country}") == count


def test_the_drift_of_a_segment_is_that_against_its_own_rows(sliced: Rig) -> None:
    sliced.post_rows(make_rows(100))
    sliced.clock.advance(86400 + 3600)  # a version of less than a day may be unlike its reference
    rows = make_rows(6000)
    for row in rows:
        if row["features"]["country"] == "FR":
            row["features"]["age"] += 40.0
    sliced.post_rows(rows)
    labels = {"column": "age", "role": "feature"}
    assert shown(sliced, "drift_detected", "country=FR", **labels) == 1
    assert shown(sliced, "drift_detected", "country=DE", **labels) == 0
    score = shown(sliced, "drift_score", "country=DE", **labels)
    assert score is not None
    assert score < 0.1
    assert shown(sliced, "drift_score", "country=DE", column="country", role="feature") is None


def post_labelled(rig: Rig, rows: list[dict[str, Any]], flaw: str = "") -> dict[str, list[tuple[int, int]]]:
    """Rows and their labels, wrong in one country; label and prediction by segment."""
    draw = np.random.default_rng(3)
    rig.post_rows(rows)
    labels, truth = {}, defaultdict(list)
    for row in rows:
        country = row["features"]["country"]
        label = int(draw.random() < row["score"]) if country != flaw else 1 - row["prediction"]
        labels[row["id"]] = label
        truth[f"country={country}"].append((label, row["prediction"]))
    rig.post_labels(labels)
    return truth


def test_quality_by_segment_is_that_of_its_joined_rows(sliced: Rig) -> None:
    for segment, pairs in post_labelled(sliced, make_rows(500, prefix="p")).items():
        label, prediction = zip(*pairs, strict=True)
        expected = metrics.accuracy_score(label, prediction)
        assert shown(sliced, "quality", segment, metric="accuracy") == pytest.approx(expected)


def test_what_degrades_in_one_segment_is_said_of_that_one(sliced: Rig) -> None:
    yesterday = NOON - 30 * 3600
    post_labelled(sliced, make_rows(3000, prefix="y", timestamp=yesterday), flaw="FR")
    post_labelled(sliced, make_rows(3000, prefix="p"), flaw="FR")
    assert shown(sliced, "quality_degraded", "country=FR", metric="accuracy") == 1
    assert shown(sliced, "quality_degraded", "country=DE", metric="accuracy") == 0


def test_a_segment_that_cannot_be_evaluated_is_left_out_and_the_others_go_on(
    sliced: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    sliced.post_rows(make_rows(300))

    def evaluate_others(segment: Segment, *arguments: Any) -> SegmentEvaluation:
        if segment.name == "country=FR":
            raise OverflowError("too much")
        return evaluate_segment(segment, *arguments)

    monkeypatch.setattr(exporter.monitoring.evaluator, "evaluate_segment", evaluate_others)

    assert shown(sliced, "rows", "country=FR") is None
    assert shown(sliced, "rows", "country=DE") is not None
    assert sliced.shown_rows() == 300
    detail = version_detail(sliced.version())
    assert detail.problems == ["the evaluation of segment country=FR failed: OverflowError: too much"]
    assert [segment.segment for segment in detail.segments] == ["country=DE", "country=AT"]


def test_the_json_shows_each_segment_and_why_it_has_no_verdict(sliced: Rig) -> None:
    post_labelled(sliced, make_rows(300, prefix="p"))
    sliced.evaluate()

    german = version_detail(sliced.version()).segments[0]

    assert german.segment == "country=DE"
    assert german.window_rows["24h"] == shown(sliced, "rows", "country=DE")
    assert "country" not in {column.column for column in german.columns}
    age = next(each for each in german.columns if (each.column, each.window) == ("age", "24h"))
    assert (age.verdict, bool(age.undecided)) == ("undecided", True)
    day = next(each for each in german.quality if each.window == "24h")
    accuracy = next(each for each in day.metrics if each.metric == "accuracy")
    assert accuracy.value == shown(sliced, "quality", "country=DE", metric="accuracy")
    assert accuracy.undecided == f"{day.labels} labels, 200 are needed"
    assert day.no_estimate == "it is not estimated for segments"


def test_late_labels_and_corrections_find_the_segment_after_a_restart(start: Start) -> None:
    registry, clock = make_registry(), Clock(NOON)
    first = start(registry=registry, clock=clock)
    row = {"features": {"country": "FR"}, "prediction": 1, "score": 0.9}
    first.post_rows([{"id": "a", **row}, {"id": "b", **row}])
    first.post_labels({"a": 0})
    first.stop()
    clock.advance(3600.0)

    second = start(registry=registry, clock=clock)
    assert shown(second, "rows", "country=FR") == 2
    assert shown(second, "quality", "country=FR", metric="accuracy") == 0
    second.post_labels({"a": 1, "b": 1})
    assert shown(second, "quality", "country=FR", metric="accuracy") == 1
    second.post_rows([{"id": "b", **row, "features": {"country": "DE"}, "prediction": 0}])  # another payload
    assert shown(second, "quality", "country=FR", metric="accuracy") == 1
    assert shown(second, "quality", "country=DE", metric="accuracy") == 0


def outcomes_of(rig: Rig) -> dict[tuple[str, int], list[int]]:
    counts = rig.version().counts
    assert counts is not None

    def listed(outcomes: Outcomes) -> list[int]:
        return [*outcomes.counts.tolist(), *outcomes.sums.tolist()]

    found = {(name, hour): part for name, s in counts.segments.items() for hour, part in s.outcomes.items()}
    return {key: listed(part) for key, part in found.items() if part}


def test_counting_anew_gives_the_same(sliced: Rig) -> None:
    post_labelled(sliced, make_rows(200, prefix="p"))
    sliced.post_labels({f"p{place}": 1 for place in range(50)})
    before = outcomes_of(sliced)
    version, service = sliced.version(), sliced.service
    service.writer.call(lambda: recount(service.store, sliced.settings, version)).result(TIMEOUT_SECONDS)
    assert before
    assert outcomes_of(sliced) == before


def test_rows_that_wait_for_the_reference_are_counted_in_their_segment(start: Start) -> None:
    registry = make_registry()
    registry.set_reference("fraud", "1", RegistryUnreachableError("down"))
    rig = start(registry=registry)
    rig.post_rows([{"features": {"country": "AT"}, "prediction": 1}] * 3)
    registry.set_reference("fraud", "1", make_labelled_table())
    rig.poll()
    assert shown(rig, "rows", "country=AT") == 3


def test_what_is_past_its_retention_is_forgotten(sliced: Rig) -> None:
    post_labelled(sliced, make_rows(20, prefix="p"))
    sliced.clock.advance(sliced.settings.outcome_retention_seconds + 86400.0)
    sliced.evaluate()
    counts = sliced.version().counts
    assert counts is not None
    assert not any(found.timeline.coarse or found.outcomes for found in counts.segments.values())
    assert not sliced.service.store.load_segment_blocks(counts.reference_id)


def test_segments_go_when_series_are_few_and_it_is_counted(start: Start) -> None:
    rig = start(registry=make_registry(), max_series=300, max_run_series=0)
    rig.post_rows(make_rows(10))
    assert shown(rig, "rows", "country=DE") is None
    assert (rig.sample("mlflow_exporter_dropped_series") or 0) > 0


def test_without_names_a_segment_shows_an_index(start: Start) -> None:
    rig = start(registry=make_registry(), bin_names=False)
    rig.post_rows(make_rows(10))
    assert shown(rig, "rows", "country=00") is not None


def test_the_configuration_names_the_columns() -> None:
    file = ModelsConfig.model_validate({"models": {"fraud": {"segments": ["country"]}}})
    assert file.resolve("fraud", {})[0].reference_fields()["segments"] == ("country",)
