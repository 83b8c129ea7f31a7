"""Lacks of a version that cost figures or verdicts, and the line that mends each. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass

import orjson

from exporter.aggregates.outcome_layout import why_no_layout
from exporter.aggregates.state import VersionCounts
from exporter.evaluation.model_quality import QualityEvaluation
from exporter.fleet import Status, Version
from exporter.formats.texts import listed, printable

MAX_NAMES = 4


@dataclass(frozen=True)
class Need:
    """Lack of a version, its consequence, and a line for a shell or for Python that mends it."""

    lack: str
    cost: str
    line: str


def alias_need(model: str, version: str) -> Need:
    """Lack of an alias."""
    arguments = ", ".join(map(repr, (model, "champion", version)))
    return Need(
        "It has no alias.",
        "It is not monitored.",
        f"mlflow.MlflowClient().set_registered_model_alias({arguments})",
    )


def reference_need(model: str, version: str) -> Need:
    """Lack of a reference."""
    uri = f"models:/{model}/{version}"
    return Need(
        "It has no reference.",
        "Predictions are only counted: there is no drift, no data quality and no model quality.",
        f"exporter.log_reference({uri!r}, held_out)  # with columns prediction, score, timestamp and label",
    )


def find_needs(version: Version, exporter: str) -> tuple[Need, ...]:
    """Return what a version lacks, the costliest first.

    Args:
        version: of which a snapshot is taken.
        exporter: URL of this exporter.
    """
    return tuple(_Needs(version, exporter).all())


class _Needs:
    def __init__(self, version: Version, exporter: str) -> None:
        self._version = version
        self._exporter = exporter

    def all(self) -> Iterator[Need]:
        version, counts = self._version, self._version.counts
        if version.last_prediction is None:
            features = {"features": {"age": 41}, "prediction": 1, "id": "a1"}
            body = {"model": version.model, "version": version.version, "predictions": [features]}
            yield Need(
                "It has no predictions yet.",
                "Nothing is measured until your service posts them.",
                self._post("predictions", body),
            )
        if counts is None:
            yield from self._reference()
        else:
            yield from self._quality(counts)
            yield from self._times(counts)
            yield from self._columns()

    def _reference(self) -> Iterator[Need]:
        missing = reference_need(*self._version.names)
        if self._version.status is Status.NO_REFERENCE:
            yield missing
        elif self._version.status is Status.BROKEN:
            mend = self._rebaseline("a reference that can be read")
            yield Need("Its reference cannot be used.", missing.cost, mend)

    def _quality(self, counts: VersionCounts) -> Iterator[Need]:
        version, reference = self._version, counts.reference
        if reason := why_no_layout(reference):
            predicts = any(column.role == "prediction" for column in reference.columns)
            with_what = "rows of both classes" if predicts else "columns `prediction` and `score`"
            yield Need(
                f"Its quality cannot be measured: {reason}.",
                "Labels are kept and not counted, and nothing is estimated without them.",
                f"{self._rebaseline('to measure quality')}  # with {with_what}",
            )
            return
        found = version.findings.quality if version.findings is not None else ()
        if found and version.last_prediction is not None and not _labelled(version, found):
            estimated = any(window.estimates for window in found)
            body = {"model": version.model, "labels": [{"id": "a1", "label": 1}]}
            yield Need(
                "It has no labels.",
                "Its quality is estimated from scores, which cannot see that the world has changed."
                if estimated
                else "Its quality is neither measured nor estimated.",
                self._post("labels", body),
            )
        elif metrics := _without_baseline(found):
            yield Need(
                f"It has no baseline for {listed(metrics, MAX_NAMES)}.",
                "These are measured and never judged, so no alert is about them.",
                self._tag(f"monitoring.baseline.{metrics[0]}", "0.8"),
            )
        if reference.labels is None and not reference.target:
            yield Need(
                "Its reference has no labels.",
                "Drift of the labels is not seen, and baselines have to be given.",
                f"{self._tag('monitoring.target', 'label')}  # then: {self._rebaseline('with labels')}",
            )

    def _times(self, counts: VersionCounts) -> Iterator[Need]:
        evaluation = self._version.evaluation
        variation = evaluation.variation if evaluation is not None else "none"
        if counts.reference.provisional and variation == "none":
            yield Need(
                "Its reference has no times over two weeks.",
                "Limits are provisional: only large drift is reported until two weeks of traffic have shown "
                "how much days differ.",
                f"{self._rebaseline('with times')}  # with a column `timestamp`",
            )

    def _columns(self) -> Iterator[Need]:
        select = self._version.facts.config.columns.select
        if unknown := sorted(filter(select, self._version.unknown_columns)):
            names = listed([*map(printable, unknown)], MAX_NAMES)
            yield Need(
                f"Its reference lacks {len(unknown)} columns of the predictions: {names}."
                if len(unknown) > 1
                else f"Its reference lacks a column of the predictions: {names}.",
                "They are not monitored.",
                self._rebaseline("with all columns"),
            )

    def _rebaseline(self, reason: str) -> str:
        names = shlex.join((self._version.model, self._version.version))
        return (
            f"mlflow-exporter rebaseline {names} --file reference.parquet --reason {shlex.quote(reason)}"
            f" --exporter {shlex.quote(self._exporter)}"
        )

    def _post(self, what: str, body: object) -> str:
        content = shlex.quote(orjson.dumps(body).decode())
        address = shlex.quote(f"{self._exporter}/v1/{what}")
        return f"curl -H 'Content-Type: application/json' -d {content} {address}"

    def _tag(self, name: str, value: str) -> str:
        arguments = ", ".join(map(repr, (self._version.model, self._version.version, name, value)))
        return f"mlflow.MlflowClient().set_model_version_tag({arguments})"


def _labelled(version: Version, found: tuple[QualityEvaluation, ...]) -> bool:
    """True if labels came since the start, or count in a window."""
    return bool(version.live.totals.labels or any(each.labels or each.unusable_labels for each in found))


def _without_baseline(found: tuple[QualityEvaluation, ...]) -> list[str]:
    windows = (window.metrics for window in found)
    return list(dict.fromkeys(m.metric for metrics in windows for m in metrics if m.baseline != m.baseline))
