"""A plain document as Markdown or as a self-contained HTML page, both safe for texts of strangers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

from exporter.formats.texts import printable

Format = Literal["markdown", "html"]
Mood = Literal["", "good", "bad", "unknown"]

# `_` only at the edge of a word: elsewhere it is no emphasis, and names are full of it.
_MARKDOWN = re.compile(r"[\\`*\[\]<>|~&]|(?<![^\W_])_|_(?![^\W_])")


@dataclass(frozen=True)
class Heading:
    """Heading of a section; the document's title is none."""

    text: str


@dataclass(frozen=True)
class Paragraph:
    text: str
    mood: Mood = ""


@dataclass(frozen=True)
class Facts:
    """Names with their values."""

    items: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Table:
    """Rows of texts; `otherwise` is shown where there are none."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    otherwise: str = "None."


@dataclass(frozen=True)
class Strip:
    """Consecutive stretches of equal length, each with a mood, and the legend of the moods.

    `labels` stand at its start and at its end.
    """

    moods: Sequence[Mood]
    labels: tuple[str, str]
    legend: Sequence[tuple[Mood, str]]


@dataclass(frozen=True)
class Verbatim:
    """Lines in a font of fixed width."""

    text: str


Block = Heading | Paragraph | Facts | Table | Strip | Verbatim


@dataclass(frozen=True)
class Document:
    title: str
    blocks: Sequence[Block]


def render(document: Document, form: Format) -> str:
    return _to_html(document) if form == "html" else _to_markdown(document)


# -- Markdown
# --------------------------------------------------------------------------------------------------

_SIGNS: dict[Mood, str] = {"": " ", "good": ".", "bad": "X", "unknown": "?"}


def _to_markdown(document: Document) -> str:
    parts = [f"# {_plain(document.title)}", *map(_markdown, document.blocks)]
    return "\n\n".join(parts) + "\n"


def _markdown(block: Block) -> str:
    match block:
        case Heading(text):
            return f"## {_plain(text)}"
        case Paragraph(text, mood):
            return f"**{_plain(text)}**" if mood else _plain(text)
        case Facts(items):
            return _markdown_table(("", ""), items)
        case Table(columns, rows, otherwise):
            return _markdown_table(columns, rows) if rows else _plain(otherwise)
        case Strip(moods, (start, end), legend):
            signs = "".join(_SIGNS[mood] for mood in moods)
            meaning = ", ".join(f"`{_SIGNS[mood]}` {_plain(text)}" for mood, text in legend)
            return f"{_fence(f'{printable(start)} |{signs}| {printable(end)}')}\n\n{meaning}"
        case Verbatim(text):
            return _fence("\n".join(map(printable, text.splitlines())))


def _markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(
        f"| {' | '.join(cell if cell == '---' else _plain(cell) for cell in line)} |" for line in lines
    )


def _fence(text: str) -> str:
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}"


def _plain(text: str) -> str:
    """Text on one line that Markdown shows as it is.

    >>> _plain("a_b *c* [d](e)\\n<f> __g__")
    'a_b \\\\*c\\\\* \\\\[d\\\\](e)\\\\\\\\n\\\\<f\\\\> \\\\_\\\\_g\\\\_\\\\_'
    """
    return _MARKDOWN.sub(r"\\\g<0>", printable(text))


# -- HTML
# ------------------------------------------------------------------------------------------------------

_STYLE = """
:root { color-scheme: light; --line: #d8dde3; --soft: #f5f7f9; --dim: #57606a; }
body { font: 15px/1.5 system-ui, sans-serif; color: #1f2328; max-width: 66rem; margin: 2rem auto;
  padding: 0 1rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 1rem; }
h2 { font-size: 1.15rem; margin: 2rem 0 .6rem; padding-bottom: .2rem; border-bottom: 1px solid var(--line); }
p { margin: .5rem 0; }
p.good, p.bad, p.unknown { padding: .5rem .8rem; border-left: 4px solid; font-weight: 600; }
p.good { border-color: #1a7f37; background: #eef8f0; }
p.bad { border-color: #b42318; background: #fdf0ef; }
p.unknown { border-color: #9a6700; background: #fdf7e7; }
table { border-collapse: collapse; width: 100%; font-size: .87rem; margin: .5rem 0; }
th, td { text-align: left; vertical-align: top; padding: .3rem .7rem .3rem 0; min-width: 3em;
  border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
th { font-weight: 600; color: var(--dim); overflow-wrap: normal; }
thead { display: table-header-group; }
tr { break-inside: avoid; }
td.short { white-space: nowrap; font-variant-numeric: tabular-nums; }
table.facts { width: auto; min-width: 60%; }
table.facts th { white-space: nowrap; padding-right: 1.5rem; }
pre { background: var(--soft); padding: .6rem .8rem; overflow-x: auto; white-space: pre-wrap;
  overflow-wrap: anywhere; font-size: .8rem; }
figure { margin: .8rem 0; break-inside: avoid; }
svg { display: block; width: 100%; height: 1.6rem; }
svg .good { fill: #4ac26b; } svg .bad { fill: #d1242f; }
svg .unknown { fill: #d4a72c; } svg .none { fill: #d8dde3; }
figcaption { color: var(--dim); font-size: .82rem; display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; }
figcaption .end { margin-left: auto; }
figcaption i { display: inline-block; width: .8rem; height: .8rem; margin-right: .35rem;
  vertical-align: -.1rem; }
i.good { background: #4ac26b; } i.bad { background: #d1242f; } i.unknown { background: #d4a72c; }
i.none { background: #d8dde3; }
@media print {
  body { margin: 0; max-width: none; font-size: 10pt; }
  table { font-size: 7.5pt; }
  h2 { break-after: avoid; }
  p, i, rect { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  @page { margin: 15mm; }
}
"""
_SHORT = re.compile(r"\S{1,18}|[\d-]{10} [\d:]{8}")  # cells that are not broken: names, numbers, times


def _to_html(document: Document) -> str:
    body = "\n".join(map(_html, document.blocks))
    title = _safe(document.title)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{title}</h1>
{body}
</body>
</html>
"""


def _html(block: Block) -> str:
    match block:
        case Heading(text):
            return f"<h2>{_safe(text)}</h2>"
        case Paragraph(text, mood):
            shown = f' class="{mood}"' if mood else ""
            return f"<p{shown}>{_safe(text)}</p>"
        case Facts(items):
            rows = "\n".join(f"<tr><th>{_safe(name)}</th>{_cell(value)}</tr>" for name, value in items)
            return f'<table class="facts">\n{rows}\n</table>'
        case Table(columns, rows, otherwise):
            if not rows:
                return f"<p>{_safe(otherwise)}</p>"
            head = "".join(f"<th>{_safe(column)}</th>" for column in columns)
            lines = "\n".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
            return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{lines}\n</tbody>\n</table>"
        case Strip():
            return _html_strip(block)
        case Verbatim(text):
            return f"<pre>{escape(chr(10).join(map(printable, text.splitlines())))}</pre>"


def _html_strip(strip: Strip) -> str:
    bars = "".join(
        f'<rect x="{place}" width="1.05" height="1" class="{mood or "none"}"/>'
        for place, mood in enumerate(strip.moods)
    )
    legend = "".join(
        f'<span><i class="{mood or "none"}"></i>{_safe(text)}</span>' for mood, text in strip.legend
    )
    start, end = map(_safe, strip.labels)
    return (
        f'<figure>\n<svg viewBox="0 0 {max(1, len(strip.moods))} 1" preserveAspectRatio="none" role="img" '
        f'aria-label="from {start} to {end}">{bars}</svg>\n'
        f'<figcaption><span>{start}</span>{legend}<span class="end">{end}</span></figcaption>\n</figure>'
    )


def _cell(text: str) -> str:
    return f"""<td{' class="short"' if _SHORT.fullmatch(text) else ""}>{_safe(text)}</td>"""


def _safe(text: str) -> str:
    return escape(printable(text))
