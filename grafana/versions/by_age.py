"""The chart of a figure of each version by the version's age."""

from __future__ import annotations

import look
import panels
import tables
from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import xychart
from grafana_foundation_sdk.models import common, dashboard, prometheus
from grafana_foundation_sdk.models import xychart as models


class _Chart(xychart.Panel):
    """An XY chart that says its version: Grafana takes one without for the old kind and drops its options."""

    def build(self) -> dashboard.Panel:
        panel = super().build()
        panel.plugin_version = "12.0.0"
        return panel


_AGE, _FIGURE = "Value #A", "Value #B"


def chart(
    title: str, description: str, *, age: str, figure: str, size: panels.Size, nothing: str
) -> xychart.Panel:
    """A line of `figure` by `age` for each version.

    Both are expressions over time by `model_version`, `figure` with the labels of `queries.with_roles`.
    """
    panel = (
        _Chart()
        .title(title)
        .description(description)
        .datasource(panels.DATASOURCE)
        .unit("none")
        .decimals(3)
        .span(size[0])
        .height(size[1])
        .no_value(nothing)
        .mapping(models.SeriesMapping.AUTO)
        .series([_series()])
        .show(models.XYShowMode.LINES)
        .line_width(2)
        .legend(
            common_builders.VizLegendOptions()
            .display_mode(common.LegendDisplayMode.LIST)
            .placement(common.LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .tooltip(common_builders.VizTooltipOptions().mode(common.TooltipDisplayMode.SINGLE))
    )
    for ref, expression in (("A", age), ("B", figure)):
        panel = panel.with_target(panels.query(expression, ref=ref).format(prometheus.PromQueryFormat.TABLE))
    return (
        panel.with_transformation(tables.transformation("merge"))
        .with_transformation(tables.sorted_by("legend_order"))
        .with_transformation(
            tables.transformation(
                "partitionByValues", fields=["series"], keepFields=False, naming={"asLabels": True}
            )
        )
        .color_scheme(look.fixed(look.REFERENCE))
        .override_by_regexp(f"{_FIGURE}.*champion,.*", [look.painted(look.LIVE)])
        .override_by_regexp(f"{_FIGURE}.*challenger,.*", [look.painted(look.OTHER)])
        # Last, for the overrides above know the series by their original names.
        .override_by_regexp(
            f"{_AGE}.*",
            [look.of_field("unit", "s"), look.of_field("decimals", 1), look.of_field("displayName", "Age")],
        )
        .override_by_regexp(f"{_FIGURE}.*", [look.of_field("displayName", "${__field.labels.series}")])
    )


def _series() -> xychart.XYSeriesConfig:
    return (
        xychart.XYSeriesConfig()
        .x(xychart.XychartXYSeriesConfigX().matcher(_named(_AGE)))
        .y(xychart.XychartXYSeriesConfigY().matcher(_named(_FIGURE)))
    )


def _named(field: str) -> xychart.MatcherConfig:
    return xychart.MatcherConfig().id("byName").options(field)
