"""Counts of all monitors in the service's own `/metrics`, where it has prometheus-client.

mlflow_exporter_client_sent_rows_total{kind="prediction",model="fraud",model_alias="",model_version="3"}
mlflow_exporter_client_dropped_rows_total{model="fraud",model_alias="",model_version="3",reason="expired"}
mlflow_exporter_client_queued_rows{model="fraud",model_alias="",model_version="3"}
mlflow_exporter_client_unsendable_values_total{model="fraud",model_alias="",model_version="3"}
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, get_args
from weakref import WeakSet

from exporter.client.counts import Reason
from exporter.client.outbox import Kind

if TYPE_CHECKING:
    from exporter.client.monitor import Monitor

_LABELS = ("model", "model_version", "model_alias")
_PREFIX = "mlflow_exporter_client"


class _Collector:
    """Sums over all monitors of a target, so that two of them are one series."""

    def __init__(self, families: Any) -> None:
        self._families = families

    def describe(self) -> list[Any]:
        return []

    def collect(self) -> Iterator[Any]:
        sent, dropped = Counter[tuple[str, ...]](), Counter[tuple[str, ...]]()
        queued, unsendable = Counter[tuple[str, ...]](), Counter[tuple[str, ...]]()
        for monitor in list(_monitors):
            target = (monitor.target.model, monitor.target.version, monitor.target.alias)
            for kind, rows in {**dict.fromkeys(get_args(Kind), 0), **monitor.sent}.items():
                sent[*target, kind] += rows
            for reason, rows in {**dict.fromkeys(get_args(Reason), 0), **monitor.dropped}.items():
                dropped[*target, reason] += rows
            queued[target] += monitor.queued_rows
            unsendable[target] += monitor.unsendable_values
        yield self._family("sent_rows", "Rows that the exporter took.", sent, "kind")
        yield self._family("dropped_rows", "Rows that were not sent.", dropped, "reason")
        yield self._family("queued_rows", "Rows that wait to be sent.", queued, gauge=True)
        yield self._family("unsendable_values", "Values that were sent as missing.", unsendable)

    def _family(
        self, name: str, text: str, counts: Counter[tuple[str, ...]], *labels: str, gauge: bool = False
    ) -> Any:
        kind = self._families.GaugeMetricFamily if gauge else self._families.CounterMetricFamily
        family = kind(f"{_PREFIX}_{name}", text, labels=(*_LABELS, *labels))
        for values, count in counts.items():
            family.add_metric(values, count)
        return family


_monitors: WeakSet[Monitor] = WeakSet()
_shown = False


def count(monitor: Monitor) -> None:
    """Show a monitor's counts, now or as soon as the service imports prometheus-client."""
    _monitors.add(monitor)
    show_counts()


def show_counts() -> None:
    """Register the collector with prometheus-client's registry, once, if the service has imported it."""
    global _shown
    if _shown or "prometheus_client.registry" not in sys.modules:
        return
    try:
        from prometheus_client import REGISTRY, metrics_core

        REGISTRY.register(_Collector(metrics_core))
    except Exception:  # noqa: BLE001 - another thread imports it at this moment, or it is another's module
        return
    _shown = True
