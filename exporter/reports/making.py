"""Makes reports in child processes, one at a time, each of which ends with its report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from importlib.util import find_spec
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from exporter.config.named_metrics import NamedMetric
from exporter.errors import CrashedError, ReportError
from exporter.isolation import Children
from exporter.reports.contents import ReportInput, ReportResult

MEMORY_BYTES = 2 * 2**30  # of address space; half of it suffices for 10,000 rows of 20 columns
SECONDS = 600.0  # it comes after answers to requests
ANSWER_BYTES = 256 * 2**20
# Evidently would report its use and write to the home directory.
ENVIRONMENT = {
    "DO_NOT_TRACK": "1",
    "EVIDENTLY_DISABLE_TELEMETRY": "1",
    "MPLCONFIGDIR": "/tmp",  # noqa: S108 - nothing is read from there
}
# Answers of the child, which are not unpickled: what it read may have taken it over.
_RESULT, _MISTAKES = TypeAdapter(ReportResult), TypeAdapter(tuple[str, ...])
_T = TypeVar("_T")
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
    return _run(_RESULT, _make, given)


def check_named_metrics(
    metrics: Sequence[NamedMetric], descriptors: Sequence[NamedMetric]
) -> tuple[str, ...]:
    """Sentences on what is wrong with names and arguments, by Evidently itself.

    Raises:
        ReportError: Evidently is not installed.
        IsolationError, UnavailableError: as `make_report`.
    """
    return _run(_MISTAKES, _check, tuple(metrics), tuple(descriptors))


def _run(kind: TypeAdapter[_T], function: Callable[..., bytes], *arguments: object) -> _T:
    if not is_installed():
        raise ReportError(NOT_INSTALLED)
    try:
        return kind.validate_json(_children().run(function, *arguments))
    except ValidationError as error:
        raise CrashedError("the answer of its process is unreadable") from error


@cache
def _children() -> Children:
    return Children(1, [], MEMORY_BYTES, SECONDS, ANSWER_BYTES, ENVIRONMENT, single_use=True)


# -- in the child, which alone imports Evidently ------------------------------------------------------------


def _make(given: ReportInput) -> bytes:
    from exporter.reports import evidently_child

    return _RESULT.dump_json(evidently_child.make(given))


def _check(metrics: tuple[NamedMetric, ...], descriptors: tuple[NamedMetric, ...]) -> bytes:
    from exporter.reports import evidently_child

    return _MISTAKES.dump_json(tuple(evidently_child.check(metrics, descriptors)))
