"""A log-structured merge tree on SQL tables, within the transactions of the store."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic

import numpy as np
import sqlalchemy as sa

from exporter.errors import StoreDamagedError, decoding
from exporter.storage import schema
from exporter.storage.lsm.bloom import BloomFilter, Probes
from exporter.storage.lsm.compaction import choose_tables
from exporter.storage.lsm.memtable import Memtable
from exporter.storage.lsm.pages import (
    PageReader,
    create_table,
    drop_table,
    insert_pages,
    read_pages,
    update_pages,
)
from exporter.storage.lsm.records import Encoded, RecordKind, Records, Row
from exporter.storage.lsm.sstable import (
    SSTable,
    count_pages,
    find_rows,
    pages_with,
    sort_records,
    split_pages,
)
from exporter.typing import Ints

MEMTABLE_ROWS = 200_000  # of all days: 50 MB of memory, and a tenth of a second to flush
PAGES_AT_ONCE = 200
IDS_AT_ONCE = 2_000  # whose pages are searched together: one to two megabytes
_NONE = np.zeros(0, np.int64)


@dataclass(frozen=True)
class Matches:
    """Rows found by id: (rows,) `positions` of their ids in the query, and (rows,) their `days`."""

    positions: Ints
    records: Records
    days: Ints

    def take(self, chosen: Ints) -> Matches:
        """The rows at the given indices."""
        return Matches(self.positions[chosen], self.records.take(chosen), self.days[chosen])

    @staticmethod
    def join(parts: Sequence[Matches]) -> Matches:
        """All rows of several, at least one."""
        return Matches(
            np.concatenate([part.positions for part in parts]),
            Records.join([part.records for part in parts]),
            np.concatenate([part.days for part in parts]),
        )


class LsmTree(Generic[Row]):
    """Rows of one kind by day and id. One thread uses it, between `begin` and `end`.

    A row's key is unique within its day; `put` does not check that.
    """

    def __init__(self, kind: RecordKind[Row], reader: PageReader, schema_name: str | None = None) -> None:
        self.kind = kind
        self._reader = reader
        self._schema_name = schema_name  # of PostgreSQL, where its tables are not in the default one
        self._memtables: dict[int, Memtable[Row]] = {}
        self._sstables: dict[int, list[SSTable]] = {}
        self._changed = set[str]()  # tables that the transaction has written
        self._is_loaded = False  # whether memory has what the store has
        self._open: sa.Connection | None = None

    # -- transactions ---------------------------------------------------------------------------------------

    def begin(self, connection: sa.Connection) -> None:
        """Take part in a transaction. After one that failed, memory is loaded anew."""
        self._open = connection
        if not self._is_loaded:
            self._load()
            self._is_loaded = True

    def end(self, *, committed: bool) -> None:
        """The transaction has ended."""
        self._open = None
        self._changed.clear()
        self._is_loaded = self._is_loaded and committed

    @property
    def _connection(self) -> sa.Connection:
        assert self._open is not None, "not within a transaction"
        return self._open

    # -- rows -----------------------------------------------------------------------------------------------

    def put(self, day: int, records: Records) -> None:
        """Append rows whose keys the day does not have."""
        if not len(records):
            return
        name = self._name(day)
        if day not in self._memtables:
            create_table(self._connection, name)
            self._memtables[day] = Memtable(self.kind)
        insert_pages(self._connection, name, [self._memtables[day].put(records)])

    def get_many(self, hashes: Sequence[bytes], days: Collection[int] | None = None) -> Matches:
        """All rows of distinct ids, of the given days or of all."""
        chosen = self.days() if days is None else days
        parts = [Matches(_NONE, Records(np.empty(0, self.kind.dtype), []), _NONE)]
        for day in chosen:
            if memtable := self._memtables.get(day):
                positions, offsets = memtable.find(hashes)
                if len(positions):
                    parts.append(Matches(positions, memtable.take(offsets), np.full(len(positions), day)))
        probes = Probes.of(hashes)
        wanted, ids = list[tuple[SSTable, Ints]](), 0
        for table in self._tables_of(chosen) if hashes else ():
            possible = table.bloom.find(probes)
            if len(possible):
                wanted.append((table, possible))
                ids += len(possible)
            if ids >= IDS_AT_ONCE:
                parts.append(self._search(probes, wanted))
                wanted, ids = [], 0
        if wanted:
            parts.append(self._search(probes, wanted))
        return Matches.join(parts)

    def replace(self, day: int, records: Records) -> None:
        """Overwrite rows of a day by their keys, which are distinct; put those that are new."""
        left = np.ones(len(records), np.bool_)
        if memtable := self._memtables.get(day):
            found, pages = memtable.replace(records)
            if pages:
                update_pages(self._connection, self._name(day), pages)
            left[found] = False
        for table in self._tables_of([day]):
            chosen = np.flatnonzero(left)
            if len(chosen):
                left[chosen[self._replace_in(table, records.take(chosen))]] = False
        self.put(day, records.take(np.flatnonzero(left)))

    def drop_before(self, day: int) -> None:
        """Drop all rows of days before the given one."""
        for expired in [each for each in self.days() if each < day]:
            names = [table.name for table in self._sstables.pop(expired, ())]
            if self._memtables.pop(expired, None) is not None:
                names.append(self._name(expired))
            self._forget(expired)  # first: it waits for readers that keep the tables, see `partitions.reader`
            for name in names:
                drop_table(self._connection, name)

    def days(self) -> list[int]:
        """Days that have rows, oldest first."""
        return sorted(self._memtables.keys() | self._sstables.keys())

    def scan(self, day: int) -> Iterator[Records]:
        """All rows of a day, in parts."""
        if memtable := self._memtables.get(day):
            yield memtable.all()
        for table in self._tables_of([day]):
            for start in range(0, table.pages, PAGES_AT_ONCE):
                yield self._read_pages(table, np.arange(start, min(start + PAGES_AT_ONCE, table.pages))).all()

    # -- flushing -------------------------------------------------------------------------------------------

    @property
    def is_full(self) -> bool:
        """True if the memtables have to be flushed."""
        return sum(map(len, self._memtables.values())) >= MEMTABLE_ROWS

    def flush(self) -> None:
        """Write the rows of the memtables to SSTables, merged with small ones of their day."""
        for day, memtable in self._memtables.items():
            tables = self._sstables.setdefault(day, [])
            number = tables[-1].number + 1 if tables else 0
            merged = choose_tables(tables, len(memtable))
            del tables[len(tables) - len(merged) :]
            records = Records.join([memtable.all(), *map(self._read_all, merged)])
            for table in merged:
                self._forget(day, table.number)
            tables.append(self._write_sstable(day, number, records))
            for name in (self._name(day), *(table.name for table in merged)):
                drop_table(self._connection, name)
        self._memtables = {}

    def _write_sstable(self, day: int, number: int, records: Records) -> SSTable:
        records, rows = sort_records(records), len(records)
        bloom = BloomFilter.of(records.halves)
        table = SSTable(self._name(day, number), day, number, rows, count_pages(rows), bloom)
        create_table(self._connection, table.name)
        insert_pages(self._connection, table.name, list(split_pages(records, table.pages)))
        key = {"kind": self.kind.name, "day": day, "number": number}
        values = {"rows": rows, "pages": table.pages, "bloom": bloom.encode()}
        self._connection.execute(schema.sstables.insert(), key | values)
        self._changed.add(table.name)
        return table

    # -- reading --------------------------------------------------------------------------------------------

    def _load(self) -> None:
        self._memtables, self._sstables = {}, {}
        stored = schema.sstables
        query = sa.select(stored).where(stored.c.kind == self.kind.name).order_by(stored.c.number)
        for row in self._connection.execute(query):
            with decoding("the Bloom filter of a table of ids"):
                bloom = BloomFilter.decode(bytes(row.bloom), row.rows)
            name = self._name(row.day, row.number)
            table = SSTable(name, row.day, row.number, row.rows, row.pages, bloom)
            self._sstables.setdefault(row.day, []).append(table)
        for name in sa.inspect(self._connection).get_table_names(self._schema_name):
            if found := re.fullmatch(rf"{self.kind.name}_(\d+)", name):
                pages = read_pages(self._connection, name)
                self._memtables[int(found[1])] = Memtable.load(self.kind, pages)

    def _tables_of(self, days: Collection[int]) -> Iterator[SSTable]:
        for day in days:
            yield from self._sstables.get(day, ())

    def _search(self, probes: Probes, wanted: Sequence[tuple[SSTable, Ints]]) -> Matches:
        """Rows of SSTables, with the probes that each may have."""
        pages = [(table.name, pages_with(probes.halves[possible], table.pages)) for table, possible in wanted]
        parts = self._reader.read(self._connection, pages, self._changed)
        stored = self.kind.decode(parts)
        rows = [len(numbers) // self.kind.dtype.itemsize for numbers, _ in parts]
        stored_in = np.repeat(np.arange(len(parts)), rows)
        wanted_in = np.repeat(np.arange(len(parts)), [len(possible) for _, possible in wanted])
        sought = np.concatenate([possible for _, possible in wanted])
        ids, found = find_rows(stored.halves, stored_in, probes.halves[sought], wanted_in)
        days = np.array([table.day for table, _ in wanted])[wanted_in[ids]]
        return Matches(probes.positions[sought[ids]], stored.take(found), days)

    def _replace_in(self, table: SSTable, records: Records) -> Ints:
        """Overwrite rows of an SSTable; returns the indices of the given rows whose keys it has."""
        probes = Probes.of(records.ids)
        possible = table.bloom.find(probes)
        if not len(possible):
            return _NONE
        stored = self._read_pages(table, pages_with(probes.halves[possible], table.pages)).all()
        index_of = {key: index for index, key in enumerate(self.kind.keys_of(stored))}
        asked = probes.positions[possible]
        indices = [index_of.get(key, -1) for key in self.kind.keys_of(records.take(asked))]
        places = np.array(indices, np.int64)
        found = np.flatnonzero(places >= 0)
        if len(found):
            stored.put(places[found], records.take(asked[found]))
            self._changed.add(table.name)
            update_pages(self._connection, table.name, list(split_pages(stored, table.pages)))
        return asked[found]

    def _read_all(self, table: SSTable) -> Records:
        records = self._read_pages(table, np.arange(table.pages)).all()
        if len(records) != table.rows:
            raise StoreDamagedError(f"{table.name} has {len(records)} of {table.rows} rows")
        return records

    def _read_pages(self, table: SSTable, pages: Ints) -> Encoded:
        """Rows of pages with ascending numbers."""
        return self.kind.decode(self._reader.read(self._connection, [(table.name, pages)], [table.name]))

    # -- tables ---------------------------------------------------------------------------------------------

    def _forget(self, day: int, number: int | None = None) -> None:
        """Delete the entry of an SSTable of a day, or of all of them."""
        columns = schema.sstables.c
        chosen = sa.and_(columns.kind == self.kind.name, columns.day == day)
        if number is not None:
            chosen = sa.and_(chosen, columns.number == number)
        self._connection.execute(sa.delete(schema.sstables).where(chosen))

    def _name(self, day: int, number: int | None = None) -> str:
        """Name of the memtable's table of a day, or of an SSTable."""
        return f"{self.kind.name}_{day}" if number is None else f"{self.kind.name}_{day}_{number}"
