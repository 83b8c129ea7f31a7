"""Formats, compression and filters that a request asks for."""

from __future__ import annotations

import gzip

import pytest

from exporter.errors import MalformedError
from exporter.exposition.metric import Metric
from exporter.exposition.negotiation import (
    check_groups,
    choose_format,
    compress_page,
    gzip_accepted,
    is_wanted,
)
from exporter.exposition.render import Format

GAUGE = Metric("room_heat", "gauge", "Heat.", ("room", "floor"))
COUNTER = Metric("visits_total", "counter", "Visits.", (), "bins")
HISTOGRAM = Metric("wait_seconds", "histogram", "Wait.", ("queue",), buckets=(0.5, 1))

PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
    "application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,"
    "text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
)
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", Format.TEXT),
        ("*/*", Format.TEXT),
        (BROWSER, Format.TEXT),
        ("text/plain", Format.TEXT),
        ("text/plain;version=0.0.4;q=0.3,*/*;q=0.1", Format.TEXT),
        ("text/plain;version=1.0.0;escaping=allow-utf-8", Format.TEXT),
        ("application/json", Format.TEXT),
        (PROMETHEUS_2, Format.OPENMETRICS),
        (PROMETHEUS_3, Format.OPENMETRICS),
        ("application/openmetrics-text", Format.OPENMETRICS),
        ("application/openmetrics-text; version=1.0.0; charset=utf-8", Format.OPENMETRICS),
        ("application/openmetrics-text, text/plain", Format.OPENMETRICS),
        ("application/openmetrics-text;version=2.0.0", Format.OPENMETRICS),
        ("application/openmetrics-text;version=0.0.1, */*;q=0.1", Format.TEXT),
        ("application/openmetrics-text;version=latest", Format.TEXT),
        ("application/openmetrics-text;q=high, text/plain;q=0.1", Format.OPENMETRICS),
        (",=;,;;q", Format.TEXT),
    ],
)
def test_the_format_follows_the_accept_header(accept: str, form: Format) -> None:
    assert choose_format(accept) is form


@pytest.mark.parametrize(
    ("header", "taken"),
    [
        ("gzip", True),
        ("deflate, GZIP;q=0.5", True),
        ("", False),
        ("identity", False),
        ("br", False),
        ("gzip;q=0", False),
        ("identity, gzip ; Q=0.000", False),
        ("gzip;q=0.001, identity;q=0", True),
    ],
)
def test_gzip_follows_the_accept_encoding_header(header: str, taken: bool) -> None:
    assert gzip_accepted(header) is taken


def test_a_compressed_page_is_the_page_and_always_the_same() -> None:
    page = b"visits_total 3\n"
    assert gzip.decompress(compress_page(page)) == page
    assert compress_page(page) == compress_page(page)


@pytest.mark.parametrize(
    ("names", "groups", "chosen"),
    [
        ([], [], [GAUGE, COUNTER, HISTOGRAM]),
        (["room_heat"], [], [GAUGE]),
        (["visits_total"], [], [COUNTER]),
        (["visits"], [], [COUNTER]),
        (["wait_seconds"], [], [HISTOGRAM]),
        (["wait_seconds_count"], [], [HISTOGRAM]),
        (["wait_seconds_total", "room"], [], []),
        (["room_heat", "wait_seconds_sum"], [], [GAUGE, HISTOGRAM]),
        ([], ["core"], [GAUGE, HISTOGRAM]),
        ([], ["core", "bins"], [GAUGE, COUNTER, HISTOGRAM]),
        ([], ["runs"], []),
        (["visits", "room_heat"], ["core"], [GAUGE]),
    ],
)
def test_filters_choose_whole_families(names: list[str], groups: list[str], chosen: list[Metric]) -> None:
    metrics = (GAUGE, COUNTER, HISTOGRAM)
    assert [metric for metric in metrics if is_wanted(metric, names, groups)] == chosen


def test_an_unknown_group_is_refused_and_the_known_ones_are_named() -> None:
    with pytest.raises(MalformedError, match="unknown group 'bin', known are core, bins, runs, process"):
        check_groups(["bin"])
