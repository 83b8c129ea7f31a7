"""The page in both formats, held against prometheus_client's own parsers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.exposition.metric import Metric
from exporter.exposition.render import (
    Family,
    Format,
    histogram_prefixes,
    histogram_values,
    render,
    render_prefix,
)

GAUGE = Metric("room_heat", "gauge", "Heat.", ("room", "floor"))
COUNTER = Metric("visits_total", "counter", "Visits.", (), "bins")
HISTOGRAM = Metric("wait_seconds", "histogram", "Wait.", ("queue",), buckets=(0.5, 1, 2592000))
PARSERS = {Format.TEXT: parse_text, Format.OPENMETRICS: parse_openmetrics}

each_format = pytest.mark.parametrize("form", Format)


def family(metric: Metric, values: list[float], labels: tuple[str, ...] = ("attic", "3")) -> Family:
    prefix = render_prefix(metric, labels[: len(metric.labels)])
    return Family(metric, [prefix] * len(values), values)


def read_back(page: bytes, form: Format) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for parsed in PARSERS[form](page.decode())
        for sample in parsed.samples
    }


def test_text_has_help_type_and_lines() -> None:
    assert render([family(GAUGE, [21.5]), family(COUNTER, [3])], Format.TEXT).decode() == (
        "# HELP room_heat Heat.\n"
        "# TYPE room_heat gauge\n"
        'room_heat{room="attic",floor="3"} 21.5\n'
        "# HELP visits_total Visits.\n"
        "# TYPE visits_total counter\n"
        "visits_total 3\n"
    )


def test_openmetrics_names_a_counter_without_total_and_says_where_it_ends() -> None:
    assert render([family(COUNTER, [3])], Format.OPENMETRICS).decode() == (
        "# HELP visits Visits.\n# TYPE visits counter\nvisits_total 3\n# EOF\n"
    )


def test_a_family_without_samples_leaves_no_trace() -> None:
    assert render([Family(GAUGE, [], [])], Format.TEXT) == b""
    assert render([], Format.OPENMETRICS) == b"# EOF\n"


@each_format
def test_a_histogram_has_cumulative_buckets_sum_and_count(form: Format) -> None:
    prefixes = histogram_prefixes(HISTOGRAM, ("a",))
    page = render([Family(HISTOGRAM, prefixes, histogram_values([2, 0, 0, 3], 7.25))], form)
    assert page.decode().splitlines()[2:8] == [
        'wait_seconds_bucket{queue="a",le="0.5"} 2',
        'wait_seconds_bucket{queue="a",le="1.0"} 2',
        'wait_seconds_bucket{queue="a",le="2.592e+06"} 2',
        'wait_seconds_bucket{queue="a",le="+Inf"} 5',
        'wait_seconds_sum{queue="a"} 7.25',
        'wait_seconds_count{queue="a"} 5',
    ]
    assert len(read_back(page, form)) == 6


@each_format
@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3, "3"),
        (3.0, "3.0"),
        (0.1, "0.1"),
        (1e300, "1e+300"),
        (2**63, "9223372036854775808"),
        (math.nan, "NaN"),
        (math.inf, "+Inf"),
        (-math.inf, "-Inf"),
        (True, "1"),
        (np.float64(0.25), "0.25"),
        (np.float32(0.25), "0.25"),
        (np.int64(5), "5"),
        (np.float64("nan"), "NaN"),
    ],
)
def test_values_are_spelled_as_the_formats_ask(form: Format, value: float, text: str) -> None:
    page = render([family(GAUGE, [1.5, value])], form)
    assert page.decode().splitlines()[3] == f'room_heat{{room="attic",floor="3"}} {text}'


def test_a_page_of_many_chunks_keeps_every_line() -> None:
    count = 12_345
    prefixes = [render_prefix(GAUGE, (str(i), "3")) for i in range(count)]
    values = [float(i) for i in range(count)]
    values[7_000] = math.inf
    parsed = read_back(render([Family(GAUGE, prefixes, values)], Format.TEXT), Format.TEXT)
    assert [
        parsed["room_heat", frozenset({("room", str(i)), ("floor", "3")})] for i in range(count)
    ] == values


def test_help_is_escaped_as_each_format_asks() -> None:
    odd = Metric("odd", "gauge", 'A "quoted" \\ line\nand another.')
    text = render([family(odd, [1])], Format.TEXT).decode()
    openmetrics = render([family(odd, [1])], Format.OPENMETRICS).decode()
    assert text.startswith('# HELP odd A "quoted" \\\\ line\\nand another.\n')
    assert openmetrics.startswith('# HELP odd A \\"quoted\\" \\\\ line\\nand another.\n')


@each_format
@given(room=st.text(), floor=st.text(st.sampled_from('\\n"\n{},= é\r\x00')))
def test_label_values_come_back_as_they_were(form: Format, room: str, floor: str) -> None:
    page = render([family(GAUGE, [1.0], (room, floor))], form)
    assert read_back(page, form) == {("room_heat", frozenset({("room", room), ("floor", floor)})): 1.0}


@each_format
@given(value=st.floats() | st.integers(-(2**63), 2**63))
def test_values_come_back_as_they_were(form: Format, value: float) -> None:
    (found,) = read_back(render([family(GAUGE, [value])], form), form).values()
    assert float(found) == float(value) or (math.isnan(found) and math.isnan(value))


def test_half_a_surrogate_pair_does_not_break_the_page() -> None:
    assert b'room="\xc3\xa9?"' in render([family(GAUGE, [1], ("é\ud800", "3"))], Format.TEXT)


def test_labels_must_be_those_of_the_metric() -> None:
    with pytest.raises(ValueError):
        render_prefix(GAUGE, ("attic",))


def test_prefixes_and_values_must_be_equally_many() -> None:
    with pytest.raises(ValueError, match="room_heat: 1 prefixes, 2 values"):
        Family(GAUGE, ["room_heat "], [1, 2])
