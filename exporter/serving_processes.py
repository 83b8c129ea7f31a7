"""Last report of each process that serves a monitored version, in memory."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from threading import Lock

EXPIRY_SECONDS = 60.0  # clients report every 15
MAX_PROCESSES_OF_VERSION = 50
MAX_PROCESSES = 1000
MAX_REASONS = 20  # of a process, for which rows are dropped
LOG_INTERVAL_SECONDS = 3600.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class GpuUse:
    """Use of a device by all of its processes; None where it is not known."""

    gpu: str
    utilization_ratio: float | None = None
    memory_bytes: float | None = None
    memory_limit_bytes: float | None = None


@dataclass(frozen=True)
class ServingProcess:
    """Report of a process; what it did not tell is None.

    `cpu_seconds`, `sent_rows` and `dropped_rows`, by reason, are since the process started.
    """

    host: str
    process: str
    cpu_seconds: float | None = None
    cpu_limit_cores: float | None = None
    memory_bytes: float | None = None
    memory_limit_bytes: float | None = None
    threads: float | None = None
    open_files: float | None = None
    in_flight_requests: float | None = None
    sent_rows: float | None = None
    dropped_rows: Mapping[str, float] = field(default_factory=dict)
    gpus: tuple[GpuUse, ...] = ()


# Model, version, host and process.
_Key = tuple[str, str, str, str]


class ServingProcesses:
    """Processes whose last report is at most a minute old, for any number of threads.

    There are at most 50 of a version and 1000 in all; others are left out until one of them has expired.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._lock = Lock()
        self._reports: dict[_Key, tuple[float, ServingProcess]] = {}  # the oldest first
        self._of_version: Counter[tuple[str, str]] = Counter()
        self._logged: dict[tuple[str, str], float] = {}

    def take(self, model: str, version: str, report: ServingProcess) -> bool:
        """Keep the report in place of the process's former one; false if it is left out.

        What the process counts never decreases: of a report that was overtaken the higher count stays.
        """
        names, key = (model, version), (model, version, report.host, report.process)
        with self._lock:
            now = self._expire()
            if key in self._reports:
                _, former = self._reports.pop(key)
                report = _at_least(report, former)
            elif self._of_version[names] < MAX_PROCESSES_OF_VERSION and len(self._reports) < MAX_PROCESSES:
                self._of_version[names] += 1
            else:
                self._log_left_out(names, now)
                return False
            self._reports[key] = now, report  # at the end
            return True

    def by_version(self) -> dict[tuple[str, str], tuple[ServingProcess, ...]]:
        """Processes by model and version, in the order of their names."""
        with self._lock:
            self._expire()
            reports = sorted((key, report) for key, (_, report) in self._reports.items())
        found: dict[tuple[str, str], tuple[ServingProcess, ...]] = {}
        for (model, version, _, _), report in reports:
            found[model, version] = (*found.get((model, version), ()), report)
        return found

    def _expire(self) -> float:
        now = self._monotonic()
        while self._reports:
            key = next(iter(self._reports))
            if self._reports[key][0] >= now - EXPIRY_SECONDS:
                break
            del self._reports[key]
            self._of_version[key[:2]] -= 1
            if not self._of_version[key[:2]]:
                del self._of_version[key[:2]]
        return now

    def _log_left_out(self, names: tuple[str, str], now: float) -> None:
        recent = {each: at for each, at in self._logged.items() if at > now - LOG_INTERVAL_SECONDS}
        if names not in recent:
            log.warning(
                "%s version %s: a serving process is left out, the limits are %d of a version and %d in all",
                *(*names, MAX_PROCESSES_OF_VERSION, MAX_PROCESSES),
            )
            recent[names] = now
        self._logged = recent


def _at_least(report: ServingProcess, former: ServingProcess) -> ServingProcess:
    dropped = dict(former.dropped_rows)
    for reason, rows in report.dropped_rows.items():
        if reason in dropped or len(dropped) < MAX_REASONS:
            dropped[reason] = max(rows, dropped.get(reason, 0))
    return replace(
        report,
        cpu_seconds=_higher(report.cpu_seconds, former.cpu_seconds),
        sent_rows=_higher(report.sent_rows, former.sent_rows),
        dropped_rows=dropped,
    )


def _higher(now: float | None, before: float | None) -> float | None:
    return max((each for each in (now, before) if each is not None), default=None)
