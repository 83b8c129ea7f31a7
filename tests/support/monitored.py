"""Registries of monitored models, and what is seen of a version."""

from __future__ import annotations

import pyarrow as pa

from exporter.errors import RegistryUnreachableError
from exporter.views.versions import models_view
from tests.support.fakes import FakeRegistry
from tests.support.rig import Rig

DOWN = RegistryUnreachableError("MLflow at http://mlflow:5000 cannot be reached: Connection refused")


def make_registry(*references: pa.Table | Exception | None, model: str = "fraud") -> FakeRegistry:
    """Versions 1, 2, ... of a model; the first is its champion."""
    registry = FakeRegistry()
    for reference in references:
        registry.register(model, reference)
    registry.set_alias(model, "champion", "1")
    return registry


def state(rig: Rig, version: str = "1", model: str = "fraud") -> tuple[str, str]:
    """Status and detail in `GET /v1/models`."""
    shown = models_view(rig.service.fleet, up=True, error="")
    versions = {(m.model, v.version): v for m in shown.models for v in m.versions}
    return versions[model, version].status, versions[model, version].detail


def errors(rig: Rig, version: str = "1", model: str = "fraud") -> dict[str, float]:
    name = "mlflow_exporter_evaluation_errors_total"
    labels = f'model="{model}",model_version="{version}"'
    stages = ("reference", "evaluation", "store")
    found = rig.series(name)
    counts = {stage: found[f'{name}{{{labels},stage="{stage}"}}'] for stage in stages}
    return {stage: count for stage, count in counts.items() if count}
