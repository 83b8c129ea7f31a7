"""All versions of the model, side by side."""

from __future__ import annotations

from collections.abc import Iterator

import look
from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import timeseries
from grafana_foundation_sdk.models import common, dashboard

from versions import queries as q

_NAME = "version {{model_version}}"


def _version_link() -> list[dashboard.DynamicConfigValue]:
    url = (
        "/d/mlflow-model?${datasource:queryparam}&${model:queryparam}&${window:queryparam}"
        "&var-model_version=${__value.text:percentencode}&${__url_time_range}"
    )
    return [
        look.of_field("links", [{"title": "Show this version", "url": url}]),
        *look.column(80, decimals=0),
    ]


def versions() -> Iterator[look.Panel]:
    red = look.counted()
    yield (
        look.listing(
            "Versions, $window",
            "What is monitored of each version: its $metric against its own baseline, how many metrics are "
            "degraded, how many columns have drifted, how many checks of data quality fail. Click a version "
            "to see all of it.",
            unit="none",
            width=24,
            height=7,
        )
        .decimals(3)
        .no_value("The model has no version that is monitored.")
        .with_target(look.rows(q.VERSIONS, "version"))
        .with_target(look.rows(q.ALIASES, "alias"))
        .with_target(look.rows(q.by_version("mlflow_model_quality", q.CHOSEN), "quality"))
        .with_target(
            look.rows(
                q.by_version("mlflow_model_quality_baseline", f'{q.MODEL}, metric="$metric"'), "baseline"
            )
        )
        .with_target(look.rows(q.by_version("mlflow_model_estimated_quality", q.CHOSEN), "estimate"))
        .with_target(look.rows(q.DEGRADED, "degraded"))
        .with_target(look.rows(q.DRIFTED, "drifted"))
        .with_target(look.rows(q.FAILING, "failing"))
        .with_target(look.rows(q.by_version("mlflow_model_window_rows", q.WINDOW), "rows"))
        .with_target(look.rows(q.by_version("mlflow_model_window_labels", q.WINDOW), "labels"))
        .with_target(look.rows(q.TRAFFIC, "rate"))
        .with_target(look.rows(q.LATENCY, "latency"))
        .with_target(look.rows(q.SINCE_PREDICTION, "age"))
        .transformations(
            look.merged(
                ("model_version",),
                {
                    "model_version": "Version",
                    "alias": "Alias",
                    "quality": "Quality",
                    "baseline": "Baseline",
                    "estimate": "Estimate",
                    "degraded": "Degraded",
                    "drifted": "Drifted",
                    "failing": "Failing",
                    "rows": "Rows",
                    "labels": "Labels",
                    "rate": "Predictions",
                    "latency": "Latency p99",
                    "age": "Last prediction",
                },
                listed="alias",
            )
        )
        .with_transformation(look.sorted_by("Version", descending=True))
        .override_by_name("Version", _version_link())
        .override_by_regexp("Quality|Baseline|Estimate", look.column(90))
        .override_by_name("Degraded", red)
        .override_by_name("Drifted", red)
        .override_by_name("Failing", red)
        .override_by_name("Rows", [look.of_field("unit", "short"), *look.column(85, decimals=1)])
        .override_by_name("Labels", [look.of_field("unit", "short"), *look.column(85, decimals=1)])
        .override_by_name("Predictions", [look.of_field("unit", "rowsps"), *look.column(115, decimals=1)])
        .override_by_name("Latency p99", [look.of_field("unit", "s"), *look.column(105, decimals=1)])
        .override_by_name("Last prediction", [look.of_field("unit", "s"), *look.column(125, decimals=0)])
    )


def baseline() -> Iterator[look.Panel]:
    yield (
        _lines(
            "Shortfall of $metric in multiples of what is tolerated, $window",
            "How much worse each version is than its own baseline by labels; below zero it is better. At the "
            "dashed line it is as much as is tolerated, natural variation included.",
            unit=look.TIMES,
            width=12,
        )
        .decimals(2)
        .axis_soft_max(1.2)
        .thresholds(look.steps("transparent", (1, look.LIMIT)))
        .thresholds_style(
            common_builders.GraphThresholdsStyleConfig().mode(common.GraphThresholdsStyleMode.DASHED)
        )
        .no_value("There are no labels, or no baseline.")
        .with_target(look.query(q.RELATIVE_SHORTFALL, _NAME))
    )
    yield (
        _lines(
            "Estimated $metric, $window",
            "Quality of each version as estimated without labels. An estimate cannot see concept drift.",
            unit="none",
            width=12,
            from_zero=False,
        )
        .decimals(3)
        .no_value("There are no scores to estimate quality from.")
        .with_target(look.query(q.by_version("mlflow_model_estimated_quality", q.CHOSEN), _NAME))
    )


def drift() -> Iterator[look.Panel]:
    yield (
        look.listing(
            "Drift score in multiples of the limit, $window",
            "Columns by version, each against the version's own reference; above 1 it is beyond its limit.",
            unit=look.TIMES,
            width=12,
            height=9,
        )
        .decimals(2)
        .thresholds(look.steps(look.PLAIN, (0.75, look.NEAR), (1, look.BEYOND)))
        .no_value("No column has a score in this window yet.")
        .with_target(look.rows(q.DRIFT_RATIO, "A"))
        .with_transformation(
            look.transformation(
                "groupingToMatrix",
                columnField="model_version",
                rowField="column",
                valueField="Value",
                emptyValue="null",
            )
        )
        .with_transformation(look.arranged({"column\\model_version": "Column"}))
        .override_by_regexp(r"^\d+$", [look.of_field("custom.cellOptions", {"type": "color-text"})])
    )
    yield (
        _lines(
            "Drifted columns, $window",
            "Columns of each version, prediction and score included, that differ from its reference.",
            unit="short",
            width=12,
            height=9,
        )
        .decimals(0)
        .axis_soft_max(3)
        .line_interpolation(common.LineInterpolation.STEP_AFTER)
        .no_value("No column has a verdict yet.")
        .with_target(look.query(q.DRIFTED, _NAME))
    )


def traffic() -> Iterator[look.Panel]:
    yield (
        _lines(
            "Predictions by version",
            "Predictions taken per second, all replicas together, stacked.",
            unit="rowsps",
            width=8,
        )
        .stacking(common_builders.StackingConfig().mode(common.StackingMode.NORMAL).group("A"))
        .fill_opacity(25)
        .line_width(1)
        .no_value("No predictions were taken.")
        .with_target(look.query(q.TRAFFIC, _NAME))
    )
    yield (
        _lines(
            "Latency by version, p99",
            "What the slowest hundredth of predictions exceeds, as callers report it.",
            unit="s",
            width=8,
        )
        .no_value("Callers report no latency.")
        .with_target(look.query(q.LATENCY, _NAME))
    )
    yield (
        look.timeline(
            "Version behind each alias",
            "The version that each alias of the model pointed to; a border is a deployment or a rollback.",
            unit="none",
            width=8,
            height=8,
        )
        .show_value(common.VisibilityMode.ALWAYS)
        .align_value(common.TimelineValueAlignment.CENTER)
        .color_scheme(look.fixed(look.LIVE))
        .fill_opacity(35)
        .line_width(2)
        .legend(common_builders.VizLegendOptions().show_legend(False))
        .no_value("The model has no alias.")
        .with_target(look.query(q.ALIAS_VERSIONS, "{{alias}}"))
    )


def _lines(
    title: str, description: str, *, unit: str, width: int, height: int = 8, from_zero: bool = True
) -> timeseries.Panel:
    """A line for each version, of the same colour in every panel."""
    panel = look.lines(title, description, unit=unit, width=width, height=height, from_zero=from_zero)
    return panel.fill_opacity(0).color_scheme(look.by_name())
