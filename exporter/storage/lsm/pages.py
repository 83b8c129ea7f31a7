"""SQL tables of pages: a page is some encoded records, in one row (n, numbers, texts).

On SQLite pages are read with two threads. A random page takes the kernel and SQLite 3 us, during which other
Python threads can run, so half of the pages are read beside the other half. To keep it so, a table's pages
come back as one row; with a row a page the threads would wait for each other after each.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import lru_cache
from typing import TypeAlias

import orjson
import sqlalchemy as sa

from exporter.typing import Ints

CONCURRENT_PAGES = 100  # fewer are read sooner than the other thread is woken

Page: TypeAlias = tuple[int, bytes, bytes]  # its number, its records' numbers and their texts
JoinedPages: TypeAlias = tuple[bytes, bytes]  # numbers and texts of several pages, each in one


def create_table(connection: sa.Connection, name: str) -> None:
    connection.exec_driver_sql(_create_statement(name, connection.dialect))


def drop_table(connection: sa.Connection, name: str) -> None:
    connection.exec_driver_sql(f"DROP TABLE {name}")


def insert_pages(connection: sa.Connection, name: str, pages: Sequence[Page]) -> None:
    marks = ", ".join([_mark(connection)] * 3)
    connection.exec_driver_sql(f"INSERT INTO {name} VALUES ({marks})", pages)  # noqa: S608 - our own name


def update_pages(connection: sa.Connection, name: str, pages: Sequence[Page]) -> None:
    mark = _mark(connection)
    connection.exec_driver_sql(
        f"UPDATE {name} SET numbers = {mark}, texts = {mark} WHERE n = {mark}",  # noqa: S608 - our own name
        [(numbers, texts, n) for n, numbers, texts in pages],
    )


def read_pages(connection: sa.Connection, name: str) -> list[Page]:
    """All pages in ascending order."""
    rows = connection.exec_driver_sql(f"SELECT n, numbers, texts FROM {name} ORDER BY n").all()  # noqa: S608
    return [(int(row[0]), bytes(row[1]), bytes(row[2])) for row in rows]


class PageReader:
    """Reads chosen pages of a store's tables; one thread uses it."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._thread = ThreadPoolExecutor(1, "pages")
        self._second: sa.Connection | None = None  # of the other thread

    def close(self) -> None:
        self._thread.shutdown()
        if self._second is not None:
            self._second.close()

    def read(
        self, connection: sa.Connection, wanted: Sequence[tuple[str, Ints]], changed: Collection[str] = ()
    ) -> list[JoinedPages]:
        """Read pages by table name and ascending page numbers.

        Args:
            connection: of the transaction.
            wanted: tables and pages.
            changed: tables that the transaction has written, which no other connection sees as they are.
        """
        if self._engine.dialect.name != "sqlite":
            return [_read_postgresql(connection, name, pages) for name, pages in wanted]
        half = sum(len(pages) for _, pages in wanted) // 2
        second, taken = list[int](), 0
        for index, (name, pages) in enumerate(wanted):
            if taken < half and half >= CONCURRENT_PAGES and name not in changed:
                second.append(index)
                taken += len(pages)
        if not second:
            return _read_sqlite(connection, wanted)
        self._second = self._second or self._engine.connect()
        first = sorted(set(range(len(wanted))) - set(second))
        future = self._thread.submit(_read_sqlite, self._second, [wanted[index] for index in second])
        try:
            own = _read_sqlite(connection, [wanted[index] for index in first])
            parts = dict(zip(first, own, strict=True))
        finally:
            wait([future])
        parts.update(zip(second, future.result(), strict=True))
        return [parts[index] for index in range(len(wanted))]


def _read_sqlite(connection: sa.Connection, wanted: Sequence[tuple[str, Ints]]) -> list[JoinedPages]:
    """Pages of each table as one row, in the order of the JSON list: SQLite never reorders a cross join."""
    found = list[JoinedPages]()
    for name, pages in wanted:
        query = (
            "SELECT CAST(group_concat(numbers, '') AS BLOB), CAST(group_concat(texts, '') AS BLOB)"  # noqa: S608
            f" FROM json_each(?) CROSS JOIN {name} ON n = value"
        )
        cursor = connection.exec_driver_sql(query, (orjson.dumps(pages.tolist()).decode(),)).cursor
        assert cursor is not None
        ((numbers, texts),) = cursor.fetchall()
        found.append((numbers or b"", texts or b""))
    return found


def _read_postgresql(connection: sa.Connection, name: str, pages: Ints) -> JoinedPages:
    query = f"SELECT numbers, texts FROM {name} WHERE n = ANY(%s) ORDER BY n"  # noqa: S608 - our own name
    rows = connection.exec_driver_sql(query, (pages.tolist(),)).all()
    return b"".join([row[0] for row in rows]), b"".join([row[1] for row in rows])


@lru_cache(maxsize=256)
def _create_statement(name: str, dialect: sa.Dialect) -> str:
    number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    table = sa.Table(
        name,
        sa.MetaData(),
        sa.Column("n", number, primary_key=True, autoincrement=False),
        sa.Column("numbers", sa.LargeBinary, nullable=False),
        sa.Column("texts", sa.LargeBinary, nullable=False),
    )
    return str(sa.schema.CreateTable(table, if_not_exists=True).compile(dialect=dialect))


def _mark(connection: sa.Connection) -> str:
    return "?" if connection.dialect.name == "sqlite" else "%s"
