"""The kinds of panels. Dashboards say what a panel shows, this module how its kind looks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import look
from grafana_foundation_sdk.builders import barchart, stat, statetimeline, table, text, timeseries
from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import heatmap as heatmaps
from grafana_foundation_sdk.builders import prometheus as prometheus_builders
from grafana_foundation_sdk.models import common, dashboard
from grafana_foundation_sdk.models import heatmap as heatmap_model
from grafana_foundation_sdk.models import text as text_model
from promql import gauge, or_blank

DATASOURCE = common.DataSourceRef(type_val="prometheus", uid="${datasource}")

Panel = (
    barchart.Panel
    | heatmaps.Panel
    | stat.Panel
    | statetimeline.Panel
    | table.Panel
    | text.Panel
    | timeseries.Panel
)
P = TypeVar(
    "P", barchart.Panel, heatmaps.Panel, stat.Panel, statetimeline.Panel, table.Panel, timeseries.Panel
)
Property = dashboard.DynamicConfigValue
Words = dict[int, tuple[str, str]]
# Of a panel: its width in 24ths of the page, its height in rows of the grid.
Size = tuple[int, int]


def place(panel: P, title: str, description: str, *, unit: str, size: Size, nothing: str) -> P:
    """Sets what every panel has; `nothing` is shown where there is no data."""
    return (
        panel.title(title)
        .description(description)
        .datasource(DATASOURCE)
        .unit(unit)
        .span(size[0])
        .height(size[1])
        .no_value(nothing)
    )


def query(expression: str, legend: str = "", ref: str = "A") -> prometheus_builders.Dataquery:
    """A query over the dashboard's time range."""
    target = prometheus_builders.Dataquery().datasource(DATASOURCE).expr(expression).ref_id(ref)
    return target.range().legend_format(legend or "__auto")


def now(expression: str, legend: str = "", ref: str = "A") -> prometheus_builders.Dataquery:
    """A query at the end of the dashboard's time range."""
    return query(expression, legend, ref).instant()


# Figures


def number(
    title: str,
    description: str,
    expression: str,
    *,
    unit: str,
    size: Size,
    nothing: str = "-",
    decimals: int | None = None,
    words: Words | None = None,
    thresholds: builders.ThresholdsConfig | None = None,
) -> stat.Panel:
    """One figure, large, on a plain ground: in `words` where there are some, in colours by `thresholds`."""
    panel = place(stat.Panel(), title, description, unit=unit, size=size, nothing=nothing).with_target(
        now(expression)
    )
    if decimals is not None:
        panel = panel.decimals(decimals)
    if words:
        panel = panel.mappings(look.texts(words))
    coloured = thresholds or words
    panel = panel.color_scheme(look.by_threshold() if coloured else look.fixed(look.PLAIN))
    if coloured:
        panel = panel.thresholds(thresholds or look.steps("transparent"))
    return (
        panel.reduce_options(common_builders.ReduceDataOptions().calcs(["lastNotNull"]))
        .graph_mode(common.BigValueGraphMode.NONE)
        .color_mode(common.BigValueColorMode.BACKGROUND_SOLID if coloured else common.BigValueColorMode.NONE)
        .justify_mode(common.BigValueJustifyMode.CENTER)
        .text_mode(common.BigValueTextMode.VALUE)
        .text(written(30))
    )


def written(pixels: int) -> common_builders.VizTextDisplayOptions:
    """The height of the letters of a figure."""
    return common_builders.VizTextDisplayOptions().value_size(pixels).title_size(min(pixels, 14))


def count_of_bad(
    title: str, description: str, expression: str, color: str, *, size: Size, nothing: str = "-"
) -> stat.Panel:
    """A count that should be none, and has a colour where it is not."""
    return number(
        title,
        description,
        expression,
        unit="short",
        size=size,
        nothing=nothing,
        decimals=0,
        words={0: ("None", look.GOOD)},
        thresholds=look.steps("transparent", (1, color)),
    )


def numbers(
    title: str,
    description: str,
    expression: str,
    legend: str,
    drawn: Mapping[str, Sequence[Property]],
    *,
    size: Size,
    nothing: str = "-",
) -> stat.Panel:
    """A figure for each of several series, with its name; `drawn` by name."""
    panel = number(title, description, expression, unit="short", size=size, nothing=nothing)
    panel = (
        panel.targets([now(expression, legend)])
        .text_mode(common.BigValueTextMode.VALUE_AND_NAME)
        .color_mode(common.BigValueColorMode.BACKGROUND_SOLID)
        .color_scheme(look.fixed("transparent"))
    )
    for name, properties in drawn.items():
        panel = panel.override_by_name(name, list(properties))
    return panel


def when_any(color: str) -> list[Property]:
    """Properties of one of `numbers` that has a colour from 1 on."""
    return [
        look.of_field("color", {"mode": "thresholds"}),
        look.stepped(look.steps("transparent", (1, color))),
    ]


def verdict(
    title: str, description: str, expression: str, *, unit: str, words: Words, size: Size, nothing: str
) -> stat.Panel:
    """Words on a coloured ground, or a count of failures from 1 on.

    A value below those of the words means that nothing is known now.
    """
    words = {**words, -9: ("Unknown", look.UNKNOWN)}
    panel = number(title, description, expression, unit=unit, size=size, nothing=nothing, words=words)
    return panel.thresholds(look.steps(look.UNKNOWN, (0, look.GOOD), (1, look.BAD))).text(
        common_builders.VizTextDisplayOptions().value_size(28)
    )


# Over time


@dataclass(frozen=True)
class Line:
    """An expression over time; its name may hold labels, as in `version {{model_version}}`."""

    name: str
    expression: str
    drawn: tuple[Property, ...] = ()


def line(name: str, expression: str, color: str, *more: Property) -> Line:
    """A line of one colour; `more` of how it is drawn."""
    return Line(name, expression, (look.painted(color), *more))


def guide(name: str, expression: str, color: str) -> Line:
    """A dashed line that others are compared with."""
    return line(name, expression, color, look.dashed(), look.unfilled())


def band(name: str, figure: Callable[[str], str], color: str) -> tuple[Line, Line, Line]:
    """A line within its interval; `figure` makes the expressions of "", "_lower" and "_upper"."""
    upper, lower = f"{name}, upper", f"{name}, lower"
    drawn = look.bounds(upper, lower, color)
    return (
        Line(lower, figure("_lower"), tuple(drawn[lower])),
        Line(upper, figure("_upper"), tuple(drawn[upper])),
        line(name, figure(""), color),
    )


def quantiles(of: Callable[[float], str]) -> tuple[Line, ...]:
    """Lines for the median, p90 and p99; `of` makes the expression of a quantile."""
    colors = ((0.99, look.OTHER), (0.9, look.LIVE), (0.5, look.REFERENCE))
    return tuple(line(f"p{share * 100:.0f}", of(share), color, look.unfilled()) for share, color in colors)


def lines(
    title: str,
    description: str,
    *shown: Line,
    unit: str,
    size: Size,
    nothing: str,
    from_zero: bool = True,
    decimals: int | None = None,
    filled: bool = True,
) -> timeseries.Panel:
    """Series over time, with their last values below."""
    panel = place(timeseries.Panel(), title, description, unit=unit, size=size, nothing=nothing)
    if from_zero:
        panel = panel.axis_soft_min(0)
    if decimals is not None:
        panel = panel.decimals(decimals)
    for index, each in enumerate(shown):
        ref = chr(ord("A") + index)
        panel = panel.with_target(query(each.expression, each.name, ref))
        if each.drawn and "{{" in each.name:
            panel = panel.override_by_query(ref, list(each.drawn))
        elif each.drawn:
            panel = panel.override_by_name(each.name, list(each.drawn))
    return (
        panel.line_width(2)
        .fill_opacity(6 if filled else 0)
        .show_points(common.VisibilityMode.NEVER)
        .axis_border_show(False)
        .legend(legend_below().calcs(["lastNotNull"]))
        .tooltip(
            common_builders.VizTooltipOptions()
            .mode(common.TooltipDisplayMode.MULTI)
            .sort(common.SortOrder.DESCENDING)
        )
    )


def against_limit(
    title: str, description: str, score: str, limit: str, *, size: Size, nothing: str
) -> timeseries.Panel:
    """A score and the dashed line that it should stay below."""
    return lines(
        title,
        description,
        line("Score", score, look.LIVE),
        guide("Limit", limit, look.LIMIT),
        unit="none",
        size=size,
        nothing=nothing,
    )


def limited(panel: timeseries.Panel, limit: float) -> timeseries.Panel:
    """With a dashed line where the limit of everything in it is."""
    return panel.thresholds(look.steps("transparent", (limit, look.LIMIT))).thresholds_style(
        common_builders.GraphThresholdsStyleConfig().mode(common.GraphThresholdsStyleMode.DASHED)
    )


def in_limits(panel: timeseries.Panel) -> timeseries.Panel:
    """Formats multiples of a limit: two decimals, and the limit is always visible."""
    return limited(panel.decimals(2).axis_soft_max(1.2), 1)


def stacked(panel: timeseries.Panel) -> timeseries.Panel:
    return (
        panel.stacking(common_builders.StackingConfig().mode(common.StackingMode.NORMAL).group("A"))
        .fill_opacity(25)
        .line_width(1)
    )


def timeline(
    title: str,
    description: str,
    expression: str,
    legend: str,
    *,
    unit: str,
    size: Size,
    nothing: str,
) -> statetimeline.Panel:
    """One row for each series, coloured by state over time."""
    panel = place(
        statetimeline.Panel(), title, description, unit=unit, size=size, nothing=nothing
    ).with_target(query(expression, legend))
    return (
        panel.show_value(common.VisibilityMode.NEVER)
        .row_height(0.86)
        .disable_pagination()
        .line_width(0)
        .fill_opacity(85)
        .merge_values(True)
        .legend(legend_below())
        .tooltip(common_builders.VizTooltipOptions().mode(common.TooltipDisplayMode.SINGLE))
    )


def alerts(title: str, description: str, expression: str, legend: str, *, size: Size) -> statetimeline.Panel:
    """Alerts over time, 2 firing and 1 pending; a click on one leads to its runbook."""
    runbook = (
        "https://github.com/mlflow-exporter/mlflow-exporter/blob/main/prometheus/runbooks/"
        "${__field.labels.alertname}.md"
    )
    return (
        timeline(
            title,
            description,
            expression,
            legend,
            unit="none",
            size=size,
            nothing="No alert was pending or firing.",
        )
        .mappings(look.texts({2: ("firing", look.BAD), 1: ("pending", look.NEAR), 0: ("none", look.GOOD)}))
        .data_links([builders.DashboardLink("Runbook").url(runbook).target_blank(True)])
    )


def aliases(*, size: Size) -> statetimeline.Panel:
    """The version that each alias of the model pointed to, over time."""
    versions = gauge("mlflow_model_alias_version", "model=${model:doublequote}", "alias")
    return (
        timeline(
            "Version behind each alias",
            "The version that each alias of the model pointed to; a change is a deployment or a rollback.",
            or_blank(versions, versions, "alias", "no alias"),
            "{{alias}}",
            unit="none",
            size=size,
            nothing="The model has no alias.",
        )
        .show_value(common.VisibilityMode.ALWAYS)
        .align_value(common.TimelineValueAlignment.CENTER)
        .color_scheme(look.fixed(look.LIVE))
        .fill_opacity(35)
        .line_width(2)
        .legend(common_builders.VizLegendOptions().show_legend(False))
    )


# Shares, and words


def bars(title: str, description: str, *, unit: str, size: Size, nothing: str) -> barchart.Panel:
    """Two bars for each category: the reference's and the live one."""
    panel = place(barchart.Panel(), title, description, unit=unit, size=size, nothing=nothing)
    return (
        panel.orientation(common.VizOrientation.VERTICAL)
        .show_value(common.VisibilityMode.NEVER)
        .group_width(0.8)
        .bar_width(0.95)
        .bar_radius(0.1)
        .fill_opacity(85)
        .line_width(0)
        .min(0)
        .x_tick_label_rotation(-45)
        .x_tick_label_max_length(14)
        .x_tick_label_spacing(20)
        .axis_border_show(False)
        .legend(legend_below())
        .tooltip(common_builders.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI))
    )


def heatmap(
    title: str, description: str, expression: str, legend: str, *, unit: str, size: Size, nothing: str
) -> heatmaps.Panel:
    """A row for each series, in their order from the bottom, the darker the higher the value."""
    panel = place(heatmaps.Panel(), title, description, unit=unit, size=size, nothing=nothing)
    return (
        panel.with_target(query(expression, legend))
        .calculate(False)
        .rows_frame(heatmaps.RowsHeatmapOptions().layout(common.HeatmapCellLayout.AUTO))
        .color(
            heatmaps.HeatmapColorOptions()
            .mode(heatmap_model.HeatmapColorMode.SCHEME)
            .scheme("Blues")
            .fill(look.LIVE)
            .scale(heatmap_model.HeatmapColorScale.EXPONENTIAL)
            .exponent(0.5)
            .steps(32)
            .min(0)
        )
        .cell_gap(1)
        .cell_values(heatmaps.CellValues().unit(unit).decimals(1))
        .filter_values(heatmaps.FilterValueRange().le(-1))
        .show_legend()
        .tooltip(heatmaps.HeatmapTooltip().mode(common.TooltipDisplayMode.SINGLE).show_color_scale(True))
        .exemplars_color(look.REFERENCE)
    )


def note(markdown: str, *, height: int) -> text.Panel:
    """A sentence across the page."""
    panel = text.Panel().title("").transparent(True).mode(text_model.TextMode.MARKDOWN).content(markdown)
    return panel.span(24).height(height)


def legend_below() -> common_builders.VizLegendOptions:
    """Names of the series below the panel."""
    return (
        common_builders.VizLegendOptions()
        .display_mode(common.LegendDisplayMode.LIST)
        .placement(common.LegendPlacement.BOTTOM)
        .show_legend(True)
    )
