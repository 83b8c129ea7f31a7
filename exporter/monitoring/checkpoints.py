"""Takes checkpoints of the audit trail out of the store, where who can write to the store cannot reach them.

Witnesses are the log, `/metrics` (Prometheus keeps it) and a tag in MLflow. The tag is set on one registered
model at a time, in turn: one call an hour, and with n monitored models MLflow holds the last n checkpoints. A
tag on every model would be as many calls as models, and would hold the last checkpoint only.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from exporter.audit.checkpoint import Checkpoint, SigningKey, make_checkpoint
from exporter.errors import RegistryError, StoreError
from exporter.exposition.remediation import CheckpointView
from exporter.exposition.telemetry import Telemetry
from exporter.fleet import Fleet
from exporter.registry.models import CHECKPOINT_TAG
from exporter.registry.registry import Registry
from exporter.settings import Settings
from exporter.storage.store import Store

log = logging.getLogger(__name__)


class Checkpoints:
    """Makes checkpoints and hands them to their witnesses."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        key: SigningKey | None,
        fleet: Fleet,
        telemetry: Telemetry,
        registry: Registry,
        clock: Callable[[], float],
        leads: Callable[[], bool] = lambda: True,
    ) -> None:
        self._interval_seconds = settings.audit_checkpoint_seconds
        self._store = store
        self._key = key
        self._fleet = fleet
        self._telemetry = telemetry
        self._registry = registry
        self._clock = clock
        self._leads = leads
        self._refused = False  # the tag, when it was set last

    def run(self) -> None:
        """Make a checkpoint and give it to all witnesses."""
        made = self._make()
        models = sorted({model for model, _ in self._fleet.versions})
        if not models or not self._leads():
            return
        model = models[int(made.at // self._interval_seconds) % len(models)]
        try:
            self._registry.set_model_tag(model, CHECKPOINT_TAG, f"{made.seq} {made.digest.hex()}")
        except RegistryError as error:
            if not self._refused:  # without the permission it is refused every hour
                log.warning("MLflow does not keep checkpoints of the audit trail: %s", error)
            self._refused = True
        else:
            self._refused = False

    def close(self) -> None:
        """Make the last checkpoint, for the log alone.

        A stop does not wait for MLflow: the first checkpoint of the next start includes what this one signs.
        """
        try:
            self._make()
        except StoreError as error:
            log.error("the last checkpoint is not made: %s", error)

    def _make(self) -> Checkpoint:
        with self._store.writing() as connection:
            made = make_checkpoint(connection, self._key, self._clock())
        log.info("checkpoint of the audit trail: %d %s", made.seq, made.digest.hex())
        view = CheckpointView(made.seq, made.digest.hex(), made.at)
        self._telemetry.remediation.checkpoint = view
        return made
