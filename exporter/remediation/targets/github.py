"""Workflows of GitHub Actions (REST API version 2022-11-28).

https://docs.github.com/en/rest/actions/workflows#create-a-workflow-dispatch-event,
https://docs.github.com/en/rest/repos/repos#create-a-repository-dispatch-event and
https://docs.github.com/en/rest/actions/workflow-runs.

There is no key of idempotency, and a run does not show its inputs. So runs are listed first, and found by
their title, which is the workflow's `run-name`: `retrain ${{ inputs.action_id }}`, or with
`${{ github.event.client_payload.action_id }}`. `return_run_details` (since February 2026, github.com only)
makes the answer name the run.
"""

from __future__ import annotations

from typing import Any

from exporter.config.targets import GitHub
from exporter.formats.texts import utc_text
from exporter.remediation.targets.exchange import Answer, Call, url
from exporter.remediation.targets.orchestrator import (
    NotUnderstoodError,
    Orchestrator,
    Run,
    linked,
    state_of,
    text_of,
)
from exporter.remediation.targets.outcome import Job, Progress

_HEADERS = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
_MAX_SKEW_SECONDS = 600  # between our clock and theirs
_RUNS_PER_PAGE = 100  # the most there are


class GitHubWorkflow(Orchestrator):
    """Runs of a workflow of GitHub Actions."""

    idempotent = False

    def __init__(self, config: GitHub) -> None:
        self.config = config
        self._repository = url(config.url, "repos", *config.repository.split("/"))
        self._names_runs = (
            config.url.removeprefix("https://").split("/")[0].endswith(("api.github.com", ".ghe.com"))
        )

    def create(self, job: Job, body: Any) -> Call:
        if self.config.workflow is None:
            request = {"event_type": self.config.event_type, "client_payload": body}
            return Call("POST", url(self._repository, "dispatches"), request, _HEADERS)
        request = {"ref": self.config.ref, "inputs": body}
        if self._names_runs:
            request["return_run_details"] = True
        return Call(
            "POST",
            url(self._repository, "actions", "workflows", self.config.workflow, "dispatches"),
            request,
            _HEADERS,
        )

    def created(self, job: Job, answer: Answer) -> Run:
        if answer.status == 204:
            return Run("")
        return Run(text_of(answer.json, "workflow_run_id"), linked(answer.json, "html_url"))

    def look_up(self, job: Job) -> Call:
        below = () if self.config.workflow is None else ("workflows", self.config.workflow)
        listed = url(
            self._repository,
            "actions",
            *below,
            "runs",
            event="repository_dispatch" if self.config.workflow is None else "workflow_dispatch",
            created=f">={utc_text(job.planned_at - _MAX_SKEW_SECONDS)}",
            per_page=_RUNS_PER_PAGE,
        )
        return Call("GET", listed, headers=_HEADERS)

    def found(self, job: Job, answer: Answer) -> Run | None:
        runs = answer.json.get("workflow_runs")
        if not isinstance(runs, list):
            raise NotUnderstoodError("its answer has no workflow_runs")
        for run in runs:
            if isinstance(run, dict) and job.action_id in f"{run.get('display_title')} {run.get('name')}":
                return Run(text_of(run, "id"), linked(run, "html_url"))
        if answer.json.get("total_count", 0) != len(runs):
            raise NotUnderstoodError(f"it lists more runs than the {_RUNS_PER_PAGE} that are looked through")
        return None

    def status(self, run: str) -> Call:
        return Call("GET", url(self._repository, "actions", "runs", run), headers=_HEADERS)

    def progress(self, answer: Answer) -> Progress:
        word = text_of(answer.json, "status")
        if word == "completed":
            word = text_of(answer.json, "conclusion")
            return state_of(word, {"success"}, {word}, linked(answer.json, "html_url"))
        return state_of(word, (), (), linked(answer.json, "html_url"))
