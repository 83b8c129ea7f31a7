"""Rows of the sample: in each block of a version those with a priority below the block's threshold.

A block from which rows were dropped has one row more, its mark, whose priority is the threshold and whose
content is empty. A block without a mark is stored whole.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from exporter.errors import decoding
from exporter.storage import schema
from exporter.storage.schema import sampled_rows, upsert

SAMPLE_KEY = "sample_key"  # in `meta`: of the hashes of values, in hexadecimal digits
KEY_BYTES = 32
ROWS_AT_ONCE = 500

_c = sampled_rows.c
_IN_BLOCK = sa.and_(_c.version_id == sa.bindparam("version"), _c.start == sa.bindparam("block"))
# Statements of many commits: to build them takes SQLAlchemy longer than to execute them.
_SELECT_BLOCK = sa.select(_c.priority, _c.size).where(_IN_BLOCK).order_by(_c.priority)
_DROP = sa.delete(sampled_rows).where(_IN_BLOCK, _c.priority >= sa.bindparam("threshold")).returning(_c.size)
_INSERT = sampled_rows.insert()
_SELECT_ROWS = sa.select(sampled_rows).where(_c.id.in_(sa.bindparam("ids", expanding=True)))


@dataclass(frozen=True)
class StoredRow:
    """A sampled row, `at` in seconds since the epoch.

    Its label is found by `id_hash`; without an id both are None, or `label` is the one that came along.
    `content` is as in `exporter.sampling.content`.
    """

    priority: int
    at: float
    id_hash: bytes | None
    label: str | None
    content: bytes


@dataclass(frozen=True)
class SampledBlock:
    """Block of the sample: its rows with a priority below `threshold` are stored, or all where it is None."""

    start: int
    rows: int
    threshold: int | None


@dataclass(frozen=True)
class SampleSize:
    """Stored rows and the bytes of their contents."""

    rows: int = 0
    bytes: int = 0

    def __add__(self, other: SampleSize) -> SampleSize:
        return SampleSize(self.rows + other.rows, self.bytes + other.bytes)

    def __sub__(self, other: SampleSize) -> SampleSize:
        return SampleSize(self.rows - other.rows, self.bytes - other.bytes)


# -- reading ------------------------------------------------------------------------------------------------


def load_block_priorities(
    connection: sa.Connection, version_id: int, start: int
) -> tuple[list[int], int | None]:
    """Priorities of a block's rows in ascending order, and its threshold."""
    found = connection.execute(_SELECT_BLOCK, {"version": version_id, "block": start}).all()
    priorities = [row.priority for row in found if row.size]
    return priorities, next((row.priority for row in found if not row.size), None)


def load_sampled_blocks(
    connection: sa.Connection, version_id: int, first: int, end: float
) -> list[SampledBlock]:
    """Blocks of a version with `first` <= start < `end`, in order of time."""
    is_row = sa.case((_c.size > 0, 1), else_=0)
    query = (
        sa.select(
            _c.start,
            sa.func.sum(is_row).label("rows"),
            sa.func.min(sa.case((_c.size == 0, _c.priority))).label("threshold"),
        )
        .where(_c.version_id == version_id, _c.start >= first, _c.start < int(end))
        .group_by(_c.start)
        .order_by(_c.start)
    )
    return [SampledBlock(row.start, int(row.rows), row.threshold) for row in connection.execute(query)]


def load_sampled_rows(
    connection: sa.Connection,
    version_id: int,
    first: int,
    end: float,
    *,
    below: int | None = None,
    limit: int,
    max_bytes: int,
) -> list[StoredRow]:
    """Rows with the lowest priorities, in their order, of the blocks with `first` <= start < `end`.

    Args:
        connection: of any transaction.
        version_id: of the version.
        first: start of the first block, in seconds since the epoch.
        end: time before which blocks begin.
        below: priorities to select are below it; None for all.
        limit: most rows.
        max_bytes: most bytes of their contents together.
    """
    chosen = [_c.version_id == version_id, _c.start >= first, _c.start < int(end), _c.size > 0]
    if below is not None:
        chosen.append(_c.priority < below)
    query = sa.select(_c.id, _c.size).where(*chosen).order_by(_c.priority).limit(limit)  # the index alone
    ids, taken = list[int](), 0
    for row in connection.execute(query):
        taken += row.size
        if taken > max_bytes:
            break
        ids.append(row.id)
    found: list[StoredRow] = []
    for begin in range(0, len(ids), ROWS_AT_ONCE):
        found += map(_decode, connection.execute(_SELECT_ROWS, {"ids": ids[begin : begin + ROWS_AT_ONCE]}))
    return sorted(found, key=lambda row: row.priority)


def _decode(row: sa.Row[Any]) -> StoredRow:
    id_hash = None if row.id_hash is None else bytes(row.id_hash)
    return StoredRow(row.priority, row.at, id_hash, row.label, bytes(row.content))


def load_sample_sizes(connection: sa.Connection) -> dict[int, SampleSize]:
    """Size of each version's sample."""
    query = sa.select(_c.version_id, sa.func.count().label("rows"), sa.func.sum(_c.size).label("bytes"))
    found = connection.execute(query.where(_c.size > 0).group_by(_c.version_id))
    return {row.version_id: SampleSize(row.rows, int(row.bytes)) for row in found}


def new_key() -> str:
    """A random key of the hashes of values, as it is stored."""
    return secrets.token_hex(KEY_BYTES)


def sample_key(connection: sa.Connection) -> bytes:
    """Key of the hashes of values, made the first time; `connection` is of a writing transaction."""
    query = sa.select(schema.meta.c.value).where(schema.meta.c.key == SAMPLE_KEY)
    found = connection.scalar(query)
    if found is None:
        put = upsert(schema.meta, "key", connection.dialect.name).returning(schema.meta.c.value)
        found = connection.scalar(put, {"key": SAMPLE_KEY, "value": new_key()})
    with decoding("the key of the sample"):
        return bytes.fromhex(found)


# -- writing ------------------------------------------------------------------------------------------------


def drop_from_block(connection: sa.Connection, version_id: int, start: int, threshold: int) -> SampleSize:
    """Delete a block's rows from a priority on, and its mark; returns what was deleted."""
    values = {"version": version_id, "block": start, "threshold": threshold}
    return _size_of(connection.scalars(_DROP, values).all())


def insert_rows(
    connection: sa.Connection,
    rows: Mapping[tuple[int, int], Sequence[StoredRow]],
    marks: Mapping[tuple[int, int], int],
) -> None:
    """Insert rows and thresholds, by version and start of the block."""
    values: list[dict[str, Any]] = [
        {"version_id": key, "start": start, "size": len(row.content)} | vars(row)
        for (key, start), some in rows.items()
        for row in some
    ]
    nothing = {"at": 0.0, "id_hash": None, "label": None, "size": 0, "content": b""}
    values += [
        {"version_id": key, "start": start, "priority": threshold} | nothing
        for (key, start), threshold in marks.items()
    ]
    if values:
        connection.execute(_INSERT, values)


def merge_blocks(
    connection: sa.Connection, version_id: int, first: int, before: int, length: int, limit: int
) -> SampleSize:
    """Merge blocks of a version into blocks of a length.

    Args:
        connection: of a writing transaction.
        version_id: of the version.
        first: start of the first block that may be shorter.
        before: time before which the blocks to be merged begin, a multiple of `length`.
        length: of the merged blocks, in seconds.
        limit: most rows of a merged block.

    Returns:
        What was deleted.
    """
    shorter = sa.select(_c.start).distinct()
    shorter = shorter.where(
        _c.version_id == version_id, _c.start >= first, _c.start < before, _c.start % length != 0
    )
    merged = {start // length * length for start in connection.scalars(shorter)}
    deleted = SampleSize()
    for start in sorted(merged):
        deleted += _merge(connection, version_id, start, length, limit)
    return deleted


def _merge(connection: sa.Connection, version_id: int, start: int, length: int, limit: int) -> SampleSize:
    within = sa.and_(_c.version_id == version_id, _c.start >= start, _c.start < start + length)
    found = connection.execute(
        sa.select(_c.id, _c.priority, _c.size).where(within).order_by(_c.priority, _c.id)
    ).all()
    threshold = min((row.priority for row in found if not row.size), default=None)
    by_priority = {row.priority: row for row in reversed(found) if row.size}  # of equal ones the first
    rows = [by_priority[priority] for priority in sorted(by_priority)]
    if len(rows) > limit and (threshold is None or rows[limit].priority < threshold):
        threshold = rows[limit].priority
    kept = [row.id for row in rows if threshold is None or row.priority < threshold]
    gone = {row.id: row.size for row in found}
    for each in kept:
        del gone[each]
    if gone:
        chosen = sampled_rows.c.id == sa.bindparam("row")
        connection.execute(sa.delete(sampled_rows).where(chosen), [{"row": each} for each in gone])
    connection.execute(sa.update(sampled_rows).where(within).values(start=start))
    if threshold is not None:
        insert_rows(connection, {}, {(version_id, start): threshold})
    return _size_of(gone.values())


def delete_blocks(connection: sa.Connection, version_id: int, before: float | None = None) -> SampleSize:
    """Delete the blocks of a version that begin before a time, or all; returns what was deleted."""
    chosen = [_c.version_id == version_id]
    if before is not None:
        chosen.append(_c.start < int(before))
    return _size_of(connection.scalars(sa.delete(sampled_rows).where(*chosen).returning(_c.size)).all())


def _size_of(sizes: Any) -> SampleSize:
    rows = [size for size in sizes if size]
    return SampleSize(len(rows), sum(rows))
