"""Reports of a serving process: what it takes, and how many rows it sent and dropped."""

from __future__ import annotations

import json
from typing import get_args

from exporter.client.connection import Connection
from exporter.client.counts import Counts, Reason
from exporter.client.in_flight import InFlight
from exporter.client.process_usage import host_name, process_name, read_usage
from exporter.payloads.target import Target

PATH = "/v1/serving"
INTERVAL_SECONDS = 15.0


class ProcessReports:
    """Reports of this process about the version that it serves."""

    def __init__(self, target: Target, counts: Counts, in_flight: InFlight) -> None:
        self._target = target
        self._counts = counts
        self._in_flight = in_flight

    def post(self, connection: Connection) -> None:
        """Post a report of now, in one attempt: the next one says more.

        A refusal is ignored: exporters of former releases have no such route.
        """
        connection.request("POST", PATH, body=self.report(), headers={"Content-Type": "application/json"})

    def report(self) -> bytes:
        """Return a report of now, as JSON. Every reason for which rows are dropped begins at 0."""
        report = {
            **self._target.to_json(),
            "host": host_name(),
            "process": process_name(),
            **read_usage(),
            **({"in_flight_requests": len(self._in_flight)} if self._in_flight.counted else {}),
            "sent_rows": sum(self._counts.sent.values()),
            "dropped_rows": dict.fromkeys(get_args(Reason), 0) | self._counts.dropped,
        }
        return json.dumps(report).encode()
