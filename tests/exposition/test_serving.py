"""Serving processes on /metrics."""

from __future__ import annotations

from exporter.exposition.serving import SERVING_CATALOG
from exporter.serving_processes import GpuUse, ServingProcess
from tests.support.pages import collect, lines, values
from tests.support.views import make_process, make_view

CPU = "mlflow_model_serving_cpu_seconds_total"


def test_every_process_has_its_series() -> None:
    page = collect([make_view(processes=(make_process("7-1"), make_process("8-1", cpu_seconds=3.0)))])
    assert values(page, CPU) == {
        'host="web-1",process="7-1"': 81.5,
        'host="web-1",process="8-1"': 3.0,
    }
    assert values(page, "mlflow_model_serving_dropped_rows_total") == {
        f'host="web-1",process="{process}",reason="{reason}"': rows
        for process in ("7-1", "8-1")
        for reason, rows in (("queue_full", 12), ("exit", 0))
    }


def test_what_a_process_does_not_tell_has_no_series() -> None:
    page = collect([make_view(processes=(ServingProcess("web-1", "7-1", gpus=(GpuUse("0"),)),))])
    assert not [line for metric in SERVING_CATALOG for line in lines(page, metric.name)]


def test_a_version_without_processes_has_no_series() -> None:
    page = collect([make_view(processes=())])
    assert not [line for metric in SERVING_CATALOG for line in lines(page, metric.name)]


def test_processes_have_room_within_the_limit_on_series() -> None:
    processes = tuple(make_process(f"{number}-1") for number in range(50))
    whole = collect([make_view(processes=processes)], max_series=10_000)
    limited = collect([make_view(processes=processes)], max_series=whole.series - 1)
    assert len(values(limited, CPU)) == 50
    assert limited.series < whole.series
