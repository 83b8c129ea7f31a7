"""Decides what a report consists of: presets by task, or what the configuration names."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd
from evidently import DataDefinition, Dataset, Recsys
from evidently.metrics import DriftedColumnsCount, ValueDrift
from evidently.presets import DataDriftPreset, DataSummaryPreset, TextEvals

from exporter.config.named_metrics import NamedMetric
from exporter.errors import ReportError
from exporter.formats.texts import first_line, printable
from exporter.reports.contents import ReportColumn, ReportInput
from exporter.reports.evidently_classes import METRICS, make_descriptor, make_metric
from exporter.reports.quality import LabelledData, labelled_rows
from exporter.reports.running import Item
from exporter.reports.tables import ReportTables

# Named, since Evidently would choose by the number of rows. PSI has one definition for it and for us.
DRIFT_METHODS = {"num_method": "psi", "cat_method": "psi", "text_method": "abs_text_content_drift"}
EVIDENTLY_ATOMS = 20  # up to as many different numbers are bins of their own
DEFAULT_LIMIT = 0.1  # of PSI, Evidently's and ours
_QUALITY_MODULES = ("classification", "regression")
_DRIFT = (DataDriftPreset, DriftedColumnsCount, ValueDrift)


def define(given: ReportInput, tables: ReportTables) -> tuple[list[Item], list[str]]:
    """Items of a report in their order, and notes on what cannot be made."""
    notes: list[str] = []
    current, reference = _datasets(given, tables, notes)
    limits = _drift_limits(tables)
    labelled = None
    if not given.metrics or any(_is_of_quality(named.name) for named in given.metrics):
        labelled = labelled_rows(given, tables.outputs, notes)
    if given.metrics:
        return _named(given.metrics, tables, current, reference, labelled, limits, notes), notes
    items = []
    if reference is not None and limits:
        preset = DataDriftPreset(columns=list(limits), per_column_threshold=limits, **DRIFT_METHODS)
        items.append(Item(preset, current, reference, tested=True))
    if labelled is not None:
        items += [Item(each, labelled.current, labelled.reference) for each in labelled.presets]
    items.append(Item(DataSummaryPreset(), current, reference))
    described = current.data_definition
    if described.numerical_descriptors or described.categorical_descriptors:
        items.append(Item(TextEvals(), current, reference))
    return items, notes


def _datasets(given: ReportInput, tables: ReportTables, notes: list[str]) -> tuple[Dataset, Dataset | None]:
    """Window and reference with the columns of the descriptors, but of those that fail on either."""
    frames = [frame for frame in (tables.current, tables.reference) if frame is not None]
    pair = [_dataset(frame, tables, ()) for frame in frames]
    kept: list[Any] = []
    for named in given.descriptors:
        try:
            descriptor = make_descriptor(named)
            pair = [_dataset(frame, tables, [*kept, descriptor]) for frame in frames]
            kept.append(descriptor)
        except ReportError as error:
            notes.append(f"{error}; it is left out")
        except Exception as error:  # noqa: BLE001 - Evidently raises any
            notes.append(f"descriptor {named.name} is left out: {first_line(error)}")
    return pair[0], pair[1] if len(pair) > 1 else None


def _dataset(frame: pd.DataFrame, tables: ReportTables, descriptors: Sequence[Any]) -> Dataset:
    names = set(tables.kinds)
    ranking = [Recsys()] if {"user_id", "item_id", "target", "prediction"} <= names else None
    definition = DataDefinition(
        numerical_columns=tables.of_kind("number"),
        categorical_columns=tables.of_kind("category"),
        text_columns=tables.of_kind("text"),
        datetime_columns=tables.of_kind("time"),
        ranking=ranking,
    )
    return Dataset.from_pandas(frame[list(tables.kinds)], definition, descriptors=list(descriptors))


def _drift_limits(tables: ReportTables) -> dict[str, float]:
    """PSI from which on each judged column has drifted, in the order in which they are shown.

    The version's limit, or the default, and the PSI that samples of this size have without drift.
    """
    if tables.reference is None:
        return {}
    outputs = [ReportColumn(name, "prediction", "number") for name in tables.names.values()]
    limits = {}
    for column in (*tables.features, *outputs):
        kind = tables.kinds[column.name]
        if kind in ("time", "text") or column.unjudged:
            continue
        now, then = tables.current[column.name].dropna(), tables.reference[column.name].dropna()
        values = pd.concat([now, then]).nunique()
        if kind == "number" and values > EVIDENTLY_ATOMS:
            values = math.ceil(math.log2(len(now) + len(then)) + 1)  # Sturges' rule
        floor = (values - 1) * (1 / len(now) + 1 / len(then))
        limits[column.name] = round((column.drift_limit or DEFAULT_LIMIT) + floor, 4)
    return limits


def _is_of_quality(name: str) -> bool:
    kind = METRICS.get(name)
    return kind is not None and kind.__module__.rpartition(".")[2] in _QUALITY_MODULES


def _named(
    metrics: Sequence[NamedMetric],
    tables: ReportTables,
    current: Dataset,
    reference: Dataset | None,
    labelled: LabelledData | None,
    limits: dict[str, float],
    notes: list[str],
) -> list[Item]:
    items = []
    for named in metrics:
        if (quality := _is_of_quality(named.name)) and labelled is None:
            notes.append(f"{named.name} is left out: it needs labels")
            continue
        try:
            metric = make_metric(named, _defaults(named, tables, limits, labelled))
        except ReportError as error:
            notes.append(f"{error}; it is left out")
            continue
        if absent := _absent_columns(named, current):
            names = ", ".join(map(printable, absent))
            notes.append(f"{named.name} is left out: column {names} is not in the report")
            continue
        if isinstance(metric, _DRIFT) and reference is None:
            notes.append(f"{named.name} is left out: it needs the reference's rows")
            continue
        rows = (labelled.current, labelled.reference) if quality and labelled else (current, reference)
        items.append(Item(metric, *rows, named=True, tested=isinstance(metric, _DRIFT)))
    return items


def _defaults(
    named: NamedMetric, tables: ReportTables, limits: dict[str, float], labelled: LabelledData | None
) -> dict[str, Any]:
    """Arguments that we add where none are written."""
    written = named.arguments.keys()
    if named.name in ("DataDriftPreset", "DriftedColumnsCount"):
        defaults: dict[str, Any] = {"columns": list(limits)}
        if not any("method" in each or "threshold" in each for each in written):
            columns = named.arguments.get("columns", list(limits))
            defaults |= DRIFT_METHODS
            defaults["per_column_threshold"] = {name: limits[name] for name in columns if name in limits}
        return defaults
    if named.name == "ValueDrift" and "method" not in written:
        column = str(named.arguments.get("column", ""))
        text = tables.kinds.get(column) == "text"
        defaults = {"method": DRIFT_METHODS["text_method" if text else "num_method"]}
        return defaults if text or column not in limits else {**defaults, "threshold": limits[column]}
    if labelled is not None and labelled.threshold is not None and _is_of_quality(named.name):
        return {"probas_threshold": labelled.threshold}
    return {}


def _absent_columns(named: NamedMetric, dataset: Dataset) -> list[str]:
    """Columns that the arguments name and the data set does not have."""
    mentioned = [named.arguments.get(key, "") for key in ("column", "column_name", "columns")]
    names = [name for each in mentioned for name in (each if isinstance(each, list) else [each])]
    there = {"", *dataset.as_dataframe().columns}
    return [name for name in names if isinstance(name, str) and name not in there]
