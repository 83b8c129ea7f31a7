"""Clients of exporters that may be down, stand by or come again."""

from __future__ import annotations

import itertools
import threading
import time

import httpx

from tests.support.fakes import TIMEOUT_SECONDS
from tests.support.rig import eventually, make_document, make_rows

CLIENTS, ROWS = 6, 7


class Clients:
    """Clients that post batches until they are stopped, each until an exporter acknowledges it.

    After `patience_seconds` without an answer they ask the next one.
    """

    def __init__(self, *urls: str, clients: int = CLIENTS, patience_seconds: float = TIMEOUT_SECONDS) -> None:
        self.urls = urls
        self._patience_seconds = patience_seconds
        self._stopping = threading.Event()
        self.acknowledged = 0
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(clients)]

    def __enter__(self) -> Clients:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _run(self, number: int) -> None:
        with httpx.Client(timeout=self._patience_seconds, verify=False) as client:
            for batch in itertools.count():
                if self._stopping.is_set():
                    return
                if number % 2:
                    rows, headers = make_rows(ROWS, prefix=f"{number}-{batch}-"), {}
                else:
                    rows, headers = make_rows(ROWS), {"idempotency-key": f"{number}-{batch}"}
                self._post(client, make_document(rows), headers)
                with self._lock:
                    self.acknowledged += ROWS

    def _post(self, client: httpx.Client, document: object, headers: dict[str, str]) -> None:
        deadline = time.monotonic() + TIMEOUT_SECONDS
        for attempt in itertools.count():
            url = self.urls[attempt % len(self.urls)]
            try:
                answer = client.post(f"{url}/v1/predictions", json=document, headers=headers)
            except httpx.TransportError:  # it is down, and may or may not have taken the batch
                time.sleep(0.1)
            else:
                assert answer.status_code in (202, 503), answer.text
                if answer.status_code == 202:
                    counts = answer.json()
                    assert (counts["accepted"], counts["duplicates"]) in ((ROWS, 0), (0, ROWS))
                    return
                time.sleep(0.05)
            assert time.monotonic() < deadline

    def await_progress(self, rows: int = 1) -> None:
        """Wait until more rows were acknowledged."""
        wanted = self.acknowledged + rows
        eventually(lambda: self.acknowledged >= wanted)
