"""Measures the attributions of a version's model, on its reference or on recent live rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from exporter.aggregates.state import VersionCounts
from exporter.errors import ImportanceError
from exporter.fleet import Version
from exporter.importance.measuring import measure_attributions
from exporter.importance.permutation import MAX_ROWS
from exporter.registry.registry import Registry
from exporter.sampling.reading import SampleReader
from exporter.settings import DAY_SECONDS, Settings
from exporter.storage.reference_rows import load_reference_rows
from exporter.storage.store import Store

MAX_MODEL_BYTES = 2**30
MIN_LIVE_ROWS = 200


class Attributions:
    """Downloads models and has them run in a child process, one at a time."""

    def __init__(self, settings: Settings, store: Store, registry: Registry, samples: SampleReader) -> None:
        self._store = store
        self._registry = registry
        self._samples = samples
        # Live rows are of the longest window of at most a day, else of the shortest.
        lengths = [window.seconds for window in settings.windows]
        self._window_seconds = max(
            (length for length in lengths if length <= DAY_SECONDS), default=min(lengths)
        )

    def of_reference(self, version: Version, counts: VersionCounts) -> dict[str, float]:
        """Attributions by feature on the rows of the version's reference.

        Raises:
            ImportanceError: they cannot be measured; the message says why.
            RegistryError: MLflow does not answer.
            UnavailableError: no child process can be started.
        """
        return self._measure(version, counts, ())

    def of_live_rows(
        self, version: Version, counts: VersionCounts, now: float
    ) -> tuple[dict[str, float], int] | None:
        """Attributions by feature on sampled live rows, and how many these are; None if they are too few.

        Raises: as `of_reference`.
        """
        sample = self._samples.load(version.key, now - self._window_seconds, now, MAX_ROWS)
        if len(sample.rows) < MIN_LIVE_ROWS:
            return None
        return self._measure(version, counts, [row.content for row in sample.rows]), len(sample.rows)

    def _measure(self, version: Version, counts: VersionCounts, live: Sequence[bytes]) -> dict[str, float]:
        hidden = version.facts.config.sample
        missing = sorted({*hidden.hash, *hidden.leave_out} & counts.reference.feature_names)
        if missing:
            raise ImportanceError(
                f"permutation takes the values of all features, and `sample` hides {', '.join(missing[:10])}"
            )
        with self._store.reading() as connection:
            rows = load_reference_rows(connection, counts.reference_id)
        if not rows:
            raise ImportanceError("permutation takes rows of the reference, and none are kept")
        with TemporaryDirectory(prefix="mlflow-exporter-", ignore_cleanup_errors=True) as directory:
            model = self._registry.download_model(*version.names, Path(directory), MAX_MODEL_BYTES)
            return measure_attributions(model, counts.reference, rows, live)
