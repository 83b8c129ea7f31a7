"""MLflow's experiments and their runs: what is known of them, and what they show. Pure.

    mlflow_experiment_runs{experiment="fraud",status="FINISHED"} 41
    mlflow_run_metric{experiment="fraud",run_id="a1b2",run_name="bold-owl-7",metric="val/f1 score"} 0.91

Every run counts for its status; the newest of an experiment show their metrics.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from heapq import nlargest, nsmallest

from exporter.exposition.catalog import BY_NAME
from exporter.exposition.render import Family, render_prefix

STATUSES = ("RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED")  # all that MLflow has
NEWEST_RUNS = 20  # of each experiment
METRICS_PER_RUN = 50  # the first by name
SERIES_PER_EXPERIMENT = len(STATUSES) + 1

_Samples = dict[tuple[str, ...], float]  # value by labels


@dataclass(frozen=True)
class Run:
    """A run of an experiment.

    `started_at` is in seconds since the epoch, 0 where nobody said. `metrics` are the last values,
    `metrics_left_out` how many others it has that would be shown, but for a limit.
    """

    run_id: str
    experiment_id: str
    name: str
    status: str
    started_at: float
    metrics: Mapping[str, float] = field(default_factory=dict)
    metrics_left_out: int = 0

    def choose_metrics(self, patterns: Sequence[str]) -> Run:
        """With the metrics that have a value and match a pattern such as `val_*`; without patterns, all."""
        chosen = sorted(
            (name, value)
            for name, value in self.metrics.items()
            if not math.isnan(value) and (not patterns or any(fnmatchcase(name, p) for p in patterns))
        )
        kept = dict(chosen[:METRICS_PER_RUN])
        return replace(self, metrics=kept, metrics_left_out=len(chosen) - len(kept))


@dataclass(frozen=True)
class Experiment:
    """What an experiment shows: its runs by status, and the newest of them, newest first."""

    name: str
    runs_by_status: Counter[str]
    last_run_at: float
    newest: tuple[Run, ...]


class RunLedger:
    """The runs of all experiments: of those to be shown everything, of the others only what is counted."""

    def __init__(self, max_experiments: int) -> None:
        self._max_experiments = max_experiments
        # By experiment and run: start, id and status.
        self._known: dict[str, dict[str, tuple[float, str, str]]] = {}
        self._read: dict[str, tuple[float, Run]] = {}  # when, and what

    @property
    def experiment_ids(self) -> frozenset[str]:
        return frozenset(self._known)

    def follow(self, experiment_ids: Iterable[str]) -> None:
        """Know these experiments and no others."""
        self._known = {key: self._known.get(key, {}) for key in experiment_ids}
        self._forget_details()

    def update(self, runs: Iterable[Run], now: float) -> None:
        """Take over runs as they were read at `now`; those of other experiments are passed over."""
        for run in runs:
            if run.experiment_id in self._known:
                self._known[run.experiment_id][run.run_id] = (run.started_at, run.run_id, run.status)
                self._read[run.run_id] = (now, run)
        self._forget_details()

    def remove(self, run_ids: Iterable[str]) -> None:
        """Forget runs that MLflow does not have any more."""
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
        """The experiments that are shown, by `names` of their ids, the one with the newest run first."""
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


def experiment_families(
    experiments: Sequence[Experiment], followed: int, max_series: int
) -> tuple[Family, ...]:
    """What experiments show in at most `max_series` series; the first experiments and the newest runs win.

    `followed` is how many experiments there are, those included that are not to be shown.
    """
    shown = experiments[: max_series // SERIES_PER_EXPERIMENT]
    left = max_series - SERIES_PER_EXPERIMENT * len(shown)
    dropped = SERIES_PER_EXPERIMENT * (followed - len(shown))
    counts: _Samples = {(e.name, status): e.runs_by_status[status] for e in shown for status in STATUSES}
    last_runs: _Samples = {(e.name,): e.last_run_at for e in shown if e.last_run_at > 0}
    metrics: _Samples = {}
    for experiment, run in _by_rank(shown):
        dropped += run.metrics_left_out
        if len(run.metrics) > left:  # shown in part it would look as if it had not logged the rest
            dropped += len(run.metrics)
            continue
        left -= len(run.metrics)
        labels = (experiment.name, run.run_id, run.name)
        metrics.update(((*labels, name), value) for name, value in run.metrics.items())
    return (
        _family("mlflow_experiment_runs", counts),
        _family("mlflow_experiment_last_run_timestamp_seconds", last_runs),
        _family("mlflow_run_metric", metrics),
        _family("mlflow_exporter_dropped_run_series", {(): dropped}),
    )


def _by_rank(experiments: Sequence[Experiment]) -> Iterator[tuple[Experiment, Run]]:
    """The newest run of each, then the second of each, and so on."""
    for rank in range(NEWEST_RUNS):
        for experiment in experiments:
            if rank < len(experiment.newest):
                yield experiment, experiment.newest[rank]


def _family(name: str, samples: _Samples) -> Family:
    metric = BY_NAME[name]
    prefixes = [render_prefix(metric, labels) for labels in samples]
    return Family(metric, prefixes, list(samples.values()))
