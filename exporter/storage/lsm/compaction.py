"""Size-tiered compaction: which SSTables a flush merges with the memtable.

A table is merged with at least half as many rows, so each row is rewritten a few times at most, and up to
`TABLE_ROWS`, so that a merge takes a tenth of a second. A day's tables are dropped together when it expires:
there is nothing to merge for deletes or overwrites, since rows are overwritten where they are.
"""

from __future__ import annotations

from collections.abc import Sequence

from exporter.storage.lsm.sstable import SSTable

TABLE_ROWS = 200_000  # that small tables are merged up to
MERGED_FACTOR = 2


def choose_tables(tables: Sequence[SSTable], rows: int) -> list[SSTable]:
    """The latest of a day's tables, newest first, to be merged with `rows` rows of the memtable."""
    chosen = list[SSTable]()
    for table in reversed(tables):
        if table.rows > min(MERGED_FACTOR * rows, TABLE_ROWS - rows):
            break
        chosen.append(table)
        rows += table.rows
    return chosen
