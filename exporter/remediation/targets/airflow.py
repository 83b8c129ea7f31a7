"""Airflow 2 (stable REST API, `/api/v1`, of 2.10) and Airflow 3 (`/api/v2`, of 3.0 to 3.3).

https://airflow.apache.org/docs/apache-airflow/2.10.5/stable-rest-api-ref.html, and the models
`TriggerDAGRunPostBody` and `DAGRunResponse` of Airflow 3's `api_fastapi/core_api/datamodels/dag_run.py`.

The run's id is ours. A run that exists gives 409, in Airflow 2 also one of the same logical date, so the run
itself is asked for. Airflow 3 refuses unknown keys, wants `logical_date`, which is null for a run of no date,
and takes tokens only, which it gives for a user and password.
"""

from __future__ import annotations

from typing import Any

from exporter.config.targets import Airflow2, Airflow3
from exporter.remediation.targets.exchange import Answer, Call, Credentials, url
from exporter.remediation.targets.orchestrator import Orchestrator, Run, state_of, text_of
from exporter.remediation.targets.outcome import Job, Progress


class Airflow2Dag(Orchestrator):
    """Runs of a DAG of Airflow 2."""

    exists = frozenset({409})
    version = "v1"

    def __init__(self, config: Airflow2 | Airflow3) -> None:
        self.config = config

    def create(self, job: Job, body: Any) -> Call:
        return Call("POST", self._runs(), {"dag_run_id": job.name, "conf": body})

    def created(self, job: Job, answer: Answer) -> Run:
        run = text_of(answer.json, "dag_run_id")
        return Run(run, url(self.config.url, "dags", self.config.dag, "grid", dag_run_id=run))

    def look_up(self, job: Job) -> Call:
        return self.status(job.name)

    def status(self, run: str) -> Call:
        return Call("GET", self._runs(run))

    def progress(self, answer: Answer) -> Progress:
        return state_of(text_of(answer.json, "state"), {"success"}, {"failed"})

    def _runs(self, *run: str) -> str:
        return url(self.config.url, "api", self.version, "dags", self.config.dag, "dagRuns", *run)


class Airflow3Dag(Airflow2Dag):
    """Runs of a DAG of Airflow 3."""

    version = "v2"

    def sign_in(self, credentials: Credentials) -> Call | None:
        if not credentials.password:
            return None
        account = {"username": self.config.username, "password": credentials.password}
        return Call("POST", url(self.config.url, "auth", "token"), account)

    def signed_in(self, answer: Answer) -> str:
        return text_of(answer.json, "access_token")

    def create(self, job: Job, body: Any) -> Call:
        return Call("POST", self._runs(), {"dag_run_id": job.name, "logical_date": None, "conf": body})

    def created(self, job: Job, answer: Answer) -> Run:
        run = text_of(answer.json, "dag_run_id")
        return Run(run, url(self.config.url, "dags", self.config.dag, "runs", run))
