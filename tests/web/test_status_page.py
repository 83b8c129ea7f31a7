"""The status page in a browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.api_server import Server, post
from tests.support.browser import Browser, Page
from tests.support.fakes import FakeRegistry
from tests.support.rig import eventually, make_document, make_rows, make_table

Serve = Callable[..., Server]
pytestmark = pytest.mark.needs("chromium")

HOSTILE = '</script><script>alert(1)</script><img src=x onerror="alert(2)">\N{RIGHT-TO-LEFT OVERRIDE}'
ALIAS = "<b onclick=alert(3)>bold</b>"
# Contrast of two colours by WCAG 2.2, from the variables of the style sheet.
CONTRAST = """((first, second) => {
  const light = name => {
    const value = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    const full = value.length === 4 ? value.replace(/[0-9a-f]/gi, "$&$&") : value;
    const parts = [1, 3, 5].map(at => parseInt(full.slice(at, at + 2), 16) / 255)
      .map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2] + 0.05;
  };
  const [low, high] = [light(first), light(second)].sort((a, b) => a - b);
  return high / low;
})"""


@pytest.fixture(scope="module")
def busy_server(serve_module: Serve) -> Server:
    """`fraud` has drifted, a model has a hostile name, one lacks a reference."""
    registry, reference = FakeRegistry(), make_table(3000)
    times = [datetime(2026, 10, 1, tzinfo=UTC) + timedelta(minutes=13 * k) for k in range(3000)]
    registry.register("fraud", reference.append_column("timestamp", [times]), alias="champion")
    registry.register(HOSTILE, reference, alias=ALIAS)
    registry.register("bare", None, alias="champion")
    server = serve_module(registry, grafana_url="http://grafana.example", mlflow_url="http://mlflow.example")
    server.await_ready()
    rows = make_rows(2000)
    for row in rows:
        row["features"]["age"] = 500.0
    assert post(server, make_document(rows)).status_code == 202
    eventually(lambda: server.service.fleet.versions["fraud", "1"].bad_since)
    eventually(lambda: server.service.fleet.versions["bare", "1"].status == "no reference")
    return server


@pytest.fixture(scope="module")
def page(browser: Browser, busy_server: Server) -> Iterator[Page]:
    with browser.open(str(busy_server.client.base_url)) as page:
        yield page


def test_it_says_which_model_which_column_since_when_and_what_to_do(page: Page) -> None:
    assert page.evaluate("document.querySelector('h1').innerText") == "1 of 3 model versions needs attention"
    told = page.evaluate("document.querySelector('article').innerText")
    assert told.startswith("fraud version 1")
    assert "1 of 3 features drifted: age" in told
    assert f"since {datetime.now(UTC).day} " in told
    assert "What to do: See what changed upstream" in told
    links = page.evaluate("[...document.querySelectorAll('article a')].map(each => each.innerText)")
    assert {"Runbook ModelFeatureDrift", "Report", "Grafana", "MLflow", "Audit trail"} < set(links)


def test_the_worst_comes_first_and_each_lack_has_the_line_that_mends_it(page: Page) -> None:
    models = page.evaluate("[...document.querySelectorAll('tbody th a')].map(each => each.innerText)")
    assert models[:2] == ["fraud version 1", "bare version 1"]  # a champion before others
    lines = page.evaluate("[...document.querySelectorAll('pre')].map(each => each.textContent)")
    assert any(line.startswith("exporter.log_reference('models:/bare/1', held_out)") for line in lines)


def test_hostile_names_are_shown_as_text(page: Page) -> None:
    assert HOSTILE[:-1] + "\\u202e version 1" in page.text
    assert ALIAS in page.text
    assert page.evaluate("document.querySelectorAll('script, img, b, [onclick], [onerror]').length") == 0
    assert page.dialogs == []


def test_it_loads_nothing_but_its_own_style_sheet_and_icon(page: Page, busy_server: Server) -> None:
    assert (page.status, page.errors, page.blocked) == (200, [], [])
    own = str(busy_server.client.base_url)
    assert all(url.startswith(own) for url in page.requests)
    assert {url.rpartition(".")[2] for url in page.requests if "/assets/" in url} <= {"css", "svg"}


def test_a_screen_reader_finds_landmarks_headings_tables_and_pictures(page: Page) -> None:
    tree = page.accessible()
    roles = {role for role, _ in tree}
    assert {"banner", "navigation", "main", "contentinfo", "table", "columnheader", "rowheader"} <= roles
    assert ("heading", "What is wrong") in tree
    assert all(name for role, name in tree if role in ("image", "link", "heading", "table region"))
    assert any(name.startswith("Drift of age per hour") for role, name in tree if role == "image")


def test_the_keyboard_leads_to_the_content_and_the_focus_is_seen(page: Page) -> None:
    assert page.press("Tab") == "Skip to the content"
    assert page.evaluate("document.activeElement.getBoundingClientRect().top") >= 0
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.press("Enter")
    page.wait_for("document.activeElement.id === 'main'")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_texts_have_contrast(page: Page, dark: bool) -> None:
    page.resize(1280, dark=dark)
    for text in ("--ink", "--soft", "--bad", "--warn", "--good", "--accent"):
        for ground in ("--page", "--panel"):
            assert page.evaluate(f"{CONTRAST}('{text}', '{ground}')") >= 4.5, (text, ground)


@pytest.mark.parametrize("width", [320, 390, 800])
def test_it_fits_narrow_screens(page: Page, width: int) -> None:
    page.resize(width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for part in ("h1", ".troubles p", ".fleet tbody th a", ".fleet .judged"):
        assert page.evaluate(f"document.querySelector('{part}').getBoundingClientRect().right") <= width, part


def test_states_do_not_depend_on_colour(page: Page) -> None:
    states = page.evaluate("[...document.querySelectorAll('td .state')].map(each => each.innerText)")
    assert states == ["▲ Needs attention", "◇ Not judged", "◇ Not judged"]
