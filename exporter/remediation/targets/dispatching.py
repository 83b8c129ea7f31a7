"""Asks targets for runs and follows them, so that an action starts at most one, whatever answer is lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from exporter.config.body_template import render
from exporter.config.targets import Command, HttpTarget, Target
from exporter.remediation.targets.airflow import Airflow2Dag, Airflow3Dag
from exporter.remediation.targets.argo import ArgoTemplate
from exporter.remediation.targets.command import LocalCommand
from exporter.remediation.targets.dagster import DagsterJob
from exporter.remediation.targets.databricks import DatabricksJob
from exporter.remediation.targets.exchange import (
    Answer,
    Call,
    Credentials,
    Limits,
    NoAnswerError,
    NotSentError,
    exchange,
)
from exporter.remediation.targets.github import GitHubWorkflow
from exporter.remediation.targets.kubeflow import KubeflowPipeline
from exporter.remediation.targets.orchestrator import NotUnderstoodError, Orchestrator, RefusedError, Run
from exporter.remediation.targets.outcome import Dispatch, Job, Progress
from exporter.remediation.targets.prefect import PrefectDeployment
from exporter.remediation.targets.webhook import WebhookEndpoint

# The module of each kind. `command` is no orchestrator.
KINDS: Mapping[str, Callable[[Any], Orchestrator]] = {
    "airflow2": Airflow2Dag,
    "airflow3": Airflow3Dag,
    "databricks": DatabricksJob,
    "prefect": PrefectDeployment,
    "argo": ArgoTemplate,
    "github": GitHubWorkflow,
    "kubeflow": KubeflowPipeline,
    "dagster": DagsterJob,
    "webhook": WebhookEndpoint,
}
PAUSES_SECONDS = (1.0, 3.0)  # before the second and the third request
LOOK_UP_PAUSES_SECONDS = (2.0, 4.0)  # until a run that was started is listed
BUDGET_SECONDS = 20.0  # then no further request is begun: with the last one's limits a dispatch ends in 40
MAX_URL_CHARACTERS = 2048
MAX_RUN_CHARACTERS = 256

_NO_RUN = "an earlier request may have started a run, and none with the action's id is found"


class Targets:
    """The configured targets. Methods block, and may be called from any thread.

    Args:
        configs: by name.
        allow_commands: carry out targets of kind `command`; else they are refused.
        limits: of each request.
        sleep: waits between requests.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        configs: Mapping[str, Target],
        *,
        allow_commands: bool = False,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._configs = dict(configs)
        self._allow_commands = allow_commands
        self._limits = limits
        self._sleep = sleep
        self._clock = clock

    def timeout_seconds(self, name: str) -> float:
        """Longest time that a run of a target may take; 0 if there is no such target any more."""
        config = self._configs.get(name)
        return config.timeout if config is not None else 0.0

    def dispatch(self, name: str, job: Job, repeated: bool) -> Dispatch:
        """Ask a target for a run.

        Args:
            name: of the target.
            job: what to run.
            repeated: an earlier request of the same action may have been sent. Targets without idempotency
                are then only asked whether they have its run.
        """
        config = self._configs.get(name)
        if config is None:
            return Dispatch("refused", reason=f"there is no target {name}")
        try:
            body = render(config.body, job.values)
        except ValueError as error:
            return Dispatch("refused", reason=f"the body of target {name}: {error}")
        if isinstance(config, Command):
            if not self._allow_commands:
                return Dispatch("refused", reason="commands are not allowed here")
            return LocalCommand(config).dispatch(job, body)
        try:
            return self._open(config).dispatch(job, body, repeated)
        except NotSentError as error:
            return _unsent(str(error), repeated)

    def follow(self, name: str, job: Job, run: str) -> Progress:
        """State of a run.

        Args:
            name: of the target.
            job: as it was dispatched.
            run: from the dispatch; may be empty.
        """
        config = self._configs.get(name)
        if config is None:
            return Progress("unanswered", f"there is no target {name}")
        if isinstance(config, Command):
            return LocalCommand(config).follow(job)
        try:
            return self._open(config).follow(job, run)
        except NotSentError as error:
            return Progress("unanswered", str(error))

    def _open(self, config: HttpTarget) -> _Session:
        """Return a conversation with a target, signed in.

        Raises:
            NotSentError: a secret cannot be read, or the target does not sign us in.
        """
        orchestrator = KINDS[config.kind](config)  # type: ignore[attr-defined]
        session = _Session(
            config,
            orchestrator,
            Credentials.of(config),
            self._limits,
            self._sleep,
            self._clock,
            self._clock() + BUDGET_SECONDS,
        )
        return session.signed_in()


@dataclass(frozen=True)
class _Session:
    config: HttpTarget
    orchestrator: Orchestrator
    credentials: Credentials
    limits: Limits
    sleep: Callable[[float], None]
    clock: Callable[[], float]
    ends_at: float

    def signed_in(self) -> _Session:
        call = self.orchestrator.sign_in(self.credentials)
        if call is None:
            return self
        own = replace(self.credentials, headers={})
        try:
            answer = self._send(call, own)
            token = self.orchestrator.signed_in(answer) if answer.is_success else ""
        except (NoAnswerError, NotUnderstoodError) as error:
            raise NotSentError(f"signing in: {error}") from error
        if not token or not token.isascii() or not token.isprintable():
            raise NotSentError(f"signing in: {own.hide(answer.message)}")
        secrets = (*own.secrets, token)
        return replace(self, credentials=Credentials({"Authorization": f"Bearer {token}"}, secrets=secrets))

    def dispatch(self, job: Job, body: Any, repeated: bool) -> Dispatch:
        idempotent = self.orchestrator.idempotent
        if not idempotent and self.orchestrator.look_up(job) is not None:
            try:
                run = self._look_up(job)
            except NotUnderstoodError as error:
                return _unsent(f"looking for its run: {error}", repeated)
            if run is not None:
                return _accepted(run)
        if repeated and not idempotent:
            return Dispatch("unknown", reason=_NO_RUN)
        may_exist = repeated
        for pause in (*PAUSES_SECONDS, None):
            result = self._try(job, body, may_exist)
            may_exist = may_exist or result.outcome == "unknown"
            if result.outcome in ("accepted", "refused") or pause is None:
                return result
            if may_exist and not idempotent:
                return result  # from here on it is only looked for
            self.sleep(pause)
        raise AssertionError  # the last pause is None

    def _try(self, job: Job, body: Any, may_exist: bool) -> Dispatch:
        """Send the request once; look for its run where the answer leaves open if there is one."""
        try:
            result = self._judge(job, self._send(self.orchestrator.create(job, body), self.credentials))
        except NotSentError as error:
            result = Dispatch("unreachable", reason=str(error), repeatable=True)
        except NoAnswerError as error:
            result = self._unknown(str(error))
        if result.outcome == "accepted" or (result.outcome != "unknown" and not may_exist):
            return result
        # There may be a run now, of this request or of an earlier one.
        unknown = self._unknown(result.reason)
        if self.orchestrator.look_up(job) is None:
            return unknown
        pauses = () if self.orchestrator.idempotent else LOOK_UP_PAUSES_SECONDS
        for pause in (*pauses, None):
            try:
                run = self._look_up(job)
            except NotUnderstoodError:
                found = replace(unknown, repeatable=True)  # by looking for it again
            else:
                found = result if run is None else _accepted(run)
            if found.outcome == "accepted" or pause is None:
                break
            self.sleep(pause)
        return found

    def follow(self, job: Job, run: str) -> Progress:
        try:
            if not run:
                found = self._look_up(job)
                if found is None:
                    return Progress("missing", "no run with the action's id is listed")
                run = found.id
            call = self.orchestrator.status(run)
            if call is None:
                return Progress("untold")
            answer = self._send(call, self.credentials)
            if self.orchestrator.is_missing(answer):
                return Progress("missing", self.credentials.hide(answer.message))
            if not answer.is_success:
                return Progress("unanswered", self.credentials.hide(answer.message))
            progress = self.orchestrator.progress(answer)
        except (NotSentError, NoAnswerError, NotUnderstoodError, RefusedError) as error:
            return Progress("unanswered", self.credentials.hide(str(error)))
        return replace(progress, detail=self.credentials.hide(progress.detail))

    def _judge(self, job: Job, answer: Answer) -> Dispatch:
        """Return the outcome that an answer to the request means."""
        message = self.credentials.hide(answer.message)
        if answer.is_success:
            try:
                return _accepted(self.orchestrator.created(job, answer))
            except RefusedError as error:
                return Dispatch("refused", reason=self.credentials.hide(str(error)))
            except NotUnderstoodError as error:
                return self._unknown(self.credentials.hide(f"{error}: {answer.message}"))
        if answer.status == 429:
            return Dispatch("unreachable", reason=message, repeatable=True)
        if answer.status in self.orchestrator.exists or answer.status == 408 or answer.status >= 500:
            return self._unknown(message)
        return Dispatch("refused", reason=message)

    def _unknown(self, reason: str) -> Dispatch:
        return Dispatch("unknown", reason=reason, repeatable=self.orchestrator.idempotent)

    def _look_up(self, job: Job) -> Run | None:
        """Return the run with the action's id; None if there is none.

        Raises:
            NotUnderstoodError: it cannot be told.
        """
        call = self.orchestrator.look_up(job)
        if call is None:
            raise NotUnderstoodError("the target does not tell")
        try:
            answer = self._send(call, self.credentials)
            if self.orchestrator.is_missing(answer):
                return None
            if not answer.is_success:
                raise NotUnderstoodError(self.credentials.hide(answer.message))
            return self.orchestrator.found(job, answer)
        except (NotSentError, NoAnswerError, RefusedError) as error:
            raise NotUnderstoodError(self.credentials.hide(str(error))) from error

    def _send(self, call: Call, credentials: Credentials) -> Answer:
        if self.clock() > self.ends_at:
            raise NotSentError("no time is left for another request")
        return exchange(call, credentials, self.limits, self.config.ca_file, self.config.proxy)


def _unsent(reason: str, repeated: bool) -> Dispatch:
    return Dispatch("unknown" if repeated else "unreachable", reason=reason, repeatable=True)


def _accepted(run: Run) -> Dispatch:
    return Dispatch("accepted", run=run.id[:MAX_RUN_CHARACTERS], url=run.url[:MAX_URL_CHARACTERS])
