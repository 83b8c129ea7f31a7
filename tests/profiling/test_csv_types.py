"""Types of the columns of CSV files."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from exporter.profiling.files import read_file


def write(directory: Path, content: str) -> Path:
    path = directory / "r.csv"
    path.write_text(content)
    return path


GUESSED = (
    "text, since a value has a leading zero, a plus or more digits than a float holds "
    "(the model's signature would say what it is): x"
)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["02116", "12345"], ["02116", "12345"]),
        (["12345", "-007"], ["12345", "-007"]),
        (["1.5", "00.5"], ["1.5", "00.5"]),
        (["+491721", "30"], ["+491721", "30"]),
        (["12345678901234567890", "1"], ["12345678901234567890", "1"]),
        (["9007199254740993", "0.5"], ["9007199254740993", "0.5"]),
    ],
    ids=str,
)
@pytest.mark.parametrize("max_rows", [1000, 1])
def test_csv_written_as_no_number_is_stays_text(
    tmp_path: Path, values: list[str], expected: list[str], max_rows: int
) -> None:
    """Also where the value that tells is not among the rows that are taken."""
    table, notes = read_file(write(tmp_path, "x,n\n" + "".join(f"{v},1\n" for v in values)), max_rows)

    assert table.column("x").to_pylist() in (expected, [expected[0]], [expected[1]])
    assert table.column("n").type == pa.int64()
    assert notes[-1] == GUESSED


@pytest.mark.parametrize(
    "values",
    [
        ["0", "10"],
        ["0.5", "-0.25"],
        ["1e-05", "0"],
        ["9007199254740992", "-1"],
        ["0.10000000000000000555", "7"],
    ],
    ids=str,
)
def test_csv_of_numbers_is_numbers(tmp_path: Path, values: list[str]) -> None:
    table, notes = read_file(write(tmp_path, "x\n" + "\n".join(values) + "\n"), 1000)

    assert table.column("x").to_pylist() == [float(value) for value in values]
    assert notes == []


def test_the_signature_says_what_the_columns_of_csv_are(tmp_path: Path) -> None:
    inputs = {"zip": "string", "grade": "string", "code": "long", "ratio": "double", "other": "long"}
    content = "zip,grade,code,ratio,other,free\n02116,1,007,+5,1,x\n12345,2,8,9007199254740993,n/a?,y\n"
    table, notes = read_file(write(tmp_path, content), 1000, inputs)

    assert table.to_pylist() == [
        {"zip": "02116", "grade": "1", "code": 7, "ratio": 5.0, "other": "1", "free": "x"},
        {"zip": "12345", "grade": "2", "code": 8, "ratio": 2.0**53, "other": "n/a?", "free": "y"},
    ]
    assert notes == [
        "text by the model's signature: zip, grade",
        "numbers by the model's signature, though some are written with a leading zero, a plus or more "
        "digits than a float holds: code, ratio",
        "column other has values that are no numbers, though the model's signature says long: it is text",
    ]
