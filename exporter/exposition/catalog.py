"""All metrics, in the README's order. Tests hold exports, documents and queries against it."""

from __future__ import annotations

from collections.abc import Iterable

from exporter.exposition.bad_verdicts import BAD_CATALOG
from exporter.exposition.collector import PAGE_CATALOG
from exporter.exposition.columns import COLUMN_CATALOG
from exporter.exposition.evidently_values import EVIDENTLY_CATALOG
from exporter.exposition.experiments import RUN_CATALOG
from exporter.exposition.habits import HABIT_CATALOG
from exporter.exposition.importance import IMPORTANCE_CATALOG
from exporter.exposition.metric import Metric
from exporter.exposition.quality import QUALITY_CATALOG
from exporter.exposition.segments import SEGMENT_CATALOG
from exporter.exposition.serving import SERVING_CATALOG
from exporter.exposition.telemetry import TELEMETRY_CATALOG
from exporter.exposition.versions import VERSION_CATALOG

CATALOG: tuple[Metric, ...] = (
    *VERSION_CATALOG,
    *HABIT_CATALOG,
    *SERVING_CATALOG,
    *COLUMN_CATALOG,
    *IMPORTANCE_CATALOG,
    *QUALITY_CATALOG,
    *BAD_CATALOG,
    *SEGMENT_CATALOG,
    *EVIDENTLY_CATALOG,
    *RUN_CATALOG,
    *TELEMETRY_CATALOG,
    *PAGE_CATALOG,
)
BY_NAME = {metric.name: metric for metric in CATALOG}


def metrics_table(metrics: Iterable[Metric] = CATALOG) -> str:
    """Table of metrics in Markdown, for the README of this package."""
    lines = ["| Metric | Type | Labels | `collect[]` | Meaning |", "| --- | --- | --- | --- | --- |"]
    for metric in metrics:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        lines.append(f"| `{metric.name}` | {metric.type} | {labels} | `{metric.group}` | {metric.help} |")
    return "\n".join(lines) + "\n"
