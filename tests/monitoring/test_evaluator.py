"""References and evaluations of what is monitored, and what of it is seen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import exporter.monitoring.evaluator
from exporter.aggregates.state import Totals
from exporter.api.views import models_view, version_detail
from exporter.errors import StoreError
from exporter.evaluation.drift import evaluate
from exporter.exposition.render import Format
from exporter.fleet import Live, Status
from exporter.ingest.commit import PredictionAnswer
from exporter.monitoring.reference_loader import RETRY_SECONDS
from exporter.reference.profile import PROVISIONAL
from exporter.service import Service
from exporter.settings import Settings
from tests.monitoring.test_discovery import DOWN, errors, make_registry, state
from tests.support.fakes import BROKEN
from tests.support.rig import NOON, Rig, eventually, make_rows, make_table

Start = Callable[..., Rig]
DAY = 86400.0


# -- references ---------------------------------------------------------------------------------------------


def test_rows_that_come_before_the_reference_are_counted_once_it_is_there(start: Start) -> None:
    registry = make_registry(make_table())
    registry.loading.clear()
    rig = start(registry=registry, settle=False)
    assert state(rig) == ("pending", "")
    rows = make_rows(20, prefix="r", latency_seconds=0.02)
    assert rig.post_rows(rows) == PredictionAnswer(20, 0, 0, {})
    assert rig.post_rows(rows[:5]) == PredictionAnswer(0, 5, 0, {})
    traffic = 'mlflow_model_predictions_total{model="fraud",model_version="1"}'
    assert rig.sample(traffic) == 20
    assert rig.window_rows() is None
    registry.loading.set()
    rig.settle()
    assert rig.window_rows() == 20
    assert rig.sample(traffic) == 20
    values = rig.series("mlflow_model_values_total")
    assert sum(values.values()) == 20 * 5
    assert rig.sample('mlflow_model_latency_seconds_count{model="fraud",model_version="1"}') == 20
    assert rig.post_rows(rows) == PredictionAnswer(0, 20, 0, {})


def test_they_wait_over_a_restart_too(start: Start) -> None:
    registry = make_registry(make_table())
    registry.loading.clear()
    rig = start(registry=registry, settle=False)
    rig.post_rows(make_rows(20, prefix="r"))
    rig.stop()
    again = start(registry=registry, clock=rig.clock, settle=False)
    assert again.version().waiting_rows == 20
    registry.loading.set()
    again.settle()
    assert again.window_rows() == 20


def test_a_missing_reference_leaves_the_counters(start: Start) -> None:
    rig = start(registry=make_registry(None))
    assert state(rig) == ("no reference", "no reference found, looked at: everything")
    assert errors(rig) == {}
    assert rig.post_rows(make_rows(7, latency_seconds=0.02)).accepted == 7
    assert rig.sample('mlflow_model_predictions_total{model="fraud",model_version="1"}') == 7
    assert rig.sample('mlflow_model_latency_seconds_count{model="fraud",model_version="1"}') == 7
    (info,) = rig.series("mlflow_model_version_info")
    assert 'reference_source="none"' in info
    assert rig.window_rows() is None


def test_a_broken_reference_is_seen_and_hurts_nobody_else(start: Start) -> None:
    registry = make_registry(BROKEN)
    registry.register("spam", make_table(), alias="champion")
    rig = start(registry=registry)
    assert state(rig) == ("broken reference", str(BROKEN))
    assert errors(rig) == {"reference": 1}
    assert rig.post_rows(make_rows(3)).accepted == 3
    assert rig.post_rows(make_rows(3), model="spam", version="1").accepted == 3
    assert rig.window_rows(model="spam") == 3
    assert state(rig, model="spam") == ("ready", PROVISIONAL)


@pytest.mark.parametrize(
    ("reference", "status", "detail"),
    [
        (make_table(0), "broken reference", "no rows"),
        (pa.table({"prediction": [1, 0]}), "broken reference", "no feature columns"),
        (pa.table({"age": [1.0], "prediction": [1]}), "ready", ""),
        (pa.table({"age": pa.nulls(50), "prediction": [1] * 50}), "ready", ""),
        (ZeroDivisionError("a bug"), "broken reference", "internal error: a bug"),
    ],
    ids=["empty", "no features", "one row", "all null", "a bug"],
)
def test_odd_references_have_a_state_and_take_rows(
    start: Start, reference: pa.Table | Exception, status: str, detail: str
) -> None:
    rig = start(registry=make_registry(reference))
    assert state(rig)[0] == status
    assert detail in state(rig)[1]
    assert rig.post_rows(make_rows(30)).accepted == 30
    rig.evaluate()
    assert errors(rig) == ({} if status == "ready" else {"reference": 1})


@pytest.mark.parametrize("before", [None, BROKEN])
def test_a_reference_that_appears_later_is_found(start: Start, before: Exception | None) -> None:
    rig = start(registry=make_registry(before))
    rig.post_rows(make_rows(3))
    rig.registry.set_reference("fraud", "1", make_table())
    rig.clock.advance(RETRY_SECONDS - 1)
    rig.poll()
    assert rig.version().status is not Status.READY
    rig.clock.advance(1)
    rig.poll()
    assert state(rig) == ("ready", "")
    rig.post_rows(make_rows(4))
    assert rig.window_rows() == 4, "what came before was counted as traffic only"


def test_a_changed_tag_makes_it_look_at_once(start: Start) -> None:
    rig = start(registry=make_registry(BROKEN))
    rig.registry.set_reference("fraud", "1", make_table())
    rig.registry.tag("fraud", "1", reference_uri="runs:/x/reference.parquet")
    rig.poll()
    assert rig.version().status is Status.READY


def test_the_first_live_rows_become_the_reference_where_that_is_allowed(start: Start) -> None:
    rig = start(registry=make_registry(None), reference_live_rows=100)
    assert rig.version().status is Status.COLLECTING
    assert "the first 100 live rows will be it" in state(rig)[1]
    (info,) = rig.series("mlflow_model_version_info")
    assert 'reference_source="collecting"' in info
    rig.post_rows(make_rows(60))
    rig.poll()
    assert rig.version().status is Status.COLLECTING
    rig.stop()

    rig.registry.failure = DOWN  # they need no MLflow
    again = start(registry=rig.registry, clock=rig.clock, reference_live_rows=100)
    assert again.version().status is Status.COLLECTING
    again.registry.failure = None
    again.poll()
    again.post_rows(make_rows(60, seed=2))
    again.registry.failure = DOWN
    again.poll()
    assert state(again) == ("ready", "")
    assert again.window_rows() == 120
    detail = version_detail(again.version())
    assert detail.reference is not None
    assert (detail.reference.source, detail.reference.rows) == ("live", 100)


def test_a_reference_that_appears_meanwhile_is_preferred(start: Start) -> None:
    rig = start(registry=make_registry(None), reference_live_rows=100)
    rig.post_rows(make_rows(60))
    rig.registry.set_reference("fraud", "1", make_table())
    rig.poll()
    detail = version_detail(rig.version())
    assert detail.reference is not None
    assert detail.reference.source == "extra_files"
    assert rig.window_rows() == 60


def test_a_store_that_fails_while_a_reference_is_kept_is_tried_again(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise StoreError("the store failed: database or disk is full")

    with monkeypatch.context() as broken:
        broken.setattr("exporter.monitoring.reference_loader.activate", fail)
        rig = start()
    assert state(rig) == ("pending", "the store failed: database or disk is full")
    assert errors(rig) == {"store": 1}
    rig.post_rows(make_rows(3))
    rig.poll()
    assert state(rig) == ("ready", "")
    assert rig.window_rows() == 3


def test_what_is_stored_of_one_version_may_be_unreadable(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = make_registry(make_table(), make_table())
    registry.set_alias("fraud", "challenger", "2")
    rig = start(registry=registry)
    rig.stop()
    load = type(rig.service.store).load_reference

    def load_one(self: object, key: int) -> object:
        if key == rig.version("1").key:
            raise StoreError("the stored reference has format 99")
        return load(self, key)

    registry.failure = DOWN
    monkeypatch.setattr(type(rig.service.store), "load_reference", load_one)
    again = start(registry=registry, clock=rig.clock)
    assert state(again, "1")[0] == "pending"
    assert "format 99" in state(again, "1")[1]
    assert errors(again, "1") == {"store": 1}
    assert state(again, "2") == ("ready", "")


def test_a_hanging_reference_holds_up_nothing_else(start: Start) -> None:
    registry = make_registry(make_table())
    rig = start(registry=registry)
    registry.loading.clear()
    registry.register("slow", make_table(), alias="champion")
    rig.service.discovery.poll()
    assert rig.post_rows(make_rows(3)).accepted == 3
    assert rig.window_rows() == 3
    assert rig.service.scrape(Format.TEXT, (), ())
    assert state(rig, model="slow") == ("pending", "")
    registry.loading.set()
    rig.settle()
    assert state(rig, model="slow") == ("ready", "")


def test_what_waits_for_a_version_that_opts_out_is_forgotten(start: Start) -> None:
    registry = make_registry(make_table())
    registry.loading.clear()
    rig = start(registry=registry, settle=False)
    rig.post_rows(make_rows(3))
    key = rig.version().key
    registry.tag("fraud", enabled="false")
    rig.service.discovery.poll()
    eventually(lambda: not [*rig.service.store.load_waiting(key)])
    registry.loading.set()


# -- evaluation ---------------------------------------------------------------------------------------------


def test_drift_is_seen_after_an_evaluation(rig: Rig) -> None:
    rows = make_rows(2000)
    for row in rows:
        row["features"]["age"] += 50
    rig.post_rows(rows)
    rig.evaluate()
    labels = 'model="fraud",model_version="1",column="age",role="feature",window="24h"'
    assert rig.sample(f"mlflow_model_drift_detected{{{labels}}}") == 1
    assert rig.sample(f"mlflow_model_drift_score{{{labels}}}") > 1
    assert models_view(rig.service.fleet, up=True, error="").models[0].versions[0].drifted == ["age"]


def test_an_evaluation_that_raises_hurts_only_its_version_and_its_gauges_go_away(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = make_registry(make_table(), make_table(300))
    registry.set_alias("fraud", "challenger", "2")
    rig = start(registry=registry, evaluation_interval_seconds=30.0)
    for version in ("1", "2"):
        rig.post_rows(make_rows(3), version=version)
    assert (rig.window_rows(version="1"), rig.window_rows(version="2")) == (3, 3)

    def evaluate_others(reference: object, *arguments: object) -> object:
        if reference.rows == 300:
            raise ArithmeticError("too few")
        return evaluate(reference, *arguments)

    monkeypatch.setattr(exporter.monitoring.evaluator, "evaluate", evaluate_others)
    for missed in range(1, 7):
        rig.clock.advance(30)
        rig.evaluate()
        assert errors(rig, "2") == {"evaluation": missed}
        assert rig.shown_rows(version="1") == 3
        assert rig.shown_rows(version="2") == (3 if missed <= 5 else None)
    assert rig.version("2").failures == ("the evaluation failed: ArithmeticError: too few",)
    assert errors(rig, "1") == {}
    last = "mlflow_exporter_last_evaluation_timestamp_seconds"
    assert rig.sample(f'{last}{{model="fraud",model_version="2"}}') == NOON
    assert rig.sample('mlflow_model_predictions_total{model="fraud",model_version="2"}') == 3


def test_where_quality_cannot_be_evaluated_drift_goes_on_and_it_says_why(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = make_table()
    rig = start(registry=make_registry(table.append_column("label", table["prediction"])))
    rows = make_rows(300, prefix="a")
    rig.post_rows(rows)
    rig.post_labels({row["id"]: row["prediction"] for row in rows})
    assert rig.quality("accuracy") == 1

    def fail(*arguments: object, **options: object) -> object:
        raise ArithmeticError("no quality")

    monkeypatch.setattr(exporter.monitoring.evaluator, "evaluate_quality", fail)
    rig.clock.advance(30)
    rig.evaluate()
    last = 'mlflow_exporter_last_evaluation_timestamp_seconds{model="fraud",model_version="1"}'
    assert rig.sample(last) == NOON + 30
    assert rig.shown_rows() == 300
    assert rig.quality("accuracy") is None
    assert errors(rig) == {"evaluation": 2}
    detail = version_detail(rig.version())
    assert detail.problems == ["the evaluation of its quality failed: ArithmeticError: no quality"]
    assert (detail.quality, detail.no_quality) == ([], "it could not be evaluated")
    monkeypatch.undo()
    assert rig.quality("accuracy") == 1
    assert version_detail(rig.version()).problems == []


def test_one_label_beyond_all_measure_in_the_reference_takes_no_version_down(start: Start) -> None:
    draw = np.random.default_rng(0)
    labels = draw.normal(10, 3, 500)
    labels[7] = 1.7976931348623157e308
    table = make_table(500).drop_columns(["prediction", "score"])
    table = table.append_column("prediction", pa.array(np.where(labels < 1e300, labels + 0.5, labels)))
    rig = start(registry=make_registry(table.append_column("label", pa.array(labels))))
    rows = make_rows(300, prefix="a")
    for row in rows:
        row["prediction"], row["score"] = float(draw.normal(10, 3)), None
    rig.post_rows(rows)
    rig.post_labels({row["id"]: row["prediction"] - 0.25 for row in rows})

    assert rig.quality("mae") == pytest.approx(0.25)
    assert rig.quality("bias") == pytest.approx(0.25)
    assert errors(rig) == {}


def test_a_version_that_cannot_be_shown_is_left_out_of_the_page(start: Start) -> None:
    registry = make_registry(make_table())
    registry.register("spam", make_table(), alias="champion")
    rig = start(registry=registry)
    version = rig.version(model="spam")
    version.live = Live(version.counts, Totals(values=np.zeros(3, np.int64)))
    total = "mlflow_model_predictions_total"
    assert rig.series(total) == {f'{total}{{model="fraud",model_version="1"}}': 0}
    labels = '{model="spam",model_version="1",stage="evaluation"}'
    assert rig.sample(f"mlflow_exporter_evaluation_errors_total{labels}") == 2, "one for each scrape"


def test_old_blocks_become_hours_and_go_after_their_retention(rig: Rig) -> None:
    for hours in range(30):
        rig.post_rows(make_rows(2, timestamp=NOON - 3600 * hours - 30))
        rig.post_rows(make_rows(2, timestamp=NOON - 3600 * hours - 630))
    assert rig.window_rows("7d") == 120
    rig.clock.advance(20 * 3600)
    assert rig.window_rows("7d") == 120
    counts = rig.version().counts
    assert counts is not None
    fine, coarse = rig.service.store.load_blocks(counts.reference_id)
    assert (fine.keys(), coarse.keys()) == (counts.timeline.fine.keys(), counts.timeline.coarse.keys())
    horizon = counts.timeline.horizon(rig.clock())
    assert all(start >= horizon for start in fine)
    assert all(start < horizon for start in coarse)
    assert sum(block.rows for block in (*fine.values(), *coarse.values())) == 120
    rig.clock.advance(46 * DAY)
    rig.evaluate()
    assert rig.service.store.load_blocks(counts.reference_id) == ({}, {})
    counts = rig.version().counts
    assert counts is not None
    assert (counts.timeline.fine, counts.timeline.coarse) == ({}, {})


def test_its_loops_run_until_it_is_stopped(tmp_path: Path) -> None:
    registry = make_registry(make_table())
    quick = {"evaluation_interval_seconds": 0.02, "mlflow_poll_interval_seconds": 0.02}
    service = Service(Settings(store=f"sqlite:///{tmp_path}/exporter.db", **quick), registry)
    service.start()
    try:
        registry.register("spam", make_table(), alias="champion")
        eventually(lambda: ("spam", "1") in service.fleet.versions)
        spam = service.fleet.versions["spam", "1"]
        eventually(lambda: spam.evaluation is not None)
        registry.failure = ZeroDivisionError("a bug in a poll")
        assert spam.evaluation is not None
        seen = spam.evaluation.at
        eventually(lambda: spam.evaluation is not None and spam.evaluation.at > seen)
        registry.failure = None
        registry.register("ham", make_table(), alias="champion")
        eventually(lambda: ("ham", "1") in service.fleet.versions)
        assert service.fault() == ""
        registry.loading.clear()
        registry.register("slow", make_table(), alias="champion")
        eventually(lambda: not service.discovery.loader.idle())
    finally:
        service.stop()
        hanging = not service.discovery.loader.idle()
        registry.loading.set()
    assert hanging  # and it ended nevertheless
