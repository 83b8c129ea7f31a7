"""Addresses of pages, for links from MLflow, Evidently and reports; empty without EXPORTER_EXTERNAL_URL."""

from __future__ import annotations

from urllib.parse import quote


def version_address(external_url: str, model: str, version: str) -> str:
    """Return the address of a version's page.

    >>> version_address("https://ml.example.org/exporter/", "team/fraud", "3")
    'https://ml.example.org/exporter/models/team%2Ffraud/versions/3'
    """
    if not external_url:
        return ""
    return f"{external_url.rstrip('/')}/models/{quote(model, safe='')}/versions/{quote(version, safe='')}"


def report_address(external_url: str, model: str, version: str, report_id: str) -> str:
    """Return the address of a report."""
    page = version_address(external_url, model, version)
    return page and f"{page}/reports/{report_id}"
