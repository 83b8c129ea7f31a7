"""Numbers of metrics, named alike in every report."""

from __future__ import annotations

import doctest
from typing import Any

import exporter.reports.values as module
from exporter.reports.contents import MAX_VALUES, EvidentlyValue
from exporter.reports.values import extract_values


def metric(name: str, value: object, named: bool = False, **config: Any) -> tuple[dict[str, Any], bool]:
    return {"config": {"type": f"evidently:metric_v2:{name}", **config}, "value": value}, named


def numbers(*results: tuple[dict[str, Any], bool]) -> dict[tuple[str, str, str], float]:
    return {(each.metric, each.column, each.part): each.value for each in extract_values(results)[0]}


def test_the_names_of_metrics_are_as_documented() -> None:
    assert not doctest.testmod(module).failed


def test_every_kind_of_value_has_parts() -> None:
    assert numbers(
        metric("RowCount", 7),
        metric("MissingValueCount", {"count": 2, "share": 0.5}, column="a"),
        metric("MAE", {"mean": 1, "std": float("nan")}),
        metric("F1ByLabel", {"DE": 0.5, False: 0.25}),
        metric("UniqueValueCount", {"counts": {"DE": 3}, "shares": {"DE": 1.0}}, column="a"),
        metric("NDCG", {"rank": {0: 1}, "value": {0: 0.5}}, k=1),
        metric("Odd", {"text": "no number", "none": None, "huge": 10**400}),
    ) == {
        ("RowCount", "", ""): 7,
        ("MissingValueCount", "a", "count"): 2,
        ("MissingValueCount", "a", "share"): 0.5,
        ("MAE", "", "mean"): 1,
        ("F1ByLabel", "", "DE"): 0.5,
        ("F1ByLabel", "", "False"): 0.25,
        ("UniqueValueCount", "a", "count DE"): 3,
        ("UniqueValueCount", "a", "share DE"): 1,
        ("NDCG(k=1)", "", "rank 0"): 1,
        ("NDCG(k=1)", "", "value 0"): 0.5,
    }


def test_two_metrics_of_one_name_are_told_apart() -> None:
    assert numbers(
        metric("ValueDrift", 0.1, column="a", method="psi", threshold=0.1),
        metric("ValueDrift", 0.2, column="a", method="ks"),
        metric("ValueDrift", 0.3, column="b", method="ks"),
        metric("RowCount", 5),
        metric("RowCount", 5),
        metric("RowCount", 6),
    ) == {
        ("ValueDrift", "a", ""): 0.1,
        ("ValueDrift(method=ks)", "a", ""): 0.2,
        ("ValueDrift", "b", ""): 0.3,
        ("RowCount", "", ""): 5,
        ("RowCount(2)", "", ""): 6,
    }


def test_named_metrics_come_first_and_too_many_numbers_are_counted() -> None:
    labels = dict.fromkeys(map(str, range(MAX_VALUES)), 1.0)
    values, beyond = extract_values([metric("F1ByLabel", labels), metric("RowCount", 5, named=True)])
    assert values[0] == EvidentlyValue("RowCount", "", "", 5.0, named=True)
    assert (len(values), beyond) == (MAX_VALUES, 1)
