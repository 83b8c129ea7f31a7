"""Jobs of Dagster (GraphQL API of 1.13).

https://docs.dagster.io/api/graphql: `launchRun` takes `ExecutionParams`, whose `executionMetadata` has tags
and no id of the run, so there is no idempotency: runs with the action's tag are asked for first. Errors come
with the status 200, as members of a union or as `errors`.
"""

from __future__ import annotations

from typing import Any

from exporter.config.targets import Dagster
from exporter.remediation.targets.exchange import Answer, Call, url
from exporter.remediation.targets.orchestrator import (
    NotUnderstoodError,
    Orchestrator,
    RefusedError,
    Run,
    state_of,
    text_of,
)
from exporter.remediation.targets.outcome import Job, Progress

TAG = "mlflow-exporter/action_id"
LAUNCH = """
mutation Launch($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on RunConfigValidationInvalid { errors { message } }
    ... on Error { message }
  }
}
"""
FIND = """
query Find($filter: RunsFilter!) {
  runsOrError(filter: $filter, limit: 1) {
    __typename
    ... on Runs { results { runId } }
    ... on Error { message }
  }
}
"""
STATUS = """
query Status($run: ID!) {
  runOrError(runId: $run) {
    __typename
    ... on Run { status }
    ... on Error { message }
  }
}
"""


class DagsterJob(Orchestrator):
    """Runs of a job of Dagster."""

    idempotent = False

    def __init__(self, config: Dagster) -> None:
        self.config = config

    def create(self, job: Job, body: Any) -> Call:
        tags = {
            TAG: job.action_id,
            **{
                f"mlflow-exporter/{key}": job.values[key]
                for key in ("model", "model_version")
                if key in job.values
            },
        }
        params = {
            "selector": {
                "repositoryLocationName": self.config.location,
                "repositoryName": self.config.repository,
                "jobName": self.config.job,
            },
            "runConfigData": body,
            "executionMetadata": {"tags": [{"key": key, "value": value} for key, value in tags.items()]},
        }
        return self._ask(LAUNCH, params=params)

    def created(self, job: Job, answer: Answer) -> Run:
        result = _data(answer, "launchRun")
        if result["__typename"] == "LaunchRunSuccess":
            return self._run(text_of(result, "run", "runId"))
        if result["__typename"] == "PythonError":  # it may have come after the run was made
            raise NotUnderstoodError(_message(result))
        raise RefusedError(_message(result))

    def look_up(self, job: Job) -> Call:
        return self._ask(FIND, filter={"tags": [{"key": TAG, "value": job.action_id}]})

    def found(self, job: Job, answer: Answer) -> Run | None:
        result = _data(answer, "runsOrError")
        runs = result.get("results")
        if not isinstance(runs, list):
            raise NotUnderstoodError(_message(result))
        return self._run(text_of(runs[0], "runId")) if runs and isinstance(runs[0], dict) else None

    def status(self, run: str) -> Call:
        return self._ask(STATUS, run=run)

    def progress(self, answer: Answer) -> Progress:
        result = _data(answer, "runOrError")
        if result["__typename"] == "RunNotFoundError":
            return Progress("missing", "RunNotFoundError")
        if result["__typename"] != "Run":
            raise NotUnderstoodError(_message(result))
        return state_of(text_of(result, "status"), {"SUCCESS"}, {"FAILURE", "CANCELED"})

    def _ask(self, query: str, **variables: Any) -> Call:
        return Call("POST", url(self.config.url, "graphql"), {"query": query, "variables": variables})

    def _run(self, run: str) -> Run:
        return Run(run, url(self.config.url, "runs", run))


def _data(answer: Answer, operation: str) -> dict[str, Any]:
    """Return the result of an operation, which has `__typename`.

    Raises:
        RefusedError: the request itself is faulty, by its schema.
        NotUnderstoodError: there is no result.
    """
    data = answer.json.get("data")
    result = data.get(operation) if isinstance(data, dict) else None
    if isinstance(result, dict) and isinstance(result.get("__typename"), str):
        return result
    errors = answer.json.get("errors")
    # An error of a resolver has a path; the others are found before anything is resolved.
    if not data and isinstance(errors, list) and errors and isinstance(errors[0], dict):
        error = NotUnderstoodError if "path" in errors[0] else RefusedError
        raise error(_message(errors[0]))
    raise NotUnderstoodError(f"its answer has no {operation}")


def _message(result: dict[str, Any]) -> str:
    """Return what a GraphQL error says."""
    causes = [each.get("message") for each in result.get("errors") or [] if isinstance(each, dict)]
    said = "; ".join(str(cause) for cause in [result.get("message"), *causes] if cause)
    return f"{result.get('__typename', 'error')}: {said}"
