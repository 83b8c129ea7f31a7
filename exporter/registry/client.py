"""The connection to MLflow: its own client, with limits on time and with our errors.

MLflow's client retries a server that is down for four minutes, and honours any `Retry-After`. Its limits are
environment variables of the process, so a `Connection` sets them for all who use MLflow in it.
"""

from __future__ import annotations

import math
import os
import posixpath
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from socket import gaierror
from ssl import SSLError
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from exporter.errors import (
    ExporterError,
    ReferenceInvalidError,
    RegistryAuthError,
    RegistryError,
    RegistryUnreachableError,
)
from exporter.formats.texts import first_line, redact
from exporter.registry.mlflow_uri import HTTP_SCHEMES, check_mlflow, is_server, split_uri

if TYPE_CHECKING:
    from mlflow.entities import Experiment, Run
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel

MODELS_PER_PAGE = 1000  # MLflow's maximum
VERSIONS_PER_PAGE = 1000  # 0.4 s on a small server: a page stays well within the limit on time
EXPERIMENTS_PER_PAGE = 1000
RUNS_PER_PAGE = 500  # likewise: MLflow takes 1 ms for a run with ten metrics
ATTEMPTS = 2  # the second for a pooled connection that the server closed meanwhile
MAX_HOPS = 3
UNCLASSIFIED = 500  # the status of MLflow's errors that were given none


class MissingError(RegistryError):
    """MLflow has no such run, model or version."""


@dataclass(frozen=True)
class RemoteFile:
    """A file in one of MLflow's artifact stores; `size_bytes` is None where the store does not say."""

    uri: str
    size_bytes: int | None


class Connection:
    """MLflow's client. Every method raises `RegistryError` or one of its kind, and what else it says."""

    def __init__(self, tracking_uri: str | None, registry_uri: str | None, timeout_seconds: float) -> None:
        self.timeout_seconds = timeout_seconds
        os.environ.update(
            MLFLOW_HTTP_REQUEST_MAX_RETRIES=str(ATTEMPTS - 1),
            MLFLOW_HTTP_REQUEST_TIMEOUT=str(math.ceil(timeout_seconds)),  # of each attempt
            MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR="0",
            MLFLOW_HTTP_REQUEST_BACKOFF_JITTER="0",
            MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER="false",
            MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR="false",
        )
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        # Here, not at the top: the import takes seconds and 30 MB, and reads the environment.
        from mlflow import MlflowClient, artifacts, get_registry_uri, get_tracking_uri

        self.uri = tracking_uri or get_tracking_uri()
        self.shown_uri = redact(self.uri)
        check_mlflow(
            "MLFLOW_TRACKING_URI",
            self.uri,
            is_set=bool(tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")),
        )
        self.is_server = is_server(self.uri)
        registry_uri = registry_uri or (get_registry_uri() if "MLFLOW_REGISTRY_URI" in os.environ else None)
        if registry_uri is not None:
            check_mlflow("MLFLOW_REGISTRY_URI", registry_uri)
        self._client = MlflowClient(self.uri, registry_uri)
        self._artifacts = artifacts

    # -- the registry ---------------------------------------------------------------------------------------

    def list_models(self) -> list[RegisteredModel]:
        """All registered models, with their aliases; prompts are none."""
        models: list[RegisteredModel] = []
        token = None
        with self._asking():
            while token != "":
                page = self._client.search_registered_models(max_results=MODELS_PER_PAGE, page_token=token)
                models += page
                token = page.token or ""
        return models

    def list_versions(self, model: str | None = None) -> list[ModelVersion]:
        """All versions of a model, or of all; without their aliases, which this call of MLflow leaves out."""
        # MLflow's filters have no way to escape a quote, and a backslash means different things to different
        # databases: whatever is odd in a name matches any character, and the exact ones are picked out here.
        pattern = None if model is None else "name LIKE '{}'".format(re.sub(r"[^\w .-]", "_", model))
        versions: list[ModelVersion] = []
        token = None
        with self._asking():
            while token != "":
                page = self._client.search_model_versions(
                    pattern,
                    max_results=VERSIONS_PER_PAGE,
                    order_by=["name ASC", "version_number ASC"],
                    page_token=token,
                )
                versions += page
                token = page.token or ""
        return [version for version in versions if model is None or version.name == model]

    def find_run(self, run_id: str) -> Run | None:
        """A run, None where there is none with this id (any more)."""
        if not run_id:
            return None
        try:
            with self._asking():
                return self._client.get_run(run_id)
        except MissingError:
            return None

    # -- experiments ----------------------------------------------------------------------------------------

    def list_experiments(self) -> list[Experiment]:
        """All experiments that are not deleted."""
        experiments: list[Experiment] = []
        token = None
        with self._asking():
            while token != "":
                page = self._client.search_experiments(max_results=EXPERIMENTS_PER_PAGE, page_token=token)
                experiments += page
                token = page.token or ""
        return experiments

    def list_runs(self, experiment_ids: Collection[str], condition: str = "") -> Iterator[list[Run]]:
        """The runs of experiments that are not deleted, page by page, the last started first.

        `condition` is a filter of MLflow's, such as `attributes.end_time >= 1700000000000`.
        """
        token = None
        while token != "" and experiment_ids:
            with self._asking():
                page = self._client.search_runs(
                    list(experiment_ids),
                    condition,
                    max_results=RUNS_PER_PAGE,
                    order_by=["attributes.start_time DESC"],
                    page_token=token,
                )
            token = page.token or ""
            yield list(page)

    # -- files ----------------------------------------------------------------------------------------------

    def locate_version(self, model: str, version: str) -> str:
        """URI of the directory in the artifact store where the files of a version are.

        Raises:
            MissingError: there is no such version.
            ReferenceInvalidError: the version's source cannot be followed.
        """
        with self._asking():
            uri = self._client.get_model_version_download_uri(model, version)
        return self.locate(uri)

    def locate(self, uri: str) -> str:
        """Follow `runs:/` and `models:/` to the artifact store.

        Raises:
            MissingError: there is no such run, version or model.
            ReferenceInvalidError: the URI cannot be followed.
        """
        for _ in range(MAX_HOPS):
            scheme, _, rest = uri.partition(":/")
            parts = rest.strip("/").split("/")
            if scheme in ("runs", "models") and ".." in PurePosixPath(unquote(rest)).parts:
                break  # of a folder it would lead to other places of this machine
            with self._asking():
                if scheme == "runs":
                    root, path = self._client.get_run(parts[0]).info.artifact_uri, parts[1:]
                elif scheme == "models" and re.fullmatch(r"m-[0-9a-f]{32}", parts[0]):
                    root, path = self._client.get_logged_model(parts[0]).artifact_location, parts[1:]
                elif scheme == "models" and len(parts) > 1 and parts[1].isdecimal():
                    root, path = self._client.get_model_version_download_uri(parts[0], parts[1]), parts[2:]
                elif scheme == "models":
                    break
                else:
                    return uri
            uri = posixpath.join(root, *path)
        raise ReferenceInvalidError(
            f"{uri} cannot be followed: it has to be as models:/name/1/file or runs:/id/file"
        )

    def find_file(self, uri: str) -> RemoteFile | None:
        """The file in one of MLflow's artifact stores, None where there is none.

        Raises:
            ReferenceInvalidError: the store cannot be read.
        """
        directory, _, name = uri.rpartition("/")
        with self._reading(directory):
            for item in self._artifacts.list_artifacts(artifact_uri=directory, tracking_uri=self.uri):
                if posixpath.basename(item.path) == name and not item.is_dir:
                    return RemoteFile(uri, item.file_size)
        return None

    def download(self, file: RemoteFile, directory: Path) -> Path:
        """Copy a file to a local directory.

        Raises:
            ReferenceInvalidError: the store cannot be read.
        """
        with self._reading(file.uri):
            return Path(
                self._artifacts.download_artifacts(
                    artifact_uri=file.uri, dst_path=str(directory), tracking_uri=self.uri
                )
            )

    # -- errors ---------------------------------------------------------------------------------------------

    @contextmanager
    def _asking(self) -> Iterator[None]:
        try:
            yield
        except ExporterError:
            raise
        except (
            Exception
        ) as error:  # MLflow's own, those of requests, and of parsing what is not MLflow's answer
            raise self._translate(error) from error

    @contextmanager
    def _reading(self, uri: str) -> Iterator[None]:
        parts = split_uri(uri)
        through_mlflow = parts.scheme in ("mlflow-artifacts", *HTTP_SCHEMES)
        if through_mlflow and parts.netloc not in ("", urlsplit(self.uri).netloc):
            # MLflow's client would send our password there, and whoever registers a version chooses where.
            raise ReferenceInvalidError(f"{redact(uri)} is on another host than MLflow, which is not read")
        try:
            yield
        except Exception as error:
            # A store raises whatever its libraries do; only what MLflow answered over HTTP means MLflow.
            if through_mlflow and type(error).__module__ != "builtins":
                raise self._translate(error) from error
            raise ReferenceInvalidError(f"{redact(uri)} cannot be read: {first_line(error)}") from error

    def _translate(self, error: BaseException) -> RegistryError:
        where = f"MLflow at {self.shown_uri}"
        chain = _chain(error)
        # What another server answers MLflow's client quotes, and its first line alone has no second quote.
        _, foreign, text = first_line(error).rpartition("Response body: ")
        text = text.strip("'") if foreign else text
        status = _http_status(chain)
        if "Invalid Host header" in str(error):
            return RegistryAuthError(
                f"{where} does not know this name as its own: see its option --allowed-hosts"
            )
        if status in (401, 403):
            return RegistryAuthError(
                f"{where} refuses us (HTTP {status}): {text}; check MLFLOW_TRACKING_USERNAME and "
                "MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, and what this user may read"
            )
        if status == 404 and foreign:
            return MissingError(
                f"{self.shown_uri} does not answer as MLflow does (HTTP 404: {text}); "
                "check host, port and path"
            )
        if status == 404:
            return MissingError(f"{where} has no such thing: {text}")
        if any("Timeout" in type(link).__name__ for link in chain):
            return RegistryUnreachableError(f"{where} did not answer within {self.timeout_seconds:g} s")
        for link in reversed(chain):
            if isinstance(link, ConnectionError | gaierror | SSLError):
                return RegistryUnreachableError(
                    f"{where} cannot be reached: {link.strerror or first_line(link)}"
                )
        if status is not None and (status >= 500 or status == 429):
            return RegistryUnreachableError(f"{where} is in trouble (HTTP {status})")
        if status is not None and status >= 400:
            return RegistryError(f"{where} refuses the request (HTTP {status}): {text}")
        return RegistryError(f"{where} does not answer as MLflow should: {text}")


def _chain(error: BaseException | None) -> list[BaseException]:
    """The error and what led to it, outermost first."""
    links: list[BaseException] = []
    while error is not None and error not in links:
        links.append(error)
        error = error.__cause__ or error.__context__
    return links


def _http_status(chain: list[BaseException]) -> int | None:
    """Status of the answer that an error is about, None where there was no answer."""
    for link in chain:
        response = getattr(link, "response", None)
        if response is not None:  # an error of requests
            return int(response.status_code)
        # MLflow where the body is not its own, and urllib3 after the last attempt
        told = re.search(r"failed with error code (\d{3})|too many (\d{3}) error responses", str(link))
        if told:
            return int(told[1] or told[2])
        code = getattr(link, "get_http_status_code", None)  # of MLflow's errors
        if code is not None and code() != UNCLASSIFIED:
            return int(code())
    return None
