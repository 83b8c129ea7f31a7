"""Evaluations of monitored versions, and what is seen of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest

import exporter.monitoring.evaluator
from exporter.aggregates.state import Totals
from exporter.evaluation.drift import evaluate
from exporter.fleet import Live
from exporter.views.versions import models_view, version_detail
from tests.support.monitored import errors, make_registry
from tests.support.rig import NOON, Rig, make_rows, make_table

Start = Callable[..., Rig]
DAY = 86400.0


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
