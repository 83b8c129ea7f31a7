"""Whether every version is evaluated, and by what."""

from __future__ import annotations

from collections.abc import Iterator

import look
import panels
import tables

from health import queries as q

_VERSION = "{{model}} v{{model_version}}"


def evaluations() -> Iterator[panels.Panel]:
    link = tables.link("Show this model", "mlflow-model", "model")
    yield tables.of(
        "Versions",
        "Every version that is monitored: the age of its last evaluation, which happens every 30 seconds by "
        "default, failures in the dashboard's time range, and where its reference comes from.",
        tables.Key("model", "Model", link),
        tables.Key("model_version", "Version", look.column(75, decimals=0)),
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
    yield panels.lines(
        "Failures by version",
        "Failures while a version's reference was read or it was evaluated, in each step of the chart.",
        panels.Line(_VERSION, q.RECENT_ERRORS),
        unit="short",
        decimals=0,
        size=(7, 8),
        nothing="No version is monitored.",
    ).axis_soft_max(3)
    yield panels.lines(
        "Time to evaluate",
        "Time that the evaluation of one version takes: the median, and what the slowest tenth and hundredth "
        "exceed.",
        *panels.quantiles(q.evaluation),
        unit="s",
        size=(7, 8),
        nothing="Nothing was evaluated.",
    )
