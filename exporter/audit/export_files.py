"""Exports of the audit trail as JSON lines, CSV and Parquet, written and read row by row.

All three hold the same rows, and the bodies of records in the bytes that were hashed.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Literal, get_args

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from exporter.audit.export import ExportRow, RowType
from exporter.errors import AuditError
from exporter.formats.texts import first_line, printable

FileFormat = Literal["jsonl", "csv", "parquet"]

MAX_LINE_BYTES = 4 * 1024 * 1024
MAX_GROUP_ROWS, MAX_GROUP_BYTES = 10_000, 32 * 2**20  # of Parquet
READ_ROWS = 1000
COLUMNS = ("at", "kind", "actor", "action_id", "model", "model_version", "subject")  # copies from the body
_CELLS = ("type", "seq", *COLUMNS, "body_digest", "digest", "body")
_PARQUET_SCHEMA = pa.schema(
    [
        pa.field("type", pa.string()),
        pa.field("seq", pa.int64()),
        *(pa.field(name, pa.string()) for name in COLUMNS),
        pa.field("body_digest", pa.binary(32)),
        pa.field("digest", pa.binary(32)),
        pa.field("body", pa.string()),
    ]
)
_TYPES = get_args(RowType)
# A spreadsheet takes such a cell, or such a part if it splits at semicolons, for a formula.
_FORMULA = re.compile(r"(?:^|(?<=[;,\t]))(?=\s*[=+\-@＝＋－＠])")  # noqa: RUF001 - full-width signs count, too
_ESCAPE = re.compile(rb"\\(u003b|.)", re.S)
_BODY = b',"body":'


def write_rows(rows: Iterable[ExportRow], form: FileFormat, sink: BinaryIO) -> None:
    """Write an export."""
    {"jsonl": _write_json_lines, "csv": _write_csv, "parquet": _write_parquet}[form](rows, sink)


def read_rows(path: Path) -> Iterator[ExportRow]:
    """Rows of an export, in whatever format it is.

    Raises:
        AuditError: it is no export, or a row is damaged; the message names the row.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(4)
        file.seek(0)
        if start == b"PAR1":
            yield from _read_parquet(file)
        elif start[:1] == b"{":
            yield from _read_json_lines(file)
        else:
            yield from _read_csv(file)


# -- JSON lines ----------------------------------------------------------------------------------------------


def _write_json_lines(rows: Iterable[ExportRow], sink: BinaryIO) -> None:
    for row in rows:
        digests = b"".join(
            b',"%s":"%s"' % (name, digest.hex().encode())
            for name, digest in ((b"body_digest", row.body_digest), (b"digest", row.digest))
            if digest is not None
        )
        body = _BODY + row.body if row.body is not None else b""
        sink.write(b'{"type":"%s","seq":%d%s%s}\n' % (row.type.encode(), row.seq, digests, body))


def _read_json_lines(file: BinaryIO) -> Iterator[ExportRow]:
    number = 0
    while line := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(line) > MAX_LINE_BYTES:
            raise AuditError(f"line {number} has more than {MAX_LINE_BYTES:,} bytes")
        start, found, rest = line.rstrip(b"\r\n").partition(_BODY)
        with _reading(f"line {number}"):
            if found and not rest.endswith(b"}"):
                raise ValueError("it is cut off")
            fields = orjson.loads(start + b"}" if found else start)
            yield _decode(fields, rest[:-1] if found else None, bytes.fromhex)


# -- CSV -----------------------------------------------------------------------------------------------------


def _write_csv(rows: Iterable[ExportRow], sink: BinaryIO) -> None:
    text = io.TextIOWrapper(sink, "utf-8", newline="", write_through=True)
    try:
        writer = csv.writer(text)
        writer.writerow(_CELLS)
        writer.writerows(map(_csv_cells, rows))
    finally:
        text.detach()  # the sink stays open


def _csv_cells(row: ExportRow) -> tuple[object, ...]:
    return (
        row.type,
        row.seq,
        *_copies(row, "csv").values(),
        row.body_digest.hex() if row.body_digest is not None else "",
        row.digest.hex() if row.digest is not None else "",
        # JSON as well: no spreadsheet splits it at a semicolon.
        row.body.replace(b";", rb"\u003b").decode() if row.body is not None else "",
    )


def _read_csv(file: BinaryIO) -> Iterator[ExportRow]:
    csv.field_size_limit(MAX_LINE_BYTES)
    with io.TextIOWrapper(file, "utf-8-sig", newline="") as text:
        yield from _decode_csv(csv.DictReader(text, strict=True))


def _decode_csv(reader: csv.DictReader[str]) -> Iterator[ExportRow]:
    with _reading("line 1"):
        if tuple(reader.fieldnames or ()) != _CELLS:
            raise ValueError("it is no export of the audit trail")
    while True:
        with _reading(f"line {reader.line_num + 1}"):
            cells = next(reader, None)
            if cells is None:
                return
            if None in cells or None in cells.values():
                raise ValueError("it has another number of cells than the first")
            body = _ESCAPE.sub(_unescape, cells["body"].encode()) if cells["body"] else None
            row = _decode({k: v for k, v in cells.items() if v}, body, bytes.fromhex)
            _compare(row, cells, "csv")
        yield row


def _unescape(escape: re.Match[bytes]) -> bytes:
    return b";" if escape[1] == b"u003b" else escape[0]


def _cell(text: str) -> str:
    """Text on one line that no spreadsheet takes for a formula.

    >>> _cell("=1+1"), _cell("a;@b"), _cell("a-b")
    ("'=1+1", "a;'@b", 'a-b')
    """
    return _FORMULA.sub("'", printable(text))


# -- Parquet -------------------------------------------------------------------------------------------------


def _write_parquet(rows: Iterable[ExportRow], sink: BinaryIO) -> None:
    with pq.ParquetWriter(sink, _PARQUET_SCHEMA, compression="zstd") as writer:
        for group in _groups(rows):
            writer.write_table(
                pa.Table.from_pylist(
                    [
                        {
                            "type": row.type,
                            "seq": row.seq,
                            **_copies(row, "parquet"),
                            "body_digest": row.body_digest,
                            "digest": row.digest,
                            "body": row.body.decode() if row.body is not None else None,
                        }
                        for row in group
                    ],
                    _PARQUET_SCHEMA,
                )
            )


def _groups(rows: Iterable[ExportRow]) -> Iterator[list[ExportRow]]:
    """Rows in groups that are bounded in rows and bytes."""
    group: list[ExportRow] = []
    size = 0
    for row in rows:
        group.append(row)
        size += len(row.body or b"")
        if len(group) == MAX_GROUP_ROWS or size >= MAX_GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def _read_parquet(file: BinaryIO) -> Iterator[ExportRow]:
    number = 0
    try:
        parquet = pq.ParquetFile(file)
        if parquet.schema_arrow.names != list(_CELLS):
            raise AuditError("it is no export of the audit trail")
        for batch in parquet.iter_batches(READ_ROWS):
            for fields in batch.to_pylist():
                number += 1
                with _reading(f"row {number}"):
                    body = fields.pop("body")
                    row = _decode(fields, None if body is None else body.encode(), bytes)
                    _compare(row, fields, "parquet")
                yield row
    except (pa.ArrowException, OSError, ValueError) as error:  # any of them for damaged files
        raise AuditError(f"after row {number}: {first_line(error)}") from error


# -- rows ----------------------------------------------------------------------------------------------------


def _decode(fields: Mapping[str, Any], body: bytes | None, digest: Any) -> ExportRow:
    if fields["type"] not in _TYPES:
        raise ValueError(f"{str(fields['type'])[:50]!r} is no type of a row")
    return ExportRow(
        type=fields["type"],
        seq=int(fields["seq"]),
        body=body,
        body_digest=digest(fields["body_digest"]) if fields.get("body_digest") else None,
        digest=digest(fields["digest"]) if fields.get("digest") else None,
    )


def _copies(row: ExportRow, form: FileFormat) -> dict[str, str]:
    """Columns beside the body of a record, with the body's values; those of CSV are safe in spreadsheets."""
    if row.type != "record" or row.body is None:
        return dict.fromkeys(COLUMNS, "")
    said = orjson.loads(row.body)
    texts = {name: str(said.get(name, "")) for name in COLUMNS}
    return {name: _cell(text) for name, text in texts.items()} if form == "csv" else texts


def _compare(row: ExportRow, shown: Mapping[str, Any], form: FileFormat) -> None:
    """
    Raises:
        ValueError: a column shows something else than the body.
    """
    for name, text in _copies(row, form).items():
        if shown[name] != text:
            raise ValueError(f"the column {name} is not what the body of record {row.seq} says")


@contextmanager
def _reading(place: str) -> Iterator[None]:
    """
    Raises:
        AuditError: the row at this place cannot be read.
    """
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, csv.Error) as error:
        raise AuditError(f"{place}: {first_line(error)}") from None
