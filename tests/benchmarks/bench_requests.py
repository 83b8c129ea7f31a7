"""Post one row a request to the real service, as most services do, durable on SQLite, while it is scraped.

python tests/benchmarks/bench_requests.py [seconds]

Service and clients are a process each. Wall time is what a client sees, and suffers from whatever else the
machine does; CPU time is the service's.
"""

from __future__ import annotations

import json
import re
import selectors
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import numpy as np
from bench_ingest import COLUMNS, Running, make_columns, make_store, running

CLIENTS = 64
WARM_UP_SECONDS, SECONDS = 2.0, 10.0
SCRAPE_SECONDS = 0.25  # between two scrapes
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)


class Client:
    """Keep-alive connection with one request at a time; `seconds` are how long the answers took."""

    def __init__(self, port: int, requests: Iterator[bytes]) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.seconds: list[float] = []
        self._requests = requests
        self._received, self._missing = b"", 0
        self._sent_at = 0.0

    def send(self) -> None:
        self._received, self._missing = b"", 0
        self._sent_at = time.perf_counter()
        self.socket.sendall(next(self._requests))

    def receive(self) -> bool:
        """Read what is there; true once an answer is complete."""
        data = self.socket.recv(1 << 20)
        assert data, "the service hung up"
        if self._missing:
            self._missing -= len(data)
        else:
            self._received += data
            head, ended, body = self._received.partition(b"\r\n\r\n")
            if not ended:
                return False
            assert head.startswith((b"HTTP/1.1 200", b"HTTP/1.1 202")), self._received
            length = _LENGTH.search(head)
            assert length is not None
            self._missing = int(length[1]) - len(body)
        if self._missing:
            return False
        self.seconds.append(time.perf_counter() - self._sent_at)
        return True


def predictions(*, ids: bool) -> Iterator[bytes]:
    """Requests of one row each, as they go over the wire."""
    columns = make_columns(1000, COLUMNS, 1)
    rows = [
        {
            "features": {name: float(columns[name][row]) for name in columns if name.startswith("feature")},
            "prediction": float(columns["prediction"][row]),
            "score": float(columns["score"][row]),
        }
        for row in range(1000)
    ]
    ends = [json.dumps({"model": "bench", "version": "1", "predictions": [row]}).encode() for row in rows]
    before, after = zip(*(end.split(b'[{"features"') for end in ends), strict=True)
    head = "POST /v1/predictions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
    number = 0
    while True:
        start = b'[{"id": "%s", "features"' % uuid4().hex.encode() if ids else b'[{"features"'
        body = before[number % 1000] + start + after[number % 1000]
        yield f"{head}content-length: {len(body)}\r\n\r\n".encode() + body
        number += 1


def scrapes() -> Iterator[bytes]:
    while True:
        yield b"GET /metrics HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"


def post(service: Running, requests: Iterator[bytes], seconds: float) -> tuple[list[float], list[float]]:
    """Seconds that each answer to a request, and each scrape took."""
    clients = [Client(service.port, requests) for _ in range(CLIENTS)]
    scraper = Client(service.port, scrapes())
    end, next_scrape, waiting = time.perf_counter() + seconds, time.perf_counter(), CLIENTS
    with selectors.EpollSelector() as selector:
        for client in (*clients, scraper):
            selector.register(client.socket, selectors.EVENT_READ, client)
        for client in clients:
            client.send()
        scraping = False
        while waiting or scraping:
            now = time.perf_counter()
            if not scraping and now >= next_scrape and now < end:
                scraper.send()
                scraping, next_scrape = True, now + SCRAPE_SECONDS
            for key, _ in selector.select(SCRAPE_SECONDS):
                if not key.data.receive():
                    continue
                if key.data is scraper:
                    scraping = False
                elif time.perf_counter() < end:
                    key.data.send()
                else:
                    waiting -= 1
    for client in (*clients, scraper):
        client.socket.close()
    return [each for client in clients for each in client.seconds], scraper.seconds


def measure(service: Running, name: str, requests: Iterator[bytes], seconds: float, target: str) -> None:
    post(service, requests, WARM_UP_SECONDS)
    wall, cpu = time.perf_counter(), service.cpu_seconds
    answers, scraped = post(service, requests, seconds)
    wall, cpu = time.perf_counter() - wall, service.cpu_seconds - cpu
    median, slow = 1000 * np.percentile(answers, [50, 99])
    print(
        f"  {name:<12}{len(answers) / wall:>8,.0f} requests/s {target}{len(answers) / cpu:>8,.0f}/s of CPU   "
        f"answer p50 {median:4.0f} ms, p99 {slow:4.0f} ms   /metrics p99 "
        f"{1000 * np.percentile(scraped, 99):4.0f} ms",
        flush=True,
    )


def main(seconds: float) -> None:
    print(f"POST /v1/predictions, one JSON row x {COLUMNS} columns, {CLIENTS} keep-alive clients, durable")
    with tempfile.TemporaryDirectory(prefix="bench-requests-") as directory:
        uri = f"sqlite:///{Path(directory)}/requests.db"
        make_store(uri)
        with running(uri) as service:
            measure(service, "without ids", predictions(ids=False), seconds, "(at least 3,000)")
            measure(service, "with ids", predictions(ids=True), seconds, "(at least 2,000)")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS)
