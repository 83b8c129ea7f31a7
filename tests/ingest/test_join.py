"""Labels meet their predictions, in whatever order and however often either comes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from exporter.aggregates.outcomes import tally
from exporter.errors import RegistryUnreachableError
from exporter.ingest.join import LabelAnswer
from tests.support.fakes import TIMEOUT_SECONDS, Clock, FakeRegistry
from tests.support.rig import NOON, Rig, make_table

DAY = 86400.0
Start = Callable[..., Rig]


def make_labelled_table() -> pa.Table:
    """A reference whose scores are probabilities of its labels."""
    table = make_table(2000)
    chance = np.random.default_rng(7).random(2000)
    labels = (chance < table["score"].to_numpy()).astype(np.int64)
    return table.append_column("label", pa.array(labels))


def make_registry(versions: int = 2) -> FakeRegistry:
    """Versions of `fraud` whose reference holds labels; the first is the champion."""
    registry = FakeRegistry()
    for number in range(1, versions + 1):
        alias = "champion" if number == 1 else "challenger"
        registry.register("fraud", make_labelled_table(), alias=alias)
    return registry


@pytest.fixture
def labelled(start: Start) -> Rig:
    return start(registry=make_registry())


def row(row_id: str | None, prediction: int, score: float, **own: Any) -> dict[str, Any]:
    known = {"id": row_id} if row_id is not None else {}
    return {**known, "features": {"age": 40}, "prediction": prediction, "score": score, **own}


def test_a_label_after_its_prediction_is_accepted_and_counts(labelled: Rig) -> None:
    labelled.post_rows([row("a", 1, 0.9), row("b", 0, 0.2)])
    assert labelled.post_labels({"a": 1, "b": 1}) == LabelAnswer(2, 0, 0, 0)
    assert labelled.quality("accuracy") == 0.5


@pytest.mark.parametrize("positive", [1, 1.0, True, "1", "1.0", "1e0", "True", "true", "TRUE"], ids=repr)
def test_a_class_is_the_same_in_every_notation(labelled: Rig, positive: object) -> None:
    labelled.post_rows(
        [row("a", 1, 0.9), row("b", 0, 0.2), row("c", 1, 0.8), {**row("d", 1, 0.7), "prediction": positive}]
    )
    labelled.post_labels({"a": positive, "b": positive, "c": 0, "d": 1})
    assert labelled.quality("accuracy") == 0.5
    assert labelled.quality("precision") == pytest.approx(2 / 3)
    assert labelled.quality("recall") == pytest.approx(2 / 3)
    labels = '{model="fraud",model_version="1",column="prediction",role="prediction",check="unseen"}'
    assert labelled.sample(f"mlflow_model_data_quality_ratio{labels}") == 0


@pytest.mark.parametrize("positive", ["1.0", "True"])
def test_predicted_classes_are_the_same_in_every_notation(labelled: Rig, positive: str) -> None:
    labelled.post_rows([{**row("a", 1, 0.9), "prediction": positive}])
    labelled.post_labels({"a": 1})
    assert labelled.quality("accuracy") == 1


@pytest.mark.parametrize("label", ["01", "yes", "+1", "1_0", " 1"])
def test_another_text_is_another_class(labelled: Rig, label: str) -> None:
    labelled.post_rows([row("a", 1, 0.9)])
    labelled.post_labels({"a": label})
    assert labelled.quality("accuracy") == 0


def test_a_label_before_its_prediction_waits(labelled: Rig) -> None:
    assert labelled.post_labels({"a": 1}) == LabelAnswer(0, 1, 0, 0)
    assert labelled.quality("accuracy") is None
    labelled.post_rows([row("a", 1, 0.9)])
    assert labelled.quality("accuracy") == 1


def test_the_same_label_again_changes_nothing(labelled: Rig) -> None:
    labelled.post_rows([row("a", 1, 0.9)])
    labelled.post_labels({"a": 1})
    assert labelled.post_labels({"a": True}) == LabelAnswer(0, 0, 0, 1)
    assert labelled.quality("accuracy") == 1


def test_another_label_corrects(labelled: Rig) -> None:
    labelled.post_rows([row("a", 1, 0.9), row("b", 1, 0.8)])
    labelled.post_labels({"a": 0, "b": 1})
    assert labelled.post_labels({"a": 1}) == LabelAnswer(0, 0, 1, 0)
    assert labelled.quality("accuracy") == 1


def test_a_shadow_that_scores_later_gets_the_label_too(labelled: Rig) -> None:
    labelled.post_rows([row("a", 1, 0.9)], version="1")
    labelled.post_labels({"a": 0})
    labelled.post_rows([row("a", 0, 0.3)], version="2")
    assert labelled.quality("accuracy", version="1") == 0
    assert labelled.quality("accuracy", version="2") == 1


def test_a_prediction_that_comes_again_with_another_payload_takes_the_label_over(labelled: Rig) -> None:
    labelled.post_rows([row("a", 1, 0.9)])
    labelled.post_labels({"a": 0})
    labelled.post_rows([row("a", 0, 0.1)])
    assert labelled.quality("accuracy") == 1


def test_labels_within_one_commit_meet_its_predictions(labelled: Rig) -> None:
    with labelled.held():
        label = labelled.submit_labels({"model": "fraud", "labels": [{"id": "a", "label": 1}]})
        again = labelled.submit_labels({"model": "fraud", "labels": [{"id": "a", "label": 0}]})
        rows = labelled.submit({"model": "fraud", "version": "1", "predictions": [row("a", 1, 0.9)]})
    assert rows.result().accepted == 1
    assert label.result() == LabelAnswer(1, 0, 0, 0)
    assert again.result() == LabelAnswer(0, 0, 1, 0)
    assert labelled.quality("accuracy") == 0


def test_a_label_may_come_along_with_its_prediction(labelled: Rig) -> None:
    labelled.post_rows([row("a", 1, 0.9, label=1), row(None, 1, 0.8, label=0)])
    assert labelled.quality("accuracy") == 0.5
    assert labelled.post_labels({"a": 1}) == LabelAnswer(0, 0, 0, 1)


def test_a_retried_row_with_its_label_counts_once(labelled: Rig) -> None:
    for _ in range(2):
        labelled.post_rows([row("a", 1, 0.9, label=0)])
    labelled.post_rows([row("b", 1, 0.9, label=1)])
    assert labelled.quality("accuracy") == 0.5


def test_a_row_that_came_before_may_bring_its_label_later(labelled: Rig) -> None:
    labelled.post_rows([row("a", 1, 0.9), row(None, 1, 0.9)])
    labelled.post_rows([row("a", 1, 0.9, label=1)])
    assert labelled.post_labels({"a": 1}) == LabelAnswer(0, 0, 0, 1)
    assert labelled.quality("accuracy") == 1.0


def test_a_batch_of_labels_with_a_key_counts_once(labelled: Rig) -> None:
    labelled.post_rows([row("a", 1, 0.9)])
    labelled.post_labels({"a": 1}, key="k")
    labelled.post_labels({"a": 0})
    assert labelled.post_labels({"a": 1}, key="k") == LabelAnswer(0, 0, 0, 1)
    assert labelled.quality("accuracy") == 0


def test_labels_find_predictions_of_earlier_days_after_a_restart(start: Start) -> None:
    registry, clock = make_registry(), Clock(NOON)
    first = start(registry=registry, clock=clock)
    first.post_rows([row("a", 1, 0.9), row("b", 1, 0.9)])
    first.post_labels({"b": 0})
    first.stop()
    clock.advance(20 * DAY)
    second = start(registry=registry, clock=clock)
    assert second.post_labels({"a": 1, "b": 1}) == LabelAnswer(1, 0, 1, 0)


def test_an_id_without_prediction_is_counted_when_its_day_is_over(labelled: Rig) -> None:
    labelled.post_rows([row("a", 1, 0.9)])
    labelled.post_labels({"a": 1, "nobody": 1, "nobody either": 0})
    name = 'mlflow_model_labels_unmatched_total{model="fraud"}'
    labelled.evaluate()
    assert labelled.sample(name) == 0
    labelled.clock.advance(2 * DAY)
    labelled.evaluate()
    labelled.evaluate()
    assert labelled.sample(name) == 2


def test_labels_and_their_delays_are_counted(labelled: Rig) -> None:
    labelled.post_rows([row("a", 1, 0.9)])
    labelled.clock.advance(100.0)
    labelled.post_labels({"a": 1})
    labelled.post_labels({"a": 0})
    version = 'model="fraud",model_version="1"'
    assert labelled.sample(f"mlflow_model_labels_total{{{version}}}") == 1
    assert labelled.sample(f"mlflow_model_label_delay_seconds_sum{{{version}}}") == 100
    assert labelled.sample(f'mlflow_model_label_delay_seconds_bucket{{{version},le="60.0"}}') == 0


# -- whatever the order -------------------------------------------------------------------------------------

IDS = [f"id{number}" for number in range(12)]


@dataclass
class Truth:
    """Expected state: the latest prediction by version and id, the latest label by id."""

    predictions: dict[str, dict[str, tuple[int, float]]] = field(default_factory=lambda: {"1": {}, "2": {}})
    labels: dict[str, int] = field(default_factory=dict)

    def joined(self, version: str) -> tuple[list[int], list[int], list[float]]:
        """Labels, predictions and scores of the rows that have both."""
        found = [(self.labels[i], *p) for i, p in self.predictions[version].items() if i in self.labels]
        return [y for y, _, _ in found], [p for _, p, _ in found], [s for _, _, s in found]


scores = st.integers(1, 99).map(lambda percent: percent / 100)
predictions = st.tuples(
    st.just("predict"),
    st.sampled_from(["1", "2"]),
    st.lists(st.tuples(st.sampled_from(IDS), scores), min_size=1, max_size=8),
)
labels = st.tuples(
    st.just("label"),
    st.just(""),
    st.lists(st.tuples(st.sampled_from(IDS), st.integers(0, 1)), min_size=1, max_size=8),
)
restarts = st.tuples(st.just("restart"), st.just(""), st.just([]))


@pytest.mark.slow
@settings(max_examples=12)
@given(schedule=st.lists(predictions | labels | labels | restarts, min_size=3, max_size=14))
def test_quality_is_that_of_the_joined_rows_whatever_the_schedule(
    tmp_path_factory: pytest.TempPathFactory, schedule: list[tuple[str, str, list[Any]]]
) -> None:
    store = f"sqlite:///{tmp_path_factory.mktemp('schedule')}/exporter.db"
    registry, clock, truth = make_registry(), Clock(NOON), Truth()
    rig = Rig(store, registry, clock)
    try:
        for action, version, values in schedule:
            if action == "restart":
                rig.stop()
                rig = Rig(store, registry, clock)
            elif action == "predict":
                rows = [row(i, int(score > 0.5), score) for i, score in values]
                rig.post_rows(rows, version=version)
                truth.predictions[version] |= {i: (int(score > 0.5), score) for i, score in values}
            else:
                document = {"model": "fraud", "labels": [{"id": i, "label": label} for i, label in values]}
                rig.submit_labels(document).result(TIMEOUT_SECONDS)
                truth.labels |= dict(values)
        for version in ("1", "2"):
            _check(rig, version, *truth.joined(version))
    finally:
        rig.stop()


def _check(rig: Rig, version: str, label: list[int], predicted: list[int], score: list[float]) -> None:
    if not label:
        assert rig.quality("accuracy", version=version) is None
        return
    assert rig.quality("accuracy", version=version) == pytest.approx(metrics.accuracy_score(label, predicted))
    assert rig.quality("brier", version=version) == pytest.approx(
        metrics.brier_score_loss(label, score, labels=[0, 1])
    )
    assert rig.quality("log_loss", version=version) == pytest.approx(
        metrics.log_loss(label, score, labels=[0, 1])
    )
    if any(label):
        assert rig.quality("recall", version=version) == pytest.approx(metrics.recall_score(label, predicted))
    if 0 < sum(label) < len(label):
        counts = rig.version(version).counts
        assert counts is not None
        assert counts.layout is not None
        bins = np.searchsorted(counts.layout.score_edges, score, side="right")  # scores of one bin are ties
        expected = metrics.roc_auc_score(label, bins)
        assert rig.quality("roc_auc", version=version) == pytest.approx(expected)


def test_labels_of_another_database(store_uri: str, start: Start) -> None:
    rig = start(store=store_uri, registry=make_registry())
    rig.post_labels({"early": 1})
    rig.post_rows([row("a", 1, 0.9), row("early", 0, 0.1)])
    assert rig.post_labels({"a": 1, "nobody": 0}) == LabelAnswer(1, 1, 0, 0)
    assert rig.post_labels({"early": 0}) == LabelAnswer(0, 0, 1, 0)
    assert rig.quality("accuracy") == 1


def test_a_store_of_labels_can_be_opened_again(tmp_path: Path, start: Start) -> None:
    store = f"sqlite:///{tmp_path}/again.db"
    registry = make_registry()
    first = start(store=store, registry=registry)
    first.post_rows([row("a", 1, 0.9, label=1)])
    before = first.quality("accuracy")
    first.stop()
    assert start(store=store, registry=registry).quality("accuracy") == before == 1


# -- scores of predictions, before their labels --------------------------------------------------------------


def counted_scores(rig: Rig) -> tuple[int, int]:
    """Predictions whose score is counted: predicted 0, predicted 1."""
    counts = rig.version("1").counts
    assert counts is not None
    assert counts.layout is not None
    negative, positive = tally(counts.layout, counts.outcomes.values()).traffic.sum(axis=1).tolist()
    return negative, positive


def test_scores_are_counted_as_predictions_come(start: Start, tmp_path: Path) -> None:
    store, registry = f"sqlite:///{tmp_path}/scores.db", make_registry()
    rig = start(store=store, registry=registry)
    rig.post_rows([row("a", 1, 0.9), row(None, 0, 0.2), row("b", 0, 0.4)])
    assert counted_scores(rig) == (2, 1)
    rig.post_rows([row("a", 1, 0.9), row("c", 1, 0.8)])  # the first came before
    assert counted_scores(rig) == (2, 2)
    rig.post_labels({"a": 1, "b": 1})
    assert counted_scores(rig) == (2, 2)
    rig.stop()
    assert counted_scores(start(store=store, registry=registry)) == (2, 2)


def test_scores_that_waited_for_the_reference_are_counted_with_it(start: Start) -> None:
    registry, table = make_registry(), make_labelled_table()
    registry.set_reference("fraud", "1", RegistryUnreachableError("down"))
    rig = start(registry=registry)
    rig.post_rows([row("a", 1, 0.9), row(None, 0, 0.2)])
    registry.set_reference("fraud", "1", table)
    rig.poll()
    assert counted_scores(rig) == (1, 1)


def test_scores_outlast_a_recount_of_the_labels(labelled: Rig) -> None:
    labelled.post_rows([row("a", 1, 0.9), row("b", 0, 0.2)])
    labelled.post_labels({"a": 1})
    labelled.registry.tag("fraud", "1", maturation="2h")
    labelled.poll()
    assert counted_scores(labelled) == (1, 1)


# -- versions without an alias ------------------------------------------------------------------------------


def give_way(rig: Rig) -> None:
    """Version 2 becomes the champion, and has been for 26 hours."""
    rig.registry.set_alias("fraud", "champion", "2")
    rig.poll()
    rig.clock.advance(26 * 3600.0)
    rig.poll()


def test_labels_of_a_retired_version_count_once_it_is_followed_again(start: Start, store_uri: str) -> None:
    rig = start(store=store_uri, registry=make_registry())
    rig.post_rows([row("a", 1, 0.9), row("b", 1, 0.9), row("c", 1, 0.9)])
    rig.post_labels({"a": 1})
    give_way(rig)
    assert ("fraud", "1") not in rig.service.fleet.versions
    rig.post_labels({"b": 0})
    rig.stop()
    again = start(store=store_uri, registry=rig.registry, clock=rig.clock)
    again.post_labels({"c": 0})
    again.registry.set_alias("fraud", "champion", "1")
    again.poll()  # follows it
    again.poll()  # counts what came meanwhile
    assert again.quality("accuracy", "7d") == pytest.approx(1 / 3)
    again.poll()
    assert again.quality("accuracy", "7d") == pytest.approx(1 / 3)


def test_a_version_is_followed_for_as_long_as_its_labels_may_take(start: Start) -> None:
    registry = make_registry()
    registry.tag("fraud", "1", maturation="3d")
    rig = start(registry=registry)
    rig.post_rows([row("a", 1, 0.9)])
    give_way(rig)
    rig.post_labels({"a": 1})
    assert rig.sample('mlflow_model_labels_total{model="fraud",model_version="1"}') == 1
    rig.stop()
    registry.failure = RegistryUnreachableError("down")
    again = start(registry=registry, clock=rig.clock)
    assert ("fraud", "1") in again.service.fleet.versions, "although its tags are not known"
    registry.failure = None
    again.poll()
    rig.clock.advance(45 * 3600.0)
    again.poll()
    assert ("fraud", "1") in again.service.fleet.versions
    rig.clock.advance(2 * 3600.0)
    again.poll()
    assert ("fraud", "1") not in again.service.fleet.versions


# -- maturation ----------------------------------------------------------------------------------------------


def test_labels_that_came_before_the_reference_count_once_it_is_there(start: Start) -> None:
    registry, table = make_registry(), make_labelled_table()
    registry.set_reference("fraud", "1", RegistryUnreachableError("down"))
    rig = start(registry=registry)
    rig.post_rows([row("a", 1, 0.9)])
    rig.post_labels({"a": 1})
    registry.set_reference("fraud", "1", table)
    rig.poll()  # finds the reference
    rig.poll()  # counts what came before it
    assert rig.quality("accuracy") == 1


def test_with_maturation_only_what_came_in_time_counts_and_a_change_of_it_counts_anew(start: Start) -> None:
    registry = make_registry()
    rig = start(registry=registry)
    rig.post_rows([row("quick", 1, 0.9), row("slow", 1, 0.9)])
    rig.clock.advance(3600.0)
    rig.post_labels({"quick": 1})
    rig.clock.advance(10 * 3600.0)
    rig.post_labels({"slow": 0})
    assert rig.quality("accuracy") == 0.5
    registry.tag("fraud", "1", maturation="2h")
    rig.poll()
    assert rig.quality("accuracy") == 1
    registry.tag("fraud", "1", maturation="12h")
    rig.poll()
    rig.clock.advance(3 * 3600.0)
    assert rig.quality("accuracy") == 0.5
