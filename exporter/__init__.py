"""Prometheus exporter for MLflow models in production."""

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from exporter.training.log import log_reference as log_reference

__version__ = version("mlflow-exporter")


def __getattr__(name: str) -> Any:
    """Import what training scripts use when they use it: everything else is to start fast."""
    if name == "log_reference":
        from exporter.training.log import log_reference

        return log_reference
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
