"""Fakes of orchestrators: they enforce the documented schemas of requests, keep runs, and can misbehave.

A server has one fake at a time. Requests that start a run meet the server's faults, one each, in order.
"""

from __future__ import annotations

import base64
import json
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any, ClassVar, Literal
from urllib.parse import parse_qs, urlsplit

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError

from exporter.config.targets import Target

TOKEN = "s3cret-token-of-the-orchestrator"
PASSWORD = "s3cret-password"

# What goes wrong with a request. The first six come after the run was started: the answer is lost, 500, a
# page, three megabytes, one byte at a time, or none; the others before: 503, 429, 403, a page, a redirect.
Fault = Literal[
    "lost", "error", "page", "huge", "trickle", "silent",
    "unavailable", "busy", "forbidden", "login_page", "redirect",
]  # fmt: skip
AFTER: tuple[Fault, ...] = ("lost", "error", "page", "huge", "trickle", "silent")


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    status: int
    content: Any = None
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Fake(ABC):
    """An orchestrator. `runs` has the requests that started a run, by the run's id."""

    kind: ClassVar[str]
    starts: ClassVar[str]  # end of the path of requests that start a run

    def __init__(self) -> None:
        self.runs: dict[str, Any] = {}
        self.states: dict[str, str] = {}

    @abstractmethod
    def settings(self, url: str) -> dict[str, Any]:
        """Settings of the target, as in the configuration file, without its kind and secrets."""

    @abstractmethod
    def handle(self, request: Request) -> Reply: ...

    @abstractmethod
    def end(self, well: bool) -> None:
        """End all runs."""

    def config(self, url: str, secrets: Mapping[str, str], **others: Any) -> Any:
        settings = {"kind": self.kind, **self.settings(url), **secrets, **others}
        return TypeAdapter(Target).validate_python(settings)

    def secrets(self, token_file: str, password_file: str) -> dict[str, str]:
        return {"token_file": token_file}

    def is_allowed(self, request: Request) -> bool:
        return request.headers.get("authorization") == f"Bearer {TOKEN}"

    def is_start(self, request: Request) -> bool:
        return request.method == "POST" and request.path.endswith(self.starts)

    def start(self, run: str, content: Any, state: str) -> None:
        self.runs[run] = content
        self.states[run] = state

    def forget(self) -> None:
        self.runs.clear()
        self.states.clear()


# -- Airflow ------------------------------------------------------------------------------------------------


class Airflow2Run(Strict):
    """`DAGRun` of the stable API: the fields that are not read-only."""

    dag_run_id: str | None = None
    logical_date: str | None = None
    execution_date: str | None = None
    data_interval_start: str | None = None
    data_interval_end: str | None = None
    conf: dict[str, JsonValue] = {}
    note: str | None = None


class Airflow3Run(Strict):
    """`TriggerDAGRunPostBody`; the logical date is required, and may be null."""

    dag_run_id: str | None = Field(None, pattern=r"^[A-Za-z0-9_.~:+-]+$")
    data_interval_start: AwareDatetime | None = None
    data_interval_end: AwareDatetime | None = None
    logical_date: AwareDatetime | None
    run_after: AwareDatetime | None = None
    conf: dict[str, JsonValue] | None = {}
    note: str | None = None


class FakeAirflow2(Fake):
    kind = "airflow2"
    starts = "/dagRuns"
    base = "/api/v1"
    body: type[Strict] = Airflow2Run

    def settings(self, url: str) -> dict[str, Any]:
        return {"url": url, "dag": "retrain fraud"}

    def secrets(self, token_file: str, password_file: str) -> dict[str, str]:
        return {"username": "ada", "password_file": password_file}

    def is_allowed(self, request: Request) -> bool:
        pair = base64.b64encode(f"ada:{PASSWORD}".encode()).decode()
        return request.headers.get("authorization") == f"Basic {pair}"

    def handle(self, request: Request) -> Reply:
        runs = f"{self.base}/dags/retrain%20fraud/dagRuns"
        if request.method == "POST" and request.path == runs:
            body = self.body.model_validate_json(request.body)
            run = str(getattr(body, "dag_run_id") or f"manual__{len(self.runs)}")  # noqa: B009
            if run in self.runs:
                return Reply(409, {"detail": "DAGRun already exists", "status": 409})
            self.start(run, request.json["conf"], "queued")
            return Reply(200, self._shown(run))
        run = request.path.removeprefix(runs + "/")
        if request.method != "GET" or run not in self.runs:
            return Reply(404, {"detail": "DAGRun not found", "status": 404})
        return Reply(200, self._shown(run))

    def end(self, well: bool) -> None:
        self.states = dict.fromkeys(self.runs, "success" if well else "failed")

    def _shown(self, run: str) -> dict[str, Any]:
        return {
            "dag_run_id": run,
            "dag_id": "retrain fraud",
            "state": self.states[run],
            "conf": self.runs[run],
        }


class FakeAirflow3(FakeAirflow2):
    kind = "airflow3"
    base = "/api/v2"
    body = Airflow3Run

    def secrets(self, token_file: str, password_file: str) -> dict[str, str]:
        return {"username": "ada", "password_file": password_file}

    def is_allowed(self, request: Request) -> bool:
        return request.path == "/auth/token" or Fake.is_allowed(self, request)

    def handle(self, request: Request) -> Reply:
        if request.method == "POST" and request.path == "/auth/token":
            if request.json != {"username": "ada", "password": PASSWORD}:
                return Reply(401, {"detail": "Invalid credentials"})
            return Reply(201, {"access_token": TOKEN})
        return super().handle(request)


# -- Databricks ---------------------------------------------------------------------------------------------


class Queue(Strict):
    enabled: bool


class RunNow(Strict):
    """Body of `run-now` of the Jobs API 2.2, without the deprecated parameters."""

    job_id: int
    idempotency_token: str | None = Field(None, max_length=64)
    job_parameters: dict[str, str] = {}
    only: list[str] = []
    performance_target: str | None = None
    pipeline_params: dict[str, JsonValue] | None = None
    queue: Queue | None = None


class FakeDatabricks(Fake):
    kind = "databricks"
    starts = "/run-now"

    def __init__(self) -> None:
        super().__init__()
        self._tokens: dict[str, str] = {}

    def settings(self, url: str) -> dict[str, Any]:
        return {"url": url, "job_id": "620"}

    def handle(self, request: Request) -> Reply:
        if (request.method, request.path) == ("POST", "/api/2.2/jobs/run-now"):
            body = RunNow.model_validate_json(request.body)
            if body.job_id != 620:
                return Reply(400, {"error_code": "INVALID_PARAMETER_VALUE", "message": "no such job"})
            token = body.idempotency_token or f"none {len(self.runs)}"
            if token not in self._tokens:
                self._tokens[token] = str(2**60 + len(self._tokens))
                self.start(self._tokens[token], body.job_parameters, "PENDING")
            return Reply(200, {"run_id": int(self._tokens[token]), "number_in_job": 1})
        if (request.method, request.path) == ("GET", "/api/2.2/jobs/runs/get"):
            run = request.query["run_id"]
            if run not in self.states:
                return Reply(
                    400, {"error_code": "INVALID_PARAMETER_VALUE", "message": f"Run {run} does not exist."}
                )
            state, _, result = self.states[run].partition("/")
            shown = {"life_cycle_state": state, **({"result_state": result} if result else {})}
            return Reply(200, {"run_id": int(run), "state": shown, "run_page_url": "https://dbc/run/1"})
        return Reply(404, {"error_code": "ENDPOINT_NOT_FOUND"})

    def end(self, well: bool) -> None:
        self.states = dict.fromkeys(self.runs, "TERMINATED/SUCCESS" if well else "INTERNAL_ERROR/FAILED")


# -- Prefect ------------------------------------------------------------------------------------------------

DEPLOYMENT = "0f2b6c1e-6f0f-4a8e-9a43-8c5f1e0d7b11"


class FlowRun(Strict):
    """`DeploymentFlowRunCreate`."""

    state: dict[str, JsonValue] | None = None
    name: str = ""
    parameters: dict[str, JsonValue] = {}
    enforce_parameter_schema: bool | None = None
    context: dict[str, JsonValue] = {}
    infrastructure_document_id: str | None = None
    empirical_policy: dict[str, JsonValue] = {}
    tags: list[str] = []
    idempotency_key: str | None = None
    labels: dict[str, JsonValue] | None = None
    parent_task_run_id: str | None = None
    work_queue_name: str | None = None
    job_variables: dict[str, JsonValue] | None = None


class FakePrefect(Fake):
    kind = "prefect"
    starts = "/create_flow_run"

    def __init__(self) -> None:
        super().__init__()
        self._keys: dict[str, str] = {}

    def settings(self, url: str) -> dict[str, Any]:
        return {"url": f"{url}/api/", "deployment_id": DEPLOYMENT}

    def handle(self, request: Request) -> Reply:
        if (request.method, request.path) == ("POST", f"/api/deployments/{DEPLOYMENT}/create_flow_run"):
            body = FlowRun.model_validate_json(request.body)
            if set(body.parameters) - {"action_id", "model", "model_version", "alertname"}:
                return Reply(409, {"detail": "Error creating flow run: additional properties"})
            key = body.idempotency_key or f"none {len(self.runs)}"
            created = key not in self._keys
            if created:
                self._keys[key] = f"00000000-0000-4000-8000-{len(self._keys):012}"
                self.start(self._keys[key], body.parameters, "SCHEDULED")
            run = self._keys[key]
            return Reply(201 if created else 200, {"id": run, "state_type": self.states.get(run)})
        run = request.path.removeprefix("/api/flow_runs/")
        if request.method != "GET" or run not in self.runs:
            return Reply(404, {"detail": "Flow run not found"})
        return Reply(200, {"id": run, "state_type": self.states[run], "state_name": "shown"})

    def end(self, well: bool) -> None:
        self.states = dict.fromkeys(self.runs, "COMPLETED" if well else "CRASHED")


# -- Argo Workflows -----------------------------------------------------------------------------------------


class SubmitOptions(Strict):
    """`SubmitOpts`."""

    annotations: str | None = None
    dryRun: bool | None = None  # noqa: N815
    entryPoint: str | None = None  # noqa: N815
    generateName: str | None = None  # noqa: N815
    labels: str | None = None
    name: str | None = Field(None, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=63)
    parameters: list[str] = []
    podPriorityClassName: str | None = None  # noqa: N815
    priority: int | None = None
    serverDryRun: bool | None = None  # noqa: N815
    serviceAccount: str | None = None  # noqa: N815


class Submit(Strict):
    """`WorkflowSubmitRequest`."""

    namespace: str
    resourceKind: Literal["WorkflowTemplate", "ClusterWorkflowTemplate", "CronWorkflow"]  # noqa: N815
    resourceName: str  # noqa: N815
    submitOptions: SubmitOptions  # noqa: N815


class FakeArgo(Fake):
    kind = "argo"
    starts = "/submit"

    def settings(self, url: str) -> dict[str, Any]:
        return {"url": url, "namespace": "ml", "template": "retrain"}

    def handle(self, request: Request) -> Reply:
        if (request.method, request.path) == ("POST", "/api/v1/workflows/ml/submit"):
            options = Submit.model_validate_json(request.body).submitOptions
            name = options.name or f"retrain-{len(self.runs)}"
            if name in self.runs:
                return Reply(409, {"code": 6, "message": f'workflows.argoproj.io "{name}" already exists'})
            assert all(len(label.partition("=")[2]) <= 63 for label in str(options.labels).split(","))
            self.start(name, dict(each.split("=", 1) for each in options.parameters), "")
            return Reply(200, {"metadata": {"name": name}, "status": {}})
        name = request.path.removeprefix("/api/v1/workflows/ml/")
        if request.method != "GET" or name not in self.runs:
            return Reply(404, {"code": 5, "message": f'workflows.argoproj.io "{name}" not found'})
        assert request.query["fields"] == "metadata.name,status.phase"
        status = {"phase": self.states[name]} if self.states[name] else {}
        return Reply(200, {"metadata": {"name": name}, "status": status})

    def end(self, well: bool) -> None:
        self.states = dict.fromkeys(self.runs, "Succeeded" if well else "Error")


# -- GitHub -------------------------------------------------------------------------------------------------


class WorkflowDispatch(Strict):
    ref: str
    inputs: dict[str, str] = Field({}, max_length=25)
    return_run_details: bool = False


class RepositoryDispatch(Strict):
    event_type: str = Field(min_length=1, max_length=100)
    client_payload: dict[str, JsonValue] = Field({}, max_length=10)


class FakeGitHub(Fake):
    """Runs are titled by the input `action_id`, as the workflow's `run-name` says."""

    kind = "github"
    starts = "/dispatches"
    repository = "/repos/acme/fraud-model"

    def settings(self, url: str) -> dict[str, Any]:
        return {"url": url, "repository": "acme/fraud-model", "workflow": "retrain.yml"}

    def handle(self, request: Request) -> Reply:
        assert request.headers["x-github-api-version"] == "2022-11-28"
        assert request.headers["user-agent"]
        workflow = f"{self.repository}/actions/workflows/retrain.yml"
        if (request.method, request.path) == ("POST", f"{workflow}/dispatches"):
            body = WorkflowDispatch.model_validate_json(request.body)
            if set(body.inputs) - {"action_id", "model", "model_version", "alertname"}:
                return Reply(422, {"message": "Unexpected inputs provided"})
            run = str(900 + len(self.runs))
            self.start(run, body.inputs, "queued")
            if body.return_run_details:
                page = f"https://github.com/acme/fraud-model/actions/runs/{run}"
                return Reply(200, {"workflow_run_id": int(run), "run_url": "", "html_url": page})
            return Reply(204)
        if (request.method, request.path) == ("POST", f"{self.repository}/dispatches"):
            payload = RepositoryDispatch.model_validate_json(request.body).client_payload
            self.start(str(900 + len(self.runs)), payload, "queued")
            return Reply(204)
        if request.method == "GET" and request.path in (
            f"{workflow}/runs",
            f"{self.repository}/actions/runs",
        ):
            assert set(request.query) <= {"event", "created", "per_page"}
            assert int(request.query["per_page"]) <= 100
            shown = [self._shown(run) for run in self.runs][: int(request.query["per_page"])]
            return Reply(200, {"total_count": len(self.runs), "workflow_runs": shown})
        run = request.path.removeprefix(f"{self.repository}/actions/runs/")
        if request.method != "GET" or run not in self.runs:
            return Reply(404, {"message": "Not Found"})
        return Reply(200, self._shown(run))

    def end(self, well: bool) -> None:
        self.states = dict.fromkeys(self.runs, "completed/success" if well else "completed/cancelled")

    def _shown(self, run: str) -> dict[str, Any]:
        status, _, conclusion = self.states[run].partition("/")
        return {
            "id": int(run),
            "name": "Retrain",
            "display_title": f"retrain {self.runs[run]['action_id']}",
            "status": status,
            "conclusion": conclusion or None,
            "html_url": f"https://github.com/acme/fraud-model/actions/runs/{run}",
        }


class FakeGitHubRepository(FakeGitHub):
    def settings(self, url: str) -> dict[str, Any]:
        return {"url": url, "repository": "acme/fraud-model", "event_type": "retrain"}


# -- Kubeflow Pipelines -------------------------------------------------------------------------------------


class PipelineVersion(Strict):
    pipeline_id: str
    pipeline_version_id: str


class RuntimeConfig(Strict):
    parameters: dict[str, JsonValue] = {}
    pipeline_root: str = ""


class PipelineRun(Strict):
    """The inputs of the message `Run`."""

    experiment_id: str = ""
    display_name: str = Field(min_length=1)
    description: str = ""
    pipeline_version_reference: PipelineVersion
    runtime_config: RuntimeConfig
    service_account: str = ""


class FakeKubeflow(Fake):
    kind = "kubeflow"
    starts = "/runs"

    def settings(self, url: str) -> dict[str, Any]:
        return {
            "url": f"{url}/pipeline",
            "pipeline_id": "p",
            "pipeline_version_id": "v",
            "experiment_id": "e",
        }

    def handle(self, request: Request) -> Reply:
        runs = "/pipeline/apis/v2beta1/runs"
        if (request.method, request.path) == ("POST", runs):
            body = PipelineRun.model_validate_json(request.body)
            run = f"7c1f0000-0000-4000-8000-{len(self.runs):012}"
            self.start(run, body.runtime_config.parameters | {"": body.display_name}, "PENDING")
            return Reply(200, self._shown(run))
        if (request.method, request.path) == ("GET", runs):
            (predicate,) = json.loads(request.query["filter"])["predicates"]
            assert set(predicate) == {"operation", "key", "string_value"}
            assert (predicate["operation"], predicate["key"]) == ("EQUALS", "display_name")
            assert request.query["experiment_id"] == "e"
            named = [self._shown(run) for run in self.runs if self.runs[run][""] == predicate["string_value"]]
            return Reply(200, {"runs": named, "total_size": len(named)} if named else {})
        run = request.path.removeprefix(f"{runs}/")
        if run not in self.runs:
            return Reply(404, {"error": "not found", "code": 5})
        return Reply(200, self._shown(run))

    def end(self, well: bool) -> None:
        self.states = dict.fromkeys(self.runs, "SUCCEEDED" if well else "CANCELED")

    def _shown(self, run: str) -> dict[str, Any]:
        return {"run_id": run, "display_name": self.runs[run][""], "state": self.states[run]}


# -- Dagster ------------------------------------------------------------------------------------------------


class Tag(Strict):
    key: str
    value: str


class Selector(Strict):
    """`JobOrPipelineSelector`, without its subsets."""

    jobName: str  # noqa: N815
    repositoryName: str  # noqa: N815
    repositoryLocationName: str  # noqa: N815


class ExecutionMetadata(Strict):
    tags: list[Tag] = []
    rootRunId: str | None = None  # noqa: N815
    parentRunId: str | None = None  # noqa: N815


class ExecutionParams(Strict):
    selector: Selector
    runConfigData: dict[str, JsonValue] | str = {}  # noqa: N815
    mode: str | None = None
    executionMetadata: ExecutionMetadata  # noqa: N815
    stepKeys: list[str] | None = None  # noqa: N815
    preset: str | None = None


class RunsFilter(Strict):
    runIds: list[str] | None = None  # noqa: N815
    pipelineName: str | None = None  # noqa: N815
    tags: list[Tag] = []


class FakeDagster(Fake):
    kind = "dagster"
    starts = "/graphql"

    def settings(self, url: str) -> dict[str, Any]:
        return {"url": url, "location": "training", "job": "retrain"}

    def is_allowed(self, request: Request) -> bool:
        return request.headers.get("dagster-cloud-api-token") == TOKEN

    def is_start(self, request: Request) -> bool:
        return super().is_start(request) and "launchRun" in request.json["query"]

    def handle(self, request: Request) -> Reply:
        assert (request.method, request.path) == ("POST", "/graphql")
        assert set(request.json) == {"query", "variables"}
        query, variables = request.json["query"], request.json["variables"]
        if "launchRun(" in query:
            params = ExecutionParams.model_validate(variables["params"])
            if params.selector.jobName != "retrain":
                return _data("launchRun", "PipelineNotFoundError", message="Could not find job")
            run = f"b5d30000-0000-4000-8000-{len(self.runs):012}"
            self.start(run, {tag.key: tag.value for tag in params.executionMetadata.tags}, "STARTING")
            return _data("launchRun", "LaunchRunSuccess", run={"runId": run})
        if "runsOrError(" in query:
            wanted = {tag.key: tag.value for tag in RunsFilter.model_validate(variables["filter"]).tags}
            found = [run for run, tags in self.runs.items() if wanted.items() <= tags.items()]
            return _data("runsOrError", "Runs", results=[{"runId": run} for run in found[:1]])
        if variables["run"] not in self.runs:
            return _data("runOrError", "RunNotFoundError", message="not found")
        return _data("runOrError", "Run", status=self.states[variables["run"]])

    def end(self, well: bool) -> None:
        self.states = dict.fromkeys(self.runs, "SUCCESS" if well else "FAILURE")


def _data(operation: str, typename: str, **fields: Any) -> Reply:
    return Reply(200, {"data": {operation: {"__typename": typename, **fields}}})


# -- webhooks -----------------------------------------------------------------------------------------------


class FakeWebhook(Fake):
    """An endpoint that knows the key of idempotency, and tells of its runs."""

    kind = "webhook"
    starts = "/hooks/retrain"
    honors_key = True
    tells = True

    def settings(self, url: str) -> dict[str, Any]:
        return {
            "url": f"{url}/hooks/retrain?team=risk",
            "honors_idempotency_key": "true" if self.honors_key else "false",
            **({"status_url": f"{url}/hooks/runs/{{action_id}}"} if self.tells else {}),
        }

    def handle(self, request: Request) -> Reply:
        if (request.method, request.path) == ("POST", "/hooks/retrain"):
            assert request.query == {"team": "risk"}
            key = request.headers["idempotency-key"].strip('"')
            if key not in self.runs or not self.honors_key:
                run = key if key not in self.runs else f"{key}-again"
                self.start(run, request.json, "running")
            return Reply(202, "taken", "text/plain")
        run = request.path.removeprefix("/hooks/runs/")
        if request.method != "GET" or run not in self.runs:
            return Reply(404, {"detail": "no such run"})
        return Reply(200, {"status": self.states[run], "url": "https://runs.example.org/1"})

    def end(self, well: bool) -> None:
        self.states = dict.fromkeys(self.runs, "succeeded" if well else "failed")


class FakeForgetfulWebhook(FakeWebhook):
    """One that starts a run for every request, and tells of them."""

    honors_key = False


class FakeMuteWebhook(FakeWebhook):
    """One that starts a run for every request, and tells nothing."""

    honors_key = False
    tells = False


FAKES: tuple[type[Fake], ...] = (
    FakeAirflow2, FakeAirflow3, FakeDatabricks, FakePrefect, FakeArgo, FakeGitHub, FakeGitHubRepository,
    FakeKubeflow, FakeDagster, FakeWebhook, FakeForgetfulWebhook, FakeMuteWebhook,
)  # fmt: skip


# -- the server ---------------------------------------------------------------------------------------------


class OrchestratorServer:
    """A server on loopback.

    Attributes:
        fake: which answers.
        faults: of the next requests that start a run.
        requests: so far; `elsewhere` has those that followed a redirect.
        is_down: nothing is answered.
        other_faults: of the next requests that do not start a run; None where nothing goes wrong.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.closed = Event()
        self.reset(FakeAirflow3())

    def reset(self, fake: Fake) -> None:
        self.fake = fake
        self.faults: deque[Fault | None] = deque()
        self.requests: list[Request] = []
        self.elsewhere: list[Request] = []
        self.is_down = False
        self.other_faults: deque[Fault | None] = deque()

    @property
    def starts(self) -> list[Request]:
        return [request for request in self.requests if self.fake.is_start(request)]

    def answer(self, request: Request) -> tuple[Reply, Fault | None]:
        """Answer of the fake, and what goes wrong with it."""
        if request.path == "/elsewhere":
            self.elsewhere.append(request)
            return Reply(200, {}), None
        self.requests.append(request)
        if self.is_down:
            return Reply(200), "silent"
        if not self.fake.is_allowed(request):
            return Reply(401, {"detail": "Unauthorized"}), None
        faults = self.faults if self.fake.is_start(request) else self.other_faults
        fault = faults.popleft() if faults else None
        if fault is not None and fault not in AFTER:
            return _BEFORE[fault], None
        try:
            return self.fake.handle(request), fault
        except (ValidationError, AssertionError, KeyError, ValueError) as error:
            return Reply(422, {"detail": str(error)}), None


_PAGE = Reply(200, "<html><body>Sign in</body></html>", "text/html")
_BEFORE: dict[str, Reply] = {
    "unavailable": Reply(503, "<html>no upstream</html>", "text/html"),
    "busy": Reply(429, {"detail": "slow down"}, headers={"Retry-After": "1"}),
    "forbidden": Reply(403, {"detail": f"{TOKEN} may not"}),
    "login_page": _PAGE,
    "redirect": Reply(302, "", headers={"Location": "/elsewhere"}),
}


@contextmanager
def orchestrator_server() -> Iterator[OrchestratorServer]:
    """Serve fakes on a free port of loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {key: values[0] for key, values in parse_qs(parts.query, keep_blank_values=True).items()}
            headers = {key.lower(): value for key, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", 0)))
            reply, fault = shared.answer(Request(self.command, parts.path, query, headers, body))
            self.close_connection = True
            if fault == "lost":
                return
            if fault == "silent":
                shared.closed.wait(20)
                return
            if fault == "error":
                reply = Reply(500, {"detail": "internal error"})
            elif fault == "page":
                reply = _PAGE
            elif fault == "huge":
                reply = Reply(200, "x" * 3_000_000, "text/plain")
            content = reply.content if isinstance(reply.content, str) else json.dumps(reply.content)
            data = b"" if reply.content is None else content.encode()
            self.send_response(reply.status)
            for name, value in {"Content-Type": reply.content_type, **reply.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            try:
                if fault == "trickle":
                    for each in data:
                        self.wfile.write(bytes([each]))
                        time.sleep(0.02)
                self.wfile.write(data)
            except OSError:
                pass  # the client has given up

        do_POST = do_GET  # noqa: N815

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        shared = OrchestratorServer(f"http://127.0.0.1:{server.server_port}")
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield shared
        finally:
            shared.closed.set()
            server.shutdown()
            thread.join()
