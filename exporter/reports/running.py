"""Runs presets and metrics of Evidently, each by itself, so that one that fails does not lose the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from evidently import Dataset, Report
from evidently.core.container import MetricContainer
from evidently.core.metric_types import metric_tests_widget
from evidently.core.report import Context, Snapshot, metric_tests_stats
from evidently.core.serialization import ReportModel, SnapshotModel
from evidently.metrics import ValueDrift
from evidently.presets import DataDriftPreset

from exporter.formats.texts import first_line
from exporter.reports.values import metric_name


@dataclass(frozen=True)
class Item:
    """A preset or metric, and the rows that it is about, with those of the reference.

    `named` is true if the configuration names it. With `tested` it has Evidently's default tests.
    """

    metric: Any
    current: Dataset
    reference: Dataset | None
    named: bool = False
    tested: bool = False


@dataclass
class Results:
    """Metrics and widgets of the items that worked, to be one snapshot of Evidently."""

    metrics: dict[str, Any] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)
    named: set[str] = field(default_factory=set)
    widgets: list[Any] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, snapshot: Snapshot, named: bool) -> None:
        """Add a run's metrics and widgets; a metric that is there already keeps its place."""
        model = snapshot.to_snapshot_model()
        for name in model.top_level_metrics:
            result = model.metric_results.get(name)
            if result is None:
                continue
            if name not in self.metrics:
                self.order.append(name)
            self.metrics[name] = result
            if named:
                self.named.add(name)
        self.widgets += model.widgets

    def snapshot(
        self, name: str, metadata: Mapping[str, str], timestamp: Any, tags: Sequence[str] = ()
    ) -> Snapshot:
        """Evidently's snapshot of all that was made."""
        tests = [test for each in self.order for test in self.metrics[each].tests]
        model = SnapshotModel(
            report=ReportModel(items=[]),
            name=name,
            timestamp=timestamp,
            metadata=dict(metadata),
            tags=list(tags),
            metric_results=self.metrics,
            top_level_metrics=self.order,
            widgets=self.widgets,
            tests_widgets=[metric_tests_stats(tests), metric_tests_widget(tests)] if tests else [],
        )
        return Snapshot.load_model(model)


def run(items: Sequence[Item]) -> Results:
    """Run all items; one that fails is taken apart, and only the part at fault is left out, with a note."""
    results = Results()
    for item in items:
        _run(item, results)
    return results


def _run(item: Item, results: Results) -> bool:
    """Run an item, or what works of it; false if it is left out."""
    try:
        report = Report([item.metric], include_tests=item.tested)
        snapshot = report.run(item.current, item.reference)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - Evidently raises any
        parts = list(_parts(item))
        if not parts:
            results.notes.append(f"{_describe(item.metric)} is left out: {first_line(error)}")
            return False
        if isinstance(item.metric, DataDriftPreset):
            return _run_drift(item, parts, results)
        results.notes.append(f"{_describe(item.metric)} is made of its parts: {first_line(error)}")
        made = [_run(part, results) for part in parts]
        return any(made)
    results.add(snapshot, item.named)
    return True


def _run_drift(item: Item, parts: Sequence[Item], results: Results) -> bool:
    """Run a preset of drift without the columns that fail by themselves."""
    tried = Results()
    drifts = [part for part in parts if isinstance(part.metric, ValueDrift)]
    working = [part.metric.column for part in drifts if _run(part, tried)]
    results.notes += tried.notes
    if not working:
        return False
    if len(working) < len(drifts):
        narrower = item.metric.copy(update={"columns": working})
        return _run(Item(narrower, item.current, item.reference, item.named, item.tested), results)
    for part in drifts:  # each works, all together do not
        _run(part, results)
    return True


def _parts(item: Item) -> Iterator[Item]:
    """Metrics that a preset consists of, none of a metric or of a preset that cannot say."""
    if not isinstance(item.metric, MetricContainer):
        return
    context = Context(Report([]))
    context.init_dataset(item.current, item.reference)
    try:
        metrics = list(item.metric.generate_metrics(context))
    except Exception:  # noqa: BLE001 - the reason why it failed as a whole is told
        return
    for metric in metrics:
        yield Item(metric, item.current, item.reference, item.named, item.tested)


def _describe(metric: Any) -> str:
    column = getattr(metric, "column", "") or getattr(metric, "column_name", "")
    name = metric_name({"type": type(metric).__name__} | _arguments(metric))
    return f"{name} of column {column}" if column else name


def _arguments(metric: Any) -> dict[str, Any]:
    values = getattr(metric, "__dict__", {})
    return {
        name: value
        for name, value in values.items()
        if isinstance(value, str | int | float) and name != "type"
    }
