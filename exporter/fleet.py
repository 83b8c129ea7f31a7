"""The monitored versions and their live state, shared by requests, the writer and the background loops.

Each field of a version has one writing thread, see `Version`; other threads read it without a lock. Fields
are replaced, never changed in place. The exceptions are the dictionaries of blocks and of outcomes, which
each commit updates: readers that iterate copy them first, atomically (`Timeline.snapshot`, `until`).
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from threading import Lock
from typing import NamedTuple

import numpy as np

from exporter.aggregates.state import Totals, VersionCounts
from exporter.config.models import ModelConfig
from exporter.errors import UnavailableError, UnknownModelError
from exporter.evaluation.context import Thresholds
from exporter.evaluation.drift import Evaluation
from exporter.evaluation.habits.limits import Habits
from exporter.evaluation.importance import AttributionDrift, Importance
from exporter.evaluation.model_quality import QualityEvaluation
from exporter.evaluation.segments import SegmentEvaluation
from exporter.payloads.target import Target
from exporter.settings import Settings
from exporter.storage.sampled_rows import SampleSize
from exporter.storage.schema import AliasMove, StoredVersion
from exporter.typing import Floats, Ints

MAX_REPORTED_VALUES = 500  # of a version


class Status(StrEnum):
    """State of a version's reference."""

    PENDING = "pending"  # not searched for yet, or MLflow does not answer: rows wait
    READY = "ready"
    NO_REFERENCE = "no reference"  # none was found: rows are counted, nothing is compared
    COLLECTING = "collecting"  # none was found, and the first live rows are becoming it
    BROKEN = "broken reference"  # it was found and cannot be used


@dataclass(frozen=True)
class Facts:
    """Facts about a version from the registry and the configuration.

    `tags` are the `monitoring.*` tags of the model and of the version, `problems` are their faults, as texts
    for users. `config_digest` is of all that decides on verdicts besides data: `config`, `thresholds` and the
    windows.
    """

    run_id: str = ""
    team: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    config_digest: str = ""
    config: ModelConfig = field(default_factory=ModelConfig)
    thresholds: Thresholds = field(default_factory=Thresholds)
    problems: tuple[str, ...] = ()


class BadVerdict(NamedTuple):
    """History of a bad verdict, or of another window's on the same column or metric without a gap.

    Its start in seconds since the epoch, and if it has been severe since.
    """

    since: float
    severe: bool = False


@dataclass(frozen=True)
class Findings:
    """Results of one evaluation of a version; `quality` is empty if it cannot be measured.

    `drift_importance` is by window, see `weigh_drift`. `bad` are the bad verdicts by measure, name, window
    and segment, as `monitoring.verdicts.Subject`; None if the store cannot tell when they began.
    """

    evaluation: Evaluation
    quality: tuple[QualityEvaluation, ...] = ()
    segments: tuple[SegmentEvaluation, ...] = ()
    drift_importance: Mapping[str, float] = field(default_factory=dict)
    bad: Mapping[tuple[str, str, str, str], BadVerdict] | None = None


@dataclass(frozen=True)
class ReportedValues:
    """Values of configured metrics of Evidently in a report.

    `values` are by metric, column and part, each as in `EvidentlyValue`, at most `MAX_REPORTED_VALUES`;
    `left_out` is the number of the others.
    """

    report_id: str
    values: Mapping[tuple[str, str, str], float]
    left_out: int = 0


@dataclass(frozen=True)
class Live:
    """Counts and totals of a version, replaced together, since totals are in the layout of the counts."""

    counts: VersionCounts | None = None
    totals: Totals = field(default_factory=Totals)


class Version:
    """Monitored version: its state when it was loaded (`stored`), and all later changes.

    The writer's thread sets the fields that are stored with counts or have to agree with them; other threads
    use `Writer.call` for that. The discovery's thread sets the aliases, the evaluation's the findings and
    failures. `facts` are set by two threads, under the discovery's lock, and `run_metrics` by the reference
    loader, in one job at a time.
    """

    def __init__(self, stored: StoredVersion) -> None:
        self.key = stored.key
        self.model = stored.model
        self.version = stored.version
        self.created_ms = stored.created_ms
        # under the discovery's lock
        self.facts = Facts()
        # Digest of the configuration that the audit trail has last.
        self.recorded_config = stored.config_digest
        # the discovery
        self.aliases: tuple[str, ...] = ()
        self.unaliased_since: float | None = None
        # the loader
        self.run_metrics: Mapping[str, float] = {}
        # the importance loader; the problem is a text for users, why there is none
        self.importance: Importance | None = None
        self.importance_problem = ""
        self.attribution: AttributionDrift | None = None
        # the evaluation
        self.findings: Findings | None = None
        # Failures of the last evaluation, as texts for users.
        self.failures: tuple[str, ...] = ()
        # the reports
        self.reported: ReportedValues | None = None
        self.report_problem = ""  # why the newest report failed, for users
        # the writer
        self.status = Status(stored.status) if stored.status else Status.PENDING
        self.detail = ""
        self.live = Live(totals=stored.totals or Totals())
        self.last_prediction = stored.last_prediction
        self.waiting_rows = stored.waiting_rows
        self.unknown_columns = stored.unknown_columns
        # Partitions of a Kafka group that have not taken the newest reference; None without a group.
        self.missing_partitions: tuple[int, ...] | None = None
        self.earlier_predictions = 0  # in the totals, from before this process

    @property
    def names(self) -> tuple[str, str]:
        """Model and version."""
        return self.model, self.version

    @property
    def counts(self) -> VersionCounts | None:
        """The reference and the counts in its bins; None while there is no reference."""
        return self.live.counts

    @property
    def bad_since(self) -> dict[tuple[str, str, str, str], float]:
        """Start of each bad verdict, see `Findings.bad`; empty while none is known."""
        bad = self.findings.bad if self.findings is not None else None
        return {subject: verdict.since for subject, verdict in (bad or {}).items()}

    @property
    def evaluation(self) -> Evaluation | None:
        """The last evaluation that succeeded; None before the first."""
        return self.findings.evaluation if self.findings is not None else None


class Fleet:
    """All monitored versions, and the history of aliases."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.shard = settings.shard
        self._lock = Lock()
        self.versions: dict[tuple[str, str], Version] = {}
        # All versions of each monitored model; None until the registry has answered.
        self.known: Mapping[str, frozenset[str]] | None = None
        # Of each version's sample, by its key in the store; replaced by the writer.
        self.sample_sizes: Mapping[int, SampleSize] = {}
        self.habits = Habits()  # replaced by the evaluation
        self._moves: dict[tuple[str, str], list[AliasMove]] = {}
        self._wanted: frozenset[tuple[str, str]] = frozenset()  # named by traffic, not monitored yet

    def add(self, version: Version) -> None:
        with self._lock:
            self.versions = {**self.versions, version.names: version}

    def alias_changes(self, model: str) -> dict[str, float]:
        """Time of the last move of each alias of a model, in seconds since the epoch."""
        return {alias: moves[-1].since for (name, alias), moves in self._moves.items() if name == model}

    def by_key(self, key: int) -> Version | None:
        """The version with a key of the store; None if it is not monitored."""
        return next((version for version in self.versions.values() if version.key == key), None)

    def require_model(self, model: str) -> None:
        """Check that a model is monitored.

        Raises:
            UnknownModelError: no version of it is monitored; the text lists the monitored models.
            MisdirectedError: it is another shard's.
        """
        self.shard.require(model)
        if not any(name == model for name, _ in self.versions):
            raise UnknownModelError(self.hint(Target(model)))

    def require_version(self, target: Target) -> Version:
        """The version that a target names now.

        Raises:
            UnknownModelError: it is not monitored; the text lists what is.
            MisdirectedError: its model is another shard's.
        """
        self.shard.require(target.model)
        number = target.version or self.current_aliases().get((target.model, target.alias), "")
        version = self.versions.get((target.model, number))
        if version is None:
            raise UnknownModelError(self.hint(target))
        return version

    def remove(self, keys: Iterable[tuple[str, str]]) -> None:
        gone = set(keys)
        with self._lock:
            self.versions = {key: version for key, version in self.versions.items() if key not in gone}

    def take_wanted(self) -> frozenset[tuple[str, str]]:
        """(model, version) of the versions that traffic has asked for since the last call."""
        with self._lock:
            wanted, self._wanted = self._wanted, frozenset()
        return wanted

    def record(self, moves: Iterable[AliasMove]) -> None:
        """Append moves to the history of aliases."""
        with self._lock:
            for move in moves:
                key = (move.model, move.alias)
                self._moves = {**self._moves, key: [*self._moves.get(key, []), move]}

    def history(self, model: str, alias: str) -> tuple[AliasMove, ...]:
        """Moves of an alias in the order in which they were seen, empty if there is no such alias."""
        return tuple(self._moves.get((model, alias), ()))

    def moved_after(self, now: float) -> frozenset[tuple[str, str]]:
        """(model, alias) of the aliases whose last move is later than `now`."""
        return frozenset(key for key, moves in self._moves.items() if moves[-1].since > now)

    def current_aliases(self) -> dict[tuple[str, str], str]:
        """Current version of each (model, alias) that points to one."""
        return {key: moves[-1].version for key, moves in self._moves.items() if moves[-1].version}

    def resolve(self, target: Target, times: Floats) -> dict[Version, Ints]:
        """Row numbers of a batch by version.

        An alias is resolved at each row's own time; rows from before its first move belong to its first
        version. Rows from a time at which the alias pointed to no version, or to one that is deleted now, are
        left out.

        Args:
            target: model and version or alias.
            times: (rows,) seconds since the epoch.

        Raises:
            UnknownModelError: the model, version or alias is not monitored; the text lists what is. An alias
                that points to no version now is unknown if no row is from before.
            MisdirectedError: the model is another shard's.
            UnavailableError: the version will or may be monitored after the next poll of MLflow.
        """
        self.shard.require(target.model)
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
        """True if a version was deleted from the registry, or if the number is empty."""
        names = (model, number)
        gone = self.known is not None and number not in self.known.get(model, ())
        return not number or (names not in self.versions and gone)

    def _resolve_alias(self, target: Target, times: Floats) -> dict[str, Ints]:
        moves = self._moves.get((target.model, target.alias))
        if not moves:
            raise self._unknown(target)
        # A move takes effect at its own time, even if an earlier one has a later time since the clock was
        # ahead.
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
            return self._unavailable(f"{self.hint(target)}; MLflow has not answered since the start")
        return UnknownModelError(self.hint(target))

    def _unavailable(self, detail: str) -> UnavailableError:
        return UnavailableError(
            detail, retry_after_seconds=math.ceil(self._settings.mlflow_poll_interval_seconds)
        )

    def hint(self, target: Target) -> str:
        """Why a target is not monitored, with what is, for people."""
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
