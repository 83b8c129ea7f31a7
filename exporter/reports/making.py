"""Makes reports in child processes, one at a time, each of which ends with its report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec

from exporter.config.named_metrics import NamedMetric
from exporter.errors import ReportError
from exporter.isolation import Children
from exporter.reports import child
from exporter.reports.contents import ReportInput, ReportResult, decode_result

MEMORY_BYTES = 2 * 2**30  # of address space; half of it suffices for 10,000 rows of 20 columns
SECONDS = 600.0  # it comes after answers to requests
ANSWER_BYTES = 256 * 2**20
# Evidently would report its use, compute on all processors, and write to the home directory.
ENVIRONMENT = {
    "DO_NOT_TRACK": "1",
    "EVIDENTLY_DISABLE_TELEMETRY": "1",
    "MPLCONFIGDIR": "/tmp",  # noqa: S108 - nothing is read from there
    "NUMEXPR_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
}
NOT_INSTALLED = "Evidently is not installed: pip install 'mlflow-exporter[reports]'"


def is_installed() -> bool:
    """Return true if Evidently is there, without importing it."""
    return find_spec("evidently") is not None


def make_report(given: ReportInput) -> ReportResult:
    """Make a report.

    Raises:
        ReportError: nothing can be made of the input, or Evidently is not installed.
        IsolationError: it took too much memory or time, or its process crashed.
        UnavailableError: no process can be started.
    """
    if not is_installed():
        raise ReportError(NOT_INSTALLED)
    return decode_result(_children().run(child.make, given))


def check_named_metrics(
    metrics: Sequence[NamedMetric], descriptors: Sequence[NamedMetric]
) -> tuple[str, ...]:
    """Sentences on what is wrong with names and arguments, by Evidently itself.

    Raises:
        ReportError: Evidently is not installed.
        IsolationError, UnavailableError: as `make_report`.
    """
    if not is_installed():
        raise ReportError(NOT_INSTALLED)
    return tuple(json.loads(_children().run(child.check, tuple(metrics), tuple(descriptors))))


@cache
def _children() -> Children:
    return Children(1, [], MEMORY_BYTES, SECONDS, ANSWER_BYTES, ENVIRONMENT, single_use=True)
