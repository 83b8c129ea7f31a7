"""Pages of `/metrics` made from views, and their lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from exporter.exposition.collector import MetricsPage, SeriesCollector
from exporter.exposition.render import Format
from exporter.exposition.view import VersionView
from exporter.settings import Settings
from tests.support.views import NOW, make_habits, make_runs, make_telemetry


def collect(views: Sequence[VersionView], **settings: Any) -> MetricsPage:
    settings = {"max_run_series": 20, **settings}
    collector = SeriesCollector(Settings(**settings), make_telemetry())
    return collector.collect(views, NOW, make_runs(), make_habits())


def text(page: MetricsPage) -> str:
    return page.render(Format.TEXT).decode()


def lines(page: MetricsPage, name: str) -> list[str]:
    return [line for line in text(page).splitlines() if line.startswith((f"{name}{{", f"{name} "))]


def values(page: MetricsPage, name: str) -> dict[str, float]:
    """Value by the labels after model and version."""
    samples = (line[len(name) :].rsplit(" ", 1) for line in lines(page, name))
    return {labels.partition('model_version="3",')[2].rstrip("}"): float(value) for labels, value in samples}


def version_series(page: MetricsPage) -> list[str]:
    """Lines of the versions' own metrics."""
    return [line for line in text(page).splitlines() if line.startswith("mlflow_model_")]
