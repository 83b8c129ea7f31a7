"""Immutable view of the monitored models in MLflow's registry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

# Tags that the exporter sets and does not take for configuration, of a model and of a version.
CHECKPOINT_TAG = "monitoring.audit_checkpoint"
REPORT_TAG = "monitoring.report"  # the newest one
OWN_TAGS = frozenset({CHECKPOINT_TAG, REPORT_TAG})
# Tags of its reports: of an experiment that has them, "own" if it has nothing else; and of their runs.
REPORTS_TAG = "monitoring.reports"
REPORT_ID_TAG = "monitoring.report_id"
KEPT_TAG = "monitoring.kept_until"

OFF = ("false", "0", "no", "off")


@dataclass(frozen=True)
class RegisteredVersion:
    """A version of a monitored model.

    `aliases` are those that point to it, often none: traffic may name any version of a monitored model.
    `run_id`, `source` and `model_id` are empty if MLflow has none. `created_at` has a zone.
    """

    model: str
    version: str
    aliases: frozenset[str]
    run_id: str
    source: str
    model_id: str
    tags: Mapping[str, str]
    model_tags: Mapping[str, str]
    created_at: datetime

    @property
    def team(self) -> str:
        """Team responsible for the version, may be empty."""
        return self.setting("team")

    def setting(self, name: str) -> str:
        """The tag `monitoring.<name>` of the version, else of the model, else empty."""
        key = f"monitoring.{name}"
        return (self.tags.get(key) or self.model_tags.get(key) or "").strip()


@dataclass(frozen=True)
class RegisteredModel:
    """A monitored model: `aliases` give the version they point to, `versions` are all its versions."""

    name: str
    aliases: Mapping[str, str]
    versions: Mapping[str, RegisteredVersion]


@dataclass(frozen=True)
class AliasState:
    """The version that an alias points to in MLflow now, empty if the model has no such alias.

    `dangling`: that version is gone.
    """

    version: str
    dangling: bool = False


@dataclass(frozen=True)
class Registered:
    """The monitored models by name, as they were at one poll.

    `models_off` and `versions_off` opted out; their data is deleted.
    """

    models: Mapping[str, RegisteredModel]
    models_off: frozenset[str] = frozenset()
    versions_off: frozenset[tuple[str, str]] = frozenset()

    def is_off(self, model: str, version: str) -> bool:
        """True if a version or its model opted out."""
        return model in self.models_off or (model, version) in self.versions_off


def is_switched_off(tags: Mapping[str, str]) -> bool:
    """True if a model or version opted out with `monitoring.enabled=false`."""
    return tags.get("monitoring.enabled", "").strip().lower() in OFF


def without_own(tags: Mapping[str, str]) -> Mapping[str, str]:
    """The tags without those that the exporter sets, which would look like another configuration."""
    return MappingProxyType({key: value for key, value in tags.items() if key not in OWN_TAGS})


def model_id_of(version: ModelVersion) -> str:
    """Id of the logged model of a version, empty if it has none; the registry keeps it in the source."""
    source = version.source or ""
    return version.model_id or (source.removeprefix("models:/") if source.startswith("models:/m-") else "")
