"""Panels on what the processes that serve the version take."""

from __future__ import annotations

from collections.abc import Iterator

import links
import look
import panels
import tables

from model import resource_queries as q

_NOTHING = "No process reports what it takes."
_HOSTS = (look.shaded(look.LIVE),)


def _right(unit: str, title: str) -> list[panels.Property]:
    """Properties of a line with an axis of its own."""
    return [
        look.of_field("unit", unit),
        look.of_field("custom.axisPlacement", "right"),
        look.of_field("custom.axisLabel", title),
        look.unfilled(),
    ]


def resources() -> Iterator[panels.Panel]:
    yield panels.lines(
        "Traffic, latency and CPU",
        "Predictions per second, the 95th percentile of their latency beside the one that is unusual, and "
        "CPU of the busiest host as a share of its limit. Latency that rises while CPU is at its limit: the "
        "model is starved.",
        panels.line(
            "Predictions", q.PREDICTIONS, look.LIVE, look.of_field("custom.axisLabel", "Predictions")
        ),
        panels.line("Latency, p95", q.LATENCY, look.OTHER, *_right("s", "Latency")),
        panels.line("Unusual latency", q.LATENCY_LIMIT, look.LIMIT, look.dashed(), *_right("s", "Latency")),
        panels.line(
            "CPU, share of limit",
            q.BUSIEST,
            look.CAUSE,
            *_right("percentunit", "CPU"),
            look.of_field("min", 0),
            look.of_field("custom.axisSoftMax", 1),
        ),
        unit="rowsps",
        size=(24, 9),
        nothing="No predictions were received.",
    ).id(links.MODEL.id("resources"))
    yield panels.limited(
        panels.lines(
            "CPU by host",
            "CPU time of the version's processes on a host, as a share of the cores that they may use. "
            "Python code uses one core a process: with fewer processes than cores it stays below the limit.",
            panels.Line("{{host}}", q.CPU_RATIO, _HOSTS),
            unit="percentunit",
            size=(8, 8),
            nothing=_NOTHING,
        ).axis_soft_max(1),
        1,
    )
    yield panels.lines(
        "Memory by host",
        "Resident memory of the version's processes on a host, and the limit of their container if it has "
        "one. Memory that forked processes share is counted for each.",
        panels.Line("{{host}}", q.MEMORY, _HOSTS),
        panels.Line(
            "{{host}}, limit", q.MEMORY_LIMIT, (look.painted(look.LIMIT), look.dashed(), look.unfilled())
        ),
        unit="bytes",
        size=(8, 8),
        nothing=_NOTHING,
    )
    yield panels.lines(
        "Requests in flight by host",
        "Requests that the version's processes are answering at the moment of their reports.",
        panels.Line("{{host}}", q.IN_FLIGHT, _HOSTS),
        unit="short",
        decimals=0,
        size=(8, 8),
        nothing="No process reports its requests.",
    )
    yield panels.lines(
        "Rows lost by clients",
        "Predictions and labels per second that the client in the serving processes sent, and those that it "
        "dropped, by reason: this page lacks them.",
        panels.Line("{{reason}}", q.DROPPED, (look.shaded(look.LIMIT),)),
        panels.line("sent", q.SENT, look.LIVE),
        unit="rowsps",
        size=(7, 8),
        nothing=_NOTHING,
    ).id(links.MODEL.id("lost rows"))
    yield panels.lines(
        "GPU",
        "Share of time in which a device was busy, and share of its memory in use, by all processes on it.",
        panels.Line("{{host}} {{gpu}}", q.GPU_BUSY, _HOSTS),
        panels.Line("{{host}} {{gpu}}, memory", q.GPU_MEMORY, (look.shaded(look.CAUSE),)),
        unit="percentunit",
        size=(6, 8),
        nothing="No process reports a GPU.",
    )
    yield tables.of(
        "Processes",
        "Processes that serve this version and reported within the past minute. One of the exporter's "
        "replicas has each report.",
        tables.Key("host", "Host", [look.at_least(90)]),
        tables.Key("process", "Process", [look.at_least(110)]),
        tables.Column("Cores", q.CORES, look.column(70, decimals=2)),
        tables.Column("Memory", q.told("memory_bytes"), look.measured("bytes", 90)),
        tables.Column("Threads", q.told("threads"), look.column(75, decimals=0)),
        tables.Column("Open files", q.told("open_files"), look.column(90, decimals=0)),
        tables.Column("In flight", q.told("in_flight_requests"), look.column(80, decimals=0)),
        order="Cores",
        descending=True,
        unit="none",
        size=(11, 8),
        nothing=_NOTHING,
    )
