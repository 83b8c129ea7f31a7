"""Count the outcomes of a version anew, in the writer's thread."""

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
    """Count the outcomes of a version anew, from the labels and predictions that are stored.

    Labels may have come before the version's reference, or the owner thinks otherwise of how long they take.
    """
    if version.binning is None:
        return
    maturation = version.facts.config.maturation
    binning = replace(version.binning, maturation_seconds=maturation)
    # Scores are counted as predictions come, whatever becomes of their labels.
    counted = {} if binning.layout is None else only_predictions(binning.layout, binning.outcomes)
    by_segment: dict[str, dict[int, Outcomes]] = {
        name: {} if binning.layout is None else only_predictions(binning.layout, found.outcomes)
        for name, found in binning.slices.items()
    }
    with store.begin() as transaction:
        tables = LabelTables(transaction)
        for labels in tables.all_labels(version.model):
            numbers, predictions = tables.find_latest(labels.ids)
            own = np.flatnonzero(predictions.numbers["version_id"] == version.key)
            pairs = Pairs(predictions.take(own), labels.take(numbers[own]))
            _add(counted, fold_pairs(binning, pairs, settings))
            for name, inside in pairs_by_segment(binning, pairs).items():
                _add(by_segment[name], fold_pairs(binning, inside, settings))
        transaction.delete_outcomes(binning.reference_id)
        if binning.layout is not None:
            transaction.put_outcomes(binning.reference_id, binning.layout, counted)
            for name, outcomes in by_segment.items():
                transaction.put_outcomes(binning.reference_id, binning.layout, outcomes, name)
        transaction.set_maturation(binning.reference_id, maturation)
        slices = {name: replace(binning.slices[name], outcomes=found) for name, found in by_segment.items()}
        live = replace(version.live, binning=replace(binning, outcomes=counted, slices=slices))
    with store.applying():
        version.live = live


def _add(hours: dict[int, Outcomes], more: dict[int, Outcomes]) -> None:
    for hour, outcomes in more.items():
        hours[hour] = hours[hour] + outcomes if hour in hours else outcomes
