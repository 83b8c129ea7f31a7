"""Asks a running exporter for a version's reference, and sends it parts; needs httpx."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

from exporter.client.connection import Answer, Connection
from exporter.client.retrying import RETRY_SECONDS, ask_until_answered
from exporter.errors import ExporterError
from exporter.folding.bodies import bodies
from exporter.folding.part import Part
from exporter.folding.reference_document import FoldingReference, read_reference

ACCEPTED, OK = 202, 200
_JSON = {"Content-Type": "application/json"}


@dataclass
class Sent:
    """Rows that were sent, by what became of them."""

    accepted: int = 0
    duplicates: int = 0
    dropped: dict[str, int] = field(default_factory=dict)

    def add(self, answer: Answer) -> None:
        document = json.loads(answer.body)
        self.accepted += document["accepted"] or 0
        self.duplicates += document["duplicates"] or 0
        for reason, rows in document.get("dropped", {}).items():
            self.dropped[reason] = self.dropped.get(reason, 0) + rows


def fetch_reference(
    connection: Connection, model: str, version: str, retry_seconds: float = RETRY_SECONDS
) -> FoldingReference:
    """Reference of a version, by which its rows are folded; waits while it is being made.

    Raises:
        CallRefusedError: the version is not monitored, or has no reference.
        UnreachableError: the exporter gave no answer.
        MalformedError: its answer is not of this version of the exporter.
    """
    path = f"/v1/models/{quote(model, safe='')}/versions/{quote(version, safe='')}/reference"
    answer = ask_until_answered(lambda: connection.request("GET", path), (OK,), _wait, retry_seconds)
    return read_reference(answer.body)


def send_parts(
    connection: Connection,
    reference: FoldingReference,
    parts: Sequence[Part],
    source: str,
    sequence: int,
    retry_seconds: float = RETRY_SECONDS,
) -> Sent:
    """Send parts, and wait until they are on the exporter's disk.

    Can be called again with the same parts, source and sequence, whatever became of the call before.

    Args:
        connection: to the exporter.
        reference: that the parts were folded by.
        parts: all that are of the sequence.
        source: name of who counts.
        sequence: number that is greater than that of the source's last call.
        retry_seconds: longest time that a request is tried for.

    Raises:
        CallRefusedError: refused: with 409 the version has another reference by now, by which the rows have
            to be folded again; with 422 the sequence was taken with other rows, or goes back.
        UnreachableError: no answer for so long; parts of it may be taken, send all again.
    """
    sent = Sent()
    for body in bodies(parts, reference, source, sequence):
        encoded = body.encode(reference)

        def ask(encoded: bytes = encoded) -> Answer:
            return connection.request("POST", "/v1/aggregates", None, encoded, _JSON)

        sent.add(ask_until_answered(ask, (ACCEPTED,), _wait, retry_seconds))
    return sent


def _wait(_: ExporterError, seconds: float) -> None:
    time.sleep(seconds)
