"""Rows that are found by a random id: quick to append, and later to look up.

A tree with millions of random keys rewrites a page for nearly every row that comes. So rows are appended to
a *heap* of their day, a table in the order of arrival, while memory knows where in it an id lies. When heaps
have grown to `HEAP_ROWS` they are *sealed*: sorted, in one go, into tables with a primary key. A Bloom filter
of each of these, stored beside it, tells whether it may know an id. Heaps of an earlier process are sealed at
the start, so nothing has to be read before it can go on.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar

import sqlalchemy as sa

from exporter import schema
from exporter.id_filters import IdFilter, Probes
from exporter.schema import IdKind

HEAP_ROWS = 200_000  # in all heaps: 34 MB of memory, and a third of a second to seal
TABLE_ROWS = 200_000  # of a sealed table that takes more; then the next one is begun
LOOKUP_IDS = 512  # at once: databases limit the variables of a statement

Row = TypeVar("Row", bound=tuple[Any, ...])


class Found(NamedTuple, Generic[Row]):
    """A row and where it lies: `place` is its number in a heap, None in a sealed table."""

    day: int
    table: str
    place: int | None
    row: Row


@dataclass
class _Heap:
    """`places` are the numbers of an id's rows; more may be named than there are."""

    places: dict[bytes, tuple[int, ...]] = field(default_factory=dict)
    next: int = 0


@dataclass(frozen=True)
class _Sealed:
    number: int
    rows: int
    ids: IdFilter


class IdTables(Generic[Row]):
    """The tables of one kind of rows. One thread uses them.

    What memory knows may be more than what is there, after a transaction that failed, and never less.
    """

    def __init__(self, kind: IdKind[Row]) -> None:
        self._kind = kind
        self._heaps: dict[int, _Heap] = {}
        self._sealed: dict[int, list[_Sealed]] = {}
        self._begun: dict[int, sa.Connection] = {}  # heaps whose table is not committed yet

    @property
    def full(self) -> bool:
        """Whether it is time to seal."""
        return sum(heap.next for heap in self._heaps.values()) >= HEAP_ROWS

    def days(self) -> list[int]:
        """The days that may have rows, oldest first."""
        return sorted(self._heaps.keys() | self._sealed.keys())

    def open(self, connection: sa.Connection) -> None:
        """Take over what is there, and seal it."""
        stored = {
            row.name: IdFilter.decode(bytes(row.payload))
            for row in connection.execute(sa.select(schema.id_filters))
        }
        for name in sa.inspect(connection).get_table_names():
            parts = re.fullmatch(rf"{self._kind.prefix}(\d+)(?:_(\d+))?", name)
            if parts is None:
                continue
            day = int(parts[1])
            if parts[2] is None:
                last = connection.scalar(sa.text(f"SELECT max(n) FROM {name}"))  # noqa: S608 - our own name
                self._heaps[day] = _Heap(next=0 if last is None else int(last) + 1)
            else:
                rows = int(connection.scalar(sa.text(f"SELECT count(*) FROM {name}")) or 0)  # noqa: S608
                ids = stored.get(name) or self._make_filter(connection, name)
                self._sealed.setdefault(day, []).append(_Sealed(int(parts[2]), rows, ids))
        for tables in self._sealed.values():
            tables.sort(key=lambda table: table.number)
        self.follow(self.seal(connection))

    def insert(self, connection: sa.Connection, day: int, rows: Sequence[Row]) -> None:
        """Append rows of which none is there."""
        if not rows:
            return
        name = self._name(day)
        if day not in self._heaps:
            connection.exec_driver_sql(schema.create_statement(self._kind.heap(name), connection.dialect))
            self._heaps[day], self._begun[day] = _Heap(), connection
        heap = self._heaps[day]
        places = ", ".join([self._mark(connection)] * (1 + len(self._kind.columns)))
        first = heap.next
        heap.next += len(rows)
        for place, row in enumerate(rows, first):
            heap.places[row[0]] = (*heap.places.get(row[0], ()), place)
        connection.exec_driver_sql(
            f"INSERT INTO {name} VALUES ({places})",  # noqa: S608 - the name is our own
            [(place, *row) for place, row in enumerate(rows, first)],
        )

    def end(self, connection: sa.Connection | None, *, committed: bool) -> None:
        """A transaction has ended."""
        for day in [day for day, began in self._begun.items() if began is connection]:
            del self._begun[day]
            if not committed:
                del self._heaps[day]

    def find(
        self, connection: sa.Connection, hashes: Sequence[bytes], days: Collection[int] | None = None
    ) -> Iterator[Found[Row]]:
        """All rows of these ids, of the newest day first; of the given days alone where there are any."""
        if not hashes:
            return
        probes = Probes.of(hashes)
        for day in reversed(self.days() if days is None else sorted(days)):
            heap = self._heaps.get(day)
            places = [place for each in hashes for place in heap.places.get(each, ())] if heap else []
            if places:
                yield from self._select(connection, day, self._name(day), places, sealed=False)
            for table in self._sealed.get(day, ()):
                numbers = table.ids.find(probes)
                if numbers:
                    wanted = sorted([hashes[number] for number in numbers])  # neighbours share pages
                    name = self._name(day, table.number)
                    yield from self._select(connection, day, name, wanted, sealed=True)

    def replace(self, connection: sa.Connection, found: Sequence[Found[Row]]) -> None:
        """Write rows that were found anew; their ids are as before."""
        mark = self._mark(connection)
        columns, keys = self._kind.columns, self._kind.keys
        changes = ", ".join(f"{name} = {mark}" for name in columns[keys:])
        for table in {each.table for each in found}:
            inside = [each for each in found if each.table == table]
            in_heap = inside[0].place is not None
            where = f"n = {mark}" if in_heap else " AND ".join(f"{name} = {mark}" for name in columns[:keys])
            connection.exec_driver_sql(
                f"UPDATE {table} SET {changes} WHERE {where}",  # noqa: S608 - the names are our own
                [(*each.row[keys:], *((each.place,) if in_heap else each.row[:keys])) for each in inside],
            )

    def seal(self, connection: sa.Connection) -> dict[int, _Sealed]:
        """Sort all heaps into sealed tables; `follow` what it returns once that is committed."""
        sealed = {}
        columns = ", ".join(self._kind.columns)
        for day, heap in self._heaps.items():
            newest = self._sealed[day][-1] if day in self._sealed else None
            rows, number = heap.next, 0
            if newest is not None:
                merges = newest.rows + rows <= TABLE_ROWS
                rows, number = (newest.rows + rows, newest.number) if merges else (rows, newest.number + 1)
            name, of_heap = self._name(day, number), self._name(day)
            connection.exec_driver_sql(schema.create_statement(self._kind.sealed(name), connection.dialect))
            connection.exec_driver_sql(
                f"INSERT INTO {name} SELECT {columns} FROM {of_heap} WHERE true"  # noqa: S608 - our own names
                f" ORDER BY {', '.join(self._kind.columns[: self._kind.keys])} ON CONFLICT DO NOTHING"
            )
            connection.exec_driver_sql(f"DROP TABLE {of_heap}")
            ids = self._make_filter(connection, name)
            sealed[day] = _Sealed(number, rows, ids)
        return sealed

    def follow(self, sealed: dict[int, _Sealed]) -> None:
        """Know what `seal` did."""
        for day, table in sealed.items():
            del self._heaps[day]
            others = [each for each in self._sealed.get(day, ()) if each.number != table.number]
            self._sealed[day] = [*others, table]

    def names(self, day: int) -> list[str]:
        """The tables of a day."""
        sealed = [self._name(day, table.number) for table in self._sealed.get(day, ())]
        return sealed + ([self._name(day)] if day in self._heaps else [])

    def forget(self, connection: sa.Connection, before: int) -> None:
        """Drop the tables of days before the given one."""
        for day in [day for day in self.days() if day < before]:
            for name in self.names(day):
                connection.exec_driver_sql(f"DROP TABLE IF EXISTS {name}")
                connection.execute(sa.delete(schema.id_filters).where(schema.id_filters.c.name == name))
            self._heaps.pop(day, None)
            self._sealed.pop(day, None)

    def _make_filter(self, connection: sa.Connection, name: str) -> IdFilter:
        """Of a sealed table; stored with it."""
        rows = connection.exec_driver_sql(f"SELECT id_hash FROM {name}")  # noqa: S608 - the name is our own
        ids = IdFilter.of([row[0] for row in rows])
        insert = schema.upsert(schema.id_filters, "payload", connection.dialect.name)
        connection.execute(insert, {"name": name, "payload": ids.encode()})
        return ids

    def _select(
        self, connection: sa.Connection, day: int, name: str, wanted: Sequence[Any], *, sealed: bool
    ) -> Iterator[Found[Row]]:
        columns = ", ".join(self._kind.columns)
        key, number = ("id_hash", "NULL") if sealed else ("n", "n")
        for start in range(0, len(wanted), LOOKUP_IDS):
            part = wanted[start : start + LOOKUP_IDS]
            # Padded, so that there are few statements to be prepared.
            padded = (*part, *[part[0]] * ((1 << (len(part) - 1).bit_length()) - len(part)))
            marks = ", ".join([self._mark(connection)] * len(padded))
            query = f"SELECT {number}, {columns} FROM {name} WHERE {key} IN ({marks})"  # noqa: S608 - our own
            for place, *row in connection.exec_driver_sql(query, padded):
                yield Found(day, name, place, self._kind.make(row))

    def _name(self, day: int, number: int | None = None) -> str:
        return f"{self._kind.prefix}{day}" if number is None else f"{self._kind.prefix}{day}_{number}"

    @staticmethod
    def _mark(connection: sa.Connection) -> str:
        return "?" if connection.dialect.name == "sqlite" else "%s"
