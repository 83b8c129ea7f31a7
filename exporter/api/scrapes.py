"""Answers to scrapes of `/metrics`."""

from __future__ import annotations

from collections.abc import Callable, Collection

from starlette.requests import Request
from starlette.responses import Response

from exporter.exposition.collector import SeriesCollector
from exporter.exposition.negotiation import choose_format, compress_page, gzip_accepted
from exporter.exposition.render import Format
from exporter.exposition.telemetry import Telemetry
from exporter.settings import Settings

# Makes the page in a format, of the metrics and groups that are asked for.
Scrape = Callable[[Format, Collection[str], Collection[str]], bytes]


def answer_scrape(
    request: Request, scrape: Scrape, names: Collection[str], groups: Collection[str]
) -> Response:
    """Return a page in the format and the compression that the request accepts."""
    form = choose_format(request.headers.get("accept", ""))
    page, headers = scrape(form, names, groups), {"Vary": "Accept, Accept-Encoding"}
    if gzip_accepted(request.headers.get("accept-encoding", "")):
        page, headers["Content-Encoding"] = compress_page(page), "gzip"
    return Response(page, headers=headers | {"Content-Type": form.value})


def own_metrics(
    settings: Settings, telemetry: Telemetry, clock: Callable[[], float]
) -> Callable[[Request], Response]:
    """Return an endpoint with the metrics of the process alone, of no versions."""
    collector = SeriesCollector(settings, telemetry)

    def scrape(form: Format, names: Collection[str], groups: Collection[str]) -> bytes:
        return collector.collect([], clock()).select(names, groups).render(form)

    def get_metrics(request: Request) -> Response:
        query = request.query_params
        return answer_scrape(request, scrape, query.getlist("name[]"), query.getlist("collect[]"))

    return get_metrics
