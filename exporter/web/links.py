"""Addresses in Grafana and in MLflow, as browsers reach them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

from exporter.formats.addresses import version_path
from exporter.settings import Settings

MODEL_DASHBOARD, COLUMN_DASHBOARD = "/d/mlflow-model", "/d/mlflow-column"


@dataclass(frozen=True)
class Links:
    """Links of pages to other programs; empty where a program is not known.

    Attributes:
        grafana: URL of Grafana, without a slash at the end.
        mlflow: URL of MLflow's UI, likewise.
        exporter: URL of this exporter, for commands that people copy.
    """

    grafana: str
    mlflow: str
    exporter: str

    @classmethod
    def of(cls, settings: Settings, environment: Mapping[str, str]) -> Links:
        """Return the links that the settings give; MLflow's UI is at its tracking URI unless they say so."""
        mlflow = settings.mlflow_url or _without_user(environment.get("MLFLOW_TRACKING_URI", ""))
        return cls(
            grafana=settings.grafana_url.partition("/d/")[0].rstrip("/"),
            mlflow=mlflow.rstrip("/"),
            exporter=settings.own_url.rstrip("/") or f"http://localhost:{settings.port}",
        )

    def dashboard(self, model: str, version: str, column: str = "") -> str:
        """URL of the dashboard of a model, or of one of its columns; empty without Grafana."""
        if not self.grafana:
            return ""
        variables = {"model": model, "model_version": version} | ({"column": column} if column else {})
        query = urlencode({f"var-{name}": value for name, value in variables.items()}, quote_via=quote)
        return f"{self.grafana}{COLUMN_DASHBOARD if column else MODEL_DASHBOARD}?{query}"

    def registered(self, model: str, version: str) -> str:
        """URL of a version in MLflow's UI; empty where that is not known."""
        if not self.mlflow:
            return ""
        return f"{self.mlflow}/#/{version_path(model, version)}"


def _without_user(uri: str) -> str:
    """Return the URL of a server without user and password; empty for what is no such URL."""
    try:
        parts = urlsplit(uri)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            return ""
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    except ValueError:
        return ""
