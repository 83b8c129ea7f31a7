"""Panels fill the page, and explain themselves."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tests.grafana.dashboards import charts, each_dashboard, load, panels


@each_dashboard
def test_every_panel_has_an_id_of_its_own(path: Path) -> None:
    ids = [panel["id"] for panel in panels(load(path))]
    assert all(isinstance(each, int) and each > 0 for each in ids)
    assert len(set(ids)) == len(ids)


@each_dashboard
def test_every_panel_has_a_title_a_unit_and_says_how_to_read_it(path: Path) -> None:
    for panel in charts(load(path)):
        assert panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert re.fullmatch(r"[A-Z].{20,}\.", panel["description"]), panel["title"]


@each_dashboard
def test_every_panel_says_in_words_that_there_is_nothing_to_show(path: Path) -> None:
    for panel in charts(load(path)):
        assert panel["fieldConfig"]["defaults"].get("noValue"), panel["title"]


@each_dashboard
def test_panels_fill_lines_of_one_height_without_overlap(path: Path) -> None:
    dashboard = load(path)
    assert_filled(dashboard["panels"], 0)
    for row in dashboard["panels"]:
        assert_filled(row.get("panels", []), row["gridPos"]["y"] + 1)


def assert_filled(panels: list[dict[str, Any]], top: int) -> None:
    lines: dict[int, list[dict[str, int]]] = {}
    for panel in panels:
        lines.setdefault(panel["gridPos"]["y"], []).append(panel["gridPos"])
    for y, places in sorted(lines.items()):
        assert y == top
        assert len({place["h"] for place in places}) == 1
        edges = [0, *(place["x"] + place["w"] for place in places)]
        assert edges[:-1] == [place["x"] for place in places]
        assert edges[-1] == 24
        top = y + places[0]["h"]


@each_dashboard
def test_rows_are_collapsed_and_the_first_screen_has_none(path: Path) -> None:
    first, *others = load(path)["panels"]
    assert first["type"] != "row"
    assert all(row["collapsed"] and row["panels"] for row in others if row["type"] == "row")


@each_dashboard
def test_it_is_loaded_again_every_minute(path: Path) -> None:
    assert load(path)["refresh"] == "1m"


@each_dashboard
def test_it_opens_with_grafanas_default_data_source_and_everything_that_is_scraped(path: Path) -> None:
    datasource, *scope = load(path)["templating"]["list"][:4]
    assert datasource["current"]["value"] == "default"
    assert [each["name"] for each in scope] == ["cluster", "namespace", "job"]
    assert all((each["current"]["value"], each["allValue"]) == ("$__all", ".*") for each in scope)
