"""Reports as Markdown and HTML: texts of strangers stay texts."""

from __future__ import annotations

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from exporter.audit.document import facts, heading, plain, strong, table, to_html, verbatim

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
PAGE = {"html", "head", "meta", "title", "style", "body"}
PARTS = {"h2", "p", "strong", "table", "thead", "tbody", "tr", "th", "td", "pre", "code"}

OTHERS = MarkdownIt("commonmark").enable(["table", "strikethrough"])

texts = st.one_of(st.text(max_size=30), st.sampled_from(HOSTILE))


class Reader(HTMLParser):
    """Collects tags, attributes and texts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def every_part(text: str) -> str:
    parts = [
        heading(f"x{text}"),
        f"x{plain(text)}",
        strong(f"x{text}x"),
        facts([(f"x{text}x", "end")]),
        table((f"x{text}", "b"), [(f"x{text}x", "end")]),
        verbatim(text),
    ]
    return "\n\n".join(parts)


@given(texts)
def test_html_has_the_tags_that_we_write_only(text: str) -> None:
    page = to_html(text, every_part(text))
    found = Reader(page)
    assert found.tags <= PAGE | PARTS
    assert found.attributes <= {"lang", "charset", "http-equiv", "content", "name", "class"}
    assert page.count("<td>") == 4


@given(texts)
def test_markdown_shows_texts_and_no_markup_of_theirs(text: str) -> None:
    page = OTHERS.render(every_part(text))
    assert Reader(page).tags <= PARTS
    assert page.count("<td>") == 4


def test_texts_are_shown_as_they_are() -> None:
    parts = [plain("a < b & c_ *d*"), verbatim("one\ntwo <3> ```")]
    found = Reader(to_html("a & b", "\n\n".join(parts)))
    assert "a & b" in found.texts
    assert "a < b & c_ *d*" in "".join(found.texts)
    assert "one\ntwo <3> ```\n" in "".join(found.texts)
    assert plain("model_name: 3 * 4") == "model_name: 3 \\* 4"


def test_a_table_without_rows_says_so() -> None:
    assert table(("a",), [], "Nothing happened.") == "Nothing happened."
