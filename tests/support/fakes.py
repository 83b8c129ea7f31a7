"""Fakes of the clock and of MLflow."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from types import MappingProxyType

import pyarrow as pa

from exporter.config.importance import is_mapping, read_weights
from exporter.config.models import ModelConfig
from exporter.errors import ImportanceError, ReferenceInvalidError, ReferenceNotFoundError, RegistryError
from exporter.evaluation.importance import ImportanceSource
from exporter.profiling.data import ReferenceData, ReferenceFile
from exporter.registry.client_errors import MissingError
from exporter.registry.importance import Declared
from exporter.registry.models import (
    AliasState,
    Registered,
    RegisteredModel,
    RegisteredVersion,
    is_switched_off,
    without_own,
)
from exporter.registry.registry import Registry
from exporter.registry.report_runs import ReportRun
from exporter.registry.runs import Run
from exporter.registry.sources import Profile
from exporter.shard import WHOLE, Shard

TIMEOUT_SECONDS = 300  # of whatever is waited for: a busy machine takes long, and speed is not tested
CREATED = datetime(2026, 11, 1, tzinfo=UTC)


class Clock:
    """Stands still unless time passes; `now` may be set otherwise, as that of a machine. `passed` cannot."""

    def __init__(self, now: float) -> None:
        self.now = now
        self.passed = 0.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds
        self.passed += seconds

    def monotonic(self) -> float:
        return self.passed


@dataclass
class _Version:
    created_at: datetime
    reference: pa.Table | Exception | None
    run_metrics: dict[str, float]
    tags: dict[str, str] = field(default_factory=dict)
    broken: str = ""


@dataclass
class _Model:
    tags: dict[str, str] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    versions: dict[str, _Version] = field(default_factory=dict)


class FakeRegistry(Registry):
    """MLflow's registry in memory.

    `failure` is raised by every call while it is set. While `loading` is cleared, references take long.
    """

    def __init__(self) -> None:
        self.failure: RegistryError | None = None
        self.loading = Event()
        self.loading.set()
        self._models: dict[str, _Model] = {}
        self._registered = 0
        self.reports: dict[str, ReportRun] = {}  # that were logged, by id

    # -- what people do in MLflow ---------------------------------------------------------------------------

    def register(
        self,
        model: str,
        reference: pa.Table | Exception | None = None,
        *,
        alias: str = "",
        run_metrics: dict[str, float] | None = None,
    ) -> str:
        """Register a version and return its number. A `reference` that is an error is raised on loading."""
        found = self._models.setdefault(model, _Model())
        number = str(max(map(int, found.versions), default=0) + 1)
        self._registered += 1
        created_at = CREATED + timedelta(seconds=self._registered)
        found.versions[number] = _Version(created_at, reference, run_metrics or {})
        if alias:
            self.set_alias(model, alias, number)
        return number

    def delete_alias(self, model: str, alias: str) -> None:
        del self._models[model].aliases[alias]

    def set_reference(self, model: str, version: str, reference: pa.Table | Exception | None) -> None:
        self._models[model].versions[version].reference = reference

    def tag(self, model: str, version: str | None = None, **tags: str) -> None:
        """Set tags `monitoring.…` of a version, or of the model."""
        found = self._models[model]
        named = {f"monitoring.{name}": value for name, value in tags.items()}
        (found if version is None else found.versions[version]).tags.update(named)

    def break_files(self, model: str, version: str, reason: str) -> None:
        """Have a version not load any more, though it stays READY."""
        self._models[model].versions[version].broken = reason

    def delete_version(self, model: str, version: str) -> None:
        del self._models[model].versions[version]

    def delete(self, model: str) -> None:
        del self._models[model]

    def set_creation(self, model: str, version: str, created_ms: int) -> None:
        """Say when a version was registered, as a restored MLflow does."""
        self._models[model].versions[version].created_at = datetime.fromtimestamp(created_ms / 1000, UTC)

    # -- what the exporter asks -----------------------------------------------------------------------------

    def poll(self, shard: Shard = WHOLE) -> Registered:
        self._check()
        models, versions_off = {}, set()
        for name, model in self._models.items():
            if is_switched_off(model.tags) or not shard.has(name):
                continue
            off = {number for number, version in model.versions.items() if is_switched_off(version.tags)}
            aliases = {alias: number for alias, number in model.aliases.items() if number not in off}
            if model.aliases:
                versions_off |= {(name, number) for number in off}
            if aliases:
                enabled = model.versions.keys() - off
                models[name] = RegisteredModel(
                    name,
                    MappingProxyType(aliases),
                    MappingProxyType({number: self._view(name, number, aliases) for number in enabled}),
                )
        off = (name for name, model in self._models.items() if is_switched_off(model.tags))
        models_off = filter(shard.has, off)
        return Registered(MappingProxyType(models), frozenset(models_off), frozenset(versions_off))

    def _view(self, name: str, number: str, aliases: dict[str, str]) -> RegisteredVersion:
        model = self._models[name]
        version = model.versions[number]
        return RegisteredVersion(
            model=name,
            version=number,
            aliases=frozenset(alias for alias, target in aliases.items() if target == number),
            run_id=f"run-{name}-{number}",
            source=f"models:/m-{name}-{number}",
            model_id=f"m-{name}-{number}",
            tags=without_own(version.tags),
            model_tags=without_own(model.tags),
            created_at=version.created_at,
        )

    def model_tags(self, model: str) -> dict[str, str]:
        return dict(self._find(model).tags)

    def version_tags(self, model: str, version: str) -> dict[str, str]:
        return dict(self._find(model, version).versions[version].tags)

    def read_alias(self, model: str, alias: str) -> AliasState:
        found = self._find(model)
        number = found.aliases.get(alias, "")
        return AliasState(number, dangling=bool(number) and number not in found.versions)

    def tagged_version(self, model: str, key: str, value: str) -> str:
        versions = self._find(model).versions
        return max((each for each in versions if versions[each].tags.get(key) == value), key=int, default="")

    def set_alias(self, model: str, alias: str, version: str) -> None:
        self._find(model, version).aliases[alias] = version

    def set_model_tag(self, model: str, key: str, value: str) -> None:
        self._find(model).tags[key] = value

    def set_version_tag(self, model: str, version: str, key: str, value: str) -> None:
        self._find(model, version).versions[version].tags[key] = value

    def model_loads(self, model: str, version: str) -> str:
        return self._find(model, version).versions[version].broken

    def _find(self, model: str, version: str | None = None) -> _Model:
        self._check()
        found = self._models.get(model)
        if found is None or (version is not None and version not in found.versions):
            raise MissingError(f"{model} version {version} not found")
        return found

    def load_reference(
        self,
        version: RegisteredVersion,
        config: ModelConfig,
        profile: Callable[[ReferenceFile | ReferenceData], Profile],  # type: ignore[override]
    ) -> Profile:
        assert self.loading.wait(TIMEOUT_SECONDS)
        self._check()
        reference = self._models[version.model].versions[version.version].reference
        if reference is None:
            raise ReferenceNotFoundError("no reference found, looked at: everything")
        if isinstance(reference, Exception):
            raise reference
        return profile(ReferenceData(reference, source="extra_files", **config.reference_fields()))

    def load_importance(self, run_id: str, tag: str, setting: str) -> Declared | None:
        self._check()
        declared = tag or setting
        if declared and not is_mapping(declared):
            raise ImportanceError(f"there is no file {declared}")
        source: ImportanceSource = "tag" if tag else "config"
        return (read_weights(declared), source) if declared else None

    def download_model(self, model: str, version: str, directory: Path, max_bytes: int) -> Path:
        self._check()
        raise ImportanceError("the model cannot be downloaded: it has no files")

    def load_run_metrics(self, version: RegisteredVersion) -> dict[str, float]:
        self._check()
        return dict(self._models[version.model].versions[version.version].run_metrics)

    def log_report(self, report: ReportRun) -> str:
        self._check()
        self.reports[report.report_id] = report
        return f"run-{report.report_id}"

    def delete_expired_reports(self, now: float) -> int:
        self._check()
        return 0

    def list_experiments(self) -> dict[str, str]:
        self._check()
        return {}

    def list_runs(self, experiment_ids: Collection[str]) -> Iterator[list[Run]]:
        assert not experiment_ids
        return iter([])

    def list_runs_since(self, experiment_ids: Collection[str], time: float) -> Iterator[list[Run]]:
        return self.list_runs(experiment_ids)

    def find_runs(self, experiment_ids: Collection[str], run_ids: Collection[str]) -> list[Run]:
        assert not run_ids
        return []

    def _check(self) -> None:
        if self.failure is not None:
            raise self.failure


BROKEN = ReferenceInvalidError("extra_files/reference.parquet of the model: not Parquet")
