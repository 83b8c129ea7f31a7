"""Sends reports to Evidently's own UI: a project for each model, a run for each report.

This is what `RemoteWorkspace.add_run` of Evidently does: it posts the JSON of a snapshot, which the report's
process has made already. Evidently itself takes seconds and 290 MB to import, has no limits on time, and does
not list the runs of a project, by which one that came through without an answer is found.
"""

from __future__ import annotations

from collections.abc import Callable
from uuid import NAMESPACE_URL, UUID, uuid5

import orjson

from exporter.config.reports import ReportsConfig
from exporter.errors import SendingError
from exporter.formats.texts import cut, redact, storable
from exporter.remediation.targets.exchange import (
    Answer,
    Call,
    Credentials,
    Limits,
    NoAnswerError,
    NotSentError,
    exchange,
    read_secret,
)
from exporter.reports.stored_files import read_stored_file
from exporter.storage.report_sending import DestinationName
from exporter.storage.reports import StoredReport
from exporter.storage.store import Store

SECRET_HEADER = "evidently-secret"  # noqa: S105 - its name
MAX_RUN_ID = 64  # characters
LIMITS = Limits(connect_seconds=5.0, read_seconds=30.0, total_seconds=60.0)
_TOO_LARGE, _SERVER_ERROR = 413, 500


def project_id(model: str) -> UUID:
    """Id of the project of a model in Evidently's UI, the same for every exporter.

    >>> project_id("fraud")
    UUID('d7a0618e-531e-5021-8bfa-322d0914547b')
    """
    return uuid5(NAMESPACE_URL, f"mlflow-exporter:{model}")


class EvidentlySender:
    """Evidently's UI as a destination of reports. `config` is the section `reports` now."""

    name: DestinationName = "evidently"

    def __init__(self, store: Store, config: Callable[[], ReportsConfig]) -> None:
        self._store = store
        self._config = config

    def is_on(self) -> bool:
        return bool(self._config().evidently_url)

    def send(self, report: StoredReport) -> str:
        """Add a report to the project of its model, unless an earlier attempt has.

        Raises:
            SendingError: it was not taken.
        """
        with self._store.reading() as connection:
            snapshot = read_stored_file(connection, report, "snapshot")
        project = project_id(report.model)
        if not self._has_project(project):
            description = f"Reports of mlflow-exporter on the live data of {report.model}."
            body = {"id": str(project), "name": report.model, "description": description, "version": "2"}
            self._ask("POST", "/api/v2/projects", body)
        elif report.send_after is not None or report.send_problem:
            runs = _parse(self._ask("GET", f"/api/projects/{project}/snapshots"))
            for run in runs if isinstance(runs, list) else ():
                if report.id in run.get("tags", ()):
                    return _run_id(run["id"])
        added = _parse(self._ask("POST", f"/api/v2/snapshots/{project}", orjson.Fragment(snapshot)))
        return _run_id(added.get("snapshot_id", "")) if isinstance(added, dict) else ""

    def _has_project(self, project: UUID) -> bool:
        answer, credentials = self._exchange("GET", f"/api/projects/{project}/info", None)
        if answer.json.get("detail") == "project not found":
            return False
        return bool(_checked(answer, credentials))

    def _ask(self, method: str, path: str, body: object = None) -> Answer:
        return _checked(*self._exchange(method, path, body))

    def _exchange(self, method: str, path: str, body: object) -> tuple[Answer, Credentials]:
        config = self._config()
        file = config.evidently_secret_file
        call = Call("POST" if method == "POST" else "GET", f"{config.evidently_url.rstrip('/')}{path}", body)
        try:
            secret = read_secret(file) if file is not None else ""
            headers = {SECRET_HEADER: secret} if secret else {}
            credentials = Credentials(headers, secrets=(secret,) if secret else ())
            return exchange(call, credentials, LIMITS), credentials
        except (NotSentError, NoAnswerError) as error:
            raise SendingError(redact(str(error)), down=True) from error


def _checked(answer: Answer, credentials: Credentials) -> Answer:
    """The answer of Evidently's UI.

    Raises:
        SendingError: it is none, or not a success.
    """
    if not answer.is_success:
        hint = ""
        if answer.status == _TOO_LARGE:
            hint = "; its option --litestar-request-max-body-size sets how large a report may be"
        raise SendingError(credentials.hide(answer.message) + hint, down=answer.status >= _SERVER_ERROR)
    return answer


def _parse(answer: Answer) -> object:
    try:
        return orjson.loads(answer.body)
    except ValueError:
        raise SendingError("it does not answer as Evidently's UI does", down=False) from None


def _run_id(given: object) -> str:
    return cut(storable(str(given)), MAX_RUN_ID)
