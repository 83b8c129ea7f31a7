"""The page of a report runs nothing of the data, and its JSON is JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from exporter.errors import ReportError
from exporter.reports.document import make_html, make_json, secure_html

PAGE = """
<html><head><script>
    var metric_0a1b = {"name": "</script><b>"};
    var additional_graphs_metric_0a1b = {"</script>": 1};
</script></head><body><script>library("<head><body>")</script></body></html>"""
ABOUT: dict[str, Any] = {
    "model": "<b>", "version": "3", "start": "2024-01-01 00:00:00 UTC", "end": "2024-01-02 00:00:00 UTC",
    "reason": "<i>", "rows": 5, "rows_counted": 5000, "reference_rows": 0, "reference_digest": "d1ce",
    "importance": {"<s>": 0.5}, "links": {"<u>": "https://x/?a=1&b=2", "bad": "javascript:alert(1)"},
    "notes": ["<p>"],
}  # fmt: skip


def test_the_data_cannot_end_its_script() -> None:
    secured = secure_html(PAGE)
    assert '{"name": "\\u003c/script>\\u003cb>"}' in secured
    assert '{"\\u003c/script>": 1}' in secured
    assert 'library("<head><body>")' in secured


def test_a_page_that_is_built_otherwise_is_refused() -> None:
    with pytest.raises(ReportError, match=r"^Evidently's page has 1 lines of data instead of 2"):
        secure_html(PAGE.replace("additional_graphs_", "more_graphs_"))


def test_the_head_is_text() -> None:
    page = make_html(PAGE, ABOUT)
    head = page[page.index("<section") : page.index("</section>")]
    for name in "bisp":
        assert f"<{name}>" not in head
        assert f"&lt;{name}&gt;" in head
    assert '<a href="https://x/?a=1&amp;b=2">&lt;u&gt;</a>' in head
    assert "javascript" not in head
    assert "5 sampled of 5,000" in head
    assert "no rows, digest d1ce" in head
    assert page.index("<section") < page.index("library(")


def test_numbers_that_json_does_not_have_are_null() -> None:
    written = make_json({"notes": ()}, {"metrics": [{"value": {1: float("nan"), "b": True}}], "tests": []})
    assert json.loads(written) == {
        "about": {"notes": []},
        "metrics": [{"value": {"1": None, "b": True}}],
        "tests": [],
    }
