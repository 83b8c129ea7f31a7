"""What each version's quality is measured against, kept as long as nothing about it changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from exporter.aggregates.state import VersionCounts
from exporter.evaluation.quality_reference import QualityReference, QualityRules, quality_reference
from exporter.evaluation.segments import segment_references
from exporter.fleet import Version
from exporter.model_config import ModelConfig


@dataclass(frozen=True)
class _Kept:
    reference_id: int
    rules: QualityRules
    run_metrics: Mapping[str, float]
    against: QualityReference | None
    segments: Mapping[str, QualityReference]


class QualityReferences:
    """A calibration takes milliseconds and evaluations are many: made once, until something changes."""

    def __init__(self) -> None:
        self._kept: dict[Version, _Kept] = {}

    def find(self, version: Version, counts: VersionCounts) -> QualityReference | None:
        """The version's; None where its reference does not say what is predicted."""
        rules, metrics = quality_rules(version.facts.config), version.run_metrics
        kept = self._kept.get(version)
        known = (kept.reference_id, kept.rules, kept.run_metrics) if kept is not None else None
        if kept is None or known != (counts.reference_id, rules, metrics):
            against = quality_reference(counts.reference, rules, metrics)
            segments = segment_references(counts.reference, rules)
            kept = self._kept[version] = _Kept(counts.reference_id, rules, metrics, against, segments)
        return kept.against

    def of_segments(self, version: Version) -> Mapping[str, QualityReference]:
        """Those of the segments, by name, of what was found last."""
        kept = self._kept.get(version)
        return kept.segments if kept is not None else {}

    def keep_only(self, versions: set[Version]) -> None:
        """Forget the others."""
        self._kept = {version: kept for version, kept in self._kept.items() if version in versions}


def quality_rules(config: ModelConfig) -> QualityRules:
    """What a configuration says of quality."""
    return QualityRules(
        maturation_seconds=config.maturation,
        min_labels=config.minimums.labels,
        min_positives=config.minimums.positives,
        min_coverage=config.minimums.coverage,
        tolerances={str(metric): value for metric, value in config.tolerances.items()},
        baselines={str(metric): value for metric, value in config.baselines.items()},
        prevalence=config.prevalence,
    )
