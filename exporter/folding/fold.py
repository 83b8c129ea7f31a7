"""Rows of Arrow tables -> parts, as the exporter would count them if they were sent to it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from exporter.aggregates.block import fold
from exporter.aggregates.labelled_rows import choose_scores, place_scores
from exporter.aggregates.outcome_layout import OutcomeLayout
from exporter.aggregates.outcomes import Outcomes, fold_outcomes, fold_predictions
from exporter.aggregates.segments import fold_segments
from exporter.errors import MalformedError
from exporter.folding.columns import Columns
from exporter.folding.part import Counted, Part
from exporter.folding.reference_document import FoldingReference
from exporter.formats.batch import Batch, assemble, stored_column
from exporter.formats.class_scores import ClassScores
from exporter.formats.columns import Values, canonical_texts, read_numbers, take_rows
from exporter.formats.table_rows import read_table_rows
from exporter.formats.tables import understanding
from exporter.reference.binning import bin_batch
from exporter.reference.classes import Outputs, read_outputs
from exporter.settings import Settings
from exporter.typing import Floats, Ints

MAX_PARTS = 20_000  # in memory: two months of blocks of five minutes
ROWS_AT_ONCE, VALUES_AT_ONCE = 100_000, 2_000_000
MAX_SECONDS = 1e11  # the year 5138; the exporter takes neither these nor later times
_UNLIMITED = 2**62
# Rows are not bounded by what one request may hold.
_SETTINGS = Settings(max_body_bytes=_UNLIMITED, max_rows_per_request=_UNLIMITED)


class Folder:
    """Folds tables of rows of one version into parts.

    A row's own fields and features are as in Arrow bodies of `POST /v1/predictions`. Ids are not read: rows
    that come twice count twice.

    Args:
        reference: bins of the version.
        hourly: fold into coarse blocks in place of fine ones.
        untimed_at: time of rows that have none, in seconds since the epoch; None to refuse such rows.
    """

    def __init__(
        self, reference: FoldingReference, *, hourly: bool = False, untimed_at: float | None = None
    ) -> None:
        self._reference = reference
        self._seconds = reference.hour_seconds if hourly else reference.block_seconds
        self._untimed_at = untimed_at
        self._parts: dict[tuple[int, int], Part] = {}

    @property
    def parts(self) -> list[Part]:
        """Parts of all rows so far, in order of time."""
        return [self._parts[key] for key in sorted(self._parts)]

    def add_rows(self, table: pa.Table, unknown_columns: frozenset[str] = frozenset()) -> None:
        """Count the rows of a table.

        Args:
            table: rows with `prediction`, `timestamp` and features.
            unknown_columns: names of columns that were left out since the reference lacks them.

        Raises:
            MalformedError: a row cannot be read, or rows are of too many blocks; nothing is to be sent.
        """
        step = max(1, min(ROWS_AT_ONCE, VALUES_AT_ONCE // max(1, table.num_columns)))
        for start in range(0, table.num_rows, step):
            for part in self._fold(table.slice(start, step), unknown_columns):
                self._add(part)

    def add_batches(self, batches: Iterable[pa.RecordBatch], columns: Columns) -> None:
        """Count the rows of batches, small ones together; errors as of `add_rows`.

        Args:
            batches: rows, with the columns that `columns` reads.
            columns: of all rows that there are.
        """
        waiting, rows = list[pa.RecordBatch](), 0
        for batch in batches:
            waiting.append(batch)
            rows += batch.num_rows
            if rows >= ROWS_AT_ONCE:
                self.add_rows(columns.rename(pa.Table.from_batches(waiting)), columns.unknown)
                waiting, rows = [], 0
        if rows:
            self.add_rows(columns.rename(pa.Table.from_batches(waiting)), columns.unknown)

    def add_parts(self, parts: Iterable[Part]) -> None:
        """Add parts of the same reference, from other folders.

        Raises:
            MalformedError: they are of too many blocks.
        """
        for part in parts:
            self._add(part)

    def _add(self, part: Part) -> None:
        known = self._parts.get(part.key)
        self._parts[part.key] = part if known is None else known + part
        if len(self._parts) > MAX_PARTS:
            raise MalformedError(
                f"the rows are of more than {MAX_PARTS} blocks of {self._seconds} seconds: fold fewer days "
                "at once, or by hour"
            )

    def _fold(self, table: pa.Table, unknown_columns: frozenset[str]) -> Iterator[Part]:
        reference, layout = self._reference.reference, self._reference.layout
        batch, labels = self._read(table)
        times = self._times(batch)
        starts = np.floor_divide(times, self._seconds).astype(np.int64) * self._seconds
        outputs = read_outputs(reference, batch)
        binned = bin_batch(reference, batch, outputs, times)
        blocks = fold(reference, binned, starts, batch.latency)
        places, outcomes = place_scores(layout, outputs), dict[int, Outcomes]()
        if layout is not None and places is not None:
            outcomes = fold_predictions(layout, places, starts)
        labelled, of_segments = _labelled_rows(labels), dict[str, dict[int, Outcomes]]()
        if layout is not None and labels is not None and len(labelled):
            joined = _join(layout, batch, outputs, labels, labelled)
            for start, counted in joined.fold(layout, starts[labelled]).items():
                outcomes[start] = outcomes[start] + counted if start in outcomes else counted
            for segment in reference.segments:
                inside = np.flatnonzero(binned.cells[segment.column, labelled] == segment.cell)
                if len(inside):
                    of_segment = joined.take(inside)
                    of_segments[segment.name] = of_segment.fold(layout, starts[labelled[inside]])
        segments: dict[int, dict[str, Counted]] = {start: {} for start in blocks}
        for name, start, block in fold_segments(reference, binned, starts):
            segments[start][name] = Counted(block, of_segments.get(name, {}).get(start))
        unknown = unknown_columns | reference.unknown_columns(batch.features)
        distinct, place = np.unique(starts, return_inverse=True)
        newest = np.full(len(distinct), -np.inf)
        np.maximum.at(newest, place, times)
        label_counts = np.bincount(place[labelled], minlength=len(distinct))
        for start, last, count in zip(distinct.tolist(), newest.tolist(), label_counts.tolist(), strict=True):
            whole = Counted(blocks[start], outcomes.get(start))
            yield Part(start, self._seconds, last, count, whole, segments[start], unknown)

    def _read(self, table: pa.Table) -> tuple[Batch, Values | None]:
        """Rows without their labels, and the labels."""
        if "id" in table.schema.names:  # of which there is no use, and which take long to read
            table = table.drop_columns(["id"])
        with understanding("a table"):
            decoded = read_table_rows(table, self._reference.target, _SETTINGS)
        labels = decoded.labels
        assert not isinstance(labels, list), "columns of Arrow are typed"
        return assemble([replace(decoded, labels=None)]), labels

    def _times(self, batch: Batch) -> Floats:
        """(rows,) time of each row.

        Raises:
            MalformedError: a row has none.
        """
        untimed = np.isnan(batch.timestamps)
        if not untimed.any():
            return np.clip(batch.timestamps, -MAX_SECONDS, MAX_SECONDS)
        if self._untimed_at is None:
            detail = "a row without a time, which its block follows from"
            raise MalformedError(detail, f"timestamp[{np.flatnonzero(untimed)[0]}]")
        times = np.where(untimed, self._untimed_at, batch.timestamps)
        return np.clip(times, -MAX_SECONDS, MAX_SECONDS)


@dataclass(frozen=True)
class _Joined:
    """Labelled rows: `labels`, `predictions` and `single` scores (rows,), and rows with `several` scores."""

    labels: Values
    predictions: Values
    single: Floats
    several: Mapping[int, ClassScores]

    def take(self, rows: Ints) -> _Joined:
        place_of = {row: place for place, row in enumerate(rows.tolist())} if self.several else {}
        several = {place_of[row]: scores for row, scores in self.several.items() if row in place_of}
        return _Joined(
            take_rows(self.labels, rows), take_rows(self.predictions, rows), self.single[rows], several
        )

    def fold(self, layout: OutcomeLayout, starts: Ints) -> dict[int, Outcomes]:
        """Outcomes by start of the block, from (rows,) starts."""
        scores = choose_scores(layout, canonical_texts(self.predictions), self.single, self.several)
        return fold_outcomes(layout, self.labels, self.predictions, scores, starts)


def _join(layout: OutcomeLayout, batch: Batch, outputs: Outputs, labels: Values, rows: Ints) -> _Joined:
    """The given rows with their labels, in the form in which the exporter stores and joins them."""
    single, several = np.full(len(rows), np.nan), dict[int, ClassScores]()
    if batch.scores is not None:
        single = read_numbers(batch.scores.single)[0][rows]
        if batch.scores.several is not None:
            found = enumerate(batch.scores.several[row] for row in rows.tolist())
            several = {place: scores for place, scores in found if scores is not None}
    columns = (take_rows(labels, rows), take_rows(outputs.prediction, rows))
    if layout.classifies:
        columns = (stored_column(columns[0]), stored_column(columns[1]))
    return _Joined(*columns, single, several)


def _labelled_rows(labels: Values | None) -> Ints:
    """Rows with a label."""
    if labels is None:
        return np.empty(0, np.int64)
    if isinstance(labels, np.ndarray):
        return np.flatnonzero(~np.isnan(labels))
    return np.flatnonzero(canonical_texts(labels).codes >= 0)
