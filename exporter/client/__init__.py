"""Client for services: predictions and labels go to the exporter from a thread in the background.

`Monitor` is made once in the process that serves a model. It needs httpx and nothing else; values of numpy,
pandas, polars and pyarrow are taken from services that use them. `Connection` is for callers that wait for
the answer.
"""

from exporter.client.asgi import MonitoringMiddleware
from exporter.client.columns import Columns, hash_value
from exporter.client.connection import Connection
from exporter.client.monitor import Monitor

__all__ = ["Columns", "Connection", "Monitor", "MonitoringMiddleware", "hash_value"]
