"""A reference from a sample of live rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pytest

from exporter.aggregates.outcome_layout import outcome_layout
from exporter.aggregates.outcomes import decode_outcomes, tally
from exporter.config.models import Minimums
from exporter.errors import ReferenceInvalidError
from exporter.profiling.build import build_reference
from exporter.profiling.data import ReferenceData
from exporter.profiling.from_sampled_rows import LiveSample, profile_live_sample
from exporter.reference.profile import Reference, decode_reference
from exporter.sampling.rows import SampledRow
from exporter.settings import Settings

SETTINGS = Settings()
NOW = 20_500 * 86400.0
DAY = 86400.0
Row = dict[str, Any]


def former(**more: Any) -> Reference:
    """A reference with a column of each kind, scores and labels."""
    random = np.random.default_rng(0)
    score = random.random(3000)
    own = {"prediction": (score > 0.7).astype(np.int64), "score": score}
    table = pa.table(
        {
            "age": random.normal(40, 12, 3000),
            "country": random.choice(["DE", "FR", "AT"], 3000, p=[0.6, 0.3, 0.1]),
            "new": random.random(3000) < 0.2,
            "born": pa.array((random.random(3000) * 1e9 * 1e6).astype(np.int64)).cast(pa.timestamp("us")),
            "timestamp": pa.array(NOW - 90 * DAY + np.arange(3000.0)),
            "is_fraud": (random.random(3000) < score).astype(np.int64),
            **own,
        }
    )
    data = ReferenceData(table, "tests", split="test", target="is_fraud", segments=("country",), **more)
    return build_reference(data, SETTINGS.windows, 10)


FORMER = former()


def live(count: int = 1500, days: float = 20.0, labelled: float = 1.0, seed: int = 1) -> list[SampledRow]:
    """Rows of people ten years older than those of the reference, spread over the days before now."""
    random = np.random.default_rng(seed)
    rows = []
    for at in np.sort(NOW - random.random(count) * days * DAY).tolist():
        score = random.random()
        features = {
            "age": round(random.normal(50, 12), 3),
            "country": str(random.choice(["DE", "FR", "AT"], p=[0.2, 0.3, 0.5])),
            "new": int(random.random() < 0.2),
            "born": f"{random.integers(1950, 2000)}-05-06T00:00:00+00:00",
        }
        content = {"features": features, "prediction": int(score > 0.5), "score": score}
        label = str(int(random.random() < score)) if random.random() < labelled else None
        rows.append(SampledRow(at, orjson.dumps(content), label))
    return rows


def changed(rows: list[SampledRow], **values: Any) -> list[SampledRow]:
    """Rows with other values of a feature, by name: a function of the number of the row."""
    found = []
    for number, row in enumerate(rows):
        content = orjson.loads(row.content)
        for name, value in values.items():
            content["features"][name] = value(number)
        content["features"] = {k: v for k, v in content["features"].items() if v is not None}
        found.append(replace(row, content=orjson.dumps(content)))
    return found


def sampled(contents: Sequence[Row], labels: Sequence[str | None]) -> list[SampledRow]:
    """A row a second before now."""
    rows = enumerate(zip(contents, labels, strict=True))
    return [SampledRow(NOW - k, orjson.dumps(content), label) for k, (content, label) in rows]


def rebuilt(rows: list[SampledRow], before: Reference = FORMER, **options: Any) -> Reference:
    said = {"task": before.task, "positive_class": before.positive_class, "segments": ("country",)}
    sample = LiveSample(
        rows=tuple(rows),
        former=before,
        hidden=frozenset(options.pop("hidden", ())),
        minimums=options.pop("minimums", Minimums()),
        said=said | options,
    )
    reference = profile_live_sample(sample, SETTINGS)[2]
    assert decode_reference(reference.encode()).digest == reference.digest
    return reference


def column(reference: Reference, name: str) -> Any:
    return next(each for each in reference.columns if each.name == name)


def cells(reference: Reference, name: str) -> dict[str, int]:
    """Rows by the name of the cell, without its number."""
    index = [each.name for each in reference.columns].index(name)
    first, last = reference.offsets[index : index + 2]
    names = [cell[3:] for cell in reference.columns[index].cell_names]
    return dict(zip(names, reference.counts[first:last].tolist(), strict=True))


def test_it_has_new_bins_of_the_same_columns_and_kinds() -> None:
    found = rebuilt(live())
    assert [(c.name, c.role, c.kind) for c in found.columns] == [
        ("age", "feature", "number"),
        ("country", "feature", "category"),
        ("new", "feature", "boolean"),
        ("born", "feature", "time"),
        ("prediction", "prediction", "category"),
        ("score", "score", "number"),
    ]
    assert (found.rows, found.source, found.split, found.task) == (1500, "live", "live", "binary")
    middle = column(found, "age").edges[len(column(found, "age").edges) // 2]
    assert middle == pytest.approx(50, abs=3)
    assert column(found, "country").categories[0] == "AT"
    assert [segment.name for segment in found.segments] == ["country=AT", "country=FR", "country=DE"]
    assert not [c.unjudged for c in found.columns if c.unjudged]


def test_labels_give_baselines() -> None:
    found = rebuilt(live())
    layout = outcome_layout(found)
    assert layout is not None
    counts = tally(layout, [decode_outcomes(layout, found.outcomes)])
    assert counts.rows == 1500
    assert (found.target, found.classes, found.positive_class) == ("is_fraud", ("0", "1"), "1")


@pytest.mark.parametrize(("days", "known"), [(7.0, False), (20.0, True)])
def test_two_weeks_tell_natural_variation(days: float, known: bool) -> None:
    assert rebuilt(live(3000, days)).provisional is not known


@pytest.mark.parametrize("minimums", [Minimums(labels=2000), Minimums(positives=1000)])
def test_with_few_labels_what_was_promised_stays(minimums: Minimums) -> None:
    found = rebuilt(live(), minimums=minimums)
    assert found.outcomes == FORMER.outcomes
    assert found.quality_variation == FORMER.quality_variation
    assert (found.target, found.split) == ("is_fraud", "test")
    before, now = outcome_layout(FORMER), outcome_layout(found)
    assert before is not None
    assert now is not None
    assert now.digest == before.digest  # or what is stored of labels could not be read
    assert column(found, "age").edges[0] != column(FORMER, "age").edges[0]
    assert any("what the reference before says of quality stays" in note for note in found.notes)
    other = rebuilt(live(), minimums=minimums, task="multiclass")  # as it was configured since
    assert outcome_layout(other) is not None
    assert (other.task, other.outcomes) == ("binary", FORMER.outcomes)
    parts = {segment.name: segment.reference for segment in found.segments}
    assert parts["country=AT"].outcomes == FORMER.segments[2].reference.outcomes


def test_a_reference_without_labels_gets_no_baselines_from_a_few() -> None:
    table = pa.table({"x": np.arange(500.0) % 7, "prediction": np.arange(500) % 2})
    before = build_reference(ReferenceData(table, "tests"), SETTINGS.windows, 10)
    contents = [{"features": {"x": k % 7}, "prediction": k % 2} for k in range(1200)]
    found = rebuilt(sampled(contents, ["1" if k < 50 else None for k in range(1200)]), before)
    assert (found.outcomes, found.labels, found.target) == (b"", None, "")


def test_values_of_another_type_are_missing_unless_most_are() -> None:
    rows = changed(live(), age=lambda k: "forty" if k % 3 == 0 else 40 + k % 10, new=lambda k: "yes")
    found = rebuilt(rows)
    assert column(found, "age").kind == "number"
    assert cells(found, "age")["(missing)"] == 500
    assert any("values of another type count as missing: age (500)" in note for note in found.notes)
    assert (column(found, "new").kind, column(found, "new").categories) == ("category", ("yes",))


@pytest.mark.parametrize("order", ["number", "text"])
def test_classes_keep_their_type(order: str) -> None:
    """Lists of scores are in the order of the classes, which is that of their type."""
    answers = np.arange(600) % 3 * 5
    values = answers if order == "number" else answers.astype(str)
    table = pa.table({"x": np.arange(600.0) % 7, "prediction": values, "label": values})
    before = build_reference(ReferenceData(table, "tests"), SETTINGS.windows, 10)
    assert before.classes == (("0", "5", "10") if order == "number" else ("0", "10", "5"))
    contents, labels = list[Row](), [before.classes[k % 3] for k in range(1200)]
    for k, label in enumerate(labels):
        scores = [0.1, 0.1, 0.1]
        scores[k % 3] = 0.8
        prediction = int(label) if order == "number" else label
        contents.append({"features": {"x": k % 7}, "prediction": prediction, "scores": scores})
    found = rebuilt(sampled(contents, labels), before)
    assert (found.classes, found.class_order, found.task) == (before.classes, order, "multiclass")
    layout = outcome_layout(found)
    assert layout is not None
    assert tally(layout, [decode_outcomes(layout, found.outcomes)]).matches == 1200
    assert column(found, "score").edges[0] == pytest.approx(0.8)


def test_a_regression_stays_one() -> None:
    numbers = np.arange(500.0)
    table = pa.table({"x": numbers, "prediction": numbers / 7, "label": numbers / 7})
    before = build_reference(ReferenceData(table, "tests"), SETTINGS.windows, 10)
    contents = [{"features": {"x": k}, "prediction": k % 9 + 0.5} for k in range(1200)]
    found = rebuilt(sampled(contents, [repr(k % 9 + 1.5) for k in range(1200)]), before)
    layout = outcome_layout(found)
    assert layout is not None
    assert found.task == "regression"
    assert tally(layout, [decode_outcomes(layout, found.outcomes)]).rows == 1200


def test_hidden_columns_are_as_before() -> None:
    rows = changed(live(3000), age=lambda _: None, new=lambda k: f"hash of {k}")
    found = rebuilt(rows, hidden=["age", "new"])
    for name in ("age", "new"):
        assert column(found, name).state() == column(FORMER, name).state()
        before, now = cells(FORMER, name), cells(found, name)
        assert sum(now.values()) == found.rows
        assert all(now[cell] == before[cell] for cell in before)
    assert math.isnan(found.variation[86400].drift[[c.name for c in found.columns].index("age")])
    assert all(sum(cells(s.reference, "age").values()) == s.reference.rows for s in found.segments)
    assert any("left out of the sample or hashed, so as before: age, new" in note for note in found.notes)


def test_a_segment_by_a_hidden_column_is_left_out() -> None:
    found = rebuilt(live(), hidden=["country"])
    assert not found.segments
    assert any("column country has no categories to slice by" in note for note in found.notes)


def test_features_with_names_of_the_rows_own_columns_stay_features() -> None:
    random = np.random.default_rng(3)
    values = {"score": random.random(500), "label": random.random(500)}
    table = pa.table(values | {"prediction": np.arange(500) % 2})
    data = ReferenceData(table, "tests", inputs=dict.fromkeys(values, ""))
    before = build_reference(data, SETTINGS.windows, 10)
    contents = [
        {"features": {name: random.random() for name in values}, "prediction": k % 2, "score": k % 2 / 2}
        for k in range(1000)
    ]
    found = rebuilt(sampled(contents, [str(k % 2) for k in range(1000)]), before)
    assert [(c.name, c.role) for c in found.columns] == [
        ("score", "feature"),
        ("label", "feature"),
        ("prediction", "prediction"),
        ("score", "score"),
    ]
    assert found.target == "the row's target"
    assert found.outcomes


def test_a_damaged_row_is_said() -> None:
    with pytest.raises(ReferenceInvalidError, match="a sampled row is damaged"):
        rebuilt([SampledRow(NOW, b"{", None)])
