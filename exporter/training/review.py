"""Review of a reference: the monitored columns, how sure verdicts will be, and the quality to expect."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from math import inf, isfinite

from exporter.aggregates.outcome_layout import why_no_layout
from exporter.config.models import ModelConfig
from exporter.evaluation.context import QualityRules
from exporter.evaluation.quality_reference import QualityReference, quality_reference
from exporter.formats.texts import listed, printable
from exporter.measures.intervals import Interval
from exporter.profiling.data import ReferenceFile
from exporter.profiling.isolated import profile
from exporter.reference.bins import Column, ColumnKind, Role
from exporter.reference.profile import PROVISIONAL, Reference
from exporter.settings import Settings, Window

MAX_SHOWN = 40  # columns
MAX_NAMES = 10


@dataclass(frozen=True)
class ReviewedColumn:
    """A monitored column: `bins` says how values are compared, `unjudged` why drift is not judged, if so."""

    name: str
    role: Role
    kind: ColumnKind
    bins: str
    unjudged: str


@dataclass(frozen=True)
class PromisedQuality:
    """Baseline of a metric with a 99 % interval, and by how much it may be worse without an alert."""

    metric: str
    figure: Interval
    tolerance: float
    source: str


@dataclass(frozen=True)
class ReferenceReview:
    """A reference as the exporter will use it.

    `name` is the model's or the file's, `uri` where the reference is. `final_windows` are those whose natural
    variation it shows, and longer ones; without any, verdicts are provisional. On `unjudged_windows` there
    are none. `no_quality` and `no_estimate` are the reasons why quality is not promised or
    estimated, empty if it is. `notes` are the exporter's own, `hints` are about the model's signature and
    what was logged.
    """

    name: str
    uri: str
    source: str
    rows: int
    task: str
    target: str
    positive_class: str
    split: str
    columns: tuple[ReviewedColumn, ...]
    final_windows: tuple[str, ...]
    unjudged_windows: tuple[str, ...]
    quality: tuple[PromisedQuality, ...]
    no_quality: str
    no_estimate: str
    notes: tuple[str, ...]
    hints: tuple[str, ...]
    digest: str

    def __str__(self) -> str:
        parts = (self._head(), self._columns(), self._verdicts(), self._quality(), self._notes())
        return "\n".join(chain.from_iterable(parts))

    def __repr__(self) -> str:
        return f"<reference of {self.name}: {self.rows:,} rows, {len(self.columns)} columns, {self.uri}>"

    def _head(self) -> list[str]:
        task = [self.task or "no task"]
        task += [f"target {printable(self.target)}"] if self.target else []
        task += [f"positive class {printable(self.positive_class)}"] if self.positive_class else []
        task += [f"{self.split} data"] if self.split else []
        return [
            f"Reference of {printable(self.name)}: {self.rows:,} rows, {', '.join(task)}",
            f"  {self.uri}",
        ]

    def _columns(self) -> list[str]:
        features = sum(column.role == "feature" for column in self.columns)
        own = [column.role for column in self.columns if column.role != "feature"]
        lines = [f"Monitored: {listed([f'{features} features', *own])}"]
        shown = [(printable(column.name), column) for column in self.columns[:MAX_SHOWN]]
        width = max(len(name) for name, _ in shown)
        for name, column in shown:
            doubt = f"; drift is not judged: {column.unjudged}" if column.unjudged else ""
            lines.append(f"  {name:{width}}  {column.kind}, {column.bins}{doubt}")
        if more := len(self.columns) - len(shown):
            lines.append(f"  and {more} more")
        return lines

    def _verdicts(self) -> list[str]:
        if not self.final_windows:
            return [f"Verdicts are provisional: {PROVISIONAL}"]
        lines = [f"Verdicts on windows of {listed(self.final_windows)} are final from the start"]
        if short := listed(self.unjudged_windows):
            lines.append(f"There are none on windows of {short}: it has too few rows in each")
        return lines

    def _quality(self) -> list[str]:
        lines = []
        if self.quality:
            width = max(len(promised.metric) for promised in self.quality)
            lines.append("Quality that it promises, with 99 % intervals")
            for promised in self.quality:
                value, lower, upper = promised.figure
                origin = f"{lower:.4g} to {upper:.4g}" if lower < upper else f"of the {promised.source}"
                accepted = f"{promised.tolerance:.3g} worse is accepted"
                lines.append(f"  {promised.metric:{width}}  {value:.4g} ({origin}), {accepted}")
        else:
            lines.append(f"No quality is promised: {self.no_quality}")
        if self.no_estimate and self.quality:
            lines.append(f"Quality is not estimated without labels: {self.no_estimate}")
        return lines

    def _notes(self) -> list[str]:
        further = [*(note for note in self.notes if note != PROVISIONAL), *self.hints]
        return ["Notes", *(f"  {printable(note)}" for note in further)] if further else []


@dataclass(frozen=True)
class ReviewedModel:
    """The model of a reference.

    `name` and `uri` are for people. `run_metrics` are of its source run, by the run's own names; `hints` are
    added to those of the review.
    """

    name: str
    uri: str
    config: ModelConfig = field(default_factory=ModelConfig)
    run_metrics: Mapping[str, float] = field(default_factory=dict)
    hints: tuple[str, ...] = ()


def review_file(file: ReferenceFile, model: ReviewedModel, settings: Settings) -> ReferenceReview:
    """Profile a file as the exporter does, with its settings, and review it.

    Raises:
        ReferenceInvalidError: it cannot be a reference.
    """
    reference = profile(file, settings).reference
    return review_reference(reference, model, settings.windows, file.assumed.get("inputs", {}))


def review_reference(
    reference: Reference, model: ReviewedModel, windows: Collection[Window], inputs: Collection[str]
) -> ReferenceReview:
    """Review a reference for windows of the exporter.

    `inputs` are those of the model by its signature, empty where it has none.
    """
    config, run_metrics = model.config, model.run_metrics
    against = quality_reference(reference, QualityRules.of(config), run_metrics)
    promised = () if against is None else tuple(_promised(against))
    shortest = min(reference.variation, default=inf)
    labelled = reference.labels is not None
    columns = reference.columns if reference.labels is None else reference.columns + reference.labels.columns
    lacking = against.no_estimate if labelled and against is not None else "the reference has no labels"
    return ReferenceReview(
        name=model.name,
        uri=model.uri,
        source=reference.source,
        rows=reference.rows,
        task=reference.task,
        target=reference.target,
        positive_class=reference.positive_class,
        split=reference.split,
        columns=tuple(map(_reviewed, columns)),
        final_windows=tuple(window.name for window in windows if window.seconds >= shortest),
        unjudged_windows=tuple(window.name for window in windows if window.seconds < shortest < inf),
        quality=promised,
        no_quality="" if promised else why_no_layout(reference) or lacking,
        no_estimate="" if against is not None and against.estimator is not None else lacking,
        notes=reference.remarks,
        hints=(*model.hints, *_compare_signature(reference, inputs)),
        digest=reference.digest,
    )


def _promised(against: QualityReference) -> Iterator[PromisedQuality]:
    for metric, baseline in against.baselines.items():
        if isfinite(baseline.figure.value):
            yield PromisedQuality(metric, baseline.figure, against.tolerances[metric], baseline.source)


def _reviewed(column: Column) -> ReviewedColumn:
    if column.numeric:
        bins = f"{column.bins} bins"
        if column.kind == "number" and len(column.edges):
            bins += f", {column.edges[0]:.4g} to {column.edges[-1]:.4g}"
    elif column.kind == "boolean":
        bins = "true and false"
    else:
        rare = len(column.known)
        values = "value" if len(column.categories) == 1 else "values"
        bins = f"{len(column.categories)} {values}" + (f" and {rare:,} rare ones" if rare else "")
    return ReviewedColumn(column.name, column.role, column.kind, bins, column.unjudged)


def _compare_signature(reference: Reference, inputs: Collection[str]) -> list[str]:
    """Hints about features that are not among the model's inputs, and about inputs that are no features."""
    if not inputs:
        return []
    hints = []
    if others := sorted(reference.feature_names - set(inputs)):
        hints.append(
            f"not inputs of the model, by its signature: {listed(others, MAX_NAMES)}; if predictions come "
            "without them they count as missing: leave them out, or set columns.exclude"
        )
    if lacking := sorted(set(inputs) - reference.feature_names):
        hints.append(f"inputs of the model that are not monitored: {listed(lacking, MAX_NAMES)}")
    return hints
