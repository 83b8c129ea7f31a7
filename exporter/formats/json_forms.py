"""JSON in rows, in columns, and as requests to MLflow's scoring server -> columns of Python values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from exporter.errors import MalformedError
from exporter.payloads import documents
from exporter.payloads.answers import read_predictions
from exporter.payloads.columns import OWN_FIELDS, check_same_length
from exporter.payloads.invocations import FORMS, read_invocation, read_records
from exporter.payloads.limits import check_columns, check_keys, check_rows
from exporter.settings import Settings

TARGET_KEYS = ("model", "version", "alias")
# Of a request to MLflow's scoring server, along with which its answer comes as `predictions`.
_BESIDE_FORMS = tuple(name for name in OWN_FIELDS if name != "prediction")
_ROW_KEYS = ("features", *OWN_FIELDS)


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
    except orjson.JSONDecodeError:  # what Python's parser takes in addition, and its speed, are exceptions
        return documents.parse_json(body)


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


def read_json(document: Mapping[str, Any], settings: Settings) -> JsonColumns:
    """Read the rows of a document in any of the forms.

    Raises:
        MalformedError: it has none of the forms or several, or an unknown key.
        TooLargeError: too many rows or values.
    """
    forms = [name for name in (*FORMS, "columns") if name in document] or ["predictions"]
    form = forms[0]
    if len(forms) > 1 or (form == "columns" and "predictions" in document):
        others = ", ".join(f"`{name}`" for name in forms[1:] or ["predictions"])
        raise MalformedError(f"either `{form}` or {others}")
    known = {
        "predictions": (*TARGET_KEYS, "predictions"),
        "columns": (*TARGET_KEYS, "columns"),
    }.get(form, (*TARGET_KEYS, form, "params", "predictions", *_BESIDE_FORMS))
    inside = {"predictions": "predictions[].", "columns": "columns."}.get(form)
    elsewhere = {name: f"{inside}{name}" for name in _ROW_KEYS} if inside else {}
    if form == "predictions":
        elsewhere |= {name: name for name in (*FORMS, "columns")}
    check_keys([document], known, "{name}", elsewhere)
    if form not in document:
        shown = ", ".join(f"`{name}`" for name in FORMS)
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
        known.update(("predictions", *_BESIDE_FORMS))
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
            shown = ", ".join(f"`{name}`" for name in FORMS)
            raise MalformedError(
                "must be an object with `features` and `prediction`; an answer of MLflow's scoring server "
                f"comes together with its request: {shown}",
                f"predictions[{index}]",
            )
        if not isinstance(row.get("features"), dict):
            raise MalformedError("`features` is required: an object", f"predictions[{index}].features")
        if "prediction" not in row:
            raise MalformedError("`prediction` is required", f"predictions[{index}].prediction")
    features = read_records([row["features"] for row in rows], settings, "predictions[{index}].features")
    given = check_keys(rows, _ROW_KEYS, "predictions[{index}].{name}")
    own = {name: [row.get(name) for row in rows] for name in OWN_FIELDS if name in given}
    return JsonColumns(len(rows), own, features, "predictions[{index}].{name}")


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
    check_same_length([*own.values(), *features.values()], "columns")
    return JsonColumns(rows, own, features, "columns.{name}[{index}]")


def _check_lists(columns: Mapping[str, Any], prefix: str) -> None:
    for name, values in columns.items():
        if not isinstance(values, list):
            raise MalformedError("must be a list", f"{prefix}{name}")


# -- MLflow's scoring server --------------------------------------------------------------------------------


def _from_server(form: str, document: Mapping[str, Any], settings: Settings) -> JsonColumns:
    """A request to MLflow's scoring server and its answer in one body."""
    request = read_invocation({form: document[form]}, settings)
    own = {name: document[name] for name in _BESIDE_FORMS if document.get(name) is not None}
    for name, values in own.items():
        if not isinstance(values, list) or len(values) != request.rows:
            raise MalformedError(f"must be a list of {request.rows} values", name)
    answer = read_predictions(document.get("predictions"), request.rows)
    if answer.score is not None:
        own.setdefault("score", answer.score)
    own["prediction"] = answer.prediction
    return JsonColumns(request.rows, own, request.features, "{name}[{index}]")
