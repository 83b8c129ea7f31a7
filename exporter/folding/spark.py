"""Folds the partitions of a Spark data frame where they are; the driver gets the merged parts alone.

    rows -> mapInArrow: parts of a partition -> repartition by block -> mapInArrow: merged parts -> driver

Executors import this package, numpy and pyarrow.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa

from exporter.folding.columns import Columns
from exporter.folding.fold import Folder
from exporter.folding.part import Part, read_part
from exporter.folding.reference_document import FoldingReference, read_reference

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_PARTS = "start bigint, part binary"  # of a block's counts; a part is JSON
_SCHEMA = pa.schema([("start", pa.int64()), ("part", pa.binary())])
_BATCH_PARTS = 500


def fold_frame(
    frame: DataFrame,
    reference: FoldingReference,
    *,
    names: Mapping[str, str] | None = None,
    hourly: bool = False,
    untimed_at: float | None = None,
) -> list[Part]:
    """Parts of all rows of a data frame, in order of time.

    Args:
        frame: rows as `POST /v1/predictions` takes them in Arrow, from any source that Spark reads.
        reference: of the version that the rows are of.
        names: column of each of a row's own fields that has another name.
        hourly: fold by hour, see `Folder`.
        untimed_at: time of rows that have none, see `Folder`.

    Raises:
        ConfigError: a column is missing.
        pyspark.errors.PythonException: a row cannot be read; its text says which.
    """
    columns = Columns.of(frame.columns, reference, names)
    document = json.dumps(reference.to_json()).encode()
    chosen = frame.select(*(frame[f"`{name.replace('`', '``')}`"] for name in columns.names))
    fold = partial(_fold_partition, document=document, columns=columns, hourly=hourly, untimed_at=untimed_at)
    folded = chosen.mapInArrow(fold, _PARTS).repartition("start")
    merged = folded.mapInArrow(partial(_merge_partition, document=document), _PARTS).collect()
    return [_read(bytes(row.part), reference) for row in sorted(merged, key=lambda row: int(row.start))]


def _fold_partition(
    batches: Iterable[pa.RecordBatch],
    *,
    document: bytes,
    columns: Columns,
    hourly: bool,
    untimed_at: float | None,
) -> Iterator[pa.RecordBatch]:
    reference = read_reference(document)
    folder = Folder(reference, hourly=hourly, untimed_at=untimed_at)
    folder.add_batches(batches, columns)
    yield from _write(folder, reference)


def _merge_partition(batches: Iterable[pa.RecordBatch], *, document: bytes) -> Iterator[pa.RecordBatch]:
    reference = read_reference(document)
    folder = Folder(reference)
    for batch in batches:
        folder.add_parts(_read(part, reference) for part in batch.column("part").to_pylist())
    yield from _write(folder, reference)


def _write(folder: Folder, reference: FoldingReference) -> Iterator[pa.RecordBatch]:
    parts = folder.parts
    for first in range(0, len(parts), _BATCH_PARTS):
        some = parts[first : first + _BATCH_PARTS]
        encoded = [json.dumps(part.to_json(reference)).encode() for part in some]
        starts = pa.array([part.start for part in some], pa.int64())
        yield pa.record_batch([starts, pa.array(encoded, pa.binary())], schema=_SCHEMA)


def _read(part: bytes, reference: FoldingReference) -> Part:
    return read_part(json.loads(part), reference, "part")
