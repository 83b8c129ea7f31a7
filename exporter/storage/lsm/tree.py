"""Rows that are found by a random id: quick to append, and later to look up.

A tree with millions of random keys rewrites a page for nearly every row that comes. So rows are appended to
a *heap* of their day, a chunk a commit, which memory has as well. When heaps have grown to `HEAP_ROWS` they
are *sealed*: sorted, in one go, into tables of pages, in which an id's hash says where it is. A Bloom filter
of each of these tells whether it may know an id. Small sealed tables of a day are merged with what comes, so
that few are left (as of a log-structured merge tree).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import sqlalchemy as sa

from exporter.errors import StoreDamagedError
from exporter.formats.decoding import decoding
from exporter.storage import schema
from exporter.storage.lsm.bloom import IdFilter, Probes, slots
from exporter.storage.lsm.memtable import Heap
from exporter.storage.lsm.page_reader import PageReader, Pages
from exporter.storage.lsm.records import Encoded, RecordKind, Records
from exporter.storage.lsm.sstable import count_pages, find_rows, pages_of, sort_records, split_pages
from exporter.typing import Ints

HEAP_ROWS = 200_000  # in all heaps: 50 MB of memory, and a tenth of a second to seal
TABLE_ROWS = 200_000  # that small tables are merged up to
MERGED_FACTOR = 2  # a table is merged with at least half as many rows: each is merged a few times at most
PAGES_AT_ONCE = 200
IDS_AT_ONCE = 2_000  # whose pages are searched together: one to two megabytes
_NONE = np.zeros(0, np.int64)

Row = TypeVar("Row", bound=tuple[Any, ...])


@dataclass(frozen=True)
class Sealed:
    """A table of a day, of so many rows and pages."""

    name: str
    day: int
    number: int
    rows: int
    pages: int
    ids: IdFilter


@dataclass(frozen=True)
class Found:
    """Rows, and where they lie.

    `numbers` (rows,) are which of the ids that were asked for they have, `days` (rows,) of which day they
    are, `table` (rows,) which of `tables` they are in, or -1 for the heap of the day, and `places` (rows,)
    where they are in that.
    """

    numbers: Ints
    records: Records
    days: Ints
    tables: Sequence[Sealed]
    table: Ints
    places: Ints

    def take(self, chosen: Ints) -> Found:
        """Some of the rows."""
        columns = (each[chosen] for each in (self.numbers, self.days, self.table, self.places))
        numbers, days, table, places = columns
        return Found(numbers, self.records.take(chosen), days, self.tables, table, places)

    @staticmethod
    def join(parts: Sequence[Found]) -> Found:
        """All rows of several, at least one, that share their tables."""
        return Found(
            np.concatenate([part.numbers for part in parts]),
            Records.join([part.records for part in parts]),
            np.concatenate([part.days for part in parts]),
            parts[0].tables,
            np.concatenate([part.table for part in parts]),
            np.concatenate([part.places for part in parts]),
        )


class IdTables(Generic[Row]):
    """The tables of one kind of rows. One thread uses them, within transactions of the store."""

    def __init__(self, kind: RecordKind[Row], reader: PageReader) -> None:
        self.kind = kind
        self._reader = reader
        self._heaps: dict[int, Heap] = {}
        self._sealed: dict[int, list[Sealed]] = {}
        self._changed = set[str]()  # sealed tables that the transaction has written
        self._is_known = False  # whether memory says what the store says

    @property
    def full(self) -> bool:
        """Whether it is time to seal."""
        return sum(map(len, self._heaps.values())) >= HEAP_ROWS

    def begin(self, connection: sa.Connection) -> None:
        """A transaction begins: read what is there, unless it is known."""
        if self._is_known:
            return
        self._heaps, self._sealed = {}, {}
        for row in connection.execute(sa.select(schema.sealed).order_by(schema.sealed.c.number)):
            if row.kind == self.kind.name:
                with decoding("the filter of a table of ids"):
                    ids = IdFilter.decode(bytes(row.ids), row.rows)
                name = self._name(row.day, row.number)
                table = Sealed(name, row.day, row.number, row.rows, row.pages, ids)
                self._sealed.setdefault(row.day, []).append(table)
        for name in sa.inspect(connection).get_table_names():
            if heap := re.fullmatch(rf"{self.kind.name}_(\d+)", name):
                self._heaps[int(heap[1])] = self._read_heap(connection, name)
        self._is_known = True

    def end(self, *, committed: bool) -> None:
        """A transaction has ended."""
        self._changed.clear()
        self._is_known = self._is_known and committed

    def days(self) -> list[int]:
        """The days that have rows, oldest first."""
        return sorted(self._heaps.keys() | self._sealed.keys())

    def insert(self, connection: sa.Connection, day: int, records: Records) -> None:
        """Append rows of which none is there."""
        if not len(records):
            return
        name = self._name(day)
        if day not in self._heaps:
            self._create(connection, name)
            self._heaps[day] = Heap(np.empty(0, self.kind.dtype))
        self._write(connection, name, [(self._heaps[day].append(records), *records.encode())])

    def find(
        self, connection: sa.Connection, hashes: Sequence[bytes], days: Collection[int] | None = None
    ) -> Found:
        """All rows of these ids; of the given days alone where there are any."""
        chosen = self.days() if days is None else days
        tables = [table for day in chosen for table in self._sealed.get(day, ())]
        parts = [Found(_NONE, Records(np.empty(0, self.kind.dtype), []), _NONE, tables, _NONE, _NONE)]
        for day in chosen:
            if heap := self._heaps.get(day):
                numbers, places = heap.find(hashes)
                if len(numbers):
                    same = np.full((2, len(numbers)), [[day], [-1]])
                    parts.append(Found(numbers, heap.take(places), same[0], tables, same[1], places))
        probes = Probes.of(hashes)
        some, wanted = list[tuple[int, Ints]](), 0
        for number, table in enumerate(tables if hashes else ()):
            inside = table.ids.find(probes)
            if len(inside):
                some.append((number, inside))
                wanted += len(inside)
            if wanted >= IDS_AT_ONCE:
                parts.append(self._find_sealed(connection, probes, tables, some))
                some, wanted = [], 0
        if some:
            parts.append(self._find_sealed(connection, probes, tables, some))
        return Found.join(parts)

    def _find_sealed(
        self,
        connection: sa.Connection,
        probes: Probes,
        tables: Sequence[Sealed],
        wanted: Sequence[tuple[int, Ints]],
    ) -> Found:
        """The rows of probes in sealed tables: `wanted` are numbers of tables, with the probes that each may
        have."""
        pages = list[tuple[str, Ints]]()
        for number, inside in wanted:
            each = slots(probes.tops[inside], tables[number].pages)
            pages.append((tables[number].name, each[np.flatnonzero(np.diff(each, prepend=-1))]))
        parts = self._reader.read(connection, pages, self._changed)
        stored = self._decode(parts)
        numbers = np.array([number for number, _ in wanted])
        rows = [len(part[0]) // self.kind.dtype.itemsize for part in parts]
        stored_in = np.repeat(np.arange(len(parts)), rows)
        wanted_in = np.repeat(np.arange(len(parts)), [len(inside) for _, inside in wanted])
        sought = np.concatenate([inside for _, inside in wanted])
        which, places = find_rows(stored.halves, stored_in, probes.halves[sought], wanted_in)
        table = numbers[wanted_in[which]]
        days = np.array([each.day for each in tables])[table]
        return Found(
            probes.numbers[sought[which]], stored.take(places), days, tables, table, np.full(len(which), -1)
        )

    def read(self, connection: sa.Connection, day: int) -> Iterator[Records]:
        """All rows of a day, some at a time."""
        if heap := self._heaps.get(day):
            yield heap.all()
        for table in self._sealed.get(day, ()):
            for start in range(0, table.pages, PAGES_AT_ONCE):
                pages = np.arange(start, min(start + PAGES_AT_ONCE, table.pages))
                yield self._read_pages(connection, table, pages).all()

    def replace(self, connection: sa.Connection, found: Found) -> None:
        """Write rows that were found anew; their keys are as before."""
        for day in np.unique(found.days[found.table < 0]).tolist():
            inside = np.flatnonzero((found.table < 0) & (found.days == day))
            changed = self._heaps[day].replace(found.places[inside], found.records.take(inside))
            parts = [(number, *chunk.encode()) for number, chunk in changed.items()]
            self._update(connection, self._name(day), parts)
        for number in np.unique(found.table[found.table >= 0]).tolist():
            inside = np.flatnonzero(found.table == number)
            self._replace_sealed(connection, found.tables[number], found.records.take(inside))

    def _replace_sealed(self, connection: sa.Connection, table: Sealed, records: Records) -> None:
        pages = np.unique(pages_of(records.halves, table.pages))
        stored = self._read_pages(connection, table, pages).all()
        place_of = dict(zip(self.kind.keys_of(stored), range(len(stored)), strict=True))
        stored.put(np.array([place_of[key] for key in self.kind.keys_of(records)]), records)
        self._changed.add(table.name)
        self._update(connection, table.name, list(split_pages(stored, table.pages)))

    def seal(self, connection: sa.Connection) -> None:
        """Sort all heaps into sealed tables."""
        for day, heap in self._heaps.items():
            tables = self._sealed.setdefault(day, [])
            number, parts, merged = tables[-1].number + 1 if tables else 0, [heap.all()], [self._name(day)]
            rows = len(heap)
            while tables and tables[-1].rows <= min(MERGED_FACTOR * rows, TABLE_ROWS - rows):
                table = tables.pop()
                parts.append(self._read_pages(connection, table, np.arange(table.pages)).all())
                if len(parts[-1]) != table.rows:
                    raise StoreDamagedError(f"{table.name} has {len(parts[-1])} of {table.rows} rows")
                merged.append(table.name)
                rows += table.rows
                self._delete(connection, day, table.number)
            tables.append(self._make(connection, day, number, Records.join(parts)))
            for name in merged:
                connection.exec_driver_sql(f"DROP TABLE {name}")
        self._heaps = {}

    def _make(self, connection: sa.Connection, day: int, number: int, records: Records) -> Sealed:
        name, rows = self._name(day, number), len(records)
        records = sort_records(records)
        table = Sealed(name, day, number, rows, count_pages(rows), IdFilter.of(records.halves))
        self._create(connection, name)
        self._write(connection, name, list(split_pages(records, table.pages)))
        key = {"kind": self.kind.name, "day": day, "number": number}
        values = {"rows": rows, "pages": table.pages, "ids": table.ids.encode()}
        connection.execute(schema.sealed.insert(), key | values)
        return table

    def forget(self, connection: sa.Connection, before: int) -> None:
        """Drop the tables of days before the given one."""
        for day in [day for day in self.days() if day < before]:
            names = [table.name for table in self._sealed.pop(day, ())]
            if self._heaps.pop(day, None) is not None:
                names.append(self._name(day))
            for name in names:
                connection.exec_driver_sql(f"DROP TABLE {name}")
            self._delete(connection, day)

    def _delete(self, connection: sa.Connection, day: int, number: int | None = None) -> None:
        """What is known of the sealed tables of a day, or of one of them."""
        columns = schema.sealed.c
        chosen = sa.and_(columns.kind == self.kind.name, columns.day == day)
        if number is not None:
            chosen = sa.and_(chosen, columns.number == number)
        connection.execute(sa.delete(schema.sealed).where(chosen))

    def _read_heap(self, connection: sa.Connection, name: str) -> Heap:
        rows = connection.exec_driver_sql(f"SELECT n, numbers, texts FROM {name} ORDER BY n").all()  # noqa: S608
        heap = Heap(np.empty(0, self.kind.dtype))
        heap.append(self._decode([(row[1], row[2]) for row in rows]).all())
        heap.starts = [row[0] for row in rows]
        return heap

    def _read_pages(self, connection: sa.Connection, table: Sealed, pages: Ints) -> Encoded:
        """The rows of pages, in ascending order."""
        return self._decode(self._reader.read(connection, [(table.name, pages)], [table.name]))

    def _decode(self, pages: Sequence[Pages]) -> Encoded:
        numbers = b"".join([page[0] for page in pages])
        with decoding("a stored page of ids"):
            return Encoded(np.frombuffer(numbers, self.kind.dtype), b"".join([page[1] for page in pages]))

    def _write(self, connection: sa.Connection, name: str, parts: Sequence[tuple[int, bytes, bytes]]) -> None:
        marks = ", ".join([_mark(connection)] * 3)
        connection.exec_driver_sql(f"INSERT INTO {name} VALUES ({marks})", parts)  # noqa: S608 - our own name

    @staticmethod
    def _update(connection: sa.Connection, name: str, parts: Sequence[tuple[int, bytes, bytes]]) -> None:
        mark = _mark(connection)
        connection.exec_driver_sql(
            f"UPDATE {name} SET numbers = {mark}, texts = {mark} WHERE n = {mark}",  # noqa: S608 - our own name
            [(numbers, texts, n) for n, numbers, texts in parts],
        )

    @staticmethod
    def _create(connection: sa.Connection, name: str) -> None:
        connection.exec_driver_sql(schema.create_statement(schema.record_table(name), connection.dialect))

    def _name(self, day: int, number: int | None = None) -> str:
        return f"{self.kind.name}_{day}" if number is None else f"{self.kind.name}_{day}_{number}"


def _mark(connection: sa.Connection) -> str:
    return "?" if connection.dialect.name == "sqlite" else "%s"
