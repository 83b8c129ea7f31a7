"""Sends files, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa

from exporter.push.assignment import Fields, Wanted
from exporter.push.batches import batches_of
from exporter.push.csv_rows import read_csv
from exporter.push.json_lines import read_json_lines
from exporter.push.outcome import Outcome, Refusal
from exporter.push.reading import Rows, UnreadableError, explaining, read_parquet
from exporter.push.sending import Sender
from exporter.push.sources import Source

Progress = Callable[[Source, float], None]


def push(
    sources: Sequence[Source],
    wanted: Wanted,
    kinds: Mapping[str, str],
    sender: Sender,
    outcome: Outcome,
    progress: Progress,
) -> None:
    """Send all files; one that cannot be read is told in the outcome, and the next ones are sent.

    Args:
        sources: the files.
        wanted: of their columns.
        kinds: of the reference's columns, by name.
        sender: of the batches; it is finished in the end.
        outcome: to which is added what is read, and what cannot be.
        progress: called with the share of a file that was read.

    Raises:
        ExporterError: a batch could not be sent.
    """
    for source in sources:
        progress(source, 0.0)
        try:
            with explaining(source):
                for batch in batches_of(source.name, _noted(read(source, wanted, kinds, outcome), outcome)):
                    sender.put(batch)
                    progress(source, batch.rows.share)
        except UnreadableError as error:
            outcome.unreadable.append(str(error))
    sender.finish()


def read(source: Source, wanted: Wanted, kinds: Mapping[str, str], outcome: Outcome) -> Iterator[Rows]:
    """Rows of a file; those that cannot be read are refused in the outcome."""

    def refuse(number: int, detail: str) -> None:
        outcome.refuse(Refusal(source.name, number, number, detail), 1)

    if source.format == "parquet":
        return read_parquet(source, wanted)
    if source.format == "csv":
        return read_csv(source, wanted, kinds, refuse)
    return read_json_lines(source, wanted, refuse)


def _noted(rows: Iterator[Rows], outcome: Outcome) -> Iterator[Rows]:
    for each in rows:
        fields = each.fields
        outcome.features.update(dict.fromkeys(fields.features))
        outcome.unsent.update(dict.fromkeys(each.unsent))
        outcome.unanswered += _missing(fields, "prediction") if fields.features else 0
        outcome.without_id += _missing(fields, "id") if "id" in fields.own else len(each)
        yield each


def _missing(fields: Fields, name: str) -> int:
    column = fields.own[name]
    if isinstance(column, list):
        return column.count(None)
    missing = int(column.null_count)
    if pa.types.is_floating(column.type):  # as the exporter reads it
        missing += int(np.isnan(column.drop_null().to_numpy(zero_copy_only=False)).sum())
    return missing
