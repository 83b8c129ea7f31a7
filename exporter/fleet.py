"""The monitored versions and their live state, shared by requests, the writer and the monitor.

Every field of a version has one writer, and is read by other threads without a lock: `Version` says which.
A field is replaced, never changed in place, but for the dictionaries of blocks and of outcomes, into which
every commit puts the ones that it replaces: readers that iterate take a copy first, in one step
(`Timeline.snapshot`, `dict`).
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from threading import Lock

import numpy as np

from exporter.aggregates.state import Totals, VersionCounts
from exporter.errors import UnavailableError, UnknownModelError
from exporter.evaluation.context import Thresholds
from exporter.evaluation.drift import Evaluation
from exporter.evaluation.model_quality import QualityEvaluation
from exporter.evaluation.segments import SegmentEvaluation
from exporter.formats.predictions import Target
from exporter.model_config import ModelConfig
from exporter.settings import Settings
from exporter.storage.schema import AliasMove, StoredVersion
from exporter.typing import Floats, Ints

MAX_UNKNOWN_COLUMNS = 20


class Status(StrEnum):
    """What is the matter with a version's reference."""

    PENDING = "pending"  # not looked for yet, or MLflow does not answer: rows wait
    READY = "ready"
    NO_REFERENCE = "no reference"  # there is none: rows are counted, nothing is compared
    COLLECTING = "collecting"  # there is none, and the first live rows are becoming it
    BROKEN = "broken reference"  # there is one, and it cannot be used


@dataclass(frozen=True)
class Facts:
    """What the registry and the configuration say of a version.

    `tags` are the model's and the version's `monitoring.*`, `problems` what is wrong with them, for people.
    """

    run_id: str = ""
    team: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    config: ModelConfig = field(default_factory=ModelConfig)
    thresholds: Thresholds = field(default_factory=Thresholds)
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Findings:
    """What one evaluation made of a version, in one piece; `quality` is empty where none can be told."""

    evaluation: Evaluation
    quality: tuple[QualityEvaluation, ...] = ()
    segments: tuple[SegmentEvaluation, ...] = ()


@dataclass(frozen=True)
class Live:
    """Counts and totals of a version, replaced together: the totals are in the layout of the counts."""

    counts: VersionCounts | None = None
    totals: Totals = field(default_factory=Totals)


class Version:
    """Monitored version: its stored state (`stored`) and all later changes.

    The writer's thread sets whatever is stored with counts, or has to agree with it: the samples, the
    reference, and why there is none. Other threads have it done by `Writer.call`. The discovery's thread sets
    the aliases, the evaluation's the findings and what failed. `facts` come from the registry and from the
    configuration, in two threads: the discovery's lock is held to set them. `run_metrics` are set by the
    loader, which has one job at a time for them.
    """

    def __init__(self, stored: StoredVersion) -> None:
        self.key = stored.key
        self.model = stored.model
        self.version = stored.version
        self.created_ms = stored.created_ms
        # under the discovery's lock
        self.facts = Facts()
        # the discovery
        self.aliases: tuple[str, ...] = ()
        self.unaliased_since: float | None = None
        # the loader
        self.run_metrics: Mapping[str, float] = {}
        # the evaluation
        self.findings: Findings | None = None
        # Failures of the last evaluation, for people.
        self.failures: tuple[str, ...] = ()
        # the writer
        self.status = Status(stored.status) if stored.status else Status.PENDING
        self.detail = ""
        self.live = Live()
        self.last_prediction = stored.last_prediction
        self.waiting_rows = stored.waiting_rows
        self.unknown_columns: frozenset[str] = frozenset()

    @property
    def names(self) -> tuple[str, str]:
        """Model and version."""
        return self.model, self.version

    @property
    def counts(self) -> VersionCounts | None:
        """The reference and its blocks; None as long as there is no reference."""
        return self.live.counts

    @property
    def evaluation(self) -> Evaluation | None:
        """The last one that came to its end; None before the first."""
        return self.findings.evaluation if self.findings is not None else None


class Fleet:
    """All monitored versions, and to whom an alias pointed when."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = Lock()
        self.versions: dict[tuple[str, str], Version] = {}
        # All versions of each monitored model; None as long as the registry was not asked.
        self.known: Mapping[str, frozenset[str]] | None = None
        self._moves: dict[tuple[str, str], list[AliasMove]] = {}
        self._wanted: frozenset[tuple[str, str]] = frozenset()  # named by traffic, not monitored yet

    def add(self, version: Version) -> None:
        with self._lock:
            self.versions = {**self.versions, version.names: version}

    def alias_changes(self, model: str) -> dict[str, float]:
        """When each alias of a model moved last, in seconds since the epoch."""
        return {alias: moves[-1].since for (name, alias), moves in self._moves.items() if name == model}

    def by_key(self, key: int) -> Version | None:
        """The version that the store knows by this number."""
        return next((version for version in self.versions.values() if version.key == key), None)

    def require_model(self, model: str) -> None:
        """
        Raises:
            UnknownModelError: no version of it is monitored; says what is.
        """
        if not any(name == model for name, _ in self.versions):
            raise UnknownModelError(self._hint(Target(model)))

    def remove(self, keys: Iterable[tuple[str, str]]) -> None:
        gone = set(keys)
        with self._lock:
            self.versions = {key: version for key, version in self.versions.items() if key not in gone}

    def take_wanted(self) -> frozenset[tuple[str, str]]:
        """The versions that traffic named since this was asked last, by model and version."""
        with self._lock:
            wanted, self._wanted = self._wanted, frozenset()
        return wanted

    def record(self, moves: Iterable[AliasMove]) -> None:
        """Append to the aliases' history."""
        with self._lock:
            for move in moves:
                key = (move.model, move.alias)
                self._moves = {**self._moves, key: [*self._moves.get(key, []), move]}

    def moved_after(self, now: float) -> frozenset[tuple[str, str]]:
        """The (model, alias) whose last move is later than `now`."""
        return frozenset(key for key, moves in self._moves.items() if moves[-1].since > now)

    def current_aliases(self) -> dict[tuple[str, str], str]:
        """The version that each (model, alias) points to."""
        return {key: moves[-1].version for key, moves in self._moves.items() if moves[-1].version}

    def resolve(self, target: Target, times: Floats) -> dict[Version, Ints]:
        """Row numbers by version.

        An alias is resolved at each row's own time; rows from before its first move go to its first version.
        Rows from a time at which it pointed to no version, or to one deleted since, are left out.

        Raises:
            UnknownModelError: the model, version or alias is not monitored; says what is. An alias that
                points to no version now is unknown to a batch that has no row from before.
            UnavailableError: it will be, or may be, after the next poll of MLflow.
        """
        if not target.alias:
            return {self._version(target, target.version): np.arange(len(times))}
        named = self._resolve_alias(target, times)
        found = {
            self._version(target, number): rows
            for number, rows in named.items()
            if not self._is_gone(target.model, number)
        }
        if not found and self._is_gone(target.model, self._moves[target.model, target.alias][-1].version):
            raise self._unknown(target)
        return found

    def _is_gone(self, model: str, number: str) -> bool:
        """Whether the registry does not have the version any more; so it is without a number."""
        names = (model, number)
        gone = self.known is not None and number not in self.known.get(model, ())
        return not number or (names not in self.versions and gone)

    def _resolve_alias(self, target: Target, times: Floats) -> dict[str, Ints]:
        moves = self._moves.get((target.model, target.alias))
        if not moves:
            raise self._unknown(target)
        # A later move counts from its own time, though the clock was ahead at the one before.
        since = np.minimum.accumulate([move.since for move in reversed(moves)])[::-1].tolist()
        if times.min() >= since[-1]:
            return {moves[-1].version: np.arange(len(times))}
        places = np.array([max(bisect_right(since, time) - 1, 0) for time in times.tolist()])
        named = np.array([move.version for move in moves])[places]
        return {str(number): np.flatnonzero(named == number) for number in np.unique(named)}

    def _version(self, target: Target, number: str) -> Version:
        names = (target.model, number)
        version = self.versions.get(names)
        if version is not None:
            return version
        if self.known is None or number not in self.known.get(target.model, ()):
            raise self._unknown(target)
        # A version of a monitored model, without an alias: a shadow, ahead of its alias, or retired.
        with self._lock:
            if len(self.versions) + len(self._wanted | {names}) > self._settings.max_versions:
                limit = self._settings.max_versions
                raise self._unavailable(f"version {number} of {target.model!r} is not monitored: {limit} are")
            self._wanted |= {names}
        raise self._unavailable(f"version {number} of {target.model!r} was not monitored yet and will be")

    def _unknown(self, target: Target) -> UnknownModelError | UnavailableError:
        if self.known is None:
            return self._unavailable(f"{self._hint(target)}; MLflow has not answered since the start")
        return UnknownModelError(self._hint(target))

    def _unavailable(self, detail: str) -> UnavailableError:
        return UnavailableError(
            detail, retry_after_seconds=math.ceil(self._settings.mlflow_poll_interval_seconds)
        )

    def _hint(self, target: Target) -> str:
        models = sorted({model for model, _ in self.versions})
        if target.model not in models:
            shown = ", ".join(models[:10]) + (", ..." if len(models) > 10 else "")
            return f"model {target.model!r} is not monitored; monitored are: {shown or 'none yet'}"
        versions = sorted(version for model, version in self.versions if model == target.model)
        aliases = sorted(alias for model, alias in self.current_aliases() if model == target.model)
        named = f"alias {target.alias!r}" if target.alias else f"version {target.version!r}"
        return (
            f"{named} of model {target.model!r} is not monitored; its versions are {', '.join(versions)}, "
            f"its aliases {', '.join(aliases) or 'none'}"
        )
