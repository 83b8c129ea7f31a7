"""Input of a report: rows of its period, rows of the reference, columns."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import orjson
import pyarrow.parquet as pq
import pytest

from exporter.errors import ReportError
from exporter.evaluation.importance import Importance
from exporter.reports.contents import ReportInput
from exporter.reports.gathering import Gatherer, order_columns
from tests.support.made_reports import ask
from tests.support.monitored import make_registry
from tests.support.rig import NOON, Rig, make_rows, over_a_day


def test_columns_are_in_the_order_of_their_importance_and_have_it_beside_them(rig: Rig) -> None:
    version = rig.version()
    version.importance = Importance({"new": 0.7, "age": 0.3, "country": 0.0}, "tag")
    assert version.counts is not None
    columns = order_columns(version, version.counts.reference, "24h")
    assert [(column.name, column.importance) for column in columns] == [
        ("new", 0.7), ("age", 0.3), ("country", 0.0), ("prediction", None), ("score", None),
    ]  # fmt: skip


def gathered(rig: Rig, **fields: object) -> ReportInput:
    report = replace(ask(rig), **fields)  # type: ignore[arg-type]
    reports = rig.service.reports
    gatherer = Gatherer(rig.service.store, rig.service.samples, lambda *names: "http://ml/" + "/".join(names))
    return gatherer.gather(rig.version(), report, reports.config_of(rig.version()))


def test_a_report_has_the_sampled_rows_of_its_period_and_the_rows_of_the_reference(rig: Rig) -> None:
    rows = over_a_day(make_rows(300, prefix="a"))
    rig.post_rows(rows)
    rig.post_labels({"a0": 1})
    rig.evaluate()
    found = gathered(rig)
    assert len(found.rows) == found.rows_counted == 300
    labelled = [row for row in found.rows if row.label is not None]
    assert [(row.label, row.at) for row in labelled] == [("1", rows[0]["timestamp"])]
    features = orjson.loads(labelled[0].content)["features"]
    assert features["age"] == rows[0]["features"]["age"]
    assert pq.read_table(io.BytesIO(found.reference_rows)).num_rows == 1000
    limits = {column.name: column.drift_limit for column in found.columns}
    assert limits["age"] is not None
    assert limits["age"] > 0.1
    assert (found.task, found.reason, found.notes) == ("binary", "request: to see", ())
    assert found.links == {"this version": "http://ml/fraud/1"}


def test_rows_of_other_times_are_left_out(rig: Rig) -> None:
    rig.post_rows(over_a_day(make_rows(100)))
    found = gathered(rig, start=NOON - 3600, end=NOON)
    assert 0 < len(found.rows) < 20
    assert min(row.at for row in found.rows) >= NOON - 3600 - 300


def test_a_sample_that_is_younger_than_the_period_is_told(start: Callable[..., Rig], tmp_path: Path) -> None:
    (tmp_path / "exporter.yml").write_text("defaults: {sample: {rows: 0}}\n")
    rig = start(config=str(tmp_path / "exporter.yml"))
    rig.post_rows(make_rows(200, timestamp=NOON - 7200))
    with pytest.raises(ReportError, match=r"`sample\.rows` of the configuration file is 0"):
        gathered(rig)
    (tmp_path / "exporter.yml").write_text("")
    rig.service.reload()
    with pytest.raises(ReportError, match="none of the 200 rows of the period were sampled"):
        gathered(rig)
    rig.post_rows(make_rows(50, timestamp=NOON - 60))
    assert gathered(rig).notes == ("the sample is younger than the period: it is of 50 of its 250 rows",)


def test_a_period_without_rows_has_no_report(rig: Rig) -> None:
    with pytest.raises(ReportError, match="there are no rows in the period"):
        gathered(rig)


def test_a_version_without_a_reference_has_no_report(start: Callable[..., Rig]) -> None:
    rig = start(registry=make_registry(None))
    rig.post_rows(make_rows(20))
    with pytest.raises(ReportError, match="no reference to compare with"):
        gathered(rig)
