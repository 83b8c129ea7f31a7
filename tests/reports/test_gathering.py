"""Columns of a report."""

from __future__ import annotations

from exporter.evaluation.importance import Importance
from exporter.reports.gathering import order_columns
from tests.support.rig import Rig


def test_columns_are_in_the_order_of_their_importance_and_have_it_beside_them(rig: Rig) -> None:
    version = rig.version()
    version.importance = Importance({"new": 0.7, "age": 0.3, "country": 0.0}, "tag")
    assert version.counts is not None
    columns = order_columns(version, version.counts.reference, "24h")
    assert [(column.name, column.importance) for column in columns] == [
        ("new", 0.7), ("age", 0.3), ("country", 0.0), ("prediction", None), ("score", None),
    ]  # fmt: skip
