"""Metrics of the process and of its Python, collected by prometheus-client."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import Metric as ClientMetric
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from exporter.exposition.metric import Metric

PROCESS_CATALOG = (
    Metric("process_virtual_memory_bytes", "gauge", "Virtual memory, in bytes.", group="process"),
    Metric("process_resident_memory_bytes", "gauge", "Resident memory, in bytes.", group="process"),
    Metric(
        "process_start_time_seconds",
        "gauge",
        "Time at which the process started, in seconds since the epoch.",
        group="process",
    ),
    Metric("process_cpu_seconds_total", "counter", "User and system CPU time, in seconds.", group="process"),
    Metric("process_open_fds", "gauge", "Open file descriptors.", group="process"),
    Metric("process_max_fds", "gauge", "Maximum number of open file descriptors.", group="process"),
    Metric(
        "python_info",
        "gauge",
        "Always 1: the Python that runs the exporter.",
        ("implementation", "major", "minor", "patchlevel", "version"),
        "process",
    ),
)


class ProcessMetrics(Collector):
    """Memory, CPU time and file descriptors of the process, and the version of Python."""

    def __init__(self) -> None:
        self._process = ProcessCollector(registry=None)
        self._platform = PlatformCollector(registry=None)

    def collect(self) -> Iterable[ClientMetric]:
        yield from self._platform.collect()
        try:
            yield from self._process.collect()
        except ValueError:  # it takes "unlimited" file descriptors for a number
            return
