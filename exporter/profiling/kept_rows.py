"""Raw rows of reference data that are kept beside its profile, as Parquet, for reports."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from exporter.formats.arrow_columns import scores_to_arrow, times_to_arrow
from exporter.formats.columns import Mixed, Times, Values, canonical_texts, read_numbers, take_rows
from exporter.formats.texts import storable
from exporter.profiling.own_columns import OwnColumns, read_column
from exporter.reference.profile import Reference
from exporter.sampling.content import MAX_TEXT, NESTED, hash_values
from exporter.sampling.rows import FEATURE_PREFIX, RowsToKeep
from exporter.typing import Ints

MAX_KEPT_ROWS = 10_000
MAX_KEPT_BYTES = 32 * 2**20  # in memory; of wide references fewer rows are kept
SAMPLE_SEED = 0  # the same data have to give the same rows
_HASHED = b"hashed"  # in the metadata of the Parquet: features that are hashed, as JSON


def kept_rows(
    table: pa.Table, own: OwnColumns, reference: Reference, keep: RowsToKeep, *, hashed: bool = False
) -> bytes:
    """Parquet of a uniform sample of reference rows, in their order.

    Columns are the monitored features as `features.<name>`, and `prediction`, `score` or `scores` (of several
    classes), `target` and `timestamp` (seconds since the epoch), as far as there are any. Numbers, booleans
    and times have types of their own; everything else is text of at most 256 characters.

    Args:
        table: the reference data.
        own: its columns that are not features.
        reference: the profile of the data.
        keep: how the rows are to be kept.
        hashed: the columns to hash are hashed already.
    """
    rows = table.num_rows
    order = np.random.default_rng(SAMPLE_SEED).permutation(rows)[:MAX_KEPT_ROWS]
    columns = _columns(table, own, reference, keep, np.sort(order), () if hashed else keep.sample.hash)
    kept = pa.table({name: to_arrow(np.arange(len(order))) for name, to_arrow in columns.items()})
    if kept.nbytes > MAX_KEPT_BYTES:
        fewer = np.sort(np.argsort(order)[: max(1, MAX_KEPT_BYTES * len(order) // kept.nbytes)])
        kept = pa.table({name: to_arrow(fewer) for name, to_arrow in columns.items()})
    return _encode(kept, keep.sample.hash)


def treat_again(content: bytes, keep: RowsToKeep) -> bytes:
    """Kept rows without the columns that are left out since, and with those hashed that are hashed since."""
    table = pq.read_table(pa.BufferReader(content))
    hashed = set(json.loads((table.schema.metadata or {}).get(_HASHED, b"[]")))
    left_out = set(map(_feature, keep.sample.leave_out))
    table = table.select([name for name in table.column_names if name not in left_out])
    for name in set(keep.sample.hash) - hashed:
        place = table.schema.get_field_index(_feature(name))
        if place >= 0:
            values = hash_values(keep.key, name, read_column(table, _feature(name)))
            table = table.set_column(place, _feature(name), _to_arrow(values, pa.string()))
    return _encode(table, hashed.union(keep.sample.hash))


def _encode(table: pa.Table, hashed: Iterable[str]) -> bytes:
    sink = pa.BufferOutputStream()
    named = table.replace_schema_metadata({_HASHED: json.dumps(sorted(hashed))})
    pq.write_table(named, sink, compression="zstd")
    return bytes(sink.getvalue())


def _feature(name: str) -> str:
    """Column of the kept rows that has a feature."""
    return FEATURE_PREFIX + name


_Column = Callable[[Ints], pa.Array]  # values of the rows at given places among the chosen ones


def _columns(
    table: pa.Table,
    own: OwnColumns,
    reference: Reference,
    keep: RowsToKeep,
    rows: Ints,
    to_hash: Collection[str],
) -> dict[str, _Column]:
    columns: dict[str, _Column] = {}
    there = set(table.column_names).difference(keep.sample.leave_out)
    for column in reference.columns:
        name = column.name
        if column.role == "feature" and name in there:
            columns[_feature(name)] = _column(table, name, rows, keep.key if name in to_hash else b"")
    if own.outputs.predictions is not None:
        columns["prediction"] = _column(table, own.roles.prediction, rows)
    if own.outputs.scores is not None:
        scores = own.outputs.scores.take(rows)
        if scores.several is None:
            columns["score"] = lambda some: pa.array(read_numbers(scores.single)[0][some], from_pandas=True)
        else:
            columns["scores"] = lambda some: scores_to_arrow(scores.take(some).several_or_none)
    if own.outputs.labels is not None:
        columns["target"] = _column(table, own.roles.target, rows)
    if own.timestamps is not None:
        times = own.timestamps[rows]
        columns["timestamp"] = lambda some: pa.array(times[some])
    return columns


def _column(table: pa.Table, name: str, rows: Ints, key: bytes = b"") -> _Column:
    """Values of a column, hashed where there is a key."""
    values, kind = take_rows(read_column(table, name), rows), table.schema.field(name).type
    if key:
        values = hash_values(key, name, values)
    return lambda some: _to_arrow(take_rows(values, some), kind)


def _to_arrow(values: Values, kind: pa.DataType) -> pa.Array:
    """Values of a column that had the given type."""
    if isinstance(values, np.ndarray):
        if pa.types.is_boolean(kind):
            return pa.array(values == 1, mask=np.isnan(values))
        if pa.types.is_integer(kind):
            missing = np.isnan(values)
            return pa.array(np.where(missing, 0, values).astype(np.int64), mask=missing)
        return pa.array(values, from_pandas=True)
    if isinstance(values, Times):
        return times_to_arrow(values)
    texts = canonical_texts(values)
    codes, shown = texts.codes, [storable(text[:MAX_TEXT]) for text in texts.texts]
    if isinstance(values, Mixed):
        codes, shown = np.where(values.opaque, len(shown), codes), [*shown, NESTED]
    indices = pa.array(codes.astype(np.int32), mask=codes < 0)
    return pa.DictionaryArray.from_arrays(indices, pa.array(shown, pa.string()))
