"""Reads JSON lines as rows: an object a line, with the features beside the other columns or in `features`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pyarrow as pa

from exporter.push.assignment import Column, Wanted
from exporter.push.reading import Rows, opened, rows_of_request
from exporter.push.sources import Source

CHUNK_BYTES = 2**20
LINE_BYTES = 2**22
REQUEST_BYTES = 2**23  # of lines
REQUEST_ROWS = 10_000  # JSON takes the exporter ten times as long as Arrow

Refuse = Callable[[int, str], None]


def read_json_lines(source: Source, wanted: Wanted, refuse: Refuse) -> Iterator[Rows]:
    """Rows of a file; `refuse` is called with the number of a line that cannot be read, and the reason.

    Raises:
        ConfigError, pa.ArrowException, OSError, ValueError: it cannot be read.
    """
    names, inner = dict[str, None](), dict[str, None]()  # all so far
    rows, numbers, size = list[dict[str, Any]](), list[int](), 0

    def made() -> Rows:
        nested = {name: [_features(row).get(name) for row in rows] for name in inner} if inner else None
        columns: dict[str, Column] = {name: [row.get(name) for row in rows] for name in names}
        assignment = wanted.assign(list(names), list(inner) if inner else None)
        fields = assignment.fields(columns, nested)
        return Rows(fields, list(numbers), share(), assignment.unsent)

    with opened(source) as (file, share):
        for number, line in enumerate(_lines(file), 1):
            row, problem = _parse(line)
            if problem:
                refuse(number, problem)
            elif row is not None:
                rows.append(row)
                numbers.append(number)
                names.update(dict.fromkeys(row))
                inner.update(dict.fromkeys(_features(row)))
                size += len(line)
                if size >= REQUEST_BYTES or len(rows) >= min(
                    REQUEST_ROWS, rows_of_request(len(names) + len(inner))
                ):
                    yield made()
                    rows, numbers, size = [], [], 0
        if rows:
            yield made()


def _features(row: dict[str, Any]) -> dict[str, Any]:
    found = row.get("features")
    return found if isinstance(found, dict) else {}


def _parse(line: bytes) -> tuple[dict[str, Any] | None, str]:
    """The object of a line, or None for an empty one, and what is wrong with it."""
    if len(line) > LINE_BYTES:
        return None, f"a line of more than {LINE_BYTES >> 20} MB"
    if not line.strip():
        return None, ""
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return None, f"no JSON: {error.msg}"
    return (row, "") if isinstance(row, dict) else (None, "no JSON object")


def _lines(file: pa.NativeFile) -> Iterator[bytes]:
    """Lines of a file; of one that is too long, enough to know that."""
    rest = b""
    while chunk := file.read(CHUNK_BYTES):
        *lines, tail = (rest + chunk).split(b"\n") if len(rest) <= LINE_BYTES else _skip(rest, chunk)
        yield from lines
        rest = tail
    if rest:
        yield rest


def _skip(rest: bytes, chunk: bytes) -> list[bytes]:
    """The end of a line that is too long is not kept."""
    _, newline, after = chunk.partition(b"\n")
    return [rest, *after.split(b"\n")] if newline else [rest]
