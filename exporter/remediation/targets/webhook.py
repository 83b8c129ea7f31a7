"""An endpoint of one's own: a POST of the body, with the action's id as `Idempotency-Key`.

The header is that of https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/. Every
status from 200 to 299 accepts, with any body; `url` of an object is the run's page. `status_url` answers with
an object whose `status` is `running`, `succeeded` or `failed`, and with 404 for an id that is not known.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from exporter.config.targets import Webhook
from exporter.remediation.targets.exchange import Answer, Call
from exporter.remediation.targets.orchestrator import (
    NotUnderstoodError,
    Orchestrator,
    Run,
    linked,
    state_of,
    text_of,
)
from exporter.remediation.targets.outcome import Job, Progress


class WebhookEndpoint(Orchestrator):
    """Requests to an endpoint of one's own. Its runs are named by the action's id."""

    def __init__(self, config: Webhook) -> None:
        self.config = config
        self.idempotent = config.honors_idempotency_key  # type: ignore[misc]

    def create(self, job: Job, body: Any) -> Call:
        # The draft's value is a structured field: a text in quotes.
        return Call("POST", self.config.url, body, {"Idempotency-Key": f'"{job.action_id}"'})

    def created(self, job: Job, answer: Answer) -> Run:
        return Run(job.action_id, linked(answer.json, "url"))

    def look_up(self, job: Job) -> Call | None:
        return self.status(job.action_id)

    def found(self, job: Job, answer: Answer) -> Run | None:
        self.progress(answer)
        return self.created(job, answer)

    def status(self, run: str) -> Call | None:
        if self.config.status_url is None:
            return None
        return Call("GET", self.config.status_url.replace("{action_id}", quote(run, safe="")))

    def progress(self, answer: Answer) -> Progress:
        word = text_of(answer.json, "status")
        if word not in ("running", "succeeded", "failed"):
            raise NotUnderstoodError("its status is not running, succeeded or failed")
        return state_of(word, {"succeeded"}, {"failed"}, linked(answer.json, "url"))
