"""Requests to MLflow's scoring server (`POST /invocations`) -> columns of features.

The forms are those of `mlflow.pyfunc.scoring_server`: `dataframe_split`, `dataframe_records`, `instances` and
`inputs` in JSON, and CSV with a header.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from exporter.errors import MalformedError
from exporter.payloads.columns import RequestColumns, check_same_length, rows_of_records
from exporter.payloads.limits import MAX_COLUMNS, check_columns, check_keys, check_rows
from exporter.settings import Settings

FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")
_SPLIT_KEYS = ("columns", "data", "index")  # as in pandas; the index is not looked into
_MISSING_TEXTS = {"", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "<NA>"}  # as pandas.read_csv
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d*)?([eE][-+]?\d+)?|-?\.\d+([eE][-+]?\d+)?|-?inf")
_EXACT_DIGITS = 15  # of any decimal number in a float


def find_form(document: Mapping[str, Any]) -> str:
    """Form of a request, one of `FORMS`.

    Raises:
        MalformedError: it has none of them, or several.
    """
    found = [name for name in FORMS if name in document]
    if len(found) != 1:
        shown = ", ".join(f"`{name}`" for name in FORMS)
        raise MalformedError(f"one of {shown} is required" if not found else f"either {' or '.join(found)}")
    return found[0]


def read_invocation(document: object, settings: Settings) -> RequestColumns:
    """Features of a JSON request. Keys beside its form, such as `params`, are not read.

    Raises:
        MalformedError: it has none of the forms, or several; its rows cannot be read.
        TooLargeError: too many rows or values.
    """
    if not isinstance(document, dict):
        raise MalformedError("the body must be a JSON object")
    form = find_form(document)
    content = document[form]
    if form == "dataframe_split":
        return _from_split(content, settings)
    if form == "inputs" and isinstance(content, dict):
        return _from_columns(content, settings)
    return _from_rows(content, settings, form)


def _from_split(split: object, settings: Settings) -> RequestColumns:
    if not isinstance(split, dict):
        raise MalformedError("must be an object with the list `data`", "dataframe_split")
    check_keys([split], _SPLIT_KEYS, "dataframe_split.{name}")
    data, names, index = split.get("data"), split.get("columns"), split.get("index")
    if not isinstance(data, list):
        raise MalformedError("must be a list of rows", "dataframe_split.data")
    if not isinstance(names, list | None):
        raise MalformedError("must be a list of names", "dataframe_split.columns")
    if index is not None and (not isinstance(index, list) or len(index) != len(data)):
        raise MalformedError(f"must be a list of {len(data)} values", "dataframe_split.index")
    return _from_lists(data, names, settings, "dataframe_split.data", "dataframe_split.columns")


def _from_columns(inputs: Mapping[str, Any], settings: Settings) -> RequestColumns:
    """A list by column, or a single row: a value by column."""
    if inputs and not any(isinstance(values, list | dict) for values in inputs.values()):
        inputs = {name: [value] for name, value in inputs.items()}
    for name, values in inputs.items():
        if not isinstance(values, list):
            raise MalformedError("must be a list", f"inputs.{name}")
    check_same_length(list(inputs.values()), "inputs")
    rows = max(map(len, inputs.values()), default=0)
    check_rows(rows, settings, "inputs")
    check_columns(inputs, rows, settings, "inputs")
    return RequestColumns(rows, dict(inputs))


def _from_rows(rows: object, settings: Settings, form: str) -> RequestColumns:
    """Rows as objects by column, as lists of values without names, or as values of a single column."""
    named = form == "dataframe_records"
    detail = "an object by column" if named else "an object by column, or a list of values"
    if not isinstance(rows, list):
        raise MalformedError(f"must be a list, in which each row is {detail}", form)
    check_rows(len(rows), settings, form)
    if not named:
        if isinstance(rows[0], list):
            return _from_lists(rows, None, settings, form, form)
        if not any(isinstance(row, dict | list) for row in rows):
            return RequestColumns(len(rows), {"0": rows}, positional=True)
    for index, row in enumerate(rows):
        if not isinstance(row, dict):
            raise MalformedError(f"must be {detail}", f"{form}[{index}]")
    return RequestColumns(len(rows), read_records(rows, settings, form + "[{index}]"))


def read_records(
    records: Sequence[Mapping[str, object]], settings: Settings, where: str
) -> dict[str, list[Any]]:
    """Columns of records, in the order of their appearance; None where a record lacks one.

    Args:
        records: at least one.
        settings: limits on columns and values.
        where: template of a record's place, with `index`.

    Raises:
        MalformedError: too many columns, or names that are no texts.
        TooLargeError: too many values.
    """
    names = records[0].keys()
    if all(each.keys() == names for each in records):
        check_columns(names, len(records), settings, where.format(index=0))
        return {name: [each[name] for each in records] for name in names}
    union: dict[str, None] = {}
    for index, each in enumerate(records):
        if not each.keys() <= union.keys():
            union.update(dict.fromkeys(each))
            check_columns(union, len(records), settings, where.format(index=index))
    return rows_of_records(records)


def _from_lists(
    data: Sequence[Any], names: Sequence[str | int] | None, settings: Settings, where: str, where_names: str
) -> RequestColumns:
    """Rows that are lists; as in pandas, the names of columns are numbers where there are none."""
    check_rows(len(data), settings, where)
    positional = names is None
    if names is None:
        names = range(len(data[0])) if isinstance(data[0], list) else ()
    # `pd.DataFrame(ndarray)` has integers for names, which are texts in every file.
    texts = [str(name) if type(name) is int else cast("str", name) for name in names]
    check_columns(texts, len(data), settings, where_names)
    if len(set(texts)) != len(texts):
        raise MalformedError("must be distinct", where_names)
    for index, row in enumerate(data):
        if not isinstance(row, list) or len(row) != len(texts):
            raise MalformedError(f"must be a list of {len(texts)} values", f"{where}[{index}]")
    features = dict(zip(texts, map(list, zip(*data, strict=True)), strict=True))
    return RequestColumns(len(data), features, positional)


# -- CSV ----------------------------------------------------------------------------------------------------


def read_csv(body: bytes, settings: Settings) -> RequestColumns:
    """Features of a CSV table with a header, as `DataFrame.to_csv` writes it.

    A column is numeric if all its values are numbers or missing. One in which some value has a leading zero
    (`02116`), a plus sign or more digits than a float holds is text.

    Raises:
        MalformedError: not UTF-8, no table, or rows of different length.
        TooLargeError: too many rows or values.
    """
    try:
        text = body.decode("utf-8-sig")
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        names = next(reader, [])
        rows = _bounded_rows(reader, len(names), settings)
    except (UnicodeDecodeError, csv.Error) as error:
        raise MalformedError(f"not CSV: {error}") from None
    if len(set(names)) != len(names):
        raise MalformedError("names of columns must be distinct", "csv")
    check_rows(len(rows), settings, "csv")
    check_columns(names, len(rows), settings, "csv")
    columns = zip(*rows, strict=True)
    features = {name: _typed(values) for name, values in zip(names, columns, strict=True)}
    unnamed_index = names[0] == "" and len(names) > 1  # of `to_csv`, without `index=False`
    if unnamed_index:
        del features[""]
    return RequestColumns(len(rows), features)


def _bounded_rows(reader: Iterable[list[str]], columns: int, settings: Settings) -> list[list[str]]:
    if columns > MAX_COLUMNS:
        raise MalformedError(f"{columns} columns, at most {MAX_COLUMNS} are taken", "csv")
    rows = list[list[str]]()
    for row in reader:
        if not row:
            continue
        if len(row) != columns:
            raise MalformedError(f"must have {columns} values", f"csv[{len(rows)}]")
        rows.append(row)
        check_rows(len(rows), settings, "csv")
    return rows


def _typed(texts: Sequence[str]) -> list[Any]:
    values = [None if text in _MISSING_TEXTS else text for text in texts]
    given = [text for text in values if text is not None]
    if given and all(text in ("True", "False") for text in given):
        return [None if text is None else text == "True" for text in values]
    if all(map(_is_number, given)):
        return [None if text is None else _number(text) for text in values]
    return values


def _is_number(text: str) -> bool:
    digits = sum(map(str.isdigit, text.partition("e")[0]))
    return _NUMBER.fullmatch(text) is not None and (digits <= _EXACT_DIGITS or not text.lstrip("-").isdigit())


def _number(text: str) -> int | float:
    return int(text) if text.lstrip("-").isdigit() else float(text)
