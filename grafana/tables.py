"""Tables: their columns, the query of each, and the links of cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import links
import look
from grafana_foundation_sdk.builders import prometheus as prometheus_builders
from grafana_foundation_sdk.builders import table
from grafana_foundation_sdk.models import common, dashboard, prometheus
from panels import Property, Size, now, place


@dataclass(frozen=True)
class Key:
    """A label whose values are the rows of the table."""

    label: str
    title: str
    drawn: Sequence[Property] = ()


@dataclass(frozen=True)
class Column:
    """Figures of one query, or with `listed` the values of that label, several of them in one cell.

    Without a title it is not shown: its rows are there even if no other query finds them. Labels in `also`
    are columns of their own, to the left of the figures. With `required` a row without a figure is left out.
    A `hidden` one only gives the order.
    """

    title: str
    expression: str
    drawn: Sequence[Property] = ()
    listed: str = ""
    also: Sequence[Key] = ()
    required: bool = False
    hidden: bool = False


def of(
    title: str,
    description: str,
    *shown: Key | Column,
    order: str,
    descending: bool = False,
    unit: str,
    size: Size,
    nothing: str,
    decimals: int | None = None,
) -> table.Panel:
    """A table of the columns `shown`, from left to right, with a row for each value of its keys.

    Where no query finds anything there is no table, so that the panel says so in words instead of showing an
    empty one.
    """
    panel = listing(title, description, unit=unit, size=size, nothing=nothing)
    if decimals is not None:
        panel = panel.decimals(decimals)
    fields: dict[str, object] = {}
    titles: dict[str, str] = {}
    conversions: list[dict[str, str]] = []
    required: list[str] = []
    hidden: list[str] = []
    # Grafana names the figures of several queries by their letters, those of one alone not.
    several = sum(isinstance(each, Column) for each in shown) > 1
    for index, each in enumerate(shown):
        if isinstance(each, Key):
            fields[each.label] = {"operation": "groupby", "aggregations": []}
            titles[each.label] = each.title
        else:
            ref = chr(ord("A") + index)
            panel = panel.with_target(rows(each.expression, ref))
            for label in each.also:
                fields[label.label] = {"operation": "aggregate", "aggregations": ["uniqueValues"]}
                name = f"{label.label} (uniqueValues)"
                titles[name] = label.title
                conversions.append({"targetField": name, "destinationType": "string", "joinWith": ", "})
                panel = panel.override_by_name(label.title, list(label.drawn))
            if not each.title:
                continue
            value = f"Value #{ref}" if several else "Value"
            name, reducer = (each.listed, "uniqueValues") if each.listed else (value, "lastNotNull")
            fields[name] = {"operation": "aggregate", "aggregations": [reducer]}
            titles[f"{name} ({reducer})"] = each.title
            if each.required:
                required.append(name)
            if each.hidden:
                hidden.append(f"{name} ({reducer})")
            if each.listed:
                listed = {"targetField": f"{name} ({reducer})", "destinationType": "string", "joinWith": ", "}
                conversions.append(listed)
        if each.drawn:
            panel = panel.override_by_name(each.title, list(each.drawn))
    panel = panel.with_transformation(transformation("merge"))
    panel = panel.with_transformation(transformation("groupBy", fields=fields))
    if required:
        panel = panel.with_transformation(having(required))
    if conversions:
        panel = panel.with_transformation(transformation("convertFieldType", conversions=conversions))
    # Of a hidden column the title is unknown once it is gone.
    by_hidden = next((name for name in hidden if titles[name] == order), "")
    if by_hidden:
        panel = panel.with_transformation(sorted_by(by_hidden, descending))
    panel = panel.with_transformation(arranged(titles, *hidden))
    return panel if by_hidden else panel.with_transformation(sorted_by(order, descending))


def matrix(
    title: str,
    description: str,
    expression: str,
    *,
    row: Key,
    column: str,
    unit: str,
    size: Size,
    nothing: str,
    decimals: int,
) -> table.Panel:
    """One query: a row for each value of the label `row`, a column for each of the label `column`."""
    panel = listing(title, description, unit=unit, size=size, nothing=nothing)
    return (
        panel.decimals(decimals)
        .with_target(rows(expression, "A"))
        .with_transformation(
            transformation(
                "groupingToMatrix",
                columnField=column,
                rowField=row.label,
                valueField="Value",
                emptyValue="null",
            )
        )
        .with_transformation(arranged({f"{row.label}\\{column}": row.title}))
    )


def facts(
    title: str,
    description: str,
    expression: str,
    *shown: Key,
    size: Size,
    nothing: str,
) -> table.Panel:
    """The labels of a series that has no value."""
    panel = listing(title, description, unit="none", size=size, nothing=nothing)
    panel = panel.with_target(rows(expression, "A")).with_transformation(
        arranged({key.label: key.title for key in shown}, "Time", "Value")
    )
    for key in shown:
        if key.drawn:
            panel = panel.override_by_name(key.title, list(key.drawn))
    return panel


def listing(title: str, description: str, *, unit: str, size: Size, nothing: str) -> table.Panel:
    """A table without anything in it yet."""
    panel = place(table.Panel(), title, description, unit=unit, size=size, nothing=nothing)
    return (
        panel.cell_height(common.TableCellHeight.SM)
        .align(common.FieldTextAlignment.AUTO)
        .filterable(False)
        # A cell without a value is not a table without rows.
        .override_by_regexp(".*", [look.of_field("noValue", "-")])
    )


def link(title: str, page: links.Page, *kept: str, panel: str = "", **variables: str) -> list[Property]:
    """A link of the cells of a column, as `links.url` makes it."""
    url = links.url(page, *kept, panel=panel, **variables)
    return [look.of_field("links", [{"title": title, "url": url}])]


def transformation(name: str, **options: object) -> dashboard.DataTransformerConfig:
    return dashboard.DataTransformerConfig(id_val=name, options=options)


def arranged(titles: dict[str, str], *hidden: str) -> dashboard.DataTransformerConfig:
    """Columns of a table: keys of `titles` are labels or `Value #ref`, in the order of the table."""
    return transformation(
        "organize",
        excludeByName=dict.fromkeys(hidden, True),
        indexByName={name: index for index, name in enumerate(titles)},
        renameByName=titles,
    )


def having(fields: Sequence[str]) -> dashboard.DataTransformerConfig:
    """Rows that have a figure of each of the queries."""
    return transformation(
        "filterByValue",
        type="include",
        match="all",
        filters=[
            {"fieldName": f"{field} (lastNotNull)", "config": {"id": "isNotNull", "options": {}}}
            for field in fields
        ],
    )


def sorted_by(field: str, descending: bool = False) -> dashboard.DataTransformerConfig:
    return transformation("sortBy", sort=[{"field": field, "desc": descending}])


def rows(expression: str, ref: str) -> prometheus_builders.Dataquery:
    """A query at the end of the time range whose series become the rows of a table."""
    return now(expression, ref=ref).format(prometheus.PromQueryFormat.TABLE)
