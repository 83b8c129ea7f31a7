"""Sparklines."""

from __future__ import annotations

import re
from math import nan
from xml.etree import ElementTree

import pytest

from exporter.web.sparkline import HEIGHT, WIDTH, sparkline


def points(picture: str) -> list[list[tuple[float, float]]]:
    lines = re.findall(r'<polyline points="([^"]+)"', picture)
    return [[tuple(map(float, pair.split(","))) for pair in line.split()][1:] for line in lines]  # type: ignore[misc]


def test_the_text_alternative_has_the_extremes_the_last_value_and_the_limit() -> None:
    picture = sparkline([0.1, nan, 0.4, 0.2], 'Drift of "a" <b>', ("limit", 0.3))
    root = ElementTree.fromstring(picture)
    text = 'Drift of "a" <b>: lowest 0.1, highest 0.4, last 0.2, limit 0.3'
    assert (root.get("role"), root.get("aria-label"), root.findtext("title")) == ("img", text, text)


def test_a_gap_ends_a_line_and_the_last_value_has_a_dot() -> None:
    picture = sparkline([1.0, 2.0, nan, 3.0, nan], "x")
    assert [len(run) for run in points(picture)] == [2, 1]
    assert f'cx="{points(picture)[1][0][0]}"' in picture


def test_higher_values_are_drawn_higher_and_all_are_inside() -> None:
    [run] = points(sparkline([0.0, 5.0, 10.0], "x"))
    heights = [y for _, y in run]
    assert heights == sorted(heights, reverse=True)
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in run)


def test_noise_far_below_its_limit_looks_like_noise() -> None:
    [run] = points(sparkline([0.001, 0.003, 0.002], "x", ("limit", 0.2)))
    assert max(y for _, y in run) - min(y for _, y in run) < 1


@pytest.mark.parametrize("values", [[], [nan, nan]], ids=["none", "unknown"])
def test_without_values_it_says_so(values: list[float]) -> None:
    assert "no data" in sparkline(values, "x")
