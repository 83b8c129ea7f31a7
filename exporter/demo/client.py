"""The part of the exporter's HTTP API that a scoring service needs, with a well-behaved client's retries."""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any

from exporter.demo.errors import DemoError

TIMEOUT_SECONDS = 10.0
# Together half a minute: a restart of the exporter goes unnoticed.
RETRY_DELAYS_SECONDS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
MAX_RETRY_AFTER_SECONDS = 30.0
RETRIED_STATUSES = (429, 503)


class Client:
    """Talks to the exporter at `url`."""

    def __init__(self, url: str, retry_delays_seconds: Sequence[float] = RETRY_DELAYS_SECONDS) -> None:
        if not url.startswith(("http://", "https://")):
            raise DemoError(f"{url!r} is not the address of an exporter, such as http://127.0.0.1:19464")
        self._url = url.rstrip("/")
        self._retry_delays_seconds = retry_delays_seconds

    def post_predictions(self, batch: dict[str, Any]) -> None:
        """Post a batch, waiting out an exporter that is overloaded, restarting or away for a moment.

        A batch that was taken although its answer got lost is sent again; the ids in it make that harmless.

        Raises:
            DemoError: it was refused, or the exporter stayed away.
        """
        self._request("/v1/predictions", json.dumps(batch).encode())

    def post_labels(self, batch: dict[str, Any]) -> None:
        """Post labels, as patiently; what was taken already is a duplicate and does nothing.

        Raises:
            DemoError: they were refused, or the exporter stayed away.
        """
        self._request("/v1/labels", json.dumps(batch).encode())

    def is_monitored(self, model: str, version: str) -> bool:
        """Whether the exporter takes predictions for the version already.

        Raises:
            DemoError: the exporter stayed away.
        """
        return self._request(f"/v1/models/{model}/versions/{version}", None, missing_is_fine=True)

    def _request(self, path: str, body: bytes | None, missing_is_fine: bool = False) -> bool:
        problem = ""
        for delay in (*self._retry_delays_seconds, None):
            try:
                self._send(path, body)
                return True
            except urllib.error.HTTPError as error:
                problem = f"{error.code} {_detail(error)}"
                if error.code == 404 and missing_is_fine:
                    return False
                if error.code not in RETRIED_STATUSES:
                    raise DemoError(f"the exporter refused {path}: {problem}") from None
                if delay is not None:
                    delay = max(delay, _retry_after_seconds(error))
            except (OSError, http.client.HTTPException) as error:  # refused, reset, cut short, timed out
                problem = str(getattr(error, "reason", error))
            if delay is not None:
                time.sleep(delay)
        raise DemoError(f"the exporter at {self._url} does not take {path}: {problem}")

    def _send(self, path: str, body: bytes | None) -> None:
        request = urllib.request.Request(  # noqa: S310 - the scheme was checked
            self._url + path, data=body, headers={"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310
            answer.read()


def _retry_after_seconds(error: urllib.error.HTTPError) -> float:
    text = error.headers.get("Retry-After", "")
    return min(float(text), MAX_RETRY_AFTER_SECONDS) if text.isdigit() else 0.0


def _detail(error: urllib.error.HTTPError) -> str:
    body = error.read(10_000)
    try:
        return str(json.loads(body)["detail"])
    except (ValueError, KeyError, TypeError):
        return body.decode(errors="replace")[:200]
