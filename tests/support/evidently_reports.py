"""Reports by Evidently in one child process for all tests of a session: its import takes seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from exporter.isolation import Children
from exporter.reports import making
from exporter.reports.contents import ReportInput, ReportResult
from tests.support.report_inputs import binary_input

# A child that has grown beyond a quarter of its limit would be replaced.
MEMORY_BYTES = 4 * making.MEMORY_BYTES


@pytest.fixture(scope="session")
def warm_child() -> Iterator[None]:
    """Reports are made by a child that stays, instead of one each."""
    children = Children(1, [], MEMORY_BYTES, making.SECONDS, making.ANSWER_BYTES, making.ENVIRONMENT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(making, "_children", lambda: children)
        yield
    children.close()


@pytest.fixture(scope="session")
def make_report(warm_child: None) -> Callable[[ReportInput], ReportResult]:
    """`exporter.reports.making.make_report`."""
    return making.make_report


@pytest.fixture(scope="session")
def made_report(make_report: Callable[[ReportInput], ReportResult]) -> ReportResult:
    """A report of the presets of a binary task, in which amounts have drifted."""
    links = {"Version in MLflow": "http://mlflow.example/#/models/fraud/versions/3"}
    return make_report(binary_input(reason="amount drifted (24h)", notes=("a remark",), links=links))
