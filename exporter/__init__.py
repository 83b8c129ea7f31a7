"""Prometheus exporter for MLflow models in production."""

from importlib.metadata import version

__version__ = version("mlflow-exporter")
