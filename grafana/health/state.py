"""Panels on the exporter's state, resources and alerts."""

from __future__ import annotations

from collections.abc import Iterator

import look
import panels
from links import EXPORTER

from health import queries as q

_SHADES = (look.shaded(look.LIVE),)
_DOWN = ("Exporter down", look.UNKNOWN)


def now() -> Iterator[panels.Panel]:
    yield panels.number(
        "Replicas up",
        "Replicas of the exporter that answered Prometheus' last scrape. Without any, nothing is measured.",
        q.UP,
        unit="short",
        size=(3, 4),
        nothing="No target",
        decimals=0,
        thresholds=look.steps(look.BAD, (1, look.GOOD)),
    ).id(EXPORTER.id("replicas"))
    yield panels.number(
        "MLflow",
        "Whether MLflow answered the last poll of every replica. If not, known versions are evaluated as "
        "before.",
        q.MLFLOW,
        unit="none",
        words={1: ("Reachable", look.GOOD), 0: ("Unreachable", look.BAD), 2: _DOWN},
        size=(3, 4),
        nothing="No target",
    ).id(EXPORTER.id("mlflow"))
    yield panels.number(
        "Configuration",
        "Whether every replica accepted its configuration file when it last read it. If not, it uses the "
        "previous one.",
        q.CONFIGURATION,
        unit="none",
        words={
            1: ("Taken", look.GOOD),
            0: ("Refused", look.BAD),
            2: _DOWN,
            3: ("No file", look.UNKNOWN),
        },
        size=(3, 4),
        nothing="No target",
    ).id(EXPORTER.id("configuration"))
    yield panels.number(
        "Store used",
        "Size of the durable store as a share of its limit, at which no more samples are accepted.",
        q.STORE_USED,
        unit="percentunit",
        decimals=1,
        thresholds=look.steps("transparent", (0.85, look.NEAR), (0.97, look.BAD)),
        size=(3, 4),
    ).id(EXPORTER.id("store used"))
    yield panels.number(
        "Evaluation's lag",
        "Age of the oldest last evaluation of a monitored version in multiples of the interval: 1 is on time "
        "and from 5 on the version's figures disappear.",
        q.LAG,
        unit=look.TIMES,
        decimals=1,
        thresholds=look.steps("transparent", (2, look.NEAR), (5, look.BAD)),
        size=(3, 4),
        nothing="No version",
    ).id(EXPORTER.id("lag"))
    yield panels.number(
        "Rows in the queue",
        "Rows waiting to be committed, all replicas together. While the queue is full, callers get 429.",
        q.QUEUE,
        unit="short",
        size=(3, 4),
    )
    yield panels.count_of_bad(
        "Series left out",
        "Series of bins that are not exported because of the limit on series; verdicts are always exported.",
        q.SERIES_LEFT_OUT,
        look.NEAR,
        size=(3, 4),
    )
    yield panels.count_of_bad(
        "Versions left out",
        "Versions with an alias that are not monitored because of the limit on versions.",
        q.VERSIONS_LEFT_OUT,
        look.BAD,
        size=(3, 4),
    ).id(EXPORTER.id("versions left out"))


def resources() -> Iterator[panels.Panel]:
    yield panels.lines(
        "Size of the store",
        "Size of the durable store, and its limit. Data older than their retention are deleted, so most "
        "stores stop growing.",
        panels.line("store", q.STORE, look.LIVE),
        panels.guide("limit", q.STORE_LIMIT, look.LIMIT),
        unit="bytes",
        size=(6, 7),
        nothing="The exporter exports no figures of a store.",
    ).id(EXPORTER.id("store size"))
    yield (
        panels.lines(
            "Failures of the store",
            "Per step of the chart. Failed: it could not be reached or written; damaged: it cannot be read; "
            "missing: its files were removed; lost: memory may differ from it, and the process ends.",
            panels.Line("{{reason}}", q.STORE_FAILURES, _SHADES),
            unit="short",
            decimals=0,
            size=(6, 7),
            nothing="The exporter exports no figures of a store.",
        )
        .axis_soft_max(3)
        .id(EXPORTER.id("store failures"))
    )
    yield panels.lines(
        "Memory",
        "Resident memory of each replica.",
        panels.Line("{{instance}}", q.MEMORY, _SHADES),
        unit="bytes",
        size=(6, 7),
        nothing="No replica answers.",
    )
    yield panels.lines(
        "Processor",
        "Processor time of each replica as a share of one core.",
        panels.Line("{{instance}}", q.CPU, _SHADES),
        unit="percentunit",
        size=(6, 7),
        nothing="No replica answers.",
    )


def alerts() -> Iterator[panels.Panel]:
    yield panels.alerts(
        "Alerts of the exporter",
        "Alerts in Prometheus on the exporter itself: pending, then firing. Empty where Prometheus does not "
        "have the rules. Click one for its runbook.",
        q.ALERTS,
        "{{alertname}} {{model}}",
        size=(24, 5),
    )
