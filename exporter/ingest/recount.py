"""Count the outcomes of a version again from stored rows, in the writer's thread."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from exporter.aggregates.outcomes import Outcomes, only_predictions
from exporter.fleet import Version
from exporter.ingest.join_counts import fold_pairs, pairs_by_segment
from exporter.ingest.pairs import Pairs
from exporter.settings import Settings
from exporter.storage.labels import LabelTables
from exporter.storage.store import Store


def recount(store: Store, settings: Settings, version: Version) -> None:
    """Count the outcomes of a version again, from all stored labels and predictions.

    Needed when labels came before the reference, and when the maturation was changed.
    """
    if version.counts is None:
        return
    maturation = version.facts.config.maturation
    counts = replace(version.counts, maturation_seconds=maturation)
    # Scores were counted when the predictions came, and do not depend on labels.
    counted = {} if counts.layout is None else only_predictions(counts.layout, counts.outcomes)
    by_segment: dict[str, dict[int, Outcomes]] = {
        name: {} if counts.layout is None else only_predictions(counts.layout, found.outcomes)
        for name, found in counts.segments.items()
    }
    with store.begin() as transaction:
        tables = LabelTables(transaction)
        for labels in tables.all_labels(version.model):
            numbers, predictions = tables.find_latest(labels.ids)
            own = np.flatnonzero(predictions.numbers["version_id"] == version.key)
            pairs = Pairs(predictions.take(own), labels.take(numbers[own]))
            _add(counted, fold_pairs(counts, pairs, settings))
            for name, inside in pairs_by_segment(counts, pairs).items():
                _add(by_segment[name], fold_pairs(counts, inside, settings))
        transaction.delete_outcomes(counts.reference_id)
        if counts.layout is not None:
            transaction.put_outcomes(counts.reference_id, counts.layout, counted)
            for name, outcomes in by_segment.items():
                transaction.put_outcomes(counts.reference_id, counts.layout, outcomes, name)
        transaction.set_maturation(counts.reference_id, maturation)
        segments = {
            name: replace(counts.segments[name], outcomes=found) for name, found in by_segment.items()
        }
        live = replace(version.live, counts=replace(counts, outcomes=counted, segments=segments))
    with store.applying():
        version.live = live


def _add(hours: dict[int, Outcomes], more: dict[int, Outcomes]) -> None:
    for hour, outcomes in more.items():
        hours[hour] = hours[hour] + outcomes if hour in hours else outcomes
