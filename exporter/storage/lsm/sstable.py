"""Sorted rows in pages of a dozen: an id's hash tells its page, so no index has to be kept, or read."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from exporter.storage.lsm.bloom import slots, tops
from exporter.storage.lsm.records import Halves, Records
from exporter.typing import Ints

PAGE_ROWS = 12  # on average; of predictions six pages of ours are one of the database's


def sort_records(records: Records) -> Records:
    """The rows in the order of their ids."""
    return records.take(np.argsort(records.halves[:, 0], kind="stable"))


def count_pages(rows: int) -> int:
    """Over how many pages so many rows are spread."""
    return rows // PAGE_ROWS + 1


def pages_of(halves: Halves, pages: int) -> Ints:
    """(rows,) the number of the page of each id."""
    return slots(tops(halves), pages)


def split_pages(records: Records, pages: int) -> Iterator[tuple[int, bytes, bytes]]:
    """Number, numbers and texts of each page that sorted rows have."""
    place = pages_of(records.halves, pages)
    starts = np.flatnonzero(np.diff(place, prepend=-1))
    numbers, texts = records.encode()
    width = records.numbers.dtype.itemsize
    text_ends = np.concatenate([[0], np.cumsum(records.numbers["text_bytes"], dtype=np.int64)])
    ends = np.append(starts, len(records))[1:]
    parts = zip(
        place[starts].tolist(),
        (starts * width).tolist(),
        (ends * width).tolist(),
        text_ends[starts].tolist(),
        text_ends[ends].tolist(),
        strict=True,
    )
    for page, start, end, text_start, text_end in parts:
        yield page, numbers[start:end], texts[text_start:text_end]


def find_rows(stored: Halves, stored_in: Ints, wanted: Halves, wanted_in: Ints) -> tuple[Ints, Ints]:
    """The rows of ids: which of those wanted each is of, and where it lies.

    Args:
        stored: (rows, 2) of several tables, one after the other, sorted by the first half within each; an id
            may be there several times.
        stored_in: (rows,) the number of the table of each, ascending.
        wanted: (ids, 2)
        wanted_in: (ids,) in which table to look for each.
    """
    bits = np.uint64(int(max(stored_in.max(initial=0), wanted_in.max(initial=0))).bit_length())
    keys, sought = _keys(stored, stored_in, bits), _keys(wanted, wanted_in, bits)
    first = np.searchsorted(keys, sought, side="left")
    counts = np.searchsorted(keys, sought, side="right") - first
    which = np.repeat(np.arange(len(sought)), counts)
    places = np.arange(len(which)) + np.repeat(first - (np.cumsum(counts) - counts), counts)
    same = (stored[places] == wanted[which]).all(axis=1)
    return which[same], places[same]


def _keys(halves: Halves, table: Ints, bits: np.uint64) -> npt.NDArray[np.uint64]:
    """One number for table and id, in their order: the table's takes so many of the first bits."""
    if not bits:
        return halves[:, 0]
    return table.astype(np.uint64) << (np.uint64(64) - bits) | halves[:, 0] >> bits
