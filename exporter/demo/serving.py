"""Versions that score flights: all that an alias points to, or has pointed to."""

from __future__ import annotations

import mlflow

from exporter.demo.client import Client
from exporter.demo.scenario import MODEL, Pace
from exporter.demo.traffic import ServedModel
from exporter.demo.training import find_aliases


class Serving:
    """Follows the aliases in MLflow, as a scoring service does that is not restarted for a release."""

    def __init__(self, client: Client, pace: Pace) -> None:
        self._client = client
        self._pace = pace
        self.models: tuple[ServedModel, ...] = ()

    def refresh(self) -> set[str]:
        """Load the versions that got an alias and whose reference the exporter has profiled; return those
        that are loaded."""
        served = {model.version for model in self.models}
        for version in sorted(set(find_aliases(self._pace).values()) - served):
            if self._client.has_reference(MODEL, version):
                pipeline = mlflow.sklearn.load_model(f"models:/{MODEL}/{version}")
                loaded = ServedModel(pipeline, version, self._client.monitor(version))
                self.models = (*self.models, loaded)
        return {model.version for model in self.models}
