"""Scores of several classes: however they come, they are read, kept, and measured when labels join."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pytest
from sklearn import metrics
from sklearn.linear_model import LogisticRegression

from exporter.formats.class_scores import MAX_CLASSES, ClassScores, parse_scores, read_scores
from exporter.formats.columns import OPAQUE
from exporter.formats.hashing import payload_hashes
from exporter.formats.predictions import decode_predictions
from exporter.formats.raw import ARROW_TYPE, JSON_TYPE, PARQUET_TYPE
from exporter.settings import Settings
from tests.support.fakes import Clock, FakeRegistry
from tests.support.labelled import CLASSES, make_labelled_reference, make_table
from tests.support.rig import NOON, Rig
from tests.support.wire import listed, to_parquet, to_stream

Start = Callable[..., Rig]

LISTED = ClassScores((0.5, 0.2, 0.2, 0.1))
NAMED = ClassScores((0.5, 0.2, 0.2, 0.1), CLASSES)
QUERY = {"model": "trees", "version": "1"}


def decode_table(column: pa.Array, *, parquet: bool) -> Any:
    table = pa.table({"x": [1.0] * len(column), "prediction": ["ash"] * len(column), "score": column})
    body, kind = (to_parquet(table), PARQUET_TYPE) if parquet else (to_stream(table), ARROW_TYPE)
    return listed(decode_predictions(body, kind, QUERY, Settings()).scores)


def test_json_says_scores_as_lists_or_by_class() -> None:
    scores = read_scores([[0.5, 0.2, 0.2, 0.1], {"oak": 0.1, "fir": 0.2, "elm": 0.2, "ash": 0.5}, 0.5, None])
    assert listed(scores) == [LISTED, NAMED, 0.5, None]


@pytest.mark.parametrize("parquet", [False, True], ids=["arrow", "parquet"])
def test_tables_say_scores_as_lists_structures_or_maps(parquet: bool) -> None:
    named = dict(zip(CLASSES, LISTED.values, strict=True))
    assert decode_table(pa.array([list(LISTED.values), None]), parquet=parquet) == [LISTED, None]
    assert decode_table(pa.array([named, None]), parquet=parquet) == [NAMED, None]
    as_map = pa.array([list(named.items()), None], pa.map_(pa.string(), pa.float64()))
    assert decode_table(as_map, parquet=parquet) == [NAMED, None]


@pytest.mark.parametrize(
    "value",
    [
        [],
        {},
        ["a", 0.5],
        [[0.5], [0.5]],
        [10**400, 1],
        {"\ud800": 1.0},
        {"x" * 300: 1.0},
        [0.1] * (MAX_CLASSES + 1),
        {str(k): 0.1 for k in range(MAX_CLASSES + 1)},
    ],
)
def test_what_is_no_scores_of_classes_is_a_mismatch(value: object) -> None:
    assert listed(read_scores([value])) == [OPAQUE]


def test_a_list_of_a_table_that_is_too_long_is_a_mismatch() -> None:
    assert decode_table(pa.array([[0.1] * (MAX_CLASSES + 1), [0.5, 0.5]]), parquet=False) == [
        OPAQUE,
        ClassScores((0.5, 0.5)),
    ]


@pytest.mark.parametrize("scores", [LISTED, NAMED, ClassScores((0.1, 1e-300, 1 / 3))])
def test_scores_are_kept_exactly(scores: ClassScores) -> None:
    assert parse_scores(scores.text) == scores


def test_other_scores_are_another_payload() -> None:
    def hashes(*scores: Any) -> list[int]:
        rows = [{"features": {"x": 1}, "prediction": "ash", "score": score} for score in scores]
        body = orjson.dumps({**QUERY, "predictions": rows})
        batch = decode_predictions(body, JSON_TYPE, {}, Settings())
        return payload_hashes(batch).tolist()

    one, other, same = hashes([0.5, 0.5], [0.4, 0.6], [0.5, 0.5])
    assert one == same != other


def test_the_references_scores_are_profiled_as_that_of_the_predicted_class() -> None:
    table = make_table("multiclass", 500)
    reference = make_labelled_reference("multiclass", table=table)
    column = next(column for column in reference.columns if column.role == "score")
    highest = [max(scores) for scores in table["score"].to_pylist()]
    assert (column.edges[0], column.edges[-1]) == pytest.approx((min(highest), max(highest)))


# -- end to end ----------------------------------------------------------------------------------------------


def start_trees(start: Start, **options: Any) -> Rig:
    registry = FakeRegistry()
    registry.register("fraud", make_table("multiclass", 2000), alias="champion")
    return start(registry=registry, **options)


def rows_of(table: pa.Table, *, named: bool) -> list[dict[str, Any]]:
    return [
        {
            "id": str(place),
            "features": {"x": row["x"]},
            "prediction": row["prediction"],
            "score": dict(zip(CLASSES, row["score"], strict=True)) if named else row["score"],
        }
        for place, row in enumerate(table.to_pylist())
    ]


@pytest.mark.parametrize("named", [False, True], ids=["lists", "by class"])
def test_losses_are_those_of_the_joined_rows_also_after_a_restart(start: Start, named: bool) -> None:
    registry, clock = FakeRegistry(), Clock(NOON)
    registry.register("fraud", make_table("multiclass", 2000), alias="champion")
    table = make_table("multiclass", 300, seed=5)
    label, score = table["label"].to_pylist(), np.array(table["score"].to_pylist())
    first = start(registry=registry, clock=clock)
    first.post_rows(rows_of(table, named=named))
    first.post_labels({str(place): "ash" for place in range(50)})  # to be corrected
    first.stop()

    rig = start(registry=registry, clock=clock)
    rig.post_labels({str(place): text for place, text in enumerate(label)})

    assert rig.quality("log_loss") == pytest.approx(metrics.log_loss(label, score, labels=CLASSES))
    one_hot = np.eye(4)[[CLASSES.index(text) for text in label]]
    assert rig.quality("brier") == pytest.approx(((score - one_hot) ** 2).sum(axis=1).mean())
    assert rig.quality("accuracy") == pytest.approx(metrics.accuracy_score(label, table["prediction"]))


def as_python(values: Any) -> list[Any]:
    return [value.item() if isinstance(value, np.generic) else value for value in values]


@pytest.mark.parametrize("live", [False, True], ids=["file", "live"])
@pytest.mark.parametrize(
    "classes",
    [
        ["1", "10", "2", "9"],
        ["a", "B", "Ä", "10"],
        [9, 10, 1, 2],
        [3.0, 10.0, 2.0, -1.0],
        ["2", "10"],
        [10, 9],
    ],
    ids=str,
)
def test_a_list_of_scores_is_in_the_order_of_scikit_learn(
    start: Start, classes: list[Any], live: bool
) -> None:
    draw = np.random.default_rng(3)
    centres, truth = draw.normal(size=(len(classes), 3)), draw.integers(len(classes), size=900)
    x = centres[truth] + draw.normal(size=(900, 3))
    label = np.array(classes)[truth]
    model = LogisticRegression().fit(x[:300], label[:300])
    scores, predicted = model.predict_proba(x), model.predict(x)
    columns = {f"x{place}": x[:, place] for place in range(3)}
    table = pa.table(
        {**columns, "score": list(scores), "prediction": as_python(predicted), "label": as_python(label)}
    )
    rows = [
        {"id": str(place), "features": {n: row[n] for n in columns}, "prediction": row["prediction"]}
        | {"score": row["score"]}
        for place, row in enumerate(table.to_pylist())
    ]
    registry = FakeRegistry()
    registry.register("fraud", None if live else table[300:600], alias="champion")
    rig = start(registry=registry, reference_live_rows=300 if live else 0)
    rig.post_rows(rows[600:])
    rig.poll()
    rig.post_labels({str(600 + place): value for place, value in enumerate(as_python(label[600:]))})

    expected = metrics.log_loss(label[600:], scores[600:], labels=model.classes_)
    assert rig.quality("log_loss") == pytest.approx(expected)


def test_the_score_column_is_that_of_the_predicted_class(start: Start) -> None:
    rig = start_trees(start)
    rig.post_rows(rows_of(make_table("multiclass", 2000, seed=5), named=True))
    rig.evaluate()
    labels = '{model="fraud",model_version="1",column="score",role="score",window="24h"}'
    drift = rig.sample(f"mlflow_model_drift_score{labels}")
    assert drift is not None
    assert drift < 0.05


def test_what_is_no_valid_score_is_counted_as_a_mismatch(start: Start) -> None:
    rig = start_trees(start)
    row = {"features": {"x": 1.0}, "prediction": "ash"}
    bad: list[Any] = [[0.5, 0.5], [0.1] * 100, "high", {"ash": "high"}]
    rig.post_rows([{**row, "id": str(place), "score": score} for place, score in enumerate(bad)])
    rig.post_rows([{**row, "score": [0.7, 0.1, 0.1, 0.1]}] * 4)
    rig.post_labels({str(place): "ash" for place in range(4)})
    assert rig.quality("accuracy") == 1
    assert rig.quality("log_loss") is None
    labels = '{model="fraud",model_version="1",column="score",role="score",check="type_mismatch"}'
    assert rig.sample(f"mlflow_model_data_quality_ratio{labels}") == 0.5


def test_of_two_classes_the_positive_ones_score_counts(start: Start) -> None:
    registry = FakeRegistry()
    registry.register("fraud", make_table("binary", 2000), alias="champion")
    rig = start(registry=registry)
    features = {"features": {"x": 0.0}}
    rig.post_rows(
        [
            {"id": "a", **features, "prediction": 0, "score": [0.8, 0.2]},
            {"id": "b", **features, "prediction": 1, "score": {"0": 0.1, "1": 0.9}},
        ]
    )
    rig.post_labels({"a": 0, "b": 1})
    assert rig.quality("brier") == pytest.approx((0.2**2 + 0.1**2) / 2)


@pytest.mark.parametrize("names", [("0.0", "1.0"), ("False", "True"), ("false", "true")])
def test_scores_by_class_may_name_it_in_any_notation(start: Start, names: tuple[str, str]) -> None:
    registry = FakeRegistry()
    registry.register("fraud", make_table("binary", 2000), alias="champion")
    rig = start(registry=registry)
    score = dict(zip(names, (0.1, 0.9), strict=True))
    rig.post_rows([{"id": "a", "features": {"x": 0.0}, "prediction": 1, "score": score}])
    rig.post_labels({"a": 1})
    assert rig.quality("brier") == pytest.approx(0.1**2)


def test_a_name_that_is_a_class_comes_before_one_that_means_it() -> None:
    scores = ClassScores((0.1, 0.7, 0.2), ("0", "1", "1.0"))
    assert list(scores.by_class(("0", "1"))) == [0.1, 0.7]
    assert list(scores.by_class(("0", "1.0"))) == [0.1, 0.2]


def test_live_rows_with_scores_of_classes_can_become_the_reference(start: Start) -> None:
    registry = FakeRegistry()
    registry.register("fraud", alias="champion")
    rig = start(registry=registry, reference_live_rows=200)
    rig.post_rows(rows_of(make_table("multiclass", 200), named=True))
    rig.poll()
    counts = rig.version().counts
    assert counts is not None
    assert "score" in [column.name for column in counts.reference.columns]
