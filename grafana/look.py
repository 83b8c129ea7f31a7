"""The look of the dashboards: one meaning per colour, and the properties of fields."""

from __future__ import annotations

from collections.abc import Sequence

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models import dashboard
from palette import BAD as BAD
from palette import BEYOND as BEYOND
from palette import CAUSE as CAUSE
from palette import GOOD as GOOD
from palette import LIMIT as LIMIT
from palette import LIVE as LIVE
from palette import NEAR as NEAR
from palette import OTHER as OTHER
from palette import REFERENCE as REFERENCE
from palette import UNKNOWN as UNKNOWN

# A score in multiples of its limit.
TIMES = "suffix: \u00d7"
PLAIN = "text"
_TRANSPARENT = "transparent"


def steps(base: str, *others: tuple[float, str]) -> builders.ThresholdsConfig:
    """Colours by value: `base`, then from each of the values in `others` on its colour."""
    pairs: list[tuple[float | None, str]] = [(None, base), *others]
    return (
        builders.ThresholdsConfig()
        .mode(dashboard.ThresholdsMode.ABSOLUTE)
        .steps([dashboard.Threshold(value=value, color=color) for value, color in pairs])
    )


def texts(by_value: dict[int, tuple[str, str]]) -> list[dashboard.ValueMapping]:
    """Mappings of numbers to words with a colour."""
    return [
        dashboard.ValueMap(
            options={
                str(value): dashboard.ValueMappingResult(text=text, color=color, index=index)
                for index, (value, (text, color)) in enumerate(by_value.items())
            }
        )
    ]


def mapped(by_value: dict[int, tuple[str, str]]) -> list[dashboard.DynamicConfigValue]:
    """The property of an override that gives numbers words and colours."""
    return [of_field("mappings", texts(by_value))]


def ranged(states: Sequence[tuple[int, str, str]]) -> list[dashboard.DynamicConfigValue]:
    """Cells that show a word on its colour, by the whole number below the value."""
    ranges = [
        {
            "type": "range",
            "options": {
                "from": low,
                "to": low + 0.9995,
                "result": {"text": text, "color": color, "index": index},
            },
        }
        for index, (low, text, color) in enumerate(states)
    ]
    return [of_field("mappings", ranges), *grounded(), of_field("custom.width", 95)]


def by_threshold() -> builders.FieldColor:
    return builders.FieldColor().mode(dashboard.FieldColorModeId.THRESHOLDS)


def fixed(color: str) -> builders.FieldColor:
    return builders.FieldColor().mode(dashboard.FieldColorModeId.FIXED).fixed_color(color)


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


def gauged(limit: float) -> list[dashboard.DynamicConfigValue]:
    """Cells of a table that show a multiple of a limit as a bar; `limit` times it is a full one."""
    return [
        of_field("unit", TIMES),
        of_field("decimals", 2),
        of_field("min", 0),
        of_field("max", limit),
        stepped(steps(GOOD, (0.75, NEAR), (1, BEYOND))),
        of_field("custom.minWidth", 120),
        of_field("custom.cellOptions", {"type": "gauge", "mode": "basic", "valueDisplayMode": "text"}),
    ]


def ground() -> dashboard.DynamicConfigValue:
    """Cells of a table whose state is the colour of the ground, on which Grafana writes in black or white."""
    return of_field("custom.cellOptions", {"type": "color-background", "mode": "basic"})


def grounded() -> list[dashboard.DynamicConfigValue]:
    """The same for mapped values: where there is none the ground is bare, and not Grafana's green."""
    return [ground(), stepped(steps("transparent"))]


def column(width: int, decimals: int = 3) -> list[dashboard.DynamicConfigValue]:
    """A column of plain figures in a table; `width` is in pixels."""
    return [of_field("decimals", decimals), of_field("custom.width", width)]


def counted() -> list[dashboard.DynamicConfigValue]:
    """A column of counts of failures: on red from 1 on."""
    return [
        stepped(steps(_TRANSPARENT, (1, BAD))),
        ground(),
        *column(82, decimals=0),
    ]


def at_least(width: int) -> dashboard.DynamicConfigValue:
    """Minimum width of a column of names, in pixels, which may be narrower than Grafana's default."""
    return of_field("custom.minWidth", width)


def both_ends() -> dashboard.DynamicConfigValue:
    """Cells with names, without the middle of long ones, as their ends may tell them apart."""
    return of_field(
        "mappings",
        [
            {
                "type": "regex",
                "options": {
                    "pattern": "(.{12}).{9,}(.{14})",
                    "result": {"text": "$1\u2026$2", "index": 0},
                },
            }
        ],
    )


def measured(unit: str, width: int, decimals: int = 1) -> list[dashboard.DynamicConfigValue]:
    """A column of figures in a unit of their own."""
    return [of_field("unit", unit), *column(width, decimals)]


def rows() -> list[dashboard.DynamicConfigValue]:
    """A column of counts, to the last row."""
    return measured("locale", 80, decimals=0)


def worded(by_value: dict[int, tuple[str, str]]) -> list[dashboard.DynamicConfigValue]:
    """Cells of a table that show words on their colour."""
    return [
        *mapped(by_value),
        *grounded(),
        of_field("custom.align", "left"),
        of_field("custom.width", 88),
    ]
