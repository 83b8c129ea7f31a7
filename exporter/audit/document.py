"""Parts of a report in Markdown, and the page of HTML that is made of it; both are safe for foreign texts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from typing import Literal

from markdown_it import MarkdownIt

from exporter.formats.texts import printable

ReportFormat = Literal["markdown", "html"]

# `_` only at the edge of a word: elsewhere it is no emphasis, and names are full of it.
_MARKUP = re.compile(r"[\\`*\[\]<>|~&]|(?<![^\W_])_|_(?![^\W_])")
# Nothing else of Markdown is known, neither links nor HTML.
_TO_HTML = MarkdownIt("zero").enable(["heading", "table", "fence", "emphasis", "escape", "backticks"])
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1f2328; max-width: 66rem; margin: 2rem auto;
  padding: 0 1rem; }
h1 { font-size: 1.6rem; line-height: 1.25; }
h2 { font-size: 1.15rem; margin-top: 2rem; border-bottom: 1px solid #d8dde3; break-after: avoid; }
table { border-collapse: collapse; width: 100%; font-size: .87rem; }
th, td { text-align: left; vertical-align: top; padding: .3rem .7rem .3rem 0; min-width: 3em;
  border-bottom: 1px solid #d8dde3; overflow-wrap: anywhere; }
th { color: #57606a; overflow-wrap: normal; }
th:empty { padding: 0; }
td:first-child { white-space: nowrap; }
tr { break-inside: avoid; }
pre { background: #f5f7f9; padding: .6rem .8rem; white-space: pre-wrap; overflow-wrap: anywhere;
  font-size: .8rem; }
@media print {
  body { margin: 0; max-width: none; font-size: 10pt; }
  table { font-size: 7.5pt; }
  @page { margin: 15mm; }
}
"""


def heading(text: str) -> str:
    return f"## {plain(text)}"


def strong(text: str) -> str:
    return f"**{plain(text)}**"


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], otherwise: str = "None.") -> str:
    """Table; the text `otherwise` where it has no rows."""
    if not rows:
        return plain(otherwise)
    lines = [map(plain, columns), ["---"] * len(columns), *(map(plain, row) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def facts(items: Sequence[tuple[str, str]]) -> str:
    """Table of names with their values."""
    return table(("", ""), items)


def verbatim(text: str) -> str:
    """Lines in a font of fixed width."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return "\n".join((f"{fence}text", *map(printable, text.splitlines()), fence))


def plain(text: str) -> str:
    """Text on one line that Markdown shows as it is, after other text at least.

    >>> plain("a_b *c* [d](e)\\n<f> __g__")
    'a_b \\\\*c\\\\* \\\\[d\\\\](e)\\\\\\\\n\\\\<f\\\\> \\\\_\\\\_g\\\\_\\\\_'
    """
    return _MARKUP.sub(r"\\\g<0>", printable(text))


def to_html(title: str, markdown: str) -> str:
    """Self-contained page."""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(printable(title))}</title>
<style>{_STYLE}</style>
</head>
<body>
{_TO_HTML.render(markdown)}</body>
</html>
"""
