"""Addresses in Grafana and MLflow."""

from __future__ import annotations

import pytest

from exporter.settings import Settings
from exporter.web.links import Links


def test_they_lead_to_the_version_whatever_it_is_called() -> None:
    settings = Settings(grafana_url="https://g.example/grafana/", mlflow_url="https://m.example/")
    links = Links.of(settings, {})
    version = "?var-model=a%2Fb%20%26c&var-model_version=3"
    assert links.dashboard("a/b &c", "3") == f"https://g.example/grafana/d/mlflow-model{version}"
    column = f"https://g.example/grafana/d/mlflow-column{version}&var-column=x%3Dy"
    assert links.dashboard("a/b &c", "3", "x=y") == column
    assert links.registered("a/b &c", "3") == "https://m.example/#/models/a%2Fb%20%26c/versions/3"


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("http://mlflow:5000", "http://mlflow:5000"),
        ("https://ada:p%40ss@m.example/ui?token=x", "https://m.example/ui"),
        ("sqlite:///mlflow.db", ""),
        ("databricks", ""),
        ("http://[", ""),
    ],
)
def test_mlflows_page_is_at_its_tracking_uri_without_its_user(uri: str, expected: str) -> None:
    assert Links.of(Settings(), {"MLFLOW_TRACKING_URI": uri}).mlflow == expected


def test_the_setting_wins_and_without_either_there_is_no_link() -> None:
    named = Links.of(Settings(mlflow_url="https://m.example"), {"MLFLOW_TRACKING_URI": "http://mlflow:5000"})
    assert named.mlflow == "https://m.example"
    nothing = Links.of(Settings(), {})
    assert (nothing.dashboard("a", "1"), nothing.registered("a", "1")) == ("", "")
    assert nothing.exporter == "http://localhost:19464"
