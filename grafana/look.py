"""How the dashboards look: one meaning per colour, one place for what panels of a kind have in common."""

from __future__ import annotations

from typing import TypeVar

from grafana_foundation_sdk.builders import barchart, stat, statetimeline, table, text, timeseries
from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import prometheus as prometheus_builders
from grafana_foundation_sdk.models import common, dashboard, prometheus
from grafana_foundation_sdk.models import text as text_model

# A score in multiples of its limit.
TIMES = "suffix: \u00d7"
# States. Red is kept for a verdict: a score beyond its limit alone is orange.
GOOD, NEAR, BEYOND, BAD, UNKNOWN = "green", "yellow", "orange", "red", "#8e8e8e"
# All is well over long stretches of time: less loud than a state's green.
CALM = "#4a6b58"
# What is compared: the reference is grey and what is live is blue, wherever they are drawn.
REFERENCE, LIVE, OTHER, LIMIT = "#9aa3ad", "#5794f2", "purple", "orange"
PLAIN = "text"

DATASOURCE = common.DataSourceRef(type_val="prometheus", uid="${datasource}")

Panel = barchart.Panel | stat.Panel | statetimeline.Panel | table.Panel | text.Panel | timeseries.Panel
P = TypeVar("P", barchart.Panel, stat.Panel, statetimeline.Panel, table.Panel, timeseries.Panel)


def place(panel: P, title: str, description: str, *, unit: str, width: int, height: int) -> P:
    """What every panel has. `width` is in 24ths of the page, `height` in rows of the grid."""
    return (
        panel.title(title)
        .description(description)
        .datasource(DATASOURCE)
        .unit(unit)
        .span(width)
        .height(height)
    )


def query(expression: str, legend: str = "", ref: str = "A") -> prometheus_builders.Dataquery:
    """A query over the dashboard's time range."""
    target = prometheus_builders.Dataquery().datasource(DATASOURCE).expr(expression).ref_id(ref)
    return target.range().legend_format(legend or "__auto")


def now(expression: str, legend: str = "", ref: str = "A") -> prometheus_builders.Dataquery:
    """A query at the end of the dashboard's time range."""
    return query(expression, legend, ref).instant()


def rows(expression: str, ref: str) -> prometheus_builders.Dataquery:
    """A query at the end of the time range whose series become the rows of a table."""
    return now(expression, ref=ref).format(prometheus.PromQueryFormat.TABLE)


def steps(base: str, *others: tuple[float, str]) -> builders.ThresholdsConfig:
    """Colours by value: `base`, then from each of the values in `others` on its colour."""
    pairs: list[tuple[float | None, str]] = [(None, base), *others]
    return (
        builders.ThresholdsConfig()
        .mode(dashboard.ThresholdsMode.ABSOLUTE)
        .steps([dashboard.Threshold(value=value, color=color) for value, color in pairs])
    )


def texts(by_value: dict[int, tuple[str, str]]) -> list[dashboard.ValueMapping]:
    """Words and a colour in place of a number."""
    return [
        dashboard.ValueMap(
            options={
                str(value): dashboard.ValueMappingResult(text=text, color=color, index=index)
                for index, (value, (text, color)) in enumerate(by_value.items())
            }
        )
    ]


def by_threshold() -> builders.FieldColor:
    return builders.FieldColor().mode(dashboard.FieldColorModeId.THRESHOLDS)


def fixed(color: str) -> builders.FieldColor:
    return builders.FieldColor().mode(dashboard.FieldColorModeId.FIXED).fixed_color(color)


def by_name() -> builders.FieldColor:
    """A series of one name has one colour in every panel."""
    return builders.FieldColor().mode(dashboard.FieldColorModeId.PALETTE_CLASSIC_BY_NAME)


def painted(color: str) -> dashboard.DynamicConfigValue:
    """The property of an override that gives a series its colour."""
    return dashboard.DynamicConfigValue(id_val="color", value={"mode": "fixed", "fixedColor": color})


def shaded(color: str) -> dashboard.DynamicConfigValue:
    """The same for several series: lighter and darker shades of one colour."""
    return of_field("color", {"mode": "shades", "fixedColor": color})


def stepped(thresholds: builders.ThresholdsConfig) -> dashboard.DynamicConfigValue:
    """The property of an override that gives a series thresholds of its own."""
    return of_field("thresholds", thresholds.build())


def dashed() -> dashboard.DynamicConfigValue:
    return dashboard.DynamicConfigValue(id_val="custom.lineStyle", value={"fill": "dash", "dash": [6, 6]})


def unfilled() -> dashboard.DynamicConfigValue:
    return dashboard.DynamicConfigValue(id_val="custom.fillOpacity", value=0)


def bounds(upper: str, lower: str, color: str) -> dict[str, list[dashboard.DynamicConfigValue]]:
    """Overrides by name of two series that together are drawn as a band, and not named in the legend."""
    unseen = [
        painted(color),
        of_field("custom.lineWidth", 0),
        of_field("custom.hideFrom", {"legend": True, "tooltip": False, "viz": False}),
    ]
    return {
        upper: [*unseen, of_field("custom.fillBelowTo", lower), of_field("custom.fillOpacity", 14)],
        lower: [*unseen, unfilled()],
    }


def of_field(property_name: str, value: object) -> dashboard.DynamicConfigValue:
    return dashboard.DynamicConfigValue(id_val=property_name, value=value)


def transformation(name: str, **options: object) -> dashboard.DataTransformerConfig:
    return dashboard.DataTransformerConfig(id_val=name, options=options)


def merged(
    keys: tuple[str, ...], titles: dict[str, str], listed: str = ""
) -> list[dashboard.DataTransformerConfig]:
    """One row of a table for each value of the labels `keys`, of several queries.

    `titles`: of the labels, and of the queries by their `ref`, in the order of the table. `listed`: a label
    that is no key, whose values are put into one cell. Where no query finds anything there is no table, so
    that the panel says so in words instead of showing an empty one.
    """
    grouped: dict[str, object] = {key: {"operation": "groupby", "aggregations": []} for key in keys}
    shown: dict[str, str] = {}
    for ref, title in titles.items():
        name, reducer = (ref, "uniqueValues") if ref == listed else (f"Value #{ref}", "lastNotNull")
        shown[ref if ref in keys else f"{name} ({reducer})"] = title
        if ref not in keys:
            grouped[name] = {"operation": "aggregate", "aggregations": [reducer]}
    joined = {"targetField": f"{listed} (uniqueValues)", "destinationType": "string", "joinWith": ", "}
    return [
        transformation("merge"),
        transformation("groupBy", fields=grouped),
        *([transformation("convertFieldType", conversions=[joined])] if listed else ()),
        arranged(shown),
    ]


def arranged(titles: dict[str, str], *hidden: str) -> dashboard.DataTransformerConfig:
    """Columns of a table: keys of `titles` are labels or `Value #ref`, in the order of the table."""
    return transformation(
        "organize",
        excludeByName=dict.fromkeys(hidden, True),
        indexByName={name: index for index, name in enumerate(titles)},
        renameByName=titles,
    )


def sorted_by(field: str, *, descending: bool = False) -> dashboard.DataTransformerConfig:
    return transformation("sortBy", sort=[{"field": field, "desc": descending}])


def gauged(limit: float) -> list[dashboard.DynamicConfigValue]:
    """Cells of a table that show a multiple of a limit as a bar; `limit` times it is a full one."""
    return [
        of_field("unit", TIMES),
        of_field("decimals", 2),
        of_field("min", 0),
        of_field("max", limit),
        stepped(steps(GOOD, (0.75, NEAR), (1, BEYOND))),
        of_field("custom.minWidth", 150),
        of_field("custom.cellOptions", {"type": "gauge", "mode": "basic", "valueDisplayMode": "text"}),
    ]


def column(width: int, decimals: int = 3) -> list[dashboard.DynamicConfigValue]:
    """A column of plain figures in a table; `width` is in pixels."""
    return [of_field("decimals", decimals), of_field("custom.width", width)]


def counted() -> list[dashboard.DynamicConfigValue]:
    """A column of counts of what is bad: red from the first on."""
    return [
        stepped(steps(GOOD, (1, BAD))),
        of_field("custom.cellOptions", {"type": "color-text"}),
        *column(95, decimals=0),
    ]


def worded(by_value: dict[int, tuple[str, str]]) -> list[dashboard.DynamicConfigValue]:
    """Cells of a table that show words in their colour."""
    return [
        of_field("mappings", texts(by_value)),
        of_field("custom.cellOptions", {"type": "color-text"}),
        of_field("custom.align", "left"),
        of_field("custom.width", 95),
    ]


def number(title: str, description: str, *, unit: str, width: int, height: int = 4) -> stat.Panel:
    """One figure, large, on a plain ground."""
    panel = place(stat.Panel(), title, description, unit=unit, width=width, height=height)
    return (
        panel.reduce_options(common_builders.ReduceDataOptions().calcs(["lastNotNull"]))
        .graph_mode(common.BigValueGraphMode.NONE)
        .color_mode(common.BigValueColorMode.VALUE)
        .color_scheme(fixed(PLAIN))
        .justify_mode(common.BigValueJustifyMode.CENTER)
        .text_mode(common.BigValueTextMode.VALUE)
        .text(common_builders.VizTextDisplayOptions().value_size(30))
        .no_value("-")
    )


def statement(title: str, description: str, *, unit: str, width: int, height: int = 4) -> stat.Panel:
    """A verdict: words on a coloured ground."""
    panel = number(title, description, unit=unit, width=width, height=height)
    return (
        panel.color_mode(common.BigValueColorMode.BACKGROUND_SOLID)
        .color_scheme(by_threshold())
        .text(common_builders.VizTextDisplayOptions().value_size(34))
    )


def lines(
    title: str, description: str, *, unit: str, width: int, height: int, from_zero: bool = True
) -> timeseries.Panel:
    """Series over time, with their last values below."""
    panel = place(timeseries.Panel(), title, description, unit=unit, width=width, height=height)
    if from_zero:
        panel = panel.axis_soft_min(0)
    return (
        panel.line_width(2)
        .fill_opacity(6)
        .show_points(common.VisibilityMode.NEVER)
        .axis_border_show(False)
        .legend(_legend().calcs(["lastNotNull"]))
        .tooltip(
            common_builders.VizTooltipOptions()
            .mode(common.TooltipDisplayMode.MULTI)
            .sort(common.SortOrder.DESCENDING)
        )
    )


def timeline(title: str, description: str, *, unit: str, width: int, height: int) -> statetimeline.Panel:
    """One row for each series, coloured by state over time."""
    panel = place(statetimeline.Panel(), title, description, unit=unit, width=width, height=height)
    return (
        panel.show_value(common.VisibilityMode.NEVER)
        .row_height(0.86)
        .disable_pagination()
        .line_width(0)
        .fill_opacity(85)
        .merge_values(True)
        .legend(_legend())
        .tooltip(common_builders.VizTooltipOptions().mode(common.TooltipDisplayMode.SINGLE))
    )


def bars(title: str, description: str, *, unit: str, width: int, height: int) -> barchart.Panel:
    """Two bars for each category: the reference's and the live one."""
    panel = place(barchart.Panel(), title, description, unit=unit, width=width, height=height)
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
        .legend(_legend())
        .tooltip(common_builders.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI))
    )


def listing(title: str, description: str, *, unit: str, width: int, height: int) -> table.Panel:
    """A table of figures."""
    panel = place(table.Panel(), title, description, unit=unit, width=width, height=height)
    return (
        panel.cell_height(common.TableCellHeight.SM)
        .align(common.FieldTextAlignment.AUTO)
        .filterable(False)
        # A cell without a value is not a table without rows.
        .override_by_regexp(".*", [of_field("noValue", "-")])
    )


def note(markdown: str, *, height: int) -> text.Panel:
    """A sentence across the page."""
    panel = text.Panel().title("").transparent(True).mode(text_model.TextMode.MARKDOWN).content(markdown)
    return panel.span(24).height(height)


def _legend() -> common_builders.VizLegendOptions:
    return (
        common_builders.VizLegendOptions()
        .display_mode(common.LegendDisplayMode.LIST)
        .placement(common.LegendPlacement.BOTTOM)
        .show_legend(True)
    )
