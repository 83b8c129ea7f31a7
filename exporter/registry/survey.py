"""Survey of a whole registry: the monitored versions with their references, and what is not monitored."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporter.config.models import ModelsConfig
from exporter.errors import ReferenceInvalidError, RegistryError, RegistryUnreachableError
from exporter.registry.client import RegistryClient
from exporter.registry.models import Registered, RegisteredVersion, is_switched_off
from exporter.registry.sources import files_of_version, find_source

if TYPE_CHECKING:
    from mlflow.entities.model_registry import RegisteredModel

THREADS = 8
MAX_LOOKED_AT = 300  # versions whose references are looked for: a few calls each


@dataclass(frozen=True)
class SurveyedVersion:
    """A version with an alias.

    `reference` is the source of its reference, empty without one, None if it was not looked for. `problem`
    is the reason why the reference cannot be used or looked for, empty for none.
    """

    model: str
    version: str
    aliases: tuple[str, ...]
    reference: str | None
    problem: str = ""


@dataclass(frozen=True)
class Survey:
    """State of a registry.

    `versions` are monitored, by model and number. `without_alias` are the models that have no alias that
    leads to a version, with their newest version, empty if they have none. `switched_off` opted out.
    """

    versions: tuple[SurveyedVersion, ...]
    without_alias: Mapping[str, str]
    switched_off: tuple[str, ...]


def survey_registry(
    mlflow: RegistryClient, registered: Registered, models: ModelsConfig, limit: int = MAX_LOOKED_AT
) -> Survey:
    """Survey a registry.

    Args:
        mlflow: where it is.
        registered: what is monitored of it.
        models: of the configuration file, which may name references.
        limit: on the versions whose references are looked for.

    Raises:
        RegistryUnreachableError: MLflow is down.
        RegistryAuthError: it refuses access to the registry; to a version's files is told as its problem.
    """
    listed = mlflow.list_models()
    monitored = sorted(
        (
            version
            for model in registered.models.values()
            for version in model.versions.values()
            if version.aliases
        ),
        key=lambda version: (version.model, int(version.version)),
    )

    def look(version: RegisteredVersion) -> SurveyedVersion:
        return _look(mlflow, version, models)

    with ThreadPoolExecutor(THREADS) as threads:
        try:
            looked_at = list(threads.map(look, monitored[:limit]))
        except RegistryError:
            threads.shutdown(cancel_futures=True)
            raise
    others = (_surveyed(version, None) for version in monitored[limit:])
    off = sorted(model.name for model in listed if is_switched_off(model.tags))
    names = {version.model for version in monitored}.union(off)
    return Survey(
        versions=(*looked_at, *others),
        without_alias={m.name: _newest(m) for m in sorted(listed, key=_name) if m.name not in names},
        switched_off=tuple(off),
    )


def _look(mlflow: RegistryClient, version: RegisteredVersion, models: ModelsConfig) -> SurveyedVersion:
    config, _ = models.resolve(version.model, {**version.model_tags, **version.tags})
    try:
        return _surveyed(version, find_source(mlflow, files_of_version(mlflow, version), config))
    except RegistryUnreachableError:
        raise
    except (RegistryError, ReferenceInvalidError) as error:
        return _surveyed(version, "", str(error))


def _surveyed(version: RegisteredVersion, reference: str | None, problem: str = "") -> SurveyedVersion:
    aliases = tuple(sorted(version.aliases))
    return SurveyedVersion(version.model, version.version, aliases, reference, problem)


def _name(model: RegisteredModel) -> str:
    return str(model.name)


def _newest(model: RegisteredModel) -> str:
    return str(max((int(version.version) for version in model.latest_versions), default=""))
