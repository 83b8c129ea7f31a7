"""Panels on evaluations: age, failures, duration."""

from __future__ import annotations

from collections.abc import Iterator

import links
import look
import panels
import tables

from health import queries as q

_VERSION = "{{model}} v{{model_version}}"


def evaluations() -> Iterator[panels.Panel]:
    of_model = tables.link("Show this model", links.MODEL, model=links.VALUE)
    of_version = tables.link(
        "Show this version", links.MODEL, model=links.cell("Model"), model_version=links.VALUE
    )
    yield tables.of(
        "Versions",
        "Every monitored version: the age of its last evaluation, which happens every 30 seconds by "
        "default, failures in the dashboard's time range, and the source of its reference.",
        tables.Key("model", "Model", of_model),
        tables.Key("model_version", "Version", [*of_version, *look.column(75, decimals=0)]),
        tables.Column("Last evaluation", q.SINCE_EVALUATION, look.measured("s", 120)),
        tables.Column("Failures", f"sum by (model, model_version) ({q.ERRORS})", look.counted()),
        tables.Column("Reference", q.REFERENCES, [look.of_field("custom.width", 110)], "reference_source"),
        order="Last evaluation",
        descending=True,
        unit="none",
        decimals=0,
        size=(10, 8),
        nothing="No version is monitored.",
    )
    yield (
        panels.lines(
            "Failures by version",
            "Failures to read a version's reference or to evaluate the version, per step of the chart.",
            panels.Line(_VERSION, q.RECENT_ERRORS, (look.shaded(look.LIVE),)),
            unit="short",
            decimals=0,
            size=(7, 8),
            nothing="No version is monitored.",
        )
        .axis_soft_max(3)
        .id(links.EXPORTER.id("failures"))
    )
    yield panels.lines(
        "Time to evaluate",
        "Duration of the evaluation of one version: median, p90 and p99.",
        *panels.quantiles(q.evaluation),
        unit="s",
        size=(7, 8),
        nothing="Nothing was evaluated.",
    )
    yield panels.lines(
        "Partitions that are missing",
        "Partitions of the Kafka group that have not taken a version's newest reference. Until all have, its "
        "figures are in the bins of the one before.",
        panels.line(_VERSION, q.MISSING_PARTITIONS, look.BAD),
        unit="short",
        decimals=0,
        size=(24, 5),
        nothing="There is no Kafka group.",
    ).id(links.EXPORTER.id("missing partitions"))
