"""All versions of the model, side by side."""

from __future__ import annotations

from collections.abc import Iterator

import look
import panels
import tables
from grafana_foundation_sdk.builders import timeseries
from grafana_foundation_sdk.models import common
from links import MODEL, VALUE

from versions import queries as q

_CHOOSE_VERSION = tables.link("Show this version", MODEL, "model", "window", model_version=VALUE)


def versions() -> Iterator[panels.Panel]:
    yield tables.of(
        "Versions",
        "The champion, the challenger, then the newest first, with the versions that were monitored in the "
        "time range: the chosen metric in the chosen window against its own baseline and at the age that the "
        "champion has now, degraded metrics, drifted columns, failing checks of data quality. Click a "
        "version for its dashboard.",
        tables.Key("model_version", "Version", [*_CHOOSE_VERSION, *look.column(75, decimals=0)]),
        tables.Column("Alias", q.ALIASES, listed="alias"),
        tables.Column("Order", q.ORDER, hidden=True),
        tables.Column("Age", q.AGE, look.measured("s", 95)),
        tables.Column("Quality", q.by_version(q.QUALITY, q.CHOSEN), look.column(75)),
        tables.Column("Baseline", q.BASELINE, look.column(80)),
        tables.Column("At the same age", q.AT_THE_SAME_AGE, look.column(125)),
        tables.Column("Estimate", q.ESTIMATE, look.column(80)),
        tables.Column("Degraded", q.DEGRADED, look.counted()),
        tables.Column("Drifted", q.DRIFTED, look.counted()),
        tables.Column("Failing", q.FAILING, look.counted()),
        tables.Column("Rows", q.ROWS, look.rows()),
        tables.Column("Labels", q.LABELS, look.rows()),
        tables.Column("Predictions", q.TRAFFIC, look.measured("rowsps", 105)),
        tables.Column("Latency p99", q.LATENCY, look.measured("s", 100)),
        tables.Column("Last prediction", q.SINCE_PREDICTION, look.measured("s", 120, decimals=0)),
        order="Order",
        descending=True,
        unit="none",
        decimals=3,
        size=(24, 8),
        nothing="No version of the model is monitored.",
    )


def baseline() -> Iterator[panels.Panel]:
    yield _of_versions(
        panels.in_limits(
            panels.lines(
                "Shortfall of $metric in multiples of the accepted one",
                "How much worse each version is than its own baseline by labels in the chosen window; below "
                "zero it is better. At the dashed line it equals the tolerance plus natural variation.",
                panels.Line("{{series}}", q.with_roles(q.RELATIVE_SHORTFALL)),
                unit=look.TIMES,
                size=(12, 8),
                nothing="There are no labels, or no baseline.",
                filled=False,
            )
        )
    )
    yield _of_versions(
        panels.lines(
            "Estimated $metric",
            "Quality of each version in the chosen window as estimated without labels. An estimate cannot "
            "see concept drift.",
            panels.Line("{{series}}", q.with_roles(q.ESTIMATE)),
            unit="none",
            decimals=3,
            size=(12, 8),
            nothing="There are no scores from which quality could be estimated.",
            from_zero=False,
            filled=False,
        )
    )


def drift() -> Iterator[panels.Panel]:
    ratio = [*look.column(130, decimals=2), look.of_field("custom.cellOptions", {"type": "color-text"})]
    yield (
        tables.of(
            "Drift score in multiples of the limit",
            "Columns of the two versions in the chosen window, each against the version's own reference; "
            "above 1 it is beyond its limit.",
            tables.Key("column", "Column", [look.at_least(160)]),
            tables.Key("role", "Role", look.column(100)),
            tables.Column("Champion", q.drift_ratio(q.CHAMPION), ratio),
            tables.Column("Challenger", q.drift_ratio(q.CHALLENGER), ratio),
            order="Champion",
            descending=True,
            unit=look.TIMES,
            size=(12, 9),
            nothing="No column has a score in this window yet.",
        ).thresholds(look.steps(look.PLAIN, (0.75, look.NEAR), (1, look.BEYOND)))
    )
    yield (
        _of_versions(
            panels.lines(
                "Drifted columns",
                "Columns of each version, prediction and score included, that differ from its reference in "
                "the chosen window.",
                panels.Line("{{series}}", q.with_roles(q.DRIFTED)),
                unit="short",
                decimals=0,
                size=(12, 9),
                nothing="No column has a verdict yet.",
                filled=False,
            )
        )
        .axis_soft_max(3)
        .line_interpolation(common.LineInterpolation.STEP_AFTER)
    )


def traffic() -> Iterator[panels.Panel]:
    yield panels.stacked(
        _of_versions(
            panels.lines(
                "Predictions by version",
                "Predictions received per second, all replicas together, stacked.",
                panels.Line("{{series}}", q.with_roles(q.TRAFFIC)),
                unit="rowsps",
                size=(8, 8),
                nothing="No predictions were received.",
            )
        )
    )
    yield _of_versions(
        panels.lines(
            "Latency by version, p99",
            "The 99th percentile of the time for a prediction, as reported by callers.",
            panels.Line("{{series}}", q.with_roles(q.LATENCY)),
            unit="s",
            size=(8, 8),
            nothing="Callers report no latency.",
            filled=False,
        )
    )
    yield panels.aliases(size=(8, 8))


def _of_versions(panel: timeseries.Panel) -> timeseries.Panel:
    """With the colours of the two, whatever their aliases are called; the others are grey and thin."""
    other = [look.painted(look.REFERENCE), look.of_field("custom.lineWidth", 1)]
    return (
        panel.override_by_regexp("^version .*", other)
        .override_by_regexp("^champion, .*", [look.painted(look.LIVE)])
        .override_by_regexp("^challenger, .*", [look.painted(look.OTHER)])
    )
