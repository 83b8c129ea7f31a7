"""MLflow's client, with limits on time and the exporter's errors.

MLflow's own limits let it retry a server that is down for four minutes, and honour any `Retry-After`. They
are environment variables, so a `RegistryClient` sets them for the whole process, unless it is another
program's.
"""

from __future__ import annotations

import math
import os
import posixpath
import re
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import unquote, urlsplit

from exporter.drivers import missing_artifact_driver
from exporter.errors import ExporterError, ReferenceInvalidError
from exporter.formats.texts import first_line, redact
from exporter.registry.client_errors import MissingError, translate
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


@dataclass(frozen=True)
class RemoteFile:
    """A file in one of MLflow's artifact stores; `size_bytes` is None if the store does not tell it."""

    uri: str
    size_bytes: int | None


class RegistryClient:
    """MLflow's client. Every method may raise `RegistryError` or a subclass of it.

    `raw` is MLflow's own, to be used within `asking`. With `timeout_seconds` None the process is a user's
    own, whose settings of MLflow are left as they are.
    """

    def __init__(
        self, tracking_uri: str | None, registry_uri: str | None, timeout_seconds: float | None
    ) -> None:
        self.timeout_seconds = timeout_seconds
        if timeout_seconds is not None:
            os.environ.update(
                MLFLOW_HTTP_REQUEST_MAX_RETRIES=str(ATTEMPTS - 1),
                MLFLOW_HTTP_REQUEST_TIMEOUT=str(math.ceil(timeout_seconds)),  # of each attempt
                MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR="0",
                MLFLOW_HTTP_REQUEST_BACKOFF_JITTER="0",
                MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER="false",
                MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR="false",
                MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT="true",
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
        self.raw = MlflowClient(self.uri, registry_uri)
        self._artifacts = artifacts

    # -- the registry ---------------------------------------------------------------------------------------

    def list_models(self) -> list[RegisteredModel]:
        """All registered models, with their aliases, without prompts."""
        return self._all(self.raw.search_registered_models, max_results=MODELS_PER_PAGE)

    def list_versions(
        self, model: str | None = None, tag: tuple[str, str] | None = None
    ) -> list[ModelVersion]:
        """All versions of a model, or of all models, without aliases: this call of MLflow leaves them out.

        Args:
            model: its name.
            tag: key and value that versions have to have, without quotes in them.
        """
        # MLflow's filters have no way to escape a quote, and a backslash means different things to different
        # databases: whatever is odd in a name matches any character, and the exact ones are picked out here.
        conditions = [] if model is None else ["name LIKE '{}'".format(re.sub(r"[^\w .-]", "_", model))]
        if tag is not None:
            conditions.append(f"tags.`{tag[0]}` = '{tag[1]}'")
        versions: list[ModelVersion] = self._all(
            self.raw.search_model_versions,
            filter_string=" AND ".join(conditions) or None,
            max_results=VERSIONS_PER_PAGE,
            order_by=["name ASC", "version_number ASC"],
        )
        return [version for version in versions if model is None or version.name == model]

    def get_model(self, model: str) -> RegisteredModel:
        """A registered model with its tags and aliases, of which some may lead to no version.

        Raises:
            MissingError: there is no such model.
        """
        with self.asking():
            return self.raw.get_registered_model(model)

    def get_version(self, model: str, version: str) -> ModelVersion:
        """A version with its tags.

        Raises:
            MissingError: there is no such version.
        """
        with self.asking():
            return self.raw.get_model_version(model, version)

    def get_version_by_alias(self, model: str, alias: str) -> ModelVersion:
        """The version that an alias leads to.

        Raises:
            MissingError: the alias leads to a version that is gone.
            RegistryError: there is no such alias.
        """
        with self.asking():
            return self.raw.get_model_version_by_alias(model, alias)

    def set_alias(self, model: str, alias: str, version: str) -> None:
        """Have an alias point to a version, wherever it pointed before.

        Raises:
            MissingError: there is no such model or version.
        """
        with self.asking():
            self.raw.set_registered_model_alias(model, alias, version)

    def set_model_tag(self, model: str, key: str, value: str) -> None:
        """Set a tag of a registered model.

        Raises:
            MissingError: there is no such model.
        """
        with self.asking():
            self.raw.set_registered_model_tag(model, key, value)

    def set_version_tag(self, model: str, version: str, key: str, value: str) -> None:
        """Set a tag of a version.

        Raises:
            MissingError: there is no such model or version.
        """
        with self.asking():
            self.raw.set_model_version_tag(model, version, key, value)

    def find_run(self, run_id: str) -> Run | None:
        """A run, None if there is none with this id."""
        if not run_id:
            return None
        try:
            with self.asking():
                return self.raw.get_run(run_id)
        except MissingError:
            return None

    # -- experiments ----------------------------------------------------------------------------------------

    def list_experiments(self, condition: str = "") -> list[Experiment]:
        """All experiments that are not deleted, for which a filter of MLflow's holds."""
        return self._all(
            self.raw.search_experiments, filter_string=condition, max_results=EXPERIMENTS_PER_PAGE
        )

    def list_runs(
        self, experiment_ids: Collection[str], condition: str = "", order: Literal["ASC", "DESC"] = "DESC"
    ) -> Iterator[list[Run]]:
        """Pages of the runs of experiments that are not deleted, by default the last started first.

        `condition` is a filter of MLflow's, such as `attributes.end_time >= 1700000000000`.
        """
        if experiment_ids:
            yield from self._pages(
                self.raw.search_runs,
                experiment_ids=list(experiment_ids),
                filter_string=condition,
                max_results=RUNS_PER_PAGE,
                order_by=[f"attributes.start_time {order}"],
            )

    def _all(self, search: Callable[..., Any], **query: Any) -> list[Any]:
        return [found for page in self._pages(search, **query) for found in page]

    def _pages(self, search: Callable[..., Any], **query: Any) -> Iterator[list[Any]]:
        token = None
        while token != "":
            with self.asking():
                page = search(**query, page_token=token)
            token = page.token or ""
            yield list(page)

    # -- files ----------------------------------------------------------------------------------------------

    def locate_version(self, model: str, version: str) -> str:
        """URI of the directory in the artifact store with the files of a version.

        Raises:
            MissingError: there is no such version.
            ReferenceInvalidError: the version's source cannot be followed.
        """
        with self.asking():
            uri = self.raw.get_model_version_download_uri(model, version)
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
            with self.asking():
                if scheme == "runs":
                    root, path = self.raw.get_run(parts[0]).info.artifact_uri, parts[1:]
                elif scheme == "models" and re.fullmatch(r"m-[0-9a-f]{32}", parts[0]):
                    root, path = self.raw.get_logged_model(parts[0]).artifact_location, parts[1:]
                elif scheme == "models" and len(parts) > 1 and parts[1].isdecimal():
                    root, path = self.raw.get_model_version_download_uri(parts[0], parts[1]), parts[2:]
                elif scheme == "models":
                    break
                else:
                    return uri
            uri = posixpath.join(root, *path)
        raise ReferenceInvalidError(
            f"{uri} cannot be followed: it has to be as models:/name/1/file or runs:/id/file"
        )

    def find_file(self, uri: str) -> RemoteFile | None:
        """A file in one of MLflow's artifact stores, None if there is none.

        Raises:
            ReferenceInvalidError: the store cannot be read.
        """
        directory, _, name = uri.rpartition("/")
        return next((file for found, file in self.list_folder(directory) if file and found == name), None)

    def list_folder(self, uri: str) -> list[tuple[str, RemoteFile | None]]:
        """Names in a folder of one of MLflow's artifact stores, with the file unless it is a folder.

        Raises:
            ReferenceInvalidError: the store cannot be read.
        """
        with self._reading(uri):
            items = self._artifacts.list_artifacts(artifact_uri=uri, tracking_uri=self.uri)
            named = [(posixpath.basename(item.path), item) for item in items]
            return [
                (name, None if item.is_dir else RemoteFile(f"{uri}/{name}", item.file_size))
                for name, item in named
            ]

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
    def asking(self) -> Iterator[None]:
        """Raise the exporter's errors for those of MLflow's client."""
        try:
            yield
        except ExporterError:
            raise
        except Exception as error:  # of MLflow, of requests, or of parsing an answer that is not MLflow's
            raise translate(error, self.shown_uri, self.timeout_seconds) from error

    @contextmanager
    def _reading(self, uri: str) -> Iterator[None]:
        parts = split_uri(uri)
        through_mlflow = parts.scheme in ("mlflow-artifacts", *HTTP_SCHEMES)
        if through_mlflow and parts.netloc not in ("", urlsplit(self.uri).netloc):
            # MLflow's client would send our password to a host chosen by the author of a version.
            raise ReferenceInvalidError(f"{redact(uri)} is on another host than MLflow, which is not read")
        if missing := missing_artifact_driver(parts.scheme):
            raise ReferenceInvalidError(f"{redact(uri)} cannot be read: {missing}")
        try:
            yield
        except Exception as error:
            # A store raises whatever its libraries do; only what MLflow answered over HTTP means MLflow.
            if through_mlflow and type(error).__module__ != "builtins":
                raise translate(error, self.shown_uri, self.timeout_seconds) from error
            raise ReferenceInvalidError(f"{redact(uri)} cannot be read: {first_line(error)}") from error
