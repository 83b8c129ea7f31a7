"""Configuration of targets: where a retraining is asked for, and who is told of it.

    targets:
      airflow:
        kind: airflow3
        url: https://airflow.example.org
        token_file: /run/secrets/airflow
        dag: retrain-fraud
        body: {model: "{model}", version: "{model_version}", action_id: "{action_id}"}

The hosts that the exporter talks to are those of this file. Secrets are in files, read at each call.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationInfo, model_validator

from exporter.config.body_template import parse_template, placeholders
from exporter.config.section import Location, Name, Seconds, Section
from exporter.settings import DAY_SECONDS

# Most that GitHub takes.
MAX_INPUTS = 25
MAX_PAYLOAD_KEYS = 10

STANDARD_BODY = {
    "action_id": "{action_id}",
    "model": "{model}",
    "model_version": "{model_version}",
    "alertname": "{alertname}",
}


def _http_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ValueError("has to be a URL such as https://airflow.example.org")
    if parts.username is not None:
        raise ValueError("may not hold a user or password: name files with token_file or password_file")
    if parts.fragment or not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("has characters that a URL cannot have")
    return url


def _base_url(url: str) -> str:
    if urlsplit(_http_url(url)).query:
        raise ValueError("may not have a query")
    return url.rstrip("/")


def _template(written: object) -> Any:
    template = parse_template(written)
    if "action_id" not in placeholders(template):
        raise ValueError("has no {action_id}: the job needs it to tag the version that it registers")
    return template


def _mapping(template: Any) -> Any:
    if not isinstance(template, Mapping):
        raise ValueError("has to be a mapping of keys to values")
    return template


def _flat(template: Any) -> Any:
    if not all(isinstance(each, str) for each in _mapping(template).values()):
        raise ValueError("has to be a mapping of keys to texts")
    return template


Url = Annotated[str, Field(max_length=2048), AfterValidator(_http_url)]
BaseUrl = Annotated[str, Field(max_length=2048), AfterValidator(_base_url)]
Proxy = Annotated[str, Field(pattern=r"^http://[A-Za-z0-9.-]+:[0-9]{1,5}$")]
Template = Annotated[Any, AfterValidator(_template)]
MappingTemplate = Annotated[Any, AfterValidator(_template), AfterValidator(_mapping)]
FlatTemplate = Annotated[Any, AfterValidator(_template), AfterValidator(_flat)]
Header = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")]
Timeout = Annotated[Seconds, Field(gt=0, le=30 * DAY_SECONDS)]


class _Target(Section):
    """Settings that all kinds have.

    Attributes:
        timeout: longest time that a run may take, in seconds; then it is given up as lost.
    """

    timeout: Timeout = DAY_SECONDS


class HttpTarget(_Target):
    """Settings of targets that are reached by HTTP.

    Attributes:
        token_file: file with a token, sent as `Authorization: Bearer`.
        username: with `password_file`, sent as `Authorization: Basic`.
        token_header: header of the token, which stands in it without `Bearer` unless it is `Authorization`.
        ca_file: certificates that are trusted in place of the system's.
        proxy: through which an https target is reached, `http://host:port`.
    """

    token_file: Location | None = None
    username: Name | None = None
    password_file: Location | None = None
    ca_file: Location | None = None
    proxy: Proxy | None = None
    token_header: Header = "Authorization"  # noqa: S105 - a name

    @model_validator(mode="after")
    def _one_credential(self) -> HttpTarget:
        if (self.username is None) != (self.password_file is None):
            raise ValueError("username and password_file belong together")
        if self.token_file and self.username:
            raise ValueError("takes either token_file or username and password_file")
        if self.proxy is not None and not str(getattr(self, "url", "")).startswith("https:"):
            raise ValueError("proxy is for https")
        return self


class Airflow2(HttpTarget):
    """A DAG of Airflow 2; `body` becomes the `conf` of its run."""

    kind: Literal["airflow2"]
    url: BaseUrl
    dag: Name
    body: MappingTemplate = STANDARD_BODY


class Airflow3(HttpTarget):
    """A DAG of Airflow 3; with a user and password a token is asked for at each call."""

    kind: Literal["airflow3"]
    url: BaseUrl
    dag: Name
    body: MappingTemplate = STANDARD_BODY


class Databricks(HttpTarget):
    """A job of Databricks; `body` becomes its `job_parameters`."""

    kind: Literal["databricks"]
    url: BaseUrl
    job_id: Annotated[int, Field(ge=1, lt=2**63)]
    body: FlatTemplate = STANDARD_BODY


class Prefect(HttpTarget):
    """A deployment of Prefect; `url` is the API's, as in PREFECT_API_URL, and `body` becomes `parameters`."""

    kind: Literal["prefect"]
    url: BaseUrl
    deployment_id: Annotated[str, Field(pattern=r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")]
    body: MappingTemplate = STANDARD_BODY


class Argo(HttpTarget):
    """A workflow template of Argo Workflows; `body` becomes the parameters of the workflow."""

    kind: Literal["argo"]
    url: BaseUrl
    namespace: Name
    template: Name
    cluster_template: bool = False
    body: FlatTemplate = STANDARD_BODY


class GitHub(HttpTarget):
    """A workflow of GitHub Actions, by `workflow_dispatch`, or by `repository_dispatch` with `event_type`.

    Neither knows a key of idempotency, and runs do not show their inputs: the workflow's `run-name` has to
    contain the action's id.
    """

    kind: Literal["github"]
    url: BaseUrl = "https://api.github.com"
    repository: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,38}/[A-Za-z0-9._-]{1,100}$")]
    workflow: Name | None = None
    ref: Name = "main"
    event_type: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    body: MappingTemplate = STANDARD_BODY

    @model_validator(mode="after")
    def _one_event(self) -> GitHub:
        if (self.workflow is None) == (self.event_type is None):
            raise ValueError("takes either workflow or event_type")
        if self.workflow is not None:
            _flat(self.body)
        limit = MAX_PAYLOAD_KEYS if self.workflow is None else MAX_INPUTS
        if len(self.body) > limit:
            raise ValueError(f"body has more than {limit} keys, the most that GitHub takes")
        return self


class Kubeflow(HttpTarget):
    """A pipeline of Kubeflow Pipelines 2; `body` becomes the parameters of the run."""

    kind: Literal["kubeflow"]
    url: BaseUrl
    pipeline_id: Name
    pipeline_version_id: Name
    experiment_id: Name
    service_account: Name | None = None
    body: MappingTemplate = STANDARD_BODY


class Dagster(HttpTarget):
    """A job of Dagster; `body` becomes its run config, by default empty: the id is a tag of the run."""

    kind: Literal["dagster"]
    url: BaseUrl
    location: Name
    repository: Name = "__repository__"
    job: Name
    body: Annotated[Any, AfterValidator(parse_template), AfterValidator(_mapping)] = {}
    token_header: Header = "Dagster-Cloud-Api-Token"  # noqa: S105 - a name


class Webhook(HttpTarget):
    """An endpoint of one's own, which gets the body and the action's id as `Idempotency-Key`.

    Attributes:
        honors_idempotency_key: the endpoint does nothing the second time for the same key; without this a
            request whose answer was lost is not repeated.
        status_url: URL with `{action_id}`, which answers with JSON: `status` is `running`, `succeeded` or
            `failed`. An id that is not known gets 404.
    """

    kind: Literal["webhook"]
    url: Url
    honors_idempotency_key: bool = False
    status_url: Url | None = None
    body: Template = STANDARD_BODY

    @model_validator(mode="after")
    def _id_in_status_url(self) -> Webhook:
        if self.status_url is not None and "{action_id}" not in self.status_url:
            raise ValueError("status_url has no {action_id}")
        return self


class Command(_Target):
    """A command on the exporter's own machine, which gets the body on its standard input: for demonstrations.

    Attributes:
        command: program and arguments.
        directory: of the state and the output of its runs, by action.
    """

    kind: Literal["command"]
    command: Annotated[tuple[Annotated[str, Field(max_length=4096)], ...], Field(min_length=1)]
    directory: Location
    body: Template = STANDARD_BODY

    @model_validator(mode="after")
    def _is_allowed(self, info: ValidationInfo) -> Command:
        if not (info.context or {}).get("allow_command"):
            raise ValueError("commands are for demonstrations: they need EXPORTER_ALLOW_COMMANDS=true")
        return self


Target = Annotated[
    Airflow2 | Airflow3 | Databricks | Prefect | Argo | GitHub | Kubeflow | Dagster | Webhook | Command,
    Field(discriminator="kind"),
]
