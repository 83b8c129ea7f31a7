"""Renders templates to pages, with the headers that keep them from running or loading anything."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse

from exporter import __version__
from exporter.exposition.negotiation import compress_page, gzip_accepted
from exporter.formats.texts import capitalized, printable
from exporter.views.reasons import runbook_url
from exporter.web.distributions import percent

_HERE = Path(__file__).parent
STYLES = b"\n".join(path.read_bytes() for path in sorted((_HERE / "styles").glob("*.css")))
STYLES_PATH = f"assets/pages-{sha256(STYLES).hexdigest()[:16]}.css"
ICON = (_HERE / "icon.svg").read_bytes()
# No page has a script, so there is no `script-src`.
POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Vary": "Accept-Encoding",
}
_UNITS = ((86400, "day"), (3600, "h"), (60, "min"), (1, "s"))


def render(
    template: str, *, root: str, status: int = 200, encodings: str = "", **values: Any
) -> HTMLResponse:
    """Return a page.

    Args:
        template: name of a file in `templates`.
        root: relative path from the page to `/`, since a proxy may serve the exporter under another path.
        status: of the answer.
        encodings: that the client accepts; with gzip among them, the page is compressed.
        values: for the template. Texts among them are escaped, and what they have of characters that are not
            printable, such as those that turn the direction of writing, is shown as an escape.
    """
    page = _ENVIRONMENT.get_template(template)
    known = {"root": root, "styles": STYLES_PATH, "exporter_version": __version__}
    content = page.render(**known, **values).encode()
    if gzip_accepted(encodings):
        return HTMLResponse(compress_page(content), status, HEADERS | {"Content-Encoding": "gzip"})
    return HTMLResponse(content, status, HEADERS)


def format_figure(value: float | None) -> str:
    """Return a number with three significant digits, and a dash where there is none.

    >>> [format_figure(value) for value in (0.12345, 1234567, 0, None, 12.0)]
    ['0.123', '1,234,567', '0', '\N{EN DASH}', '12']
    """
    if value is None or value != value:
        return "\N{EN DASH}"
    if abs(value) >= 1000 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"


def format_moment(seconds: float | None) -> Markup:
    """Return a time in UTC as HTML."""
    if seconds is None:
        return Markup("\N{EN DASH}")
    moment = datetime.fromtimestamp(seconds, UTC)
    shown = f"{moment.day} {moment:%b %Y, %H:%M} UTC"
    return Markup('<time datetime="{}">{}</time>').format(f"{moment:%Y-%m-%dT%H:%M:%SZ}", shown)


def format_duration(seconds: float) -> str:
    """Return a length of time in its largest unit.

    >>> [format_duration(seconds) for seconds in (0.2, 59, 7199, 86400, 250000)]
    ['0 s', '59 s', '1 h', '1 day', '2 days']
    """
    for length, unit in _UNITS:
        if seconds >= length:
            count = int(seconds // length)
            return f"{count} {unit}{'s' if unit == 'day' and count > 1 else ''}"
    return "0 s"


def _shown(value: object) -> object:
    return printable(value) if type(value) is str else value


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    environment.filters |= {
        "capitalized": capitalized,
        "figure": format_figure,
        "moment": format_moment,
        "duration": format_duration,
        "runbook": runbook_url,
        "percent": percent,
    }
    return environment


_ENVIRONMENT = _environment()
