"""Post the events of inference loggers to the real service, durable on SQLite, while it is scraped.

python tests/benchmarks/bench_cloudevents.py [seconds]

Service and clients are a process each. Requests and responses are sent in turns, by whichever client is free:
an exchange is two events. Wall time is what a client sees, and suffers from whatever else the machine does;
CPU time is the service's.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

from bench_ingest import COLUMNS, make_columns, make_store, running
from bench_requests import measure

from tests.support.kserve_logger import (
    Agent,
    v1_request,
    v1_response,
    v2_request,
    v2_response,
    v2_tensor,
    with_binary,
)

SECONDS = 8.0
AGENT = Agent("bench")
Bodies = tuple[bytes, bytes]  # of a request and of the response to it


def make_rows(rows: int) -> tuple[list[str], list[list[float]], list[float]]:
    """Names (20,), values (rows, 20) and predictions (rows,)."""
    columns = make_columns(rows, COLUMNS, 1)
    names = [name for name in columns if name.startswith("feature")]
    values = [[float(columns[name][row]) for name in names] for row in range(rows)]
    return names, values, [float(each) for each in columns["prediction"]]


def v1_bodies(rows: int) -> Bodies:
    names, values, predictions = make_rows(rows)
    instances = [dict(zip(names, row, strict=True)) for row in values]
    return v1_request(instances), v1_response(predictions)


def v2_bodies(rows: int) -> Bodies:
    names, values, predictions = make_rows(rows)
    data = [value for row in values for value in row]
    request = v2_request(v2_tensor("input-0", "FP64", [rows, len(names)], data))
    return request, v2_response(v2_tensor("predict", "FP64", [rows], predictions))


def binary_bodies(rows: int) -> Bodies:
    request, response = v2_bodies(rows)
    return with_binary(request, "inputs"), with_binary(response, "outputs")


def events(bodies: Bodies) -> Iterator[bytes]:
    """Requests and responses in turns, as they go over the wire, each exchange with an id of its own."""
    heads = []
    for kind, body in (("request", bodies[0]), ("response", bodies[1])):
        headers = AGENT.headers(kind, "{id}", 0.0)  # type: ignore[arg-type]
        headers.pop("ce-time")
        headers.pop("ce-recordedtime")
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items() if name != "ce-metadata")
        heads.append(
            f"POST /v1/cloudevents HTTP/1.1\r\nhost: 127.0.0.1\r\n{lines}content-length: {len(body)}\r\n\r\n"
        )
    while True:
        event_id = str(uuid4())
        for head, body in zip(heads, bodies, strict=True):
            yield head.replace("{id}", event_id).encode() + body


def main(seconds: float) -> None:
    print(f"POST /v1/cloudevents, {COLUMNS} columns, 64 keep-alive clients, durable; events, two an exchange")
    with tempfile.TemporaryDirectory(prefix="bench-cloudevents-") as directory:
        uri = f"sqlite:///{Path(directory)}/cloudevents.db"
        make_store(uri)
        with running(uri) as service:
            for rows in (1, 100):
                for name, make in (("V1", v1_bodies), ("V2", v2_bodies), ("V2 binary", binary_bodies)):
                    measure(service, f"{name} x {rows}", events(make(rows)), seconds, "")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS)
