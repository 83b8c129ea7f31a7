"""Reads pages of tables, on SQLite with two threads.

A random page takes the kernel and SQLite 3 us, during which Python's other threads can run: half of the pages
are read beside the other half. To keep it so, a table's pages come as one row; with a row a page the threads
would wait for each other after each.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeAlias

import orjson
import sqlalchemy as sa

from exporter.typing import Ints

PAGES_BESIDE = 100  # fewer are read sooner than the other thread is woken

Pages: TypeAlias = tuple[bytes, bytes]  # their numbers, and their texts


class PageReader:
    """Of one store; one thread uses it."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._thread = ThreadPoolExecutor(1, "pages")
        self._beside: sa.Connection | None = None

    def close(self) -> None:
        self._thread.shutdown()
        if self._beside is not None:
            self._beside.close()

    def read(
        self, connection: sa.Connection, wanted: Sequence[tuple[str, Ints]], changed: Collection[str] = ()
    ) -> list[Pages]:
        """The pages of each table, in ascending order as they have to be asked for.

        `changed` are tables that the connection's transaction has written: it alone sees what.
        """
        if self._engine.dialect.name != "sqlite":
            return [_read_rows(connection, name, pages) for name, pages in wanted]
        half = sum(len(pages) for _, pages in wanted) // 2
        beside, taken = list[int](), 0
        for number, (name, pages) in enumerate(wanted):
            if taken < half and half >= PAGES_BESIDE and name not in changed:
                beside.append(number)
                taken += len(pages)
        if not beside:
            return _read_each(connection, wanted)
        self._beside = self._beside or self._engine.connect()
        own = sorted(set(range(len(wanted))) - set(beside))
        future = self._thread.submit(_read_each, self._beside, [wanted[number] for number in beside])
        try:
            parts = dict(zip(own, _read_each(connection, [wanted[number] for number in own]), strict=True))
        finally:
            wait([future])
        parts.update(zip(beside, future.result(), strict=True))
        return [parts[number] for number in range(len(wanted))]


def _read_each(connection: sa.Connection, wanted: Sequence[tuple[str, Ints]]) -> list[Pages]:
    """Of each table its pages as one row, in the order of the list: a cross join is never turned round."""
    found = list[Pages]()
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


def _read_rows(connection: sa.Connection, name: str, pages: Ints) -> Pages:
    query = f"SELECT numbers, texts FROM {name} WHERE n = ANY(%s) ORDER BY n"  # noqa: S608 - our own name
    rows = connection.exec_driver_sql(query, (pages.tolist(),)).all()
    return b"".join([row[0] for row in rows]), b"".join([row[1] for row in rows])
