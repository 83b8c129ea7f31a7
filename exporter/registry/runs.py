"""MLflow's experiments and runs as they were read. Pure.

Every run counts for its status; the newest of an experiment keep their metrics.
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from heapq import nlargest, nsmallest
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowRun

RUN_STATUSES = ("RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED")  # all that MLflow has
NEWEST_RUNS = 20  # of each experiment
METRICS_PER_RUN = 50  # the first by name


@dataclass(frozen=True)
class Run:
    """A run of an experiment.

    `started_at` is in seconds since the epoch, 0 if unknown. `metrics` are the last values,
    `metrics_left_out` the number of others that are not shown because of the limit.
    """

    run_id: str
    experiment_id: str
    name: str
    status: str
    started_at: float
    metrics: Mapping[str, float] = field(default_factory=dict)
    metrics_left_out: int = 0

    def choose_metrics(self, patterns: Sequence[str]) -> Run:
        """The run with the metrics that match a pattern such as `val_*`, all without patterns; no NaN."""
        chosen = sorted(
            (name, value)
            for name, value in self.metrics.items()
            if not math.isnan(value) and (not patterns or any(fnmatchcase(name, p) for p in patterns))
        )
        kept = dict(chosen[:METRICS_PER_RUN])
        return replace(self, metrics=kept, metrics_left_out=len(chosen) - len(kept))


def last_metrics(run: MlflowRun) -> dict[str, float]:
    """Last values of a run's metrics."""
    # MLflow's databases have no infinity: it stores the largest number there is instead.
    return {
        name: math.copysign(math.inf, value) if abs(value) == sys.float_info.max else value
        for name, value in run.data.metrics.items()
    }


def finite_metrics(metrics: Mapping[str, float]) -> dict[str, float]:
    """The finite ones of a source run's metrics, of which there may be baselines."""
    finite = sorted((name, value) for name, value in metrics.items() if math.isfinite(value))
    return dict(finite[:METRICS_PER_RUN])


@dataclass(frozen=True)
class Experiment:
    """An experiment: its runs by status, and the newest runs, newest first."""

    name: str
    runs_by_status: Counter[str]
    last_run_at: float
    newest: tuple[Run, ...]


class RunLedger:
    """Runs of all experiments, with details only for the runs that are shown."""

    def __init__(self, max_experiments: int) -> None:
        self._max_experiments = max_experiments
        # By experiment and run: start, id and status.
        self._known: dict[str, dict[str, tuple[float, str, str]]] = {}
        self._read: dict[str, tuple[float, Run]] = {}  # when, and what

    @property
    def experiment_ids(self) -> frozenset[str]:
        return frozenset(self._known)

    def follow(self, experiment_ids: Iterable[str]) -> None:
        """Keep these experiments and no others."""
        self._known = {key: self._known.get(key, {}) for key in experiment_ids}
        self._forget_details()

    def update(self, runs: Iterable[Run], now: float) -> None:
        """Add or replace runs read at `now`; those of unknown experiments are ignored."""
        for run in runs:
            if run.experiment_id in self._known:
                self._known[run.experiment_id][run.run_id] = (run.started_at, run.run_id, run.status)
                self._read[run.run_id] = (now, run)
        self._forget_details()

    def remove(self, run_ids: Iterable[str]) -> None:
        """Remove runs that MLflow does not have any more."""
        for run_id in run_ids:
            self._read.pop(run_id, None)
            for known in self._known.values():
                known.pop(run_id, None)

    def due(self, count: int) -> list[str]:
        """Ids of shown runs to read again: those never read, then those read longest ago."""
        read_at = {
            run_id: self._read[run_id][0] if run_id in self._read else 0.0
            for _, newest in self._shown()
            for _, run_id, _ in newest
        }
        return nsmallest(count, read_at, key=read_at.__getitem__)

    def view(self, names: Mapping[str, str]) -> list[Experiment]:
        """The experiments that are shown, the one with the newest run first; `names` are by id."""
        return [
            Experiment(
                name=names[experiment_id],
                runs_by_status=Counter(status for _, _, status in self._known[experiment_id].values()),
                last_run_at=newest[0][0] if newest else 0.0,
                newest=tuple(self._read[run_id][1] for _, run_id, _ in newest if run_id in self._read),
            )
            for experiment_id, newest in self._shown()
        ]

    def _shown(self) -> list[tuple[str, list[tuple[float, str, str]]]]:
        newest = [(key, nlargest(NEWEST_RUNS, known.values())) for key, known in self._known.items()]
        newest.sort(key=lambda item: item[1][:1], reverse=True)
        return newest[: self._max_experiments]

    def _forget_details(self) -> None:
        shown = [run_id for _, newest in self._shown() for _, run_id, _ in newest]
        self._read = {run_id: self._read[run_id] for run_id in shown if run_id in self._read}
