"""Gathers what a report is made of: sampled rows of its period, rows of the reference, and what is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from exporter.config.reports import ReportsConfig
from exporter.errors import ReportError
from exporter.fleet import Version
from exporter.reference.profile import Reference
from exporter.reports.contents import ReportColumn, ReportInput
from exporter.sampling.reading import SampleReader
from exporter.storage.reference_rows import load_reference_rows
from exporter.storage.reports import StoredReport
from exporter.storage.store import Store

MAX_ROWS = 10_000
NO_SAMPLE = "no rows are kept for reports: `sample.rows` of the configuration file is 0"


class Gatherer:
    """Gathers inputs of reports; any thread but the writer's may.

    Args:
        store: of the reference's rows.
        samples: of live rows.
        address: address of a version's page for people; empty where it is not known.
    """

    def __init__(self, store: Store, samples: SampleReader, address: Callable[[str, str], str]) -> None:
        self._store = store
        self._samples = samples
        self._address = address

    def gather(self, version: Version, report: StoredReport, config: ReportsConfig) -> ReportInput:
        """Everything that a report is made of.

        Raises:
            ReportError: there is nothing to report on; the text is for people.
            StoreError: the store failed.
        """
        counts, own = version.counts, version.facts.config
        if counts is None:
            raise ReportError("the version has no reference to compare with")
        if not own.sample.rows:
            raise ReportError(NO_SAMPLE)
        sample = self._samples.load(version.key, report.start, report.end, MAX_ROWS, own.maturation)
        if not sample.rows:
            raise ReportError(
                f"none of the {sample.counted:,} rows of the period were sampled"
                if sample.counted
                else "there are no rows in the period"
            )
        with self._store.reading() as connection:
            reference_rows = load_reference_rows(connection, counts.reference_id)
        reference = counts.reference
        notes = []
        if sample.covered < sample.counted:
            notes.append(
                f"the sample is younger than the period: it is of {sample.covered:,} of its "
                f"{sample.counted:,} rows"
            )
        address = self._address(*version.names)
        return ReportInput(
            model=version.model,
            version=version.version,
            start=report.start,
            end=report.end,
            task=reference.task,
            classes=reference.classes,
            positive_class=reference.positive_class,
            columns=order_columns(version, reference, report.window),
            rows=sample.rows,
            rows_counted=sample.counted,
            reference_rows=reference_rows,
            reference_digest=reference.digest,
            metrics=config.metrics,
            descriptors=config.descriptors,
            reason=f"{report.trigger}: {report.reason}" if report.reason else report.trigger,
            notes=tuple(notes),
            links={"this version": address} if address else {},
            report_id=report.id,
        )


def order_columns(version: Version, reference: Reference, window: str) -> tuple[ReportColumn, ...]:
    """Columns of the reference, the most important first, and of these the furthest beyond its limit."""
    limits = np.full(len(reference.columns), np.nan)
    excess = np.zeros(len(reference.columns))
    evaluation = version.evaluation
    if evaluation is not None and evaluation.reference.digest == reference.digest:
        found = next((each for each in evaluation.windows if each.window.name == window), None)
        if found is not None:
            limits = found.drift_limit
            excess = np.nan_to_num(found.drift_score - found.drift_limit, nan=-np.inf)
    shares = version.importance.shares if version.importance is not None else {}
    places = sorted(
        range(len(reference.columns)),
        key=lambda place: (-shares.get(reference.columns[place].name, 0.0), -excess[place]),
    )
    return tuple(
        ReportColumn(
            name=column.name,
            role=column.role,
            kind=column.kind,
            drift_limit=float(limits[place]) if np.isfinite(limits[place]) else None,
            unjudged=column.unjudged,
            importance=shares.get(column.name) if column.role == "feature" else None,
        )
        for place in places
        for column in (reference.columns[place],)
    )
