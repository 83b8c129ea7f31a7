"""Series of the processes that serve a version, from their last reports.

    mlflow_model_serving_open_files{model="fraud",model_version="3",host="web-1",process="7-1799990000"} 31
    mlflow_model_serving_threads{model="fraud",model_version="3",host="web-1",process="7-1799990000"} 12

A figure that a process does not tell has no series, and a process that is silent for a minute has none.
"""

from __future__ import annotations

from collections.abc import Iterable

from exporter.exposition.metric import VERSION, Metric, MetricOf
from exporter.exposition.samples import Samples
from exporter.exposition.view import VersionView
from exporter.serving_processes import GpuUse, ServingProcess

_PROCESS = (*VERSION, "host", "process")

OF_PROCESS: tuple[MetricOf[ServingProcess, float | None], ...] = (
    MetricOf(
        "mlflow_model_serving_cpu_seconds_total",
        "counter",
        "User and system CPU time of a serving process, without its children, in seconds.",
        _PROCESS,
        read=lambda process: process.cpu_seconds,
    ),
    MetricOf(
        "mlflow_model_serving_cpu_limit_cores",
        "gauge",
        "Cores that a serving process and its neighbours in the container may use, by quota and affinity.",
        _PROCESS,
        read=lambda process: process.cpu_limit_cores,
    ),
    MetricOf(
        "mlflow_model_serving_memory_bytes",
        "gauge",
        "Resident memory of a serving process, in bytes; its peak where there is no /proc.",
        _PROCESS,
        read=lambda process: process.memory_bytes,
    ),
    MetricOf(
        "mlflow_model_serving_memory_limit_bytes",
        "gauge",
        "Memory that a serving process and its neighbours in the container may use, in bytes; absent "
        "without a limit.",
        _PROCESS,
        read=lambda process: process.memory_limit_bytes,
    ),
    MetricOf(
        "mlflow_model_serving_threads",
        "gauge",
        "Threads of a serving process.",
        _PROCESS,
        read=lambda process: process.threads,
    ),
    MetricOf(
        "mlflow_model_serving_open_files",
        "gauge",
        "Open file descriptors of a serving process.",
        _PROCESS,
        read=lambda process: process.open_files,
    ),
    MetricOf(
        "mlflow_model_serving_in_flight_requests",
        "gauge",
        "Requests that a serving process is answering.",
        _PROCESS,
        read=lambda process: process.in_flight_requests,
    ),
    MetricOf(
        "mlflow_model_serving_sent_rows_total",
        "counter",
        "Predictions and labels of a serving process that an exporter took.",
        _PROCESS,
        read=lambda process: process.sent_rows,
    ),
)
DROPPED_ROWS = Metric(
    "mlflow_model_serving_dropped_rows_total",
    "counter",
    "Predictions and labels that the client in a serving process lost, by reason.",
    (*_PROCESS, "reason"),
)
OF_GPU: tuple[MetricOf[GpuUse, float | None], ...] = (
    MetricOf(
        "mlflow_model_serving_gpu_utilization_ratio",
        "gauge",
        "Share of time in which a GPU of a serving process was busy, by all its processes, from 0 to 1.",
        (*_PROCESS, "gpu"),
        read=lambda gpu: gpu.utilization_ratio,
    ),
    MetricOf(
        "mlflow_model_serving_gpu_memory_bytes",
        "gauge",
        "Memory in use on a GPU of a serving process, by all its processes, in bytes.",
        (*_PROCESS, "gpu"),
        read=lambda gpu: gpu.memory_bytes,
    ),
    MetricOf(
        "mlflow_model_serving_gpu_memory_limit_bytes",
        "gauge",
        "Memory of a GPU of a serving process, in bytes.",
        (*_PROCESS, "gpu"),
        read=lambda gpu: gpu.memory_limit_bytes,
    ),
)
SERVING_CATALOG: tuple[Metric, ...] = (*OF_PROCESS, DROPPED_ROWS, *OF_GPU)


def count_serving_series(processes: Iterable[ServingProcess]) -> int:
    """Upper bound of the series that `add_serving` adds."""
    return sum(
        len(OF_PROCESS) + len(process.dropped_rows) + len(OF_GPU) * len(process.gpus) for process in processes
    )


def add_serving(samples: Samples, view: VersionView) -> None:
    """Add the series of the processes that serve a version."""
    for process in view.processes:
        labels = (view.model, view.version, process.host, process.process)
        samples.add_read(OF_PROCESS, labels, process)
        for reason, rows in process.dropped_rows.items():
            samples.add_one(DROPPED_ROWS, (*labels, reason), rows)
        for gpu in process.gpus:
            samples.add_read(OF_GPU, (*labels, gpu.gpu), gpu)
