"""Wire formats of predictions -> columnar batches.

Rows and columns of JSON, MLflow's `dataframe_split`, Arrow IPC streams and Parquet all end in one `Batch`,
whose columns are in the normal forms of `exporter.columns`. Odd values inside a column are kept: they are
what we monitor. Only a request that cannot be understood is refused, and then as a whole.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from exporter.arrays import Floats
from exporter.arrow_stream import read_arrow_stream
from exporter.columns import (
    OPAQUE,
    Texts,
    Values,
    from_arrow,
    from_python,
    read_numbers,
    read_times,
    text_bytes,
)
from exporter.config import Settings
from exporter.errors import MalformedError, UnsupportedError
from exporter.limits import MAX_NAME_LENGTH, check_columns, check_expansion, check_rows, is_short_text
from exporter.parquet import read_parquet
from exporter.scores import scores_from_arrow, scores_from_python

JSON_TYPE = "application/json"
ARROW_TYPE = "application/vnd.apache.arrow.stream"
PARQUET_TYPE = "application/vnd.apache.parquet"
OWN_FIELDS = ("id", "timestamp", "prediction", "score", "label", "latency_seconds")
MAX_LATENCY_SECONDS = 1e9  # longer than anybody waits; sums of latencies stay exact enough to be averaged


@dataclass(frozen=True)
class Target:
    """Whom a batch is for: a model and its version, or an alias that is resolved at each row's own time."""

    model: str
    version: str = ""
    alias: str = ""


@dataclass(frozen=True)
class Batch:
    """Columns of `rows` predictions.

    `timestamps` (rows,) seconds since the epoch, NaN where the row has none; `naive_timestamps` counts those
    that came without a zone and were taken as UTC. `latency` (rows,) seconds, NaN where there is none. Rows
    of `score` may be `ClassScores`.
    """

    target: Target
    rows: int
    ids: list[str | None] | None
    timestamps: Floats
    naive_timestamps: int
    features: dict[str, Values]
    prediction: Values
    score: Values | None
    label: Values | None
    latency: Floats | None


def decode_predictions(body: bytes, content_type: str, query: Mapping[str, str], settings: Settings) -> Batch:
    """Decode one request.

    Raises:
        MalformedError: it cannot be read as what it says it is; nothing of it counts.
        TooLargeError: too many rows or values, or it unpacks to too much.
        UnsupportedError: an unknown content type.
    """
    table = read_table(body, content_type, settings)
    if table is None:
        return _from_json(body, settings)
    with understanding("a table"):
        return _from_table(table, _target(query, "query."), settings)


def read_table(body: bytes, content_type: str, settings: Settings) -> pa.Table | None:
    """The table of an Arrow or Parquet body; None for JSON.

    Raises:
        MalformedError: it is not what it says it is.
        UnsupportedError: an unknown content type.
    """
    kind = content_type.partition(";")[0].strip().lower() or JSON_TYPE
    if kind == JSON_TYPE:
        return None
    readers = {
        ARROW_TYPE: ("an Arrow IPC stream", read_arrow_stream),
        PARQUET_TYPE: ("Parquet", read_parquet),
        "application/x-parquet": ("Parquet", read_parquet),
    }
    if kind not in readers:
        raise UnsupportedError(
            f"content type {kind!r}, taken are {JSON_TYPE}, {ARROW_TYPE} and {PARQUET_TYPE}"
        )
    name, read = readers[kind]
    with understanding(name):
        return read(body, settings)


@contextmanager
def understanding(name: str) -> Iterator[None]:
    """What Arrow refuses is malformed."""
    try:
        yield
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise MalformedError(f"not {name}: {_first_line(error)}") from None


def read_model(source: Mapping[str, Any], prefix: str = "") -> str:
    """The registered model's name."""
    model = source.get("model")
    if not model or not is_short_text(model):
        raise MalformedError("`model` is required: the registered model's name", f"{prefix}model")
    return model


def _target(source: Mapping[str, Any], prefix: str = "") -> Target:
    model, version, alias = read_model(source, prefix), source.get("version"), source.get("alias")
    if isinstance(version, int) and not isinstance(version, bool):
        version = str(version)
    if (version is None) == (alias is None):
        raise MalformedError("`version` or `alias` is required, not both", f"{prefix}version")
    chosen = version if version is not None else alias
    if not chosen or not is_short_text(chosen):
        place = "version" if version is not None else "alias"
        raise MalformedError(f"must be a text of 1 to {MAX_NAME_LENGTH} characters", f"{prefix}{place}")
    return Target(model, version=chosen) if version is not None else Target(model, alias=chosen)


# -- JSON ---------------------------------------------------------------------------------------------------


def _from_json(body: bytes, settings: Settings) -> Batch:
    document = parse_json(body)
    if not isinstance(document, dict):
        raise MalformedError("the body must be a JSON object")
    target = _target(document)
    forms = [name for name in ("dataframe_split", "predictions", "columns") if name in document]
    if forms in (["dataframe_split"], ["dataframe_split", "predictions"]):
        return _from_split(document, target, settings)
    if forms == ["predictions"]:
        return _from_rows(document["predictions"], target, settings)
    if forms == ["columns"]:
        return _from_columns(document["columns"], target, settings)
    raise MalformedError("the body needs either `predictions` (rows) or `columns`")


def parse_json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        first = error
    try:  # slower, but it takes the NaN and Infinity that Python's own encoder writes
        return json.loads(body, parse_int=_parse_integer)
    except (ValueError, RecursionError):
        raise MalformedError(f"not JSON: {first}") from None


def _parse_integer(text: str) -> int | float:
    """What orjson makes of it: a float where it has more than 64 bits."""
    if len(text) > 20:
        return float(text)
    value = int(text)
    return value if -(2**63) <= value < 2**64 else float(value)


def _from_rows(rows: object, target: Target, settings: Settings) -> Batch:
    if not isinstance(rows, list):
        raise MalformedError("must be a list of predictions", "predictions")
    check_rows(len(rows), settings, "predictions")
    for index, row in enumerate(rows):
        if not isinstance(row, dict):
            raise MalformedError("must be an object", f"predictions[{index}]")
        if not isinstance(row.get("features"), dict):
            raise MalformedError("`features` is required: an object", f"predictions[{index}].features")
        if "prediction" not in row:
            raise MalformedError("`prediction` is required", f"predictions[{index}].prediction")
    features: list[dict[str, object]] = [row["features"] for row in rows]
    names = features[0].keys()
    if all(each.keys() == names for each in features):
        check_columns(names, len(rows), settings, "predictions[0].features")
        columns = {name: from_python([each[name] for each in features]) for name in names}
    else:
        union = _union(features, settings)
        columns = {name: from_python([each.get(name) for each in features]) for name in union}
    given = set().union(*rows)
    refuse_unknown(rows, given - {"features", *OWN_FIELDS}, "predictions[{index}].{name}", OWN_FIELDS)
    own = {name: [row.get(name) for row in rows] for name in OWN_FIELDS if name in given}
    return _batch(target, len(rows), _own_columns(own), columns, settings, "predictions[{index}].{name}")


def refuse_unknown(
    rows: Sequence[Mapping[str, object]], unknown: Collection[str], where: str, known: Sequence[str]
) -> None:
    """Refuse keys that nobody reads: a misspelt one would be lost without a word."""
    if not unknown:
        return
    name = min(unknown)
    index = next(index for index, row in enumerate(rows) if name in row)
    similar = get_close_matches(name[:MAX_NAME_LENGTH], known, n=1)
    detail = "nobody reads this key" + (f", is `{similar[0]}` meant?" if similar else "")
    raise MalformedError(detail, where.format(index=index, name=name[:MAX_NAME_LENGTH]))


def _union(features: list[dict[str, object]], settings: Settings) -> dict[str, None]:
    """The columns of all rows, in the order of their appearance; a row is missing those that it lacks."""
    names: dict[str, None] = {}
    for index, each in enumerate(features):
        if not each.keys() <= names.keys():
            names.update(dict.fromkeys(each))
            check_columns(names, len(features), settings, f"predictions[{index}].features")
    return names


def _from_columns(columns: object, target: Target, settings: Settings) -> Batch:
    if not isinstance(columns, dict):
        raise MalformedError("must be an object of columns", "columns")
    features = columns.get("features")
    if not isinstance(features, dict):
        raise MalformedError("`features` is required: an object of columns", "columns.features")
    refuse_unknown([columns], columns.keys() - {"features", *OWN_FIELDS}, "columns.{name}", OWN_FIELDS)
    own = {name: columns[name] for name in OWN_FIELDS if columns.get(name) is not None}
    if "prediction" not in own:
        raise MalformedError("`prediction` is required", "columns.prediction")
    _check_lists(own, "columns.")
    rows = len(own["prediction"])
    check_rows(rows, settings, "columns.prediction")
    check_columns(features, rows, settings, "columns.features")
    _check_lists(features, "columns.features.")
    lengths = {len(values) for values in [*own.values(), *features.values()]}
    if len(lengths) > 1:
        raise MalformedError(f"columns differ in length: {', '.join(map(str, sorted(lengths)))}", "columns")
    converted = {name: from_python(values) for name, values in features.items()}
    return _batch(target, rows, _own_columns(own), converted, settings, "columns.{name}[{index}]")


def _check_lists(columns: dict[str, Any], prefix: str) -> None:
    for name, values in columns.items():
        if not isinstance(values, list):
            raise MalformedError("must be a list", f"{prefix}{name}")


def _from_split(document: dict[str, Any], target: Target, settings: Settings) -> Batch:
    """A request to MLflow's scoring server and its answer in one body: `dataframe_split`, `predictions`."""
    split = document["dataframe_split"]
    names = split.get("columns") if isinstance(split, dict) else None
    data = split.get("data") if isinstance(split, dict) else None
    if not isinstance(names, list) or not isinstance(data, list):
        raise MalformedError("needs the lists `columns` and `data`", "dataframe_split")
    check_rows(len(data), settings, "dataframe_split.data")
    check_columns(names, len(data), settings, "dataframe_split.columns")
    if len(set(names)) != len(names):
        raise MalformedError("must be distinct", "dataframe_split.columns")
    for index, row in enumerate(data):
        if not isinstance(row, list) or len(row) != len(names):
            raise MalformedError(f"must be a list of {len(names)} values", f"dataframe_split.data[{index}]")
    own = {name: document[name] for name in OWN_FIELDS if document.get(name) is not None}
    own["prediction"] = document.get("predictions")
    for name, values in own.items():
        if not isinstance(values, list) or len(values) != len(data):
            shown = "predictions" if name == "prediction" else name
            raise MalformedError(f"must be a list of {len(data)} values", shown)
    features = {
        name: from_python(values) for name, values in zip(names, zip(*data, strict=True), strict=True)
    }
    return _batch(target, len(data), _own_columns(own), features, settings, "{name}[{index}]")


def _own_columns(columns: dict[str, list[object]]) -> dict[str, Values]:
    """Ids stay as they are: as numbers, 7 and 7.0 would be one."""
    readers: dict[str, Callable[[list[object]], Values]] = {"id": list, "score": scores_from_python}
    return {name: readers.get(name, from_python)(values) for name, values in columns.items()}


# -- Arrow and Parquet --------------------------------------------------------------------------------------


def _from_table(table: pa.Table, target: Target, settings: Settings) -> Batch:
    """Features are the columns that are not our own, or the fields of a structure named `features`."""
    check_rows(table.num_rows, settings)
    fields = table.schema.names
    if len(set(fields)) != len(fields):
        raise MalformedError("column names must be distinct", "schema")
    if "prediction" not in fields:
        raise MalformedError("column `prediction` is required", "schema")
    own = {name: table.column(name) for name in OWN_FIELDS if name in fields}
    if "features" in fields and pa.types.is_struct(table.schema.field("features").type):
        nested = table.column("features")
        names = [field.name for field in nested.type]
        if len(set(names)) != len(names):
            raise MalformedError("column names must be distinct", "schema.features")
        check_columns(names, table.num_rows, settings, "schema.features")
        features = dict(zip(names, nested.flatten(), strict=True))
    else:
        names = [name for name in fields if name not in OWN_FIELDS]
        check_columns(names, table.num_rows, settings, "schema")
        features = {name: table.column(name) for name in names}
    given = [*own.values(), *features.values()]
    check_expansion(sum(map(text_bytes, given)), settings)
    return _batch(
        target,
        table.num_rows,
        {name: read_own_column(name, column) for name, column in own.items()},
        {name: from_arrow(column) for name, column in features.items()},
        settings,
        "{name}[{index}]",
    )


def read_own_column(name: str, column: pa.ChunkedArray) -> Values:
    if name == "id" and (pa.types.is_integer(column.type) or pa.types.is_null(column.type)):
        return list(column.to_pylist())
    return scores_from_arrow(column) if name == "score" else from_arrow(column)


# -- both ---------------------------------------------------------------------------------------------------


def _batch(
    target: Target,
    rows: int,
    own: Mapping[str, Values],
    features: dict[str, Values],
    settings: Settings,
    where: str,
) -> Batch:
    """Read the columns that have a meaning of their own; `where` is the template of a value's place."""
    timestamps, naive = np.full(rows, np.nan), 0
    if "timestamp" in own:
        moments = read_times(own["timestamp"])
        if len(moments.wrong):
            detail = "a timestamp is an ISO 8601 text or seconds since the epoch"
            raise MalformedError(detail, where.format(name="timestamp", index=moments.wrong[0]))
        timestamps, naive = moments.seconds, moments.naive
    latency = None
    if "latency_seconds" in own:
        latency, wrong = read_numbers(own["latency_seconds"])
        if len(wrong):
            detail = "a latency is a number of seconds"
            raise MalformedError(detail, where.format(name="latency_seconds", index=wrong[0]))
        latency = np.where((latency >= 0) & (latency <= MAX_LATENCY_SECONDS), latency, np.nan)
    return Batch(
        target=target,
        rows=rows,
        ids=read_ids(own["id"], settings, where) if "id" in own else None,
        timestamps=timestamps,
        naive_timestamps=naive,
        features=features,
        prediction=own["prediction"],
        score=own.get("score"),
        label=own.get("label"),
        latency=latency,
    )


def read_ids(values: Values, settings: Settings, where: str) -> list[str | None] | None:
    """One id or None a row; None where no row has one."""
    listed = values.rows() if isinstance(values, Texts) else values if isinstance(values, list) else [OPAQUE]
    if set(map(type, listed)) == {str}:  # as nearly always
        lengths = [*map(len, listed)]  # type: ignore[arg-type] # as just seen
        if min(lengths) > 0 and max(lengths) <= settings.max_id_length:
            return listed  # type: ignore[return-value]
    ids: list[str | None] = []
    for index, value in enumerate(listed):
        text = str(value) if type(value) is int else value
        if text is None:
            ids.append(None)
        elif isinstance(text, str) and 0 < len(text) <= settings.max_id_length:
            ids.append(text)
        else:
            detail = "an id is a text or an integer"
            if isinstance(text, str):
                detail = f"an id has 1 to {settings.max_id_length} characters, this one {len(text)}"
            raise MalformedError(detail, where.format(name="id", index=index))
    return ids if any(each is not None for each in ids) else None


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:200]
