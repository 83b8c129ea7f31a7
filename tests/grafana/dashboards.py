"""The generated dashboards, and parts of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "grafana" / "dashboards").glob("*.json"))

each_dashboard = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


def load(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def by_uid(uid: str) -> dict[str, Any]:
    (path,) = (path for path in FILES if path.stem == uid)
    return load(path)


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    """Panels in a row that is collapsed included."""
    return [each for panel in dashboard["panels"] for each in (panel, *panel.get("panels", ()))]


def charts(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in panels(dashboard) if panel["type"] not in ("row", "text")]


def expressions(dashboard: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Expressions of panels, annotations and variables, each with its place."""
    for panel in charts(dashboard):
        for target in panel["targets"]:
            yield f"{panel['title']} {target['refId']}", target["expr"]
    for annotation in dashboard["annotations"].get("list", ()):
        yield annotation["name"], annotation["target"]["expr"]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            text = variable["query"]["query"]
            inner = re.fullmatch(r"query_result\((.*)\)|label_values\((.*), \w+\)", text)
            assert inner, f"{variable['name']}: {text}"
            yield f"{'variable' if inner[1] else 'label of'} {variable['name']}", inner[1] or inner[2]
