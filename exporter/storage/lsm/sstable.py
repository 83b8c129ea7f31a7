"""SSTables: tables of a day's rows sorted by hash, in pages of a dozen.

An id's hash prefix gives its page, so there is no index to keep or to read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from exporter.storage.lsm.bloom import BloomFilter, hash_prefixes, slots
from exporter.storage.lsm.pages import Page
from exporter.storage.lsm.records import Halves, Records
from exporter.typing import Ints

PAGE_ROWS = 12  # on average; six pages of predictions fill one of the database's


@dataclass(frozen=True)
class SSTable:
    """A sorted table of a day; `number` orders those of a day by age."""

    name: str
    day: int
    number: int
    rows: int
    pages: int
    bloom: BloomFilter


def sort_records(records: Records) -> Records:
    """The rows in the order of their hashes."""
    return records.take(np.argsort(records.halves[:, 0], kind="stable"))


def count_pages(rows: int) -> int:
    """Number of pages of a table of so many rows."""
    return rows // PAGE_ROWS + 1


def pages_of(halves: Halves, pages: int) -> Ints:
    """(rows,) page number of each hash, in a table of `pages` pages."""
    return slots(hash_prefixes(halves), pages)


def split_pages(records: Records, pages: int) -> Iterator[Page]:
    """The pages that sorted rows fill, of a table of `pages` pages."""
    page_of = pages_of(records.halves, pages)
    starts = np.flatnonzero(np.diff(page_of, prepend=-1))
    numbers, texts = records.encode()
    width = records.numbers.dtype.itemsize
    text_ends = np.concatenate([[0], np.cumsum(records.numbers["text_bytes"], dtype=np.int64)])
    ends = np.append(starts, len(records))[1:]
    parts = zip(
        page_of[starts].tolist(),
        (starts * width).tolist(),
        (ends * width).tolist(),
        text_ends[starts].tolist(),
        text_ends[ends].tolist(),
        strict=True,
    )
    for page, start, end, text_start, text_end in parts:
        yield page, numbers[start:end], texts[text_start:text_end]


def find_rows(stored: Halves, stored_in: Ints, wanted: Halves, wanted_in: Ints) -> tuple[Ints, Ints]:
    """(rows,) indices of the wanted ids and (rows,) of the stored rows that have them.

    Args:
        stored: (rows, 2) hashes of several tables, one after the other, each sorted by the first half; an id
        may have
            several rows.
        stored_in: (rows,) number of the table of each, ascending.
        wanted: (ids, 2) hashes.
        wanted_in: (ids,) number of the table in which to look for each.
    """
    bits = np.uint64(int(max(stored_in.max(initial=0), wanted_in.max(initial=0))).bit_length())
    keys, sought = _keys(stored, stored_in, bits), _keys(wanted, wanted_in, bits)
    first = np.searchsorted(keys, sought, side="left")
    counts = np.searchsorted(keys, sought, side="right") - first
    ids = np.repeat(np.arange(len(sought)), counts)
    rows = np.arange(len(ids)) + np.repeat(first - (np.cumsum(counts) - counts), counts)
    same = (stored[rows] == wanted[ids]).all(axis=1)
    return ids[same], rows[same]


def pages_with(halves: Halves, pages: int) -> Ints:
    """Distinct page numbers of sorted hashes, ascending."""
    each = pages_of(halves, pages)
    return each[np.flatnonzero(np.diff(each, prepend=-1))]


def _keys(halves: Halves, table: Ints, bits: np.uint64) -> npt.NDArray[np.uint64]:
    """Sort keys of table and id: the first `bits` bits are the table's."""
    if not bits:
        return halves[:, 0]
    return table.astype(np.uint64) << (np.uint64(64) - bits) | halves[:, 0] >> bits
