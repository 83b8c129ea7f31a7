"""HTTP client for a scoring service: posts predictions and labels, with retries."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path
from typing import Any

import urllib3

from exporter.errors import DemoError
from exporter.fleet import Status

POST_SECONDS = 10.0
# Half a minute in all, which outlasts a restart of the exporter. A batch whose answer was lost is sent again;
# the ids in it make that harmless.
RETRIES = urllib3.Retry(
    total=7,
    allowed_methods=None,  # POST too
    status_forcelist=(HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE),
    backoff_factor=0.25,
    retry_after_max=30,
    raise_on_status=False,
)


class Client:
    """Client of the exporter at `url`; `token_file` holds its token, empty where it needs none."""

    def __init__(self, url: str, retries: urllib3.Retry = RETRIES, token_file: str = "") -> None:
        if not url.startswith(("http://", "https://")):
            raise DemoError(f"{url!r} is not the address of an exporter, such as http://127.0.0.1:19464")
        self._url = url.rstrip("/")
        token = Path(token_file).read_text("utf-8").strip() if token_file else ""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._pool = urllib3.PoolManager(timeout=POST_SECONDS, retries=retries, headers=headers)

    def post_predictions(self, batch: dict[str, Any]) -> None:
        """Post a batch of predictions.

        Raises:
            DemoError: it was refused, or the exporter stayed away.
        """
        self._request("POST", "/v1/predictions", batch)

    def post_labels(self, batch: dict[str, Any]) -> None:
        """Post a batch of labels.

        Raises:
            DemoError: it was refused, or the exporter stayed away.
        """
        self._request("POST", "/v1/labels", batch)

    def monitors(self, model: str, version: str) -> bool:
        """Return true if the exporter monitors the version.

        Raises:
            DemoError: the exporter stayed away.
        """
        return self._status(model, version) is not None

    def has_reference(self, model: str, version: str) -> bool:
        """Return true if the exporter monitors the version and has its reference.

        Raises:
            DemoError: the exporter stayed away.
        """
        return self._status(model, version) == Status.READY

    def _status(self, model: str, version: str) -> str | None:
        path = f"/v1/models/{model}/versions/{version}"
        answer = self._request("GET", path, accepted=HTTPStatus.NOT_FOUND)
        return str(answer.json()["status"]) if answer.status == HTTPStatus.OK else None

    def _request(
        self, method: str, path: str, body: Any = None, accepted: int = HTTPStatus.OK
    ) -> urllib3.BaseHTTPResponse:
        try:
            answer = self._pool.request(method, self._url + path, json=body)
        except urllib3.exceptions.MaxRetryError as error:
            raise DemoError(f"the exporter at {self._url} does not take {path}: {error.reason}") from None
        if answer.status >= HTTPStatus.BAD_REQUEST and answer.status != accepted:
            raise DemoError(f"the exporter refused {path}: {answer.status} {_detail(answer)}")
        return answer


def _detail(answer: urllib3.BaseHTTPResponse) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return answer.data.decode(errors="replace")[:200]
