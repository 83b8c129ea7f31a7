"""Rows that are found by a random id: quick to append, and later to look up.

A tree with millions of random keys rewrites a page for nearly every row that comes. So rows are appended to
a *heap* of their day, a table in the order of arrival, while memory knows where in it an id lies. When heaps
have grown to `HEAP_ROWS` they are *sealed*: sorted, in one go, into tables with a primary key. A Bloom filter
of each of these, stored beside it, tells whether it may know an id. Heaps of an earlier process are sealed at
the start, so nothing has to be read before it can go on.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Generic, NamedTuple, TypeVar

import orjson
import sqlalchemy as sa

from exporter import schema
from exporter.id_filters import IdFilter, Probes
from exporter.schema import IdKind

HEAP_ROWS = 200_000  # in all heaps: 34 MB of memory, and a third of a second to seal
TABLE_ROWS = 200_000  # of a sealed table that takes more; then the next one is begun
ID_BYTES = 16
INSERT_ROWS = 128  # at once: half the time of as many single ones

Row = TypeVar("Row", bound=tuple[Any, ...])


class Found(NamedTuple, Generic[Row]):
    """A row and where it lies: `place` is its number in a heap, None in a sealed table."""

    day: int
    table: str
    place: int | None
    row: Row


@dataclass
class _Heap:
    """`places` are the numbers of an id's rows, nearly always one; more may be named than there are."""

    places: dict[bytes, int | tuple[int, ...]] = field(default_factory=dict)
    next: int = 0

    def append(self, hashes: Sequence[bytes]) -> range:
        """Take further rows; their numbers."""
        numbers = range(self.next, self.next + len(hashes))
        self.next = numbers.stop
        new = dict(zip(hashes, numbers, strict=True))
        if len(new) == len(hashes) and self.places.keys().isdisjoint(new):
            self.places.update(new)
        else:
            for each, number in zip(hashes, numbers, strict=True):
                self.places[each] = (*self.find([each]), number)
        return numbers

    def find(self, hashes: Iterable[bytes]) -> list[int]:
        """The numbers of the rows of these ids."""
        known = [place for each in hashes if (place := self.places.get(each)) is not None]
        if all(type(place) is int for place in known):
            return known  # type: ignore[return-value] # as just seen
        return [number for place in known for number in (place if isinstance(place, tuple) else (place,))]


@dataclass(frozen=True)
class _Sealed:
    number: int
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
        of_kind = schema.id_filters.c.name.startswith(self._kind.prefix, autoescape=True)
        stored = {
            row.name: IdFilter.decode(bytes(row.payload))
            for row in connection.execute(sa.select(schema.id_filters).where(of_kind))
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
                ids = stored.get(name) or self._save_filter(connection, name, None)
                self._sealed.setdefault(day, []).append(_Sealed(int(parts[2]), ids))
        for tables in self._sealed.values():
            tables.sort(key=lambda table: table.number)
        self.follow(self.seal(connection))

    def insert(self, connection: sa.Connection, day: int, rows: Sequence[tuple[Any, ...]]) -> None:
        """Append rows of which none is there: values of the kind's columns."""
        if not rows:
            return
        name = self._name(day)
        if day not in self._heaps:
            connection.exec_driver_sql(schema.create_statement(self._kind.heap(name), connection.dialect))
            self._heaps[day], self._begun[day] = _Heap(), connection
        numbers = self._heaps[day].append([row[0] for row in rows])
        marks = ", ".join([self._mark(connection)] * (len(self._kind.columns) + 1))
        values = list(chain.from_iterable((*row, number) for row, number in zip(rows, numbers, strict=True)))
        width = len(self._kind.columns) + 1
        whole = len(rows) // INSERT_ROWS * INSERT_ROWS * width
        for many, start, stop in ((INSERT_ROWS, 0, whole), (1, whole, len(values))):
            if start < stop:
                connection.exec_driver_sql(
                    f"INSERT INTO {name} VALUES " + ", ".join([f"({marks})"] * many),  # noqa: S608 - our own name
                    [tuple(values[k : k + many * width]) for k in range(start, stop, many * width)],
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
        columns = self._kind.columns
        for day, name, rows in self._select(connection, hashes, self._days(days), columns, with_place=True):
            for row in rows:
                yield Found(day, name, row[-1], self._kind.make(row[:-1]))

    def find_rows(
        self, connection: sa.Connection, hashes: Sequence[bytes], columns: Sequence[str]
    ) -> list[tuple[Any, ...]]:
        """The values of columns of all rows of these ids, of the newest day first."""
        parts = self._select(connection, hashes, self._days(None), columns)
        return [row for _, _, rows in parts for row in rows]

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
            number = 0
            if day in self._sealed:
                number = self._sealed[day][-1].number
                count = sa.text(f"SELECT count(*) FROM {self._name(day, number)}")  # noqa: S608 - our own name
                number += int(connection.scalar(count) or 0) + heap.next > TABLE_ROWS
            name, of_heap = self._name(day, number), self._name(day)
            connection.exec_driver_sql(schema.create_statement(self._kind.sealed(name), connection.dialect))
            connection.exec_driver_sql(
                f"INSERT INTO {name} SELECT {columns} FROM {of_heap} WHERE true"  # noqa: S608 - our own names
                f" ORDER BY {', '.join(self._kind.columns[: self._kind.keys])} ON CONFLICT DO NOTHING"
            )
            connection.exec_driver_sql(f"DROP TABLE {of_heap}")
            # In memory is all of a heap of this process, and nothing of what else goes into the table.
            is_known = heap.places and all(table.number != number for table in self._sealed.get(day, ()))
            ids = self._save_filter(connection, name, list(heap.places) if is_known else None)
            sealed[day] = _Sealed(number, ids)
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

    @staticmethod
    def _save_filter(connection: sa.Connection, name: str, hashes: Sequence[bytes] | None) -> IdFilter:
        """A filter of a sealed table's ids, stored with it; they are read from it where nobody knows them."""
        if hashes is None:
            rows = _fetch(connection, f"SELECT id_hash FROM {name}")  # noqa: S608 - our own name
            hashes = [row[0] for row in rows]
        ids = IdFilter.of(hashes)
        insert = schema.upsert(schema.id_filters, "payload", connection.dialect.name)
        connection.execute(insert, {"name": name, "payload": ids.encode()})
        return ids

    def _days(self, days: Collection[int] | None) -> list[int]:
        """Newest first."""
        return sorted(self.days() if days is None else days, reverse=True)

    def _select(
        self,
        connection: sa.Connection,
        hashes: Sequence[bytes],
        days: Iterable[int],
        columns: Sequence[str],
        *,
        with_place: bool = False,
    ) -> Iterator[tuple[int, str, Sequence[tuple[Any, ...]]]]:
        """Day, table, and columns of its rows of these ids; their place is the last, if asked for."""
        if not hashes:
            return
        probes = Probes.of(hashes)
        for day in days:
            heap = self._heaps.get(day)
            places = set(heap.find(hashes)) if heap is not None else set()
            if places:
                wanted = [*columns, "n"] if with_place else columns
                name = self._name(day)
                yield day, name, self._read_places(connection, name, wanted, sorted(places))
            wanted = [*columns, "NULL"] if with_place else columns
            for table in self._sealed.get(day, ()):
                numbers = table.ids.find(probes)
                if numbers:
                    name = self._name(day, table.number)
                    some = sorted({hashes[number] for number in numbers})  # neighbours share pages
                    yield day, name, self._read_ids(connection, name, wanted, some)

    @staticmethod
    def _read_places(
        connection: sa.Connection, name: str, columns: Sequence[str], places: Sequence[int]
    ) -> Sequence[tuple[Any, ...]]:
        """Columns of the rows with these numbers of a heap."""
        select = f"SELECT {', '.join(columns)} FROM {name}"  # noqa: S608 - our own names
        if connection.dialect.name == "sqlite":
            query = f"{select} WHERE n IN (SELECT value FROM json_each(?))"  # noqa: S608
            return _fetch(connection, query, (orjson.dumps(places).decode(),))
        return _fetch(connection, f"{select} WHERE n = ANY(%s)", (places,))

    @staticmethod
    def _read_ids(
        connection: sa.Connection, name: str, columns: Sequence[str], ids: Sequence[bytes]
    ) -> Sequence[tuple[Any, ...]]:
        """Columns of the rows with these distinct ids of a sealed table.

        However many they are, it is one statement: to prepare another takes as long as to find a hundred.
        """
        select = f"SELECT {', '.join(columns)} FROM"
        if connection.dialect.name == "sqlite":
            query = f"{select} json_each(?) CROSS JOIN {name} ON id_hash = substr(?, value, {ID_BYTES})"
            starts = [*range(1, len(ids) * ID_BYTES, ID_BYTES)]
            return _fetch(connection, query, (orjson.dumps(starts).decode(), b"".join(ids)))
        return _fetch(connection, f"{select} {name} WHERE id_hash = ANY(%s)", (ids,))

    def _name(self, day: int, number: int | None = None) -> str:
        return f"{self._kind.prefix}{day}" if number is None else f"{self._kind.prefix}{day}_{number}"

    @staticmethod
    def _mark(connection: sa.Connection) -> str:
        return "?" if connection.dialect.name == "sqlite" else "%s"


def _fetch(
    connection: sa.Connection, query: str, parameters: tuple[Any, ...] | None = None
) -> Sequence[tuple[Any, ...]]:
    """All rows as the driver gives them; SQLAlchemy's own take as long again as the database."""
    cursor = connection.exec_driver_sql(query, parameters).cursor
    assert cursor is not None
    return cursor.fetchall()
