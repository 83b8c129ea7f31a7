"""Distributions of columns in a window beside the reference's, and their pictures."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest

from exporter.reference.bins import Column
from exporter.settings import DAY_SECONDS
from exporter.web.distributions import MAX_ROWS, Distribution, draw, find_distribution

AGE = Column("age", "feature", "number", edges=np.array([18.0, 25.5, 60.0]))
COUNTRY = Column("country", "feature", "category", categories=("DE", "FR"))


def find(column: Column, reference: list[int], live: list[int], **own: bool) -> Distribution:
    return find_distribution(column, np.array(reference), np.array(live), **own)


def drawn(distribution: Distribution, label: str = "x") -> ElementTree.Element:
    return ElementTree.fromstring(str(draw(distribution, label)))


def bars(picture: ElementTree.Element, kind: str, size: str) -> list[float]:
    return [float(rect.attrib[size]) for rect in picture.iter("rect") if rect.attrib["class"] == kind]


def test_bins_have_the_shares_of_rows_with_a_value_and_the_rest_those_of_all_rows() -> None:
    found = find(AGE, [0, 20, 60, 20, 100, 0], [0, 5, 5, 30, 40, 20])
    assert [(bar.name, bar.reference, bar.live) for bar in found.bars] == [
        ("< 18", 0.0, 0.0),
        ("[18, 25.5)", 0.2, 0.125),
        ("[25.5, 60)", 0.6, 0.125),
        (">= 60", 0.2, 0.75),
    ]
    assert [(bar.name, bar.reference, bar.live) for bar in found.besides] == [
        ("(missing)", 0.5, 0.4),
        ("(mismatch)", 0.0, 0.2),
    ]
    assert (found.edges, found.rows) == (("18", "25.5", "60"), 40)


def test_what_moved_most_comes_first_and_equal_shares_are_left_out() -> None:
    found = find(AGE, [0, 20, 60, 20, 0, 0], [0, 20, 10, 70, 0, 0])
    assert [bar.name for bar in found.moved] == ["[25.5, 60)", ">= 60"]
    assert find(AGE, [0, 20, 60, 20, 0, 0], [0, 20, 61, 19, 0, 0]).moved == ()


def test_the_table_leaves_out_what_no_row_fell_into() -> None:
    found = find(COUNTRY, [50, 50, 0, 0, 0, 0], [50, 0, 0, 50, 0, 0])
    assert [bar.name for bar in found.listed] == ["DE", "FR", "(unseen)"]


def test_without_rows_the_shares_of_the_window_are_zero() -> None:
    found = find(COUNTRY, [50, 50, 0, 0, 0, 0], [0] * 6)
    assert ([bar.live for bar in found.bars], found.rows) == ([0.0] * 4, 0)


def test_dates_are_shown_as_ages_in_days() -> None:
    column = Column("opened", "feature", "time", edges=np.array([0.0, 2.5]) * DAY_SECONDS)
    found = find(column, [0, 1, 0, 0, 0], [0, 0, 1, 0, 0])
    assert [bar.name for bar in found.bars] == ["less than 0 d old", "0 d to 2.5 d old", "2.5 d old or more"]


def test_old_dates_are_shown_in_years_and_large_numbers_without_a_power_of_ten() -> None:
    column = Column("born", "feature", "time", edges=np.array([365.25 * 18, 365.25 * 65.5]) * DAY_SECONDS)
    found = find(column, [0, 1, 0, 0, 0], [0, 0, 1, 0, 0])
    assert found.edges == ("18 years", "65.5 years")
    price = Column("price", "feature", "number", edges=np.array([4.984e4, 1.374e5, 2e20]))
    found = find(price, [0, 1, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0])
    assert [bar.name for bar in found.bars] == [
        "< 49840",
        "[49840, 137400)",
        "[137400, 2e+20)",
        ">= 2e+20",
    ]


def test_the_content_of_bins_can_be_kept_back() -> None:
    found = find(COUNTRY, [50, 50, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0], named=False)
    assert [bar.name for bar in found.bars] == ["bin 00", "bin 01", "bin 02", "bin 03"]
    assert "DE" not in draw(found, "x")
    numbers = find(AGE, [0, 20, 60, 20, 0, 0], [0, 5, 5, 30, 0, 0], named=False)
    assert "25.5" not in draw(numbers, "x")


def test_numbers_are_upright_bars_in_proportion_to_their_shares() -> None:
    picture = drawn(find(AGE, [0, 20, 60, 20, 0, 0], [0, 5, 5, 30, 0, 0]))
    reference, live = bars(picture, "reference", "height"), bars(picture, "live", "height")
    assert reference[2] / reference[1] == pytest.approx(3, abs=0.02)
    assert live[3] / reference[2] == pytest.approx(0.75 / 0.6, abs=0.02)
    titles = [title.text for title in picture.iter("title")]
    assert titles[3] == ">= 60: 20 % of the reference, 75 % of the window"
    assert [text.text for text in picture.iter("text")] == ["75 %", "18", "25.5", "60"]


def test_categories_are_bars_beside_their_names_and_rare_ones_are_one() -> None:
    names = tuple(f"c{k:02d}" for k in range(20))
    column = Column("code", "feature", "category", categories=names)
    reference = [100 - k for k in range(20)] + [0] * 4
    picture = drawn(find(column, reference, [*reversed(reference[:20]), 0, 0, 0, 0]))
    shown = [text.text for text in picture.iter("text") if not str(text.text).endswith("%")]
    assert len(shown) == MAX_ROWS + 1
    assert shown[-1] == "8 more"
    total = sum(bars(picture, "reference", "width"))
    assert total == pytest.approx(sum(bars(picture, "live", "width")), rel=0.01)


@pytest.mark.parametrize("kind", ["category", "label"])
def test_hostile_texts_stay_texts(kind: str) -> None:
    hostile = '</svg><script>alert("x")</script>\N{RIGHT-TO-LEFT OVERRIDE}'
    column = Column("c", "feature", "category", categories=(hostile if kind == "category" else "DE",))
    picture = drawn(find(column, [1, 0, 0, 0, 0], [1, 0, 0, 0, 0]), hostile if kind == "label" else "x")
    assert not list(picture.iter("script"))
    if kind == "category":
        assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in "".join(picture.itertext())
        assert '</svg><script>alert("x")</script>\\u202e: 100 %' in str(next(picture.iter("title")).text)
    else:
        assert picture.attrib["aria-label"] == hostile
