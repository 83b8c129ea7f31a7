"""Exports as files: they are read as they were written, and are safe in spreadsheets."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.audit import export_files
from exporter.audit.export import ExportRow
from exporter.audit.export_files import FileFormat, read_rows, write_rows
from exporter.errors import AuditError

FORMATS: Sequence[FileFormat] = ("jsonl", "csv", "parquet")
FORMULA_STARTS = tuple("=+-@\t\r")
HEADER = ExportRow("export", 1, b'{"format":"test"}')
FIELDS: dict[str, Any] = {
    "action_id": "",
    "actor": "ada",
    "at": "2026-11-01T00:00:00.000000Z",
    "data": {},
    "kind": "hold",
    "model": "fraud",
    "model_version": "3",
    "subject": "",
}

HOSTILE = ["=1+1", ";=cmd|' /C calc'!A1", '",\n=1', "\\u003b", "\\\\u003b;", "\t=1", "\uff1d1", "a,b;c"]
texts = st.one_of(st.text(max_size=20), st.sampled_from(HOSTILE))


def record(**fields: Any) -> ExportRow:
    body = orjson.dumps({**FIELDS, **fields}, option=orjson.OPT_SORT_KEYS)
    return ExportRow("record", 1, body, sha256(body).digest(), bytes(32))


def write(path: Path, form: FileFormat, *rows: ExportRow) -> Path:
    with path.open("wb") as file:
        write_rows(rows, form, file)
    return path


@pytest.mark.parametrize("form", FORMATS)
def test_all_types_of_rows_are_read_as_they_were_written(tmp_path: Path, form: FileFormat) -> None:
    digest = bytes(range(32))
    rows = [
        HEADER,
        ExportRow("checkpoint", 2, b'{"note":"a\\n2\\n;\\n"}'),
        record(),
        ExportRow("other", 2, body_digest=digest),
        ExportRow("erased", 3, body_digest=digest, digest=digest),
    ]
    assert list(read_rows(write(tmp_path / "export", form, *rows))) == rows


@pytest.mark.parametrize("form", FORMATS)
@given(actor=texts, subject=texts, key=texts, value=texts)
def test_bodies_keep_their_bytes(
    tmp_path_factory: pytest.TempPathFactory,
    form: FileFormat,
    actor: str,
    subject: str,
    key: str,
    value: str,
) -> None:
    rows = [HEADER, record(actor=actor, subject=subject, data={key: value})]
    path = write(tmp_path_factory.getbasetemp() / f"round-trip.{form}", form, *rows)
    assert list(read_rows(path)) == rows


@given(actor=texts, subject=texts, value=texts)
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_no_cell_of_csv_is_a_formula(actor: str, subject: str, value: str, delimiter: str) -> None:
    sink = io.BytesIO()
    write_rows([HEADER, record(actor=actor, subject=subject, data={"reason": value})], "csv", sink)
    lines = csv.reader(io.StringIO(sink.getvalue().decode()), delimiter=delimiter)
    cells = [cell.lstrip(" ") for line in lines for cell in line]
    assert not [cell for cell in cells if cell.startswith(FORMULA_STARTS)]


def test_json_lines_hold_bodies_that_tools_can_read(tmp_path: Path) -> None:
    path = write(tmp_path / "export.jsonl", "jsonl", HEADER, record(actor='a "quoted" name'))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines[1]["body"]["actor"] == 'a "quoted" name'


def test_parquet_has_columns_to_search_by(tmp_path: Path) -> None:
    path = write(tmp_path / "export.parquet", "parquet", HEADER, record(subject="champion"))
    found = pq.read_table(path).to_pylist()[1]
    assert (found["kind"], found["model"], found["subject"]) == ("hold", "fraud", "champion")


def test_large_exports_have_several_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_files, "MAX_GROUP_ROWS", 100)
    monkeypatch.setattr(export_files, "MAX_GROUP_BYTES", 1000)
    others = [ExportRow("other", seq, body_digest=bytes(32)) for seq in range(250)]
    long = [record(data={"reason": "x" * 1000})] * 2
    path = write(tmp_path / "export.parquet", "parquet", HEADER, *others, *long)
    assert pq.ParquetFile(path).num_row_groups == 4
    assert list(read_rows(path))[1:] == [*others, *long]


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_column_that_differs_from_its_body_is_found(tmp_path: Path, form: FileFormat) -> None:
    path = write(tmp_path / "export", form, HEADER, record(actor="ada"))
    if form == "csv":
        path.write_text(path.read_text().replace(",ada,", ",grace,"))
    else:
        table = pq.read_table(path)
        index = table.schema.get_field_index("actor")
        pq.write_table(table.set_column(index, "actor", [["", "grace"]]), path)
    with pytest.raises(AuditError, match="the column actor is not what the body of record 1 says"):
        list(read_rows(path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"type":"record"', "line 1: "),
        (b'{"type":"record","seq":1,"body_digest":"zz"}\n', "line 1: non-hexadecimal"),
        (b'{"type":"record","seq":1,"body":{"a":1\n', "line 1: it is cut off"),
        (b'{"type":"sonnet","seq":1}\n', "'sonnet' is no type of a row"),
        (b'{"seq":1}\n', "line 1: 'type'"),
        (b"{" + b"x" * (5 << 20), "line 1 has more than"),
        (b"a,b,c\n1,2,3\n", "it is no export of the audit trail"),
        (b"\xff\xfe\x00", "line 1: 'utf-8' codec"),
        (b"PAR1 and nothing else", "after row 0: "),
        (b"", "it is no export of the audit trail"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "export"
    path.write_bytes(content)
    with pytest.raises(AuditError, match=message):
        list(read_rows(path))
