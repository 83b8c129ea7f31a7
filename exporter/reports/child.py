"""Entry points of the child process. What they need is imported when they run, with a low priority."""

from __future__ import annotations

import json
import os

from exporter.config.named_metrics import NamedMetric
from exporter.reports.contents import ReportInput

NICENESS = 5  # answers to requests come first


def make(given: ReportInput) -> bytes:
    """A report, as `ReportResult.encode` writes it.

    Raises:
        ReportError: nothing can be made of the input.
    """
    os.nice(NICENESS)
    from exporter.reports import evidently_child

    return evidently_child.make(given).encode()


def check(metrics: tuple[NamedMetric, ...], descriptors: tuple[NamedMetric, ...]) -> bytes:
    """Mistakes in names and arguments, as JSON."""
    from exporter.reports import evidently_child

    return json.dumps(evidently_child.check(metrics, descriptors)).encode()
