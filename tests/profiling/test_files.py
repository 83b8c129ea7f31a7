"""Reference files become tables: three formats, of bounded size, and clear words for what cannot be read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import exporter.profiling.files
from exporter.errors import ReferenceInvalidError
from exporter.profiling.files import BATCH_ROWS, read_file

ROWS = [{"age": 41, "country": "DE"}, {"age": None, "country": "FR"}, {"age": 7, "country": None}]


def write(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def write_numbers(path: Path, rows: int) -> Path:
    pq.write_table(pa.table({"n": np.arange(rows)}), path)
    return path


def read_rows(path: Path) -> list[dict[str, Any]]:
    return read_file(path, 1000)[0].to_pylist()  # type: ignore[no-any-return]


def test_parquet(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "r.parquet")
    assert read_rows(tmp_path / "r.parquet") == ROWS


def test_csv_with_an_empty_field_for_a_missing_value(tmp_path: Path) -> None:
    assert read_rows(write(tmp_path / "r.csv", "age,country\n41,DE\n,FR\n7,\n")) == ROWS


def test_na_in_a_text_column_of_csv_is_a_text(tmp_path: Path) -> None:
    rows = read_rows(write(tmp_path / "r.csv", "country,n\nNA,1\nDE,NA\n"))  # Namibia
    assert rows == [{"country": "NA", "n": 1}, {"country": "DE", "n": None}]


@pytest.mark.parametrize(
    "content",
    [
        ROWS,
        {"columns": ["age", "country"], "data": [[41, "DE"], [None, "FR"], [7, None]]},
        {"age": [41, None, 7], "country": ["DE", "FR", None]},
        "\n".join(json.dumps(row) for row in ROWS),
        '[{"age": 41, "country": "DE"}, {"age": NaN, "country": "FR"}, {"age": 7}]',
    ],
    ids=["rows", "log_table", "columns", "lines", "NaN and an absent key"],
)
def test_json(tmp_path: Path, content: Any) -> None:
    assert read_rows(write(tmp_path / "r.json", content)) == ROWS


def test_one_row(tmp_path: Path) -> None:
    assert read_rows(write_numbers(tmp_path / "r.parquet", 1)) == [{"n": 0}]


def test_pandas_row_numbers_are_left_out(tmp_path: Path) -> None:
    table = pa.table({"a": [1, 2], "__index_level_0__": [7, 9]})
    pq.write_table(table, tmp_path / "r.parquet")
    write(tmp_path / "r.csv", ",a\n7,1\n9,2\n")
    for name in ("r.parquet", "r.csv"):
        found, notes = read_file(tmp_path / name, 1000)
        assert found.column_names == ["a"]
        assert notes == ["row numbers left out (a column without a name)"]


def test_a_sample_is_uniform_and_keeps_the_order(tmp_path: Path) -> None:
    rows = 3 * BATCH_ROWS + 17
    table, notes = read_file(write_numbers(tmp_path / "r.parquet", rows), 3000)
    numbers = table.column("n").to_numpy()
    assert len(numbers) == 3000
    assert (np.diff(numbers) > 0).all()
    assert abs(numbers.mean() / rows - 0.5) < 0.02  # 4 standard errors
    assert abs((numbers < BATCH_ROWS).mean() - BATCH_ROWS / rows) < 0.035
    assert notes == ["a uniform sample of 3,000 of 196,625 rows"]


def test_the_same_file_gives_the_same_sample(tmp_path: Path) -> None:
    path = write_numbers(tmp_path / "r.parquet", 10_000)
    assert read_file(path, 100)[0] == read_file(path, 100)[0]


@given(rows=st.integers(1, 300), wanted=st.integers(1, 300))
def test_a_sample_has_the_wanted_rows(
    tmp_path_factory: pytest.TempPathFactory, rows: int, wanted: int
) -> None:
    path = write_numbers(tmp_path_factory.mktemp("sample") / "r.parquet", rows)
    table, _ = read_file(path, wanted)
    assert table.num_rows == min(rows, wanted)
    assert len(set(table.column("n").to_pylist())) == table.num_rows


def test_many_columns_take_fewer_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporter.profiling.files, "MAX_CELLS", 100)
    pq.write_table(pa.table({str(n): np.arange(30) for n in range(10)}), tmp_path / "r.parquet")
    table, notes = read_file(tmp_path / "r.parquet", 1000)
    assert table.num_rows == 10
    assert notes == ["a uniform sample of 10 of 30 rows"]


def test_a_file_that_is_too_large_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(exporter.profiling.files.MAX_BYTES, ".csv", 2**20)
    with pytest.raises(
        ReferenceInvalidError, match=r"'r.csv' has 3 MB, more than 1 MB are not read; a sample"
    ):
        read_file(write(tmp_path / "r.csv", "x" * 3 * 2**20), 1000)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("r.parquet", "no parquet at all", "cannot be read as parquet: .*not a parquet file"),
        ("r.parquet", "", "cannot be read as parquet"),
        ("r.csv", "", "cannot be read as csv: Empty CSV file"),
        ("r.csv", "a,b\n1,2\n3\n", "cannot be read as csv: .*Expected 2 columns, got 1"),
        ("r.csv", "a,b\n", "has no rows"),
        ("r.csv", "a,a\n1,2\n", "several columns named 'a'"),
        ("r.csv", ",\n1,2\n", "several columns named ''"),
        ("r.json", "{", "cannot be read as json"),
        ("r.json", "[1, 2]", "neither rows nor columns"),
        ("r.json", "[]", "has no columns"),
        ("r.json", '{"columns": ["a", "a"], "data": [[1, 2]]}', "a name is twice in 'columns'"),
        ("r.json", '{"columns": ["a"], "data": [[1, 2]]}', "is not a list of rows"),
        ("r.json", '{"a": [1, "x"]}', "column a is not monitored: it mixes types"),
        ("r.json", '{"a": [1, 2], "b": [1]}', "cannot be read as json: .*length"),
        ("r.json", '{"a": [1e400, 99999999999999999999999]}', "column a is not monitored: it mixes types"),
        ("r.json", "[" * 100_000, "cannot be read as json"),
        ("r.xlsx", "PK", r"'r.xlsx' does not end in .parquet, .csv, .json, .jsonl"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path: Path, name: str, content: str, message: str) -> None:
    with pytest.raises(ReferenceInvalidError, match=message):
        read_file(write(tmp_path / name, content), 1000)


def test_a_cut_off_parquet_file(tmp_path: Path) -> None:
    path = write_numbers(tmp_path / "r.parquet", 1000)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ReferenceInvalidError, match=r"'r.parquet' cannot be read as parquet"):
        read_file(path, 1000)


def test_a_parquet_file_with_a_broken_page(tmp_path: Path) -> None:
    path = write_numbers(tmp_path / "r.parquet", 100_000)
    content = bytearray(path.read_bytes())
    content[1000:20_000] = bytes(19_000)
    path.write_bytes(content)
    with pytest.raises(ReferenceInvalidError, match=r"'r.parquet' cannot be read as parquet"):
        read_file(path, 1000)


def test_a_parquet_file_without_columns(tmp_path: Path) -> None:
    pq.write_table(pa.table({}), tmp_path / "r.parquet")
    with pytest.raises(ReferenceInvalidError, match="has no columns"):
        read_file(tmp_path / "r.parquet", 1000)


def test_pandas_categories_stay_categories(tmp_path: Path) -> None:
    table = pa.table({"c": pa.array(["x", "y", "x"]).dictionary_encode()})
    pq.write_table(table, tmp_path / "r.parquet")
    assert read_file(tmp_path / "r.parquet", 1000)[0].column("c").to_pylist() == ["x", "y", "x"]


def write_texts(path: Path, texts: list[str], **options: Any) -> Path:
    pq.write_table(pa.table({"text": texts, "n": np.arange(len(texts))}), path, **options)
    return path


def test_one_long_text_in_every_row_is_kept_once(tmp_path: Path) -> None:
    path = write_texts(tmp_path / "r.parquet", ["x" * 20_000] * 2000)
    before = pa.total_allocated_bytes()
    table, _ = read_file(path, 100_000)
    assert pa.total_allocated_bytes() - before < 2**20
    assert table.column("text")[1999].as_py() == "x" * 20_000


def test_of_long_texts_as_many_rows_are_taken_as_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporter.profiling.files, "MAX_KEPT_BYTES", 5 * 2**20)
    texts = [f"t{number:06d}" * 1500 for number in range(1000)]
    options = {"use_dictionary": False, "row_group_size": 10}
    parquet = write_texts(tmp_path / "r.parquet", texts, compression="zstd", **options)
    csv = write(tmp_path / "r.csv", "n,text\n" + "".join(f"{n},{text}\n" for n, text in enumerate(texts)))
    for path in (parquet, csv):
        table, notes = read_file(path, 100_000)
        assert 400 < table.num_rows < 500
        assert notes == [f"a uniform sample of {table.num_rows} of 1,000 rows"]
        assert all(row["text"] == texts[row["n"]] for row in table.to_pylist())


def test_rows_with_scores_of_several_classes_count_as_wider(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporter.profiling.files, "MAX_CELLS", 5200)
    pq.write_table(pa.table({"n": np.arange(200), "score": [[0.5, 0.5]] * 200}), tmp_path / "r.parquet")
    assert read_file(tmp_path / "r.parquet", 1000)[0].num_rows == 100


def test_types_of_csv_are_those_of_the_rows_that_are_taken(tmp_path: Path) -> None:
    lines = [
        f'{n},"{n}","a ""b"", {n}",2026-11-{1 + n % 9:02d},NA,{"" if n % 2 else "x"}' for n in range(500)
    ]
    path = write(tmp_path / "r.csv", "n,quoted,text,day,none,gaps\n" + "\n".join(lines))
    whole, sample = read_file(path, 1000)[0], read_file(path, 50)[0]
    assert sample.num_rows == 50
    assert sample.schema == whole.schema
    rows = whole.to_pylist()
    assert all(row == rows[row["n"]] for row in sample.to_pylist())


@pytest.mark.parametrize("name", ["r.csv", "r.json", "r.parquet"])
def test_columns_without_end_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(exporter.profiling.files, "MAX_COLUMNS", 1000)
    columns: dict[str, list[int]] = {str(number): [1] for number in range(1001)}
    if name == "r.csv":
        write(tmp_path / name, ",".join(columns) + "\n" + "1," * 1000 + "1\n")
    elif name == "r.json":
        write(tmp_path / name, columns)
    else:
        pq.write_table(pa.table(columns), tmp_path / name)
    with pytest.raises(ReferenceInvalidError, match=f"'{name}' has 1,001 columns, more than 1,000 are not"):
        read_file(tmp_path / name, 1000)


def test_rows_of_json_that_share_no_key_do_not_become_a_square(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporter.profiling.files, "MAX_CELLS", 5000)
    table, _ = read_file(write(tmp_path / "r.json", [{str(number): 1} for number in range(500)]), 1000)
    assert (table.num_rows, table.num_columns) == (10, 500)


@pytest.mark.parametrize("row_group_size", [BATCH_ROWS, 40_000])
@pytest.mark.parametrize("max_rows", [1000, 10**6])
def test_rows_stay_together_in_columns_of_every_kind(
    tmp_path: Path, row_group_size: int, max_rows: int
) -> None:
    rows = BATCH_ROWS + 20_000
    texts = pa.array([f"word {n}" if n % 7 else None for n in range(rows)])
    few = pa.array([f"c{n % 5}" for n in range(rows)])
    path = tmp_path / "r.parquet"
    table = pa.table(
        {
            "n": np.arange(rows),
            "a": texts,
            "a.b": few.cast(pa.large_string()),
            "view": few.cast(pa.string_view()),
            "category": few.dictionary_encode(),
            "list": pa.ListArray.from_arrays(np.arange(rows + 1), texts),
            "structure": pa.StructArray.from_arrays([few], ["b"]),
        }
    )
    pq.write_table(table, path, row_group_size=row_group_size)
    found, _ = read_file(path, max_rows)
    assert found.column_names == table.column_names
    assert found.num_rows == min(rows, max_rows)
    for row in found.slice(found.num_rows - 500).to_pylist():
        text, category = texts[row["n"]].as_py(), f"c{row['n'] % 5}"
        assert list(row.values())[1:] == [text, *[category] * 3, [text], {"b": category}]


# -- odd columns --------------------------------------------------------------------------------------------

ODD: dict[str, list[Any]] = {
    "booleans and numbers": [True, 0],
    "a text and a number": ["a", 123],
    "lists of mixed types": [[1, "a"], [2]],
    "an integer from 2^63 on": [2**63, 1],
    "half a surrogate pair": ["\ud800", "a"],
    "objects that differ": [{"a": 1}, {"a": "x"}],
}


@pytest.mark.parametrize("odd", ODD, ids=str)
@pytest.mark.parametrize("form", ["log_table", "rows", "columns", "lines"])
def test_an_odd_column_of_json_is_named_and_the_others_are_read(tmp_path: Path, odd: str, form: str) -> None:
    values = ODD[odd]
    rows = [{"age": k, odd: value, "country": "DE"} for k, value in enumerate(values)]
    contents: dict[str, Any] = {
        "log_table": {"columns": list(rows[0]), "data": [list(row.values()) for row in rows]},
        "rows": rows,
        "columns": {name: [row[name] for row in rows] for name in rows[0]},
        "lines": "\n".join(json.dumps(row) for row in rows),
    }
    table, notes = read_file(write(tmp_path / "reference_table.json", contents[form]), 1000)

    assert table.to_pylist() == [{"age": k, "country": "DE"} for k in range(len(values))]
    (note,) = notes
    assert note.startswith(f"column {odd} is not monitored: it ")


def test_a_column_of_json_whose_name_is_no_text_is_left_out(tmp_path: Path) -> None:
    table, notes = read_file(write(tmp_path / "r.json", [{"age": 1, "\ud800": 2}]), 1000)

    assert table.column_names == ["age"]
    assert notes == [r"column \ud800 is not monitored: it has half a surrogate pair, which is no character"]


@pytest.mark.parametrize("max_rows", [1000, 2])
def test_a_column_of_csv_that_is_not_utf8_is_named_and_the_others_are_read(
    tmp_path: Path, max_rows: int
) -> None:
    path = tmp_path / "r.csv"
    path.write_bytes(b"city,age\nBern,1\nZ\xfcrich,2\nBasel,3\n")
    table, notes = read_file(path, max_rows)

    assert table.column_names == ["age"]
    assert notes[-1] == "not monitored, for it is not UTF-8: city"
