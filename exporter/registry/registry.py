"""The registry: monitored versions, their references, and MLflow's runs.

A version is monitored when an alias points to it; the tag `monitoring.enabled=false`, on the model or on the
version, opts out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from exporter.config.models import ModelConfig, ModelsConfig
from exporter.profiling.data import ReferenceFile
from exporter.registry.client import RegistryClient
from exporter.registry.client_errors import MissingError
from exporter.registry.importance import Declared, download_model, load_declared
from exporter.registry.mlmodel import why_not_loadable
from exporter.registry.models import (
    REPORT_ID_TAG,
    REPORTS_TAG,
    AliasState,
    Registered,
    RegisteredModel,
    RegisteredVersion,
    is_switched_off,
    model_id_of,
    without_own,
)
from exporter.registry.report_runs import ReportRun, delete_expired_reports, log_report
from exporter.registry.runs import Run, last_metrics
from exporter.registry.sources import Profile, files_of_version, load_reference
from exporter.registry.survey import Survey, survey_registry
from exporter.shard import WHOLE, Shard

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowRun
    from mlflow.entities import model_registry as entities

# A call takes as long as listing this many versions: 25 ms against 0.4 ms each.
VERSIONS_PER_CALL = 60


class Registry:
    """Reads MLflow, which is found as its own tools find it: a URI that is None comes from the environment.

    Methods may be called from any thread. They block: a request has at most two attempts, each of about
    `timeout_seconds`. They raise `RegistryUnreachableError` if MLflow is down, slow or fails itself,
    `RegistryAuthError` if it refuses access, and `RegistryError` for any other unexpected answer.

    Raises:
        ConfigError: a URI cannot be one of MLflow, or reading it takes the full mlflow package.
    """

    def __init__(self, tracking_uri: str | None, registry_uri: str | None, timeout_seconds: float) -> None:
        self._mlflow = RegistryClient(tracking_uri, registry_uri, timeout_seconds)

    def poll(self, shard: Shard = WHOLE) -> Registered:
        """The monitored models of a shard as they are now."""
        listed = self._mlflow.list_models()
        own = [model for model in listed if shard.has(model.name)]
        models = [model for model in own if model.aliases and not is_switched_off(model.tags)]
        names = {model.name for model in models}
        # Numbers of versions count from 1, so the latest one's says how many there are at most.
        everything = sum(max((int(v.version) for v in model.latest_versions), default=0) for model in listed)
        if len(models) * VERSIONS_PER_CALL < everything:
            found = [version for name in sorted(names) for version in self._mlflow.list_versions(name)]
        else:
            found = [version for version in self._mlflow.list_versions() if version.name in names]
        by_model: dict[str, list[entities.ModelVersion]] = {name: [] for name in names}
        for version in found:
            by_model[version.name].append(version)
        views = (_model_view(model, by_model[model.name]) for model in models)
        return Registered(
            models=MappingProxyType({view.name: view for view in views if view.aliases}),
            models_off=frozenset(model.name for model in own if is_switched_off(model.tags)),
            versions_off=frozenset(
                (version.name, str(version.version))
                for versions in by_model.values()
                for version in versions
                if is_switched_off(version.tags)
            ),
        )

    def model_tags(self, model: str) -> dict[str, str]:
        """Tags of a registered model, all of them.

        Raises:
            MissingError: there is no such model, or we may not see it.
        """
        return dict(self._mlflow.get_model(model).tags)

    def version_tags(self, model: str, version: str) -> dict[str, str]:
        """Tags of a version, all of them.

        Raises:
            MissingError: there is no such version, or we may not see it.
        """
        return dict(self._mlflow.get_version(model, version).tags)

    def alias_version(self, model: str, alias: str) -> str:
        """The version that an alias leads to, empty if the model has no such alias.

        Raises:
            MissingError: there is no such model, or the alias dangles: it leads to a version that is gone.
        """
        found = self.read_alias(model, alias)
        if found.dangling:
            raise MissingError(f"alias {alias!r} of {model} leads to version {found.version}, which is gone")
        return found.version

    def read_alias(self, model: str, alias: str) -> AliasState:
        """State of an alias, whose version is loaded: MLflow also lists aliases of versions that are gone.

        Raises:
            MissingError: there is no such model.
        """
        listed = self._mlflow.get_model(model).aliases.get(alias, "")
        if not listed:
            return AliasState("")
        try:
            return AliasState(str(self._mlflow.get_version_by_alias(model, alias).version))
        except MissingError:
            return AliasState(str(listed), dangling=True)

    def tagged_version(self, model: str, key: str, value: str) -> str:
        """The latest version of a model that has a tag with this value, empty if none has.

        Args:
            model: its name.
            key: of the tag.
            value: without quotes.
        """
        found = [int(version.version) for version in self._mlflow.list_versions(model, (key, value))]
        return str(max(found)) if found else ""

    def set_alias(self, model: str, alias: str, version: str) -> None:
        """Have an alias point to a version, wherever it pointed before: MLflow has no compare-and-set.

        Raises:
            MissingError: there is no such model or version.
        """
        self._mlflow.set_alias(model, alias, version)

    def set_model_tag(self, model: str, key: str, value: str) -> None:
        """Set a tag of a registered model.

        Raises:
            MissingError: there is no such model.
        """
        self._mlflow.set_model_tag(model, key, value)

    def set_version_tag(self, model: str, version: str, key: str, value: str) -> None:
        """Set a tag of a version.

        Raises:
            MissingError: there is no such model or version.
        """
        self._mlflow.set_version_tag(model, version, key, value)

    def model_loads(self, model: str, version: str) -> str:
        """Reason why the files of a version cannot be loaded as a model, empty if its MLmodel can be read.

        The status READY of a version proves nothing: it stays when the files are deleted.
        """
        return why_not_loadable(self._mlflow, model, version)

    def load_reference(
        self, version: RegisteredVersion, config: ModelConfig, profile: Callable[[ReferenceFile], Profile]
    ) -> Profile:
        """Find a version's reference in the places that `exporter.registry.sources` lists, and profile it.

        Raises:
            ReferenceNotFoundError: there is none; the message names the places.
            ReferenceInvalidError: there is one, and it cannot be used.
        """
        return load_reference(self._mlflow, files_of_version(self._mlflow, version), config, profile)

    def survey(self, models: ModelsConfig) -> Survey:
        """Survey the whole registry, with references that the configuration may name."""
        return survey_registry(self._mlflow, self.poll(), models)

    def load_importance(self, run_id: str, tag: str, setting: str) -> Declared | None:
        """Declared importance of a version's columns, see `exporter.registry.importance`.

        Raises:
            ImportanceError: what is declared cannot be used.
        """
        return load_declared(self._mlflow, run_id, tag, setting)

    def download_model(self, model: str, version: str, directory: Path, max_bytes: int) -> Path:
        """Download a version's files to a folder of a directory, and return it.

        Raises:
            ImportanceError: they are too large, or cannot be read.
        """
        return download_model(self._mlflow, model, version, directory, max_bytes)

    def load_run_metrics(self, version: RegisteredVersion) -> dict[str, float]:
        """Metrics of a version's source run, empty if the run is unknown or gone."""
        run = self._mlflow.find_run(version.run_id)
        return {} if run is None else last_metrics(run)

    def log_report(self, report: ReportRun) -> str:
        """Log a report as a run, once however often it is called, and return the id of the run."""
        return log_report(self._mlflow, report)

    def delete_expired_reports(self, now: float) -> int:
        """Delete the runs of reports that are kept until before `now`, and return their number."""
        return delete_expired_reports(self._mlflow, now)

    def list_experiments(self) -> dict[str, str]:
        """Names of all experiments, by id, without those that only have the exporter's own reports."""
        return {
            str(experiment.experiment_id): str(experiment.name)
            for experiment in self._mlflow.list_experiments()
            if experiment.tags.get(REPORTS_TAG) != "own"
        }

    def list_runs(self, experiment_ids: Collection[str]) -> Iterator[list[Run]]:
        """Pages of all runs of these experiments, the last started first."""
        return self._pages(experiment_ids, "")

    def list_runs_since(self, experiment_ids: Collection[str], time: float) -> Iterator[list[Run]]:
        """Pages of the runs that started or ended since `time` (seconds since the epoch); some come twice."""
        for attribute in ("start_time", "end_time"):
            condition = f"attributes.{attribute} >= {math.floor(time * 1000)}"
            yield from self._pages(experiment_ids, condition)

    def find_runs(self, experiment_ids: Collection[str], run_ids: Collection[str]) -> list[Run]:
        """The runs with these ids that exist, in one call."""
        if not run_ids:
            return []
        condition = "attributes.run_id IN ({})".format(", ".join(f"'{run_id}'" for run_id in run_ids))
        return [run for page in self._pages(experiment_ids, condition) for run in page]

    def _pages(self, experiment_ids: Collection[str], condition: str) -> Iterator[list[Run]]:
        for page in self._mlflow.list_runs(experiment_ids, condition):
            yield [_run(found) for found in page if REPORT_ID_TAG not in found.data.tags]


def _run(found: MlflowRun) -> Run:
    return Run(
        run_id=found.info.run_id,
        experiment_id=found.info.experiment_id,
        name=found.info.run_name or "",
        status=found.info.status,
        started_at=(found.info.start_time or 0) / 1000,
        metrics=last_metrics(found),
    )


def _model_view(model: entities.RegisteredModel, versions: list[entities.ModelVersion]) -> RegisteredModel:
    model_tags = without_own(model.tags)
    enabled = {str(version.version): version for version in versions if not is_switched_off(version.tags)}
    # An alias may point to a version that was deleted between the two calls.
    aliases = {alias: str(number) for alias, number in model.aliases.items() if str(number) in enabled}
    views = {
        number: RegisteredVersion(
            model=model.name,
            version=number,
            aliases=frozenset(alias for alias, target in aliases.items() if target == number),
            run_id=version.run_id or "",
            source=version.source or "",
            model_id=model_id_of(version),
            tags=without_own(version.tags),
            model_tags=model_tags,
            created_at=datetime.fromtimestamp(version.creation_timestamp / 1000, UTC),
        )
        for number, version in enabled.items()
    }
    return RegisteredModel(model.name, MappingProxyType(aliases), MappingProxyType(views))
