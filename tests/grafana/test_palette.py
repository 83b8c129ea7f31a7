"""The palette is told apart in dark and light, and by people with each kind of colour blindness."""

from __future__ import annotations

import re
import runpy
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from tests.grafana.colour import BLINDNESS, ciede2000, contrast, distance, seen
from tests.grafana.dashboards import FILES, ROOT, charts, each_dashboard, load

PALETTE = runpy.run_path(str(ROOT / "grafana" / "palette.py"))
STATES, LINES, BAD = PALETTE["STATES"], PALETTE["LINES"], PALETTE["BAD"]
PANELS = {"dark": "#181b1f", "light": "#ffffff"}
each_blindness = pytest.mark.parametrize("blindness", BLINDNESS)
each_theme = pytest.mark.parametrize("theme", PANELS)


def written(ground: str) -> str:
    """The colour in which Grafana writes on a ground, which follows from its brightness."""
    red, green, blue = (int(ground[place : place + 2], 16) for place in (1, 3, 5))
    return "#202226" if 0.299 * red + 0.587 * green + 0.114 * blue > 180 else "#f7f8fa"


@each_blindness
def test_states_are_told_apart(blindness: str) -> None:
    for one, other in combinations(STATES.values(), 2):
        assert distance(seen(one, blindness), seen(other, blindness)) > 15


@each_blindness
def test_lines_are_told_apart(blindness: str) -> None:
    for one, other in combinations(LINES.values(), 2):
        assert distance(seen(one, blindness), seen(other, blindness)) > 12


@pytest.mark.parametrize("state", STATES)
@each_blindness
def test_words_are_read_on_every_state(state: str, blindness: str) -> None:
    ground = STATES[state]
    assert contrast(seen(ground, blindness), seen(written(ground), blindness)) > (
        4.5 if blindness == "none" else 4
    )


@pytest.mark.parametrize("line", LINES)
@each_theme
def test_lines_are_seen_on_every_page(line: str, theme: str) -> None:
    assert contrast(seen(LINES[line]), seen(PANELS[theme])) > 2.9


@each_theme
@each_blindness
def test_the_worst_state_does_not_vanish(theme: str, blindness: str) -> None:
    assert contrast(seen(BAD, blindness), seen(PANELS[theme], blindness)) > 2


@each_dashboard
def test_every_colour_is_of_the_palette(path: Path) -> None:
    allowed = {*STATES.values(), *LINES.values(), "text", "transparent"}
    text = path.read_text(encoding="utf-8")
    used = set(re.findall(r'"(?:color|fixedColor|iconColor)": "([^"]+)"', text))
    assert used
    assert used <= allowed


@pytest.mark.parametrize(
    "path", [path for path in FILES if path.stem != "mlflow-exporter"], ids=lambda path: path.stem
)
def test_red_is_for_verdicts_and_alerts_alone(path: Path) -> None:
    """Scores, shares and ages are at most orange."""
    for panel in charts(load(path)):
        fields = panel["fieldConfig"]
        for properties in (fields["defaults"], *map(as_properties, fields["overrides"])):
            steps = properties.get("thresholds", {}).get("steps", [])
            red = [step["value"] for step in steps if step["color"] == BAD]
            assert red in ([], [1]), panel["title"]


def as_properties(override: dict[str, list[dict[str, object]]]) -> dict[str, object]:
    return {each["id"]: each["value"] for each in override["properties"]}  # type: ignore[misc]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ((50.0, 2.6772, -79.7751), (50.0, 0.0, -82.7485), 2.0425),
        ((50.0, 2.5, 0.0), (73.0, 25.0, -18.0), 27.1492),
        ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
        ((22.7233, 20.0904, -46.694), (23.0331, 14.973, -42.5619), 2.0373),
        ((2.0776, 0.0795, -1.135), (0.9033, -0.0636, -0.5514), 0.9082),
    ],
)
def test_the_distance_is_that_of_the_published_examples(
    one: tuple[float, float, float], other: tuple[float, float, float], expected: float
) -> None:
    assert ciede2000(np.array(one), np.array(other)) == pytest.approx(expected, abs=1e-4)
