"""JSON in rows, in columns, and as requests to MLflow's scoring server -> columns of Python values."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import orjson

from exporter.errors import MalformedError
from exporter.formats.limits import check_columns, check_keys, check_rows
from exporter.settings import Settings

OWN_FIELDS = ("id", "timestamp", "prediction", "score", "label", "latency_seconds")
TARGET_KEYS = ("model", "version", "alias")
# Requests that MLflow's scoring server takes; its answer comes along as `predictions`.
SERVER_FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")
_BESIDE_SERVER_FORMS = tuple(name for name in OWN_FIELDS if name != "prediction")
_ROW_KEYS = ("features", *OWN_FIELDS)
_SPLIT_KEYS = ("columns", "data", "index")  # as in pandas; the index is not looked into


@dataclass(frozen=True)
class JsonColumns:
    """Columns of `rows` predictions: `own` by the names of `OWN_FIELDS`, `features` by their own.

    `where` is the template of the place of a value of `own`, with `name` and `index`.
    """

    rows: int
    own: dict[str, list[Any]]
    features: dict[str, list[Any]]
    where: str


def parse_json(body: bytes) -> Any:
    """Value of a JSON document.

    Raises:
        MalformedError: no JSON.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        first = error
    try:  # slower, but it takes the NaN and Infinity that Python's own encoder writes
        return json.loads(body, parse_int=_parse_integer)
    except (ValueError, RecursionError):
        raise MalformedError(f"not JSON: {first}") from None


def read_document(body: bytes, query: Mapping[str, str]) -> dict[str, Any]:
    """Object of a JSON body, which names its model itself.

    Raises:
        MalformedError: no object, or there is a query.
    """
    if query:
        raise MalformedError("JSON says this in the body; unknown key", f"query.{min(query)}")
    document = parse_json(body)
    if not isinstance(document, dict):
        raise MalformedError("the body must be a JSON object")
    return document


def _parse_integer(text: str) -> int | float:
    """The same number as from orjson: a float where it has more than 64 bits."""
    if len(text) > 20:
        return float(text)
    value = int(text)
    return value if -(2**63) <= value < 2**64 else float(value)


def read_json(document: Mapping[str, Any], settings: Settings) -> JsonColumns:
    """Read the rows of a document in any of the forms.

    Raises:
        MalformedError: it has none of the forms or several, or an unknown key.
        TooLargeError: too many rows or values.
    """
    forms = [name for name in (*SERVER_FORMS, "columns") if name in document] or ["predictions"]
    form = forms[0]
    if len(forms) > 1 or (form == "columns" and "predictions" in document):
        others = ", ".join(f"`{name}`" for name in forms[1:] or ["predictions"])
        raise MalformedError(f"either `{form}` or {others}")
    known = {
        "predictions": (*TARGET_KEYS, "predictions"),
        "columns": (*TARGET_KEYS, "columns"),
    }.get(form, (*TARGET_KEYS, form, "predictions", *_BESIDE_SERVER_FORMS))
    inside = {"predictions": "predictions[].", "columns": "columns."}.get(form)
    elsewhere = {name: f"{inside}{name}" for name in _ROW_KEYS} if inside else {}
    if form == "predictions":
        elsewhere |= {name: name for name in (*SERVER_FORMS, "columns")}
    check_keys([document], known, "{name}", elsewhere)
    if form not in document:
        shown = ", ".join(f"`{name}`" for name in SERVER_FORMS)
        raise MalformedError(f"`predictions` (rows), `columns` or one of {shown} is required")
    if form == "predictions":
        return _from_rows(document["predictions"], settings)
    if form == "columns":
        return _from_columns(document["columns"], settings)
    return _from_server(form, document, settings)


def without_unread_keys(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document without unknown keys, which older versions ignored."""
    forms = ("dataframe_split", "predictions", "columns")
    form = next((name for name in forms if name in document), "")
    known = {*TARGET_KEYS, form}
    if form == "dataframe_split":
        known.update(("predictions", *_BESIDE_SERVER_FORMS))
    kept = {name: value for name, value in document.items() if name in known}
    if isinstance(split := kept.get("dataframe_split"), dict):
        kept["dataframe_split"] = {name: split[name] for name in ("columns", "data") if name in split}
    return kept


def _from_rows(rows: object, settings: Settings) -> JsonColumns:
    if not isinstance(rows, list):
        raise MalformedError("must be a list of predictions", "predictions")
    check_rows(len(rows), settings, "predictions")
    for index, row in enumerate(rows):
        if not isinstance(row, dict):
            shown = ", ".join(f"`{name}`" for name in SERVER_FORMS)
            raise MalformedError(
                "must be an object with `features` and `prediction`; an answer of MLflow's scoring server "
                f"comes together with its request: {shown}",
                f"predictions[{index}]",
            )
        if not isinstance(row.get("features"), dict):
            raise MalformedError("`features` is required: an object", f"predictions[{index}].features")
        if "prediction" not in row:
            raise MalformedError("`prediction` is required", f"predictions[{index}].prediction")
    features = _from_records([row["features"] for row in rows], settings, "predictions[{index}].features")
    given = check_keys(rows, _ROW_KEYS, "predictions[{index}].{name}")
    own = {name: [row.get(name) for row in rows] for name in OWN_FIELDS if name in given}
    return JsonColumns(len(rows), own, features, "predictions[{index}].{name}")


def _from_records(
    records: Sequence[Mapping[str, object]], settings: Settings, where: str
) -> dict[str, list[Any]]:
    """Columns of records, in the order of their appearance; missing where a record lacks one."""
    names = records[0].keys()
    if all(each.keys() == names for each in records):
        check_columns(names, len(records), settings, where.format(index=0))
        return {name: [each[name] for each in records] for name in names}
    union: dict[str, None] = {}
    for index, each in enumerate(records):
        if not each.keys() <= union.keys():
            union.update(dict.fromkeys(each))
            check_columns(union, len(records), settings, where.format(index=index))
    return {name: [each.get(name) for each in records] for name in union}


def _from_columns(columns: object, settings: Settings) -> JsonColumns:
    if not isinstance(columns, dict):
        raise MalformedError("must be an object of columns", "columns")
    features = columns.get("features")
    if not isinstance(features, dict):
        raise MalformedError("`features` is required: an object of columns", "columns.features")
    check_keys([columns], _ROW_KEYS, "columns.{name}")
    own = {name: columns[name] for name in OWN_FIELDS if columns.get(name) is not None}
    if "prediction" not in own:
        raise MalformedError("`prediction` is required", "columns.prediction")
    _check_lists(own, "columns.")
    rows = len(own["prediction"])
    check_rows(rows, settings, "columns.prediction")
    check_columns(features, rows, settings, "columns.features")
    _check_lists(features, "columns.features.")
    _check_lengths([*own.values(), *features.values()], "columns")
    return JsonColumns(rows, own, features, "columns.{name}[{index}]")


def _check_lists(columns: Mapping[str, Any], prefix: str) -> None:
    for name, values in columns.items():
        if not isinstance(values, list):
            raise MalformedError("must be a list", f"{prefix}{name}")


def _check_lengths(columns: Sequence[Sequence[object]], where: str) -> None:
    lengths = sorted(set(map(len, columns)))
    if len(lengths) > 1:
        raise MalformedError(f"columns differ in length: {', '.join(map(str, lengths))}", where)


# -- MLflow's scoring server --------------------------------------------------------------------------------


def _from_server(form: str, document: Mapping[str, Any], settings: Settings) -> JsonColumns:
    """A request to MLflow's scoring server and its answer in one body."""
    request = document[form]
    if form == "dataframe_split":
        rows, features = _from_split(request, settings)
    elif form == "inputs" and isinstance(request, dict):
        rows, features = _from_inputs(request, settings)
    else:
        rows, features = _from_list(request, settings, form)
    own = {name: document[name] for name in _BESIDE_SERVER_FORMS if document.get(name) is not None}
    own["prediction"] = document.get("predictions")
    for name, values in own.items():
        if not isinstance(values, list) or len(values) != rows:
            shown = "predictions" if name == "prediction" else name
            raise MalformedError(f"must be a list of {rows} values", shown)
    return JsonColumns(rows, own, features, "{name}[{index}]")


def _from_split(split: object, settings: Settings) -> tuple[int, dict[str, list[Any]]]:
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
    return len(data), _from_lists(data, names, settings, "dataframe_split.data", "dataframe_split.columns")


def _from_inputs(inputs: Mapping[str, Any], settings: Settings) -> tuple[int, dict[str, list[Any]]]:
    _check_lists(inputs, "inputs.")
    _check_lengths(list(inputs.values()), "inputs")
    rows = max(map(len, inputs.values()), default=0)
    check_rows(rows, settings, "inputs")
    check_columns(inputs, rows, settings, "inputs")
    return rows, dict(inputs)


def _from_list(rows: object, settings: Settings, form: str) -> tuple[int, dict[str, list[Any]]]:
    """Rows as objects by column, or as lists of values without names."""
    named = form == "dataframe_records"
    detail = "an object by column" if named else "an object by column, or a list of values"
    if not isinstance(rows, list):
        raise MalformedError(f"must be a list, in which each row is {detail}", form)
    check_rows(len(rows), settings, form)
    if not named and isinstance(rows[0], list):
        return len(rows), _from_lists(rows, None, settings, form, form)
    for index, row in enumerate(rows):
        if not isinstance(row, dict):
            raise MalformedError(f"must be {detail}", f"{form}[{index}]")
    return len(rows), _from_records(rows, settings, form + "[{index}]")


def _from_lists(
    data: Sequence[Any], names: Sequence[str | int] | None, settings: Settings, where: str, where_names: str
) -> dict[str, list[Any]]:
    """Columns of rows that are lists; as in pandas their names are numbers where there are none."""
    check_rows(len(data), settings, where)
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
    return dict(zip(texts, map(list, zip(*data, strict=True)), strict=True))
