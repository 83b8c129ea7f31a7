"""Addresses of versions and reports."""

from __future__ import annotations

from urllib.parse import quote


def version_path(model: str, version: str) -> str:
    """Return the path of a version's page, without a slash at the start; under `v1/`, that of the API.

    >>> version_path("team/fraud <1>", "3")
    'models/team%2Ffraud%20%3C1%3E/versions/3'
    """
    return f"models/{quote(model, safe='')}/versions/{quote(version, safe='')}"


def version_address(external_url: str, model: str, version: str) -> str:
    """Return the address of a version's page for links from elsewhere; empty without EXPORTER_EXTERNAL_URL.

    >>> version_address("https://ml.example.org/exporter/", "team/fraud", "3")
    'https://ml.example.org/exporter/models/team%2Ffraud/versions/3'
    """
    return external_url and f"{external_url.rstrip('/')}/{version_path(model, version)}"


def report_address(external_url: str, model: str, version: str, report_id: str) -> str:
    """Return the address of a report; empty without EXPORTER_EXTERNAL_URL."""
    page = version_address(external_url, model, version)
    return page and f"{page}/reports/{report_id}"
