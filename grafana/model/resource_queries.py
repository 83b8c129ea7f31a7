"""Queries of the model dashboard on the processes that serve the version.

Behind a load balancer each replica of the exporter has the reports that came to it, of any process: what a
process tells is the maximum over replicas, and processes are added up.
"""

from __future__ import annotations

from promql import gauge, highest, quantile, rate, series

from model.queries import VERSION

PROCESS = "host, process"


def told(metric: str, labels: str = PROCESS) -> str:
    """Gauge of each process."""
    return gauge(f"mlflow_model_serving_{metric}", VERSION, labels)


def counted(counter: str, labels: str = PROCESS) -> str:
    """Growth per second of a counter of each process."""
    found = series(f"mlflow_model_serving_{counter}_total", VERSION)
    return f"max by ({labels}) (rate({found}[$__rate_interval]))"


def by_host(figure: str) -> str:
    return f"sum by (host) ({figure})"


CORES = counted("cpu_seconds")
CPU_RATIO = f"{by_host(CORES)} / on (host) max by (host) ({told('cpu_limit_cores')})"
BUSIEST = f"max ({CPU_RATIO})"
MEMORY = by_host(told("memory_bytes"))
MEMORY_LIMIT = f"max by (host) ({told('memory_limit_bytes')})"
IN_FLIGHT = by_host(told("in_flight_requests"))
_DROPPED = f"sum by (reason) ({counted('dropped_rows', f'{PROCESS}, reason')})"
DROPPED = f"{_DROPPED} and on (reason) {highest(_DROPPED)} > 0"
SENT = f"sum ({counted('sent_rows')})"
# A device is one, whichever of its processes tells of it.
GPU_BUSY = gauge("mlflow_model_serving_gpu_utilization_ratio", VERSION, "host, gpu")
GPU_MEMORY = (
    f"{gauge('mlflow_model_serving_gpu_memory_bytes', VERSION, 'host, gpu')}"
    f" / {gauge('mlflow_model_serving_gpu_memory_limit_bytes', VERSION, 'host, gpu')}"
)
PREDICTIONS = rate("mlflow_model_predictions_total", VERSION)
LATENCY = quantile(0.95, "mlflow_model_latency_seconds", VERSION)
LATENCY_LIMIT = gauge("mlflow_model_latency_limit_seconds", VERSION)
