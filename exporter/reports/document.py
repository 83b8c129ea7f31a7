"""The HTML and JSON of a report: Evidently's own, with a head that says what it is about."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from html import escape
from typing import Any

from exporter.errors import ReportError
from exporter.formats.texts import utc_text

# The lines with data in Evidently's page; its own scripts and styles have no such names.
_DATA = re.compile(r"^(\s*var (?:additional_graphs_)?metric_[0-9a-f]+ = )(.*)$", re.M)
_STYLE = (
    "#about{font:14px/1.5 system-ui,sans-serif;color:#1b1b1b;background:#fff;border-bottom:1px solid #ccc;"
    "padding:1rem 2rem}#about h1{font-size:1.3rem;margin:0 0 .5rem}#about dl{display:grid;"
    "grid-template-columns:max-content 1fr;gap:.1rem 1rem;margin:0}#about dt{color:#555}#about dd{margin:0;"
    "overflow-wrap:anywhere}#about ul{margin:0;padding-left:1.2rem}"
)


def secure_html(html: str) -> str:
    """The page of Evidently, of which no text of the data can end a script.

    Browsers read `\\u003c` in a script as `<`, so it looks the same.

    Raises:
        ReportError: the page is not built as that of the known versions of Evidently.
    """
    secured, lines = _DATA.subn(lambda found: found[1] + found[2].replace("<", "\\u003c"), html)
    if lines != 2:
        raise ReportError(f"Evidently's page has {lines} lines of data instead of 2: another version?")
    return secured


def make_html(html: str, about: Mapping[str, Any]) -> str:
    """Evidently's page with the head; `about` is as for `make_json`."""
    title = f"{about['model']} {about['version']}"
    rows = {
        "Window": f"{about['start']} to {about['end']}",
        "Made because of": about["reason"],
        "Rows": f"{about['rows']:,} sampled of {about['rows_counted']:,}",
        "Reference": f"{about['reference_rows']:,} rows, digest {about['reference_digest']}"
        if about["reference_rows"]
        else f"no rows, digest {about['reference_digest']}",
    }
    shown = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(str(text))}</dd>" for name, text in rows.items() if text
    )
    if about["importance"]:
        ranked = ", ".join(f"{name} {share:.0%}" for name, share in about["importance"].items())
        shown += f"<dt>Importance</dt><dd>{escape(ranked)}</dd>"
    links = " · ".join(
        f'<a href="{escape(url)}">{escape(text)}</a>'
        for text, url in about["links"].items()
        if url.startswith(("http://", "https://"))
    )
    if links:
        shown += f"<dt>See also</dt><dd>{links}</dd>"
    if about["notes"]:
        notes = "".join(f"<li>{escape(note)}</li>" for note in about["notes"])
        shown += f"<dt>Notes</dt><dd><ul>{notes}</ul></dd>"
    head = f"<title>{escape(title)}</title><style>{_STYLE}</style>"
    section = f'<section id="about"><h1>{escape(title)}</h1><dl>{shown}</dl></section>'
    page = secure_html(html).lstrip()
    # The first of each: what comes before them is the data, which has no `<` any more.
    page = page.replace("</head>", f"{head}</head>", 1)
    return page.replace("<body>", f"<body>{section}", 1)


def make_json(about: Mapping[str, Any], contents: Mapping[str, Any]) -> str:
    """The head, then metrics and tests as Evidently writes them, without numbers that JSON does not have.

    Args:
        about: model, version, start and end (texts), reason, rows, rows_counted, reference_rows,
            reference_digest, importance (by column), links (by text) and notes.
        contents: `metrics` and `tests`.
    """
    return json.dumps(_finite({"about": dict(about), **contents}), ensure_ascii=False)


def describe_time(seconds: float) -> str:
    """A time for people, in UTC."""
    return utc_text(seconds).replace("T", " ").replace("Z", " UTC")


def _finite(value: Any) -> Any:
    """The value with null for NaN and infinities, and with texts as keys."""
    if isinstance(value, Mapping):
        return {str(key): _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    if isinstance(value, str | bool | int | None):
        return getattr(value, "value", value)
    try:
        number = float(value)
    except (TypeError, ValueError):
        return str(getattr(value, "value", value))
    return number if number - number == 0 else None
