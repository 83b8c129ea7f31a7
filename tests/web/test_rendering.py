"""Pages from templates."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest
from jinja2 import DictLoader, UndefinedError
from starlette.responses import HTMLResponse

from exporter.web import rendering
from exporter.web.rendering import format_moment, render

TEMPLATES = Path(rendering.__file__).parent / "templates"


def test_the_examples_hold() -> None:
    assert doctest.testmod(rendering).failed == 0


def test_a_value_that_a_template_lacks_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="'entries' is undefined"):
        render("status.html", root="", counts={1: 0}, refresh=0)


def body(answer: HTMLResponse) -> str:
    return bytes(answer.body).decode()


@pytest.fixture
def one_template(monkeypatch: pytest.MonkeyPatch) -> None:
    loader = DictLoader({"x.html": '<p title="{{ x }}">{{ x }}'})
    monkeypatch.setattr(rendering._ENVIRONMENT, "loader", loader)


@pytest.mark.usefixtures("one_template")
def test_texts_are_escaped_and_show_what_is_not_printable() -> None:
    assert body(render("x.html", root="", x='<b "a"\u202e\n')) == (
        '<p title="&lt;b &#34;a&#34;\\u202e\\n">&lt;b &#34;a&#34;\\u202e\\n'
    )


@pytest.mark.parametrize("path", sorted(TEMPLATES.iterdir()), ids=lambda path: path.name)
def test_no_template_marks_a_value_as_safe_or_has_what_the_policy_forbids(path: Path) -> None:
    template = path.read_text()
    forbidden = ("|safe", "| safe", "autoescape", "<script", "<style", "style=")
    assert not [word for word in forbidden if word in template]


def test_times_are_for_people_and_for_machines() -> None:
    assert format_moment(0.0) == '<time datetime="1970-01-01T00:00:00Z">1 Jan 1970, 00:00 UTC</time>'
    assert format_moment(None) == "\N{EN DASH}"
