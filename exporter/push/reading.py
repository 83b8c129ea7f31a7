"""Reads files as rows of assigned columns, some ten thousand rows at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import pyarrow as pa

from exporter.errors import ConfigError, ExporterError, RequestError
from exporter.formats.parquet import open_parquet, without_unused
from exporter.formats.tables import without_index
from exporter.formats.texts import first_line
from exporter.payloads.limits import MAX_VALUES
from exporter.push.assignment import Fields, Wanted
from exporter.push.sources import Source, codec_of

BATCH_ROWS = 50_000  # what the exporter commits at once
BATCH_BYTES = 12 * 2**20  # of a request
BUFFER_BYTES = 2**22


class UnreadableError(ExporterError):
    """A file cannot be read, or not to its end."""


@dataclass(frozen=True)
class Rows:
    """Consecutive rows of a file.

    `numbers` (rows,) are their numbers in it, from 1; those of CSV and JSON lines are what an editor shows.
    `share` of the file has been read with them. `unsent` are columns that are not sent.
    """

    fields: Fields
    numbers: Sequence[int]
    share: float
    unsent: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.numbers)

    def slice(self, start: int, stop: int) -> Rows:
        return replace(self, fields=self.fields.slice(start, stop), numbers=self.numbers[start:stop])

    def take(self, rows: Sequence[int]) -> Rows:
        return replace(self, fields=self.fields.take(rows), numbers=[self.numbers[row] for row in rows])


@contextmanager
def explaining(source: Source) -> Iterator[None]:
    """Context in which errors of a file are raised as `UnreadableError`, with its name."""
    try:
        yield
    except (ConfigError, RequestError) as error:
        raise UnreadableError(f"{source.name}: {error}") from None
    except (pa.ArrowException, OSError, ValueError, EOFError) as error:
        if isinstance(error, MemoryError):  # some of Arrow's exceptions are
            raise
        raise UnreadableError(
            f"{source.name} cannot be read as {source.format}: {first_line(error)}"
        ) from None


@contextmanager
def opened(source: Source) -> Iterator[tuple[pa.NativeFile, Callable[[], float]]]:
    """A file as a stream, unpacked, and a function that returns the share that has been read."""
    with source.filesystem.open_input_file(source.path) as file:
        size, codec = max(1, file.size()), codec_of(source.path)

        def share() -> float:
            return float(file.tell() / size)

        yield (pa.CompressedInputStream(file, codec) if codec else file), share


def rows_of_request(columns: int) -> int:
    """Rows of so many columns that the exporter takes at once."""
    return max(1, min(BATCH_ROWS, MAX_VALUES // max(1, columns)))


def read_parquet(source: Source, wanted: Wanted) -> Iterator[Rows]:
    """Rows of a Parquet file, of whose row groups it holds some megabytes at a time.

    Raises:
        ConfigError, RequestError, pa.ArrowException, OSError, ValueError: it cannot be read.
    """
    with source.filesystem.open_input_file(source.path) as opened:
        file = open_parquet(opened, pre_buffer=False, buffer_size=BUFFER_BYTES)
        schema, metadata = file.schema_arrow, file.metadata
        names = without_index(schema.empty_table()).schema.names
        is_nested = "features" in names and pa.types.is_struct(schema.field("features").type)
        inner = [field.name for field in schema.field("features").type] if is_nested else None
        assignment = wanted.assign(names, inner)
        flat = [name for name in assignment.read if not is_nested or name not in assignment.features]
        deep = list(assignment.features) if is_nested else []
        limit = rows_of_request(len(flat) + len(deep))
        unpacked = sum(metadata.row_group(k).total_byte_size for k in range(metadata.num_row_groups))
        limit = max(1, min(limit, 2 * BATCH_BYTES * metadata.num_rows // max(1, unpacked)))
        read = [*flat, *(f"features.{name}" for name in deep)]

        def arrays(batch: pa.RecordBatch) -> list[pa.Array]:
            found = [batch.column(name) for name in flat]
            if deep:
                structure = batch.column("features")
                inside = dict(zip([field.name for field in structure.type], structure.flatten(), strict=True))
                found += [inside[name] for name in deep]
            return [without_unused(array) for array in found]

        batches = map(arrays, file.iter_batches(limit, columns=read))
        start = 0
        for columns in regroup(batches, limit):
            numbers = range(start + 1, start + 1 + len(columns[0]))
            start += len(numbers)
            outer = dict(zip(flat, columns, strict=False))
            nested = dict(zip(deep, columns[len(flat) :], strict=True)) if is_nested else None
            fields = assignment.fields(outer, nested)
            yield Rows(fields, numbers, start / metadata.num_rows, assignment.unsent)


def regroup(batches: Iterable[Sequence[pa.Array]], rows: int) -> Iterator[list[pa.Array]]:
    """Columns in batches of a number of rows, and of fewer at the end, whatever batches they come in."""
    pending, count = list[Sequence[pa.Array]](), 0
    for arrays in batches:
        pending.append(arrays)
        count += len(arrays[0])
        while count >= rows:
            joined = _join(pending)
            yield [array[:rows] for array in joined]
            count -= rows
            pending = [[array[rows:] for array in joined]] if count else []
    if count:
        yield _join(pending)


def _join(batches: Sequence[Sequence[pa.Array]]) -> list[pa.Array]:
    if len(batches) == 1:
        return list(batches[0])
    return [pa.concat_arrays(parts) for parts in zip(*batches, strict=True)]
