"""Models whose labels come, late or in part: rows in time -> what /metrics shows at every moment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from math import inf

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy.special import expit

from exporter.aggregates.block import Block, fold
from exporter.aggregates.outcomes import Outcomes, fold_outcomes, fold_predictions
from exporter.aggregates.segments import fold_segments
from exporter.aggregates.timeline import Timeline
from exporter.evaluation.context import EvaluationContext, QualityRules
from exporter.evaluation.drift import evaluate
from exporter.evaluation.habits.limits import Habits
from exporter.evaluation.model_quality import evaluate_quality
from exporter.evaluation.quality_reference import quality_reference, segment_references
from exporter.evaluation.segments import evaluate_segment
from exporter.exposition.collector import SeriesCollector
from exporter.exposition.render import Format
from exporter.exposition.telemetry import Telemetry
from exporter.exposition.view import VersionView
from exporter.fleet import Findings
from exporter.formats.arrow_columns import from_arrow
from exporter.formats.columns import Values, take_rows
from exporter.profiling.build import build_reference
from exporter.profiling.data import ReferenceData
from exporter.reference.binning import bin_columns
from exporter.settings import Settings
from exporter.typing import Bools, Floats, Ints
from tests.study.label_habits import LabelHabits
from tests.study.replay import dated, timelines
from tests.study.worlds import START
from tests.support.labelled import places_of

SETTINGS = Settings()
HOUR, DAY = 3600, 86400


@dataclass(frozen=True)
class Rows:
    """A model's rows in order of time: what it got and answered, what came true, and when that was known.

    `table` has the columns of samples and `label`; `times` (rows,) are seconds since the epoch, and so are
    `known`, infinity where a label never comes.
    """

    table: pd.DataFrame = field(repr=False)
    times: Floats = field(repr=False)
    known: Floats = field(repr=False)

    def where(self, chosen: Bools) -> Rows:
        return Rows(self.table[chosen], self.times[chosen], self.known[chosen])


@dataclass(frozen=True)
class Break:
    """An incident from some second on: a share of the labels is flipped or missing, or the main feature
    has another unit, is null, or loses its meaning."""

    at: float
    flipped: float = 0.0
    stretch: float = 1.0
    nulls: float = 0.0
    faded: float = 0.0  # of what the feature says about the label
    unlabelled: bool = False


@dataclass(frozen=True)
class LabelledWorld:
    """A model whose predictions get labels.

    `weather`: how much harder some days are than others, in standard deviations of the log of the noise.
    Labels come after `delay_days` (the median of a lognormal), those of positives so many times `sooner`, at
    the next of the hours that are multiples of `delivery_hours`; a part of them never does.
    """

    task: str = "binary"
    rows_per_day: int = 3000
    reference_rows: int = 30_000
    reference_days: int = 60
    season: float = 0.3
    weather: float = 0.0
    tail: float = 0.0  # degrees of freedom of the errors of numbers, normal if 0
    delay_days: float = 0.2
    sooner: float = 1.0
    delivery_hours: int = 1
    labelled: float = 1.0
    maturation_days: float = 1.0
    segments: int = 0
    versions: int = 1  # that score the same rows, equally well

    def draw(self, days: int, seed: tuple[int, ...], broken: Break | None = None) -> tuple[Rows, list[Rows]]:
        """The reference's rows, and the live ones of each version."""
        draw = np.random.default_rng(seed)
        skies = draw.standard_normal(self.reference_days + days)
        for k in range(1, len(skies)):
            skies[k] = 0.5 * skies[k - 1] + np.sqrt(0.75) * skies[k]
        past = np.sort(draw.uniform(-self.reference_days, 0, self.reference_rows))
        live = np.sort(draw.uniform(0, days, self.rows_per_day * days))
        (reference,) = self._rows(past, skies, draw, None, 1)
        return reference, self._rows(live, skies, draw, broken, self.versions)

    def _rows(
        self, at: Floats, skies: Floats, draw: np.random.Generator, broken: Break | None, versions: int
    ) -> list[Rows]:
        """Rows at so many days from the start of the live traffic."""
        n, times = len(at), START + DAY * at
        x = draw.standard_normal(n) + self.season * np.sin(2 * np.pi * at)
        hard = np.exp(self.weather * skies[np.floor(at).astype(np.int64) + self.reference_days])
        after = times >= (broken.at if broken is not None else np.inf)
        faded = np.where(after, broken.faded if broken is not None else 0.0, 0.0)
        error = draw.standard_t(self.tail, n) if self.tail else draw.standard_normal(n)
        if self.task == "binary":
            label = (draw.random(n) < expit((2.5 * (1 - faded) * x - 1.5) / hard)).astype(np.int64)
        else:
            label = 50 + 10 * (1 - faded) * x + 4 * hard * error
        seen = x.copy()
        if broken is not None:
            if self.task == "binary":
                label = np.where(after & (draw.random(n) < broken.flipped), 1 - label, label)
            seen = np.where(after, seen * broken.stretch, seen)
            seen = np.where(after & (draw.random(n) < broken.nulls), np.nan, seen)
        known = times + DAY * self.delay_days * draw.lognormal(0, 0.5, n) / np.where(
            (label == 1) if self.task == "binary" else False, self.sooner, 1.0
        )
        known = np.ceil(known / (HOUR * self.delivery_hours)) * HOUR * self.delivery_hours
        never = draw.random(n) >= self.labelled
        if broken is not None and broken.unlabelled:
            never |= known >= broken.at
        countries = np.array([f"c{k}" for k in range(max(self.segments, 1))])
        country = countries[draw.integers(0, len(countries), n)]
        found = []
        for _ in range(versions):
            used = np.nan_to_num(seen) + (0.05 * draw.standard_normal(n) if versions > 1 else 0.0)
            table = pd.DataFrame({"x": seen, "country": country, "label": label})
            if self.task == "binary":
                score = expit(2.5 * used - 1.5)
                table = table.assign(score=score, prediction=(score >= 0.5).astype(np.int64))
            else:
                table = table.assign(prediction=50 + 10 * used)
            found.append(Rows(table, times, np.where(never, np.inf, known)))
        return found


@dataclass(frozen=True)
class Moment:
    """Findings on a version, and its samples on /metrics: (name with labels, value)."""

    findings: Findings
    samples: list[tuple[str, float]] = field(repr=False)


def watch(
    reference_rows: Rows,
    rows: Rows,
    moments: Sequence[float],
    task: str,
    maturation_days: float,
    version: tuple[str, str, str],
    segments: bool = False,
    tolerance_factor: float = 1.0,
) -> Iterator[Moment]:
    """Evaluate drift, quality and segments of a version (model, version, alias) at each moment."""
    table = pa.Table.from_pandas(
        reference_rows.table.assign(timestamp=pd.to_datetime(reference_rows.times, unit="s", utc=True)),
        preserve_index=False,
    )
    sliced = ("country",) if segments else ()
    data = ReferenceData(table, "study", task=task, target="label", split="test", segments=sliced)
    reference = build_reference(data, SETTINGS.windows, max_columns=100)
    rules = QualityRules(maturation_seconds=maturation_days * DAY)
    against = quality_reference(reference, rules, {})
    assert against is not None
    if tolerance_factor != 1:
        tolerances = {metric: tolerance_factor * usual for metric, usual in against.tolerances.items()}
        rules = replace(rules, tolerances=tolerances)
        against = quality_reference(reference, rules, {})
        assert against is not None
    of_segments = segment_references(reference, rules)
    columns = _columns(rows.table)
    values = {
        (column.role, column.name if column.role == "feature" else ""): columns[column.name]
        for column in reference.columns
    }
    binned = bin_columns(reference, values, len(rows.times), rows.times)
    starts = (rows.times // SETTINGS.block_seconds).astype(np.int64) * SETTINGS.block_seconds
    hours = rows.times.astype(np.int64) // HOUR * HOUR
    blocks = fold(reference, binned, starts, None)
    slices: dict[str, dict[int, Block]] = {segment.name: {} for segment in reference.segments}
    for name, hour, block in fold_segments(reference, binned, hours):
        slices[name][hour] = block
    members = {s.name: binned.cells[s.column] == s.cell for s in reference.segments}
    scores = rows.table["score"].to_numpy() if "score" in rows.table else None
    outcomes: dict[int, Outcomes] = {}
    of_slices: dict[str, dict[int, Outcomes]] = {name: {} for name in slices}

    def label(chosen: Ints) -> dict[int, Outcomes]:
        taken = (take_rows(columns[name], chosen) for name in ("label", "prediction"))
        return fold_outcomes(
            against.layout, *taken, None if scores is None else scores[chosen], hours[chosen]
        )

    collector = SeriesCollector(SETTINGS, Telemetry())
    habits = LabelHabits(*version)
    found, last, labels, first_label = None, -np.inf, 0, inf
    empty = np.zeros(reference.cells, np.int64)
    for now, timeline in timelines(blocks, moments):
        came = np.flatnonzero((rows.times > last) & (rows.times <= now))
        known = np.flatnonzero((rows.known > last) & (rows.known <= now))
        labels, last = labels + len(known), now
        habits.add(rows.times[came], rows.known[known], (rows.known - rows.times)[known])
        if len(came) and scores is not None:
            predicted = take_rows(columns["prediction"], came)
            _add(
                outcomes,
                fold_predictions(
                    against.layout, places_of(against.layout, predicted, scores[came]), hours[came]
                ),
            )
        if len(known):
            _add(outcomes, label(known))
            first_label = min(first_label, int(hours[known].min()))
            for name, inside in members.items():
                of_slice = known[inside[known]]
                if len(of_slice):
                    _add(of_slices[name], label(of_slice))
        context = EvaluationContext(
            SETTINGS.windows, now, rules=rules, before=found.evaluation if found is not None else None
        )
        context = context.with_effects(reference, timeline)
        evaluation = evaluate(reference, timeline, context)
        quality = evaluate_quality(against, outcomes, timeline, context)
        sliced_evaluations = tuple(
            evaluate_segment(
                segment,
                Timeline(SETTINGS, {}, _recent(slices[segment.name], now)),
                of_slices[segment.name],
                of_segments.get(segment.name),
                context,
            )
            for segment in reference.segments
        )
        found = dated(Findings(evaluation, quality, sliced_evaluations), found)
        view = VersionView(
            version[0],
            version[1],
            (version[2],),
            reference=reference,
            reference_source="root",
            evaluation=evaluation,
            quality=quality,
            segments=sliced_evaluations,
            bad=found.bad or {},
            first_prediction=min(blocks, default=None),
            first_label=first_label if first_label < inf else None,
            predictions_total=int((rows.times <= now).sum()),
            labels_total=labels,
            values=empty,
        )
        yield Moment(found, _samples(collector, view, habits.judge(quality, now), now))


def _columns(table: pd.DataFrame) -> dict[str, Values]:
    arrow = pa.Table.from_pandas(table, preserve_index=False)
    return {name: from_arrow(arrow[name].combine_chunks()) for name in arrow.column_names}


def _recent(blocks: dict[int, Block], now: float) -> dict[int, Block]:
    """Hours that have ended, as long ago as any window looks back."""
    longest = 2 * max(window.seconds for window in SETTINGS.windows) + HOUR
    return {start: block for start, block in blocks.items() if now - longest < start <= now - HOUR}


def _add(outcomes: dict[int, Outcomes], more: dict[int, Outcomes]) -> None:
    for hour, part in more.items():
        outcomes[hour] = outcomes[hour] + part if hour in outcomes else part


WANTED = (
    "mlflow_model_quality", "mlflow_model_estimated", "mlflow_model_drift", "mlflow_model_window",
    "mlflow_model_label_coverage", "mlflow_model_label_silence", "mlflow_model_labels_total",
    "mlflow_model_predictions_total", "mlflow_model_first", "mlflow_model_alias_info",
    "mlflow_model_version_info", "mlflow_segment",
)  # fmt: skip


def _samples(
    collector: SeriesCollector, view: VersionView, habits: Habits, now: float
) -> list[tuple[str, float]]:
    page = collector.collect([view], now, habits=habits).render(Format.TEXT).decode()
    lines = (line.rpartition(" ") for line in page.splitlines() if line.startswith(WANTED))
    return [(series, float(value)) for series, _, value in lines]
