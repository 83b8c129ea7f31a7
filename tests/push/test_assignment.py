"""Assignment of a file's columns to fields."""

from __future__ import annotations

import pyarrow as pa
import pytest

from exporter.errors import ConfigError
from exporter.push.assignment import Wanted

NAMES = ["id", "timestamp", "prediction", "score", "label", "age", "p0", "p1"]
PAIR = {"prediction": pa.array([0]), "age": pa.array([1]), "p0": pa.array([0.3]), "p1": pa.array([0.7])}


def test_a_column_is_what_it_is_called_and_all_others_are_features() -> None:
    found = Wanted().assign(NAMES)
    assert found.own == {name: name for name in ("id", "timestamp", "prediction", "score", "label")}
    assert found.features == ["age", "p0", "p1"]


def test_a_column_with_the_usual_name_is_a_feature_where_another_is_named() -> None:
    found = Wanted(named={"prediction": "p1", "id": "age"}).assign(NAMES)
    assert (found.own["prediction"], found.own["id"]) == ("p1", "age")
    assert found.features == ["id", "prediction", "p0"]


def test_features_and_what_is_left_out_are_chosen() -> None:
    assert Wanted(features=["age", "score"]).assign(NAMES).features == ["age", "score"]
    found = Wanted(leave_out=["p0", "label"]).assign(NAMES)
    assert "label" not in found.own
    assert found.features == ["age", "p1"]


@pytest.mark.parametrize(
    ("scores", "score"),
    [
        ([("", "p0"), ("", "p1")], [[0.3, 0.7]]),
        ([("no", "p0"), ("yes", "p1")], [{"no": 0.3, "yes": 0.7}]),
        ([("", "p1")], [0.7]),
    ],
    ids=["in order", "by class", "one"],
)
@pytest.mark.parametrize("kind", ["arrow", "mixed"])
def test_scores_of_several_columns_are_one(scores: list[tuple[str, str]], score: object, kind: str) -> None:
    given = dict(PAIR) if kind == "arrow" else {**PAIR, "p1": [0.7]}
    fields = Wanted(scores=scores).assign(list(given)).fields(given)
    own = fields.own["score"]
    assert (own if isinstance(own, list) else own.to_pylist()) == score
    assert next(iter(fields.features)) == "age"


def test_fields_of_a_structure_are_the_features_whatever_they_are_called() -> None:
    found = Wanted().assign(["id", "prediction", "features", "note"], ["age", "score"])
    assert (found.own, found.features) == ({"id": "id", "prediction": "prediction"}, ["age", "score"])
    assert found.unsent == ["note"]


def test_labels_need_no_other_column() -> None:
    found = Wanted(labels=True, named={"id": "age"}).assign(NAMES)
    assert found.own == {"id": "age", "label": "label", "timestamp": "timestamp"}
    assert found.unsent == ["id", "prediction", "score", "p0", "p1"]


@pytest.mark.parametrize(
    ("wanted", "problem"),
    [
        (Wanted(named={"id": "agee"}), "there is no column `agee`; did you mean `age`?"),
        (Wanted(features=["zzz"]), "there is no column `zzz`; the columns are id, timestamp"),
        (Wanted(leave_out=["prediction"]), "no column is called `prediction`: name it by --prediction"),
        (Wanted(leave_out=["age", "p0", "p1"]), "no columns are left for features"),
    ],
)
def test_what_is_missing_is_told(wanted: Wanted, problem: str) -> None:
    with pytest.raises(ConfigError) as found:
        wanted.assign(NAMES)
    assert str(found.value).startswith(problem)
