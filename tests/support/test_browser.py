"""Contents, errors and requests of a page, as the headless browser tells them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.browser import Browser, BrowserError
from tests.support.web_server import Answer, WebServer

pytestmark = pytest.mark.needs("chromium")

PAGE = b"""<!doctype html><html lang="en"><title>x</title>
<style>body { color: rgb(1, 2, 3) }
@media (prefers-color-scheme: dark) { body { color: rgb(9, 8, 7) } }</style>
<h1>Hello <a href="#end">end</a></h1>
<script>document.querySelector("h1").append(" from a script"); alert("ran"); undefinedFunction()</script>
<img src="http://other.invalid/x.png" alt="none">"""
COLOR = "getComputedStyle(document.body).color"


def test_it_shows_what_a_page_says_does_and_asks_for(
    browser: Browser, web_server: Callable[[Answer], WebServer], tmp_path: Path
) -> None:
    server = web_server(Answer(200, PAGE, {"Content-Type": "text/html"}))
    with browser.open(server.uri, headers={"X-Own": "1"}) as page:
        assert page.status == 200
        assert page.text.startswith("Hello end from a script")
        assert page.dialogs == ["ran"]
        assert any("undefinedFunction is not defined" in error for error in page.errors)
        assert page.requests[:2] == [f"{server.uri}/", "http://other.invalid/x.png"]
        assert [entry.split()[0] for entry in page.blocked] == ["http://other.invalid/x.png"]
        assert ("heading", "Hello end from a script") in page.accessible()
        assert page.press("Tab") == "end"
        assert page.evaluate(COLOR) == "rgb(1, 2, 3)"
        assert page.screenshot(tmp_path / "dark.png", 320, dark=True).read_bytes()[1:4] == b"PNG"
        assert page.evaluate(f"[innerWidth, {COLOR}]") == [320, "rgb(9, 8, 7)"]
        with pytest.raises(BrowserError, match="no such thing"):
            page.evaluate("Promise.reject(Error('no such thing'))")
    assert server.headers[0]["X-Own"] == "1"


def test_a_policy_for_content_is_obeyed_and_its_violations_are_seen(
    browser: Browser, web_server: Callable[[Answer], WebServer]
) -> None:
    headers = {"Content-Type": "text/html", "Content-Security-Policy": "default-src 'none'"}
    server = web_server(Answer(200, PAGE, headers))
    with browser.open(server.uri) as page:
        assert page.dialogs == []
        assert page.evaluate("document.querySelector('h1').innerText") == "Hello end"
        assert len([error for error in page.errors if "Content Security Policy" in error]) == 3


def test_a_page_that_does_not_answer_is_an_error(browser: Browser, free_port: int) -> None:
    with (
        pytest.raises(BrowserError, match="ERR_CONNECTION_REFUSED"),
        browser.open(f"http://127.0.0.1:{free_port}"),
    ):
        pass
