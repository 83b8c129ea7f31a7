"""The exporter as the scoring service sees it: monitors of versions, and their references."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path

from exporter.client import Monitor
from exporter.client.connection import Connection
from exporter.demo.scenario import MODEL
from exporter.errors import CallRefusedError, DemoError, UnreachableError
from exporter.fleet import Status

STATUS_SECONDS = 10.0
# More than the warm-up has, which is taken as a whole: of half a window a verdict would mean nothing.
BATCH_ROWS = 30_000
PATIENCE_SECONDS = 120.0  # outlasts a restart of the exporter, also on a busy machine


class Client:
    """Client of the exporter at `url`; `token_file` holds its token, empty where it needs none.

    Raises:
        ConfigError: `url` is no address.
    """

    def __init__(self, url: str, token_file: str = "", patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._url = url
        self._token = Path(token_file).read_text("utf-8").strip() if token_file else ""
        self._patience_seconds = patience_seconds
        self._connection = Connection(url, self._token, timeout_seconds=STATUS_SECONDS)

    def close(self) -> None:
        """Close the connection by which it asks; the monitors have their own."""
        self._connection.close()

    def monitor(self, version: str) -> Monitor:
        """Return a new monitor of a version, which drops what the exporter does not take in time."""
        return Monitor(
            self._url,
            model=MODEL,
            version=version,
            token=self._token,
            batch_rows=BATCH_ROWS,
            max_age_seconds=self._patience_seconds,
            exit_seconds=0.0,  # the exporter ends at the same time
        )

    def flush(self, monitor: Monitor) -> None:
        """Wait until the exporter has taken all that was sent by a monitor.

        Raises:
            DemoError: it did not.
        """
        if not monitor.flush(self._patience_seconds):
            raise DemoError(f"the exporter at {self._url} does not take predictions or labels")
        self.check(monitor)

    def check(self, monitor: Monitor) -> None:
        """Check that nothing was dropped by a monitor.

        Raises:
            DemoError: something was.
        """
        reasons = [f"{rows} {reason.replace('_', ' ')}" for reason, rows in monitor.dropped.items() if rows]
        if reasons:
            raise DemoError(
                f"the exporter at {self._url} did not take predictions or labels: {', '.join(reasons)}"
            )

    def monitors(self, model: str, version: str) -> bool:
        """Return true if the exporter monitors the version.

        Raises:
            DemoError: the exporter refused.
        """
        return self._status(model, version) is not None

    def has_reference(self, model: str, version: str) -> bool:
        """Return true if the exporter monitors the version and has its reference.

        Raises:
            DemoError: the exporter refused.
        """
        return self._status(model, version) == Status.READY

    def _status(self, model: str, version: str) -> str | None:
        """Return the status of a version, None while it is not monitored or the exporter not there."""
        try:
            return str(self._connection.get(f"/v1/models/{model}/versions/{version}")["status"])
        except UnreachableError:
            return None
        except CallRefusedError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise DemoError(str(error)) from None
