"""All versions of the model, side by side."""

from __future__ import annotations

from collections.abc import Iterator

import links
import look
import panels
import tables
from grafana_foundation_sdk.models import common

from versions import queries as q

_NAME = "version {{model_version}}"
_CHOOSE_VERSION = tables.link("Show this version", links.MODEL, "model", "window", model_version=links.VALUE)


def versions() -> Iterator[panels.Panel]:
    yield tables.of(
        "Versions, $window",
        "The state of each version: its $metric against its own baseline, degraded metrics, drifted "
        "columns, failing checks of data quality. Click a version for its dashboard.",
        tables.Key("model_version", "Version", [*_CHOOSE_VERSION, *look.column(75, decimals=0)]),
        tables.Column("Alias", q.ALIASES, listed="alias"),
        tables.Column("", q.VERSIONS),
        tables.Column("Quality", q.by_version(q.QUALITY, q.CHOSEN), look.column(75)),
        tables.Column("Baseline", q.BASELINE, look.column(80)),
        tables.Column("Estimate", q.ESTIMATE, look.column(80)),
        tables.Column("Degraded", q.DEGRADED, look.counted()),
        tables.Column("Drifted", q.DRIFTED, look.counted()),
        tables.Column("Failing", q.FAILING, look.counted()),
        tables.Column("Rows", q.ROWS, look.rows()),
        tables.Column("Labels", q.LABELS, look.rows()),
        tables.Column("Predictions", q.TRAFFIC, look.measured("rowsps", 105)),
        tables.Column("Latency p99", q.LATENCY, look.measured("s", 100)),
        tables.Column("Last prediction", q.SINCE_PREDICTION, look.measured("s", 120, decimals=0)),
        order="Version",
        descending=True,
        unit="none",
        decimals=3,
        size=(24, 7),
        nothing="No version of the model is monitored.",
    )


def baseline() -> Iterator[panels.Panel]:
    yield panels.in_limits(
        panels.lines(
            "Shortfall of $metric in multiples of the accepted one, $window",
            "How much worse each version is than its own baseline by labels; below zero it is better. At "
            "the dashed line it equals the tolerance plus natural variation.",
            panels.Line(_NAME, q.RELATIVE_SHORTFALL),
            unit=look.TIMES,
            size=(12, 8),
            nothing="There are no labels, or no baseline.",
            filled=False,
        )
    )
    yield panels.lines(
        "Estimated $metric, $window",
        "Quality of each version as estimated without labels. An estimate cannot see concept drift.",
        panels.Line(_NAME, q.ESTIMATE),
        unit="none",
        decimals=3,
        size=(12, 8),
        nothing="There are no scores from which quality could be estimated.",
        from_zero=False,
        filled=False,
    )


def drift() -> Iterator[panels.Panel]:
    yield (
        tables.matrix(
            "Drift score in multiples of the limit, $window",
            "Columns by version, each against the version's own reference; above 1 it is beyond its limit.",
            q.DRIFT_RATIO,
            row=tables.Key("column", "Column"),
            column="model_version",
            unit=look.TIMES,
            decimals=2,
            size=(12, 9),
            nothing="No column has a score in this window yet.",
        )
        .thresholds(look.steps("transparent", (0.75, look.NEAR), (1, look.BEYOND)))
        .override_by_regexp(r"^\d+$", [look.ground()])
    )
    yield (
        panels.lines(
            "Drifted columns, $window",
            "Columns of each version, prediction and score included, that differ from its reference.",
            panels.Line(_NAME, q.DRIFTED),
            unit="short",
            decimals=0,
            size=(12, 9),
            nothing="No column has a verdict yet.",
            filled=False,
        )
        .axis_soft_max(3)
        .line_interpolation(common.LineInterpolation.STEP_AFTER)
    )


def traffic() -> Iterator[panels.Panel]:
    yield panels.stacked(
        panels.lines(
            "Predictions by version",
            "Predictions received per second, all replicas together, stacked.",
            panels.Line(_NAME, q.TRAFFIC),
            unit="rowsps",
            size=(8, 8),
            nothing="No predictions were received.",
        )
    )
    yield panels.lines(
        "Latency by version, p99",
        "The 99th percentile of the time for a prediction, as reported by callers.",
        panels.Line(_NAME, q.LATENCY),
        unit="s",
        size=(8, 8),
        nothing="Callers report no latency.",
        filled=False,
    )
    yield panels.aliases(size=(8, 8))
