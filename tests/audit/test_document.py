"""Documents as Markdown and HTML: texts of strangers stay texts."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from exporter.audit.document import (
    Block,
    Document,
    Facts,
    Format,
    Heading,
    Paragraph,
    Strip,
    Table,
    Verbatim,
    render,
)

HOSTILE = [
    "<script>alert(1)</script>",
    "[a](javascript:alert(1))",
    '"><img src=x onerror=alert(1)>',
    "a | b",
    "**bold** _x_ `code` ~~gone~~",
    "```\nfence",
    "one\n\n# two",
    "&lt;b&gt;",
    "\\| \\",
    "<http://example.org>",
]
ALLOWED = {
    *("html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "table", "thead", "tbody"),
    *("tr", "th", "td", "pre", "figure", "figcaption", "span", "i", "svg", "rect"),
}
ATTRIBUTES = {
    *("lang", "charset", "http-equiv", "content", "name", "class", "viewbox", "preserveaspectratio"),
    *("role", "aria-label", "x", "width", "height"),
}

texts = st.one_of(st.text(max_size=30), st.sampled_from(HOSTILE))


class Reader(HTMLParser):
    """Collects tags, attributes and texts."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


def read(document: Document) -> Reader:
    reader = Reader()
    reader.feed(render(document, "html"))
    return reader


def every_block(text: str) -> list[Block]:
    return [
        Heading(text),
        Paragraph(text),
        Paragraph(text, "bad"),
        Facts([(text, text)]),
        Table((text, "b"), [(text, text)]),
        Table(("a",), [], text),
        Strip(["good", "bad", "unknown", ""], (text, text), [("good", text)]),
        Verbatim(text),
    ]


@given(texts)
def test_html_has_the_tags_that_we_write_only(text: str) -> None:
    found = read(Document(text, every_block(text)))
    assert found.tags <= ALLOWED
    assert found.attributes <= ATTRIBUTES


@given(texts)
def test_markdown_shows_texts_and_no_markup_of_theirs(text: str) -> None:
    blocks = [Paragraph(f"x{text}x"), Table(("a", "b"), [(f"x{text}x", "end")])]
    page = (
        MarkdownIt("commonmark")
        .enable(["table", "strikethrough"])
        .render(render(Document("t", blocks), "markdown"))
    )
    reader = Reader()
    reader.feed(page)
    assert reader.tags <= {"h1", "p", "table", "thead", "tbody", "tr", "th", "td"}
    assert page.count("<td>") == 2


@pytest.mark.parametrize("form", ["markdown", "html"])
def test_nothing_is_fetched_or_run(form: Format) -> None:
    page = render(Document("t", every_block("a")), form)
    assert not re.search(r"<script|\bsrc=|\bhref=|url\(|@import|javascript:", page)


def test_texts_are_shown_as_they_are() -> None:
    found = read(Document("t", [Paragraph("a < b & c"), Verbatim("one\ntwo <3>")]))
    assert "a < b & c" in found.text
    assert "one\ntwo <3>" in found.text
    shown = render(Document("t", [Paragraph("model_name: 3 * 4")]), "markdown")
    assert shown == "# t\n\nmodel_name: 3 \\* 4\n"


def test_a_table_without_rows_says_so() -> None:
    blocks = [Table(("a",), [], "Nothing happened.")]
    assert render(Document("t", blocks), "markdown") == "# t\n\nNothing happened.\n"
    assert "Nothing happened." in read(Document("t", blocks)).text


def test_a_strip_is_a_line_of_signs_in_markdown() -> None:
    strip = Strip(["good", "bad", "unknown", ""], ("start", "end"), [("good", "fine"), ("bad", "not")])
    assert render(Document("t", [strip]), "markdown") == (
        "# t\n\n```text\nstart |.X? | end\n```\n\n`.` fine, `X` not\n"
    )
