"""`mlflow-exporter serve` with an MLflow that is always down, and without its client, whose import takes
longer than all the rest: `python -m tests.support.serve_alone serve ...`."""

from __future__ import annotations

import exporter.registry.registry
from exporter.cli import main
from exporter.errors import RegistryUnreachableError
from tests.support.fakes import FakeRegistry


def make_registry(*_: object) -> FakeRegistry:
    registry = FakeRegistry()
    registry.failure = RegistryUnreachableError("there is no MLflow")
    return registry


def serve() -> None:
    """Run the service as the command line would, without MLflow."""
    exporter.registry.registry.Registry = make_registry  # type: ignore[assignment, misc]
    main()


if __name__ == "__main__":
    serve()
