"""Wire formats of predictions -> columnar batches.

Rows and columns of JSON, MLflow's `dataframe_split`, Arrow IPC streams and Parquet all end in one `Batch`.
Types are normalised here, once: what is a number in any notation becomes float64, so that 1, 1.0 and true
are one value from here on, whatever the format said. Odd values inside a column are kept: they are what we
monitor.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from exporter.arrays import Floats
from exporter.config import Settings
from exporter.errors import MalformedError, TooLargeError, UnsupportedError

JSON_TYPE = "application/json"
ARROW_TYPE = "application/vnd.apache.arrow.stream"
PARQUET_TYPE = "application/vnd.apache.parquet"
OWN_FIELDS = ("id", "timestamp", "prediction", "score", "latency_seconds")
MAX_NAME_LENGTH = 256
MAX_VALUES = 5_000_000  # rows x columns of one request
_EXACT_IN_FLOAT = 2**53

_DICTIONARY_BATCH, _RECORD_BATCH = 2, 3  # MessageHeader in Arrow's Message.fbs
OPAQUE = object()  # stands for a value that is no scalar

# A column: float64 where all are numbers or missing (NaN), an Arrow array of strings or times, else a list.
Values: TypeAlias = Floats | pa.Array | list[object]


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
    that came without a zone and were taken as UTC. `latency` (rows,) seconds, NaN where there is none.
    """

    target: Target
    rows: int
    ids: list[str | None] | None
    timestamps: Floats
    naive_timestamps: int
    features: dict[str, Values]
    prediction: Values
    score: Values | None
    latency: Floats | None


def decode_predictions(body: bytes, content_type: str, query: Mapping[str, str], settings: Settings) -> Batch:
    """Decode one request.

    Raises:
        MalformedError: it cannot be read as what it says it is; nothing of it counts.
        TooLargeError: too many rows.
        UnsupportedError: an unknown content type.
    """
    kind = content_type.partition(";")[0].strip().lower() or JSON_TYPE
    if kind == JSON_TYPE:
        return _from_json(body, settings)
    if kind == ARROW_TYPE:
        return _from_table(_read_arrow(body, settings), _target(query, "query"), settings)
    if kind in (PARQUET_TYPE, "application/x-parquet"):
        return _from_table(_read_parquet(body, settings), _target(query, "query"), settings)
    raise UnsupportedError(f"content type {kind!r}, taken are {JSON_TYPE}, {ARROW_TYPE} and {PARQUET_TYPE}")


# -- JSON ---------------------------------------------------------------------------------------------------


def _from_json(body: bytes, settings: Settings) -> Batch:
    document = _parse(body)
    if not isinstance(document, dict):
        raise MalformedError("the body must be a JSON object")
    target = _target(document, "body")
    forms = [name for name in ("predictions", "columns") if name in document]
    if "dataframe_split" in document:
        return _from_split(document, target, settings)
    if len(forms) != 1:
        raise MalformedError("the body needs either `predictions` (rows) or `columns`")
    if forms == ["predictions"]:
        return _from_rows(document["predictions"], target, settings)
    return _from_columns(document["columns"], target, settings)


def _parse(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        first = error
    try:  # slower, but it takes the NaN and Infinity that Python's own encoder writes
        return json.loads(body)
    except (ValueError, RecursionError):
        raise MalformedError(f"not JSON: {first}") from None


def _target(source: Mapping[str, Any], where: str) -> Target:
    model, version, alias = source.get("model"), source.get("version"), source.get("alias")
    if not isinstance(model, str) or not 0 < len(model) <= MAX_NAME_LENGTH:
        raise MalformedError("`model` is required: the registered model's name", where)
    if isinstance(version, int) and not isinstance(version, bool):
        version = str(version)
    if (version is None) == (alias is None):
        raise MalformedError("either `version` or `alias` is required", where)
    chosen = version if version is not None else alias
    if not isinstance(chosen, str) or not 0 < len(chosen) <= MAX_NAME_LENGTH:
        raise MalformedError("`version` or `alias` must be a short text", where)
    return Target(model, chosen, "") if version is not None else Target(model, "", chosen)


def _from_rows(rows: object, target: Target, settings: Settings) -> Batch:
    if not isinstance(rows, list):
        raise MalformedError("must be a list of predictions", "predictions")
    _check_rows(len(rows), settings)
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
        columns = {name: _column([each[name] for each in features]) for name in names}
    else:
        union: dict[str, None] = {}
        for index, each in enumerate(features):
            union.update(dict.fromkeys(each))
            if len(union) > settings.max_columns:
                _check_columns(len(union), settings, f"predictions[{index}].features")
        columns = {name: _column([each.get(name) for each in features]) for name in union}
    own = {name: [row.get(name) for row in rows] for name in OWN_FIELDS if any(name in row for row in rows)}
    return _batch(target, len(rows), own, columns, settings, "predictions[{index}].{name}")


def _from_columns(columns: object, target: Target, settings: Settings) -> Batch:
    if not isinstance(columns, dict):
        raise MalformedError("must be an object of columns", "columns")
    features = columns.get("features")
    if not isinstance(features, dict):
        raise MalformedError("`features` is required: an object of columns", "columns.features")
    own = {name: columns[name] for name in OWN_FIELDS if columns.get(name) is not None}
    for where, named in (("columns", own), ("columns.features", features)):
        for name, values in named.items():
            if not isinstance(values, list):
                raise MalformedError("must be a list", f"{where}.{name}")
    lengths = {len(values) for values in [*own.values(), *features.values()]}
    if len(lengths) > 1:
        raise MalformedError(f"columns differ in length: {sorted(lengths)}", "columns")
    if "prediction" not in own:
        raise MalformedError("`prediction` is required", "columns.prediction")
    rows = len(own["prediction"])
    _check_rows(rows, settings)
    _check_columns(len(features), settings, "columns.features")
    converted = {name: _column(values) for name, values in features.items()}
    return _batch(target, rows, own, converted, settings, "columns.{name}[{index}]")


def _from_split(document: dict[str, Any], target: Target, settings: Settings) -> Batch:
    """A request to MLflow's scoring server and its answer in one body: `dataframe_split`, `predictions`."""
    split = document["dataframe_split"]
    names = split.get("columns") if isinstance(split, dict) else None
    data = split.get("data") if isinstance(split, dict) else None
    if not isinstance(names, list) or not isinstance(data, list):
        raise MalformedError("needs the lists `columns` and `data`", "dataframe_split")
    if not all(isinstance(name, str) for name in names) or len(set(names)) != len(names):
        raise MalformedError("must be distinct texts", "dataframe_split.columns")
    _check_rows(len(data), settings)
    _check_columns(len(names), settings, "dataframe_split.columns")
    for index, row in enumerate(data):
        if not isinstance(row, list) or len(row) != len(names):
            raise MalformedError(f"must be a list of {len(names)} values", f"dataframe_split.data[{index}]")
    own = {name: document[name] for name in OWN_FIELDS if document.get(name) is not None}
    own["prediction"] = document.get("predictions")
    for name, values in own.items():
        if not isinstance(values, list) or len(values) != len(data):
            shown = "predictions" if name == "prediction" else name
            raise MalformedError(f"must be a list of {len(data)} values", shown)
    features = {name: _column([row[k] for row in data]) for k, name in enumerate(names)}
    return _batch(target, len(data), own, features, settings, "{name}[{index}]")


def _column(values: list[object]) -> Values:
    """Numbers as float64 where all are numbers or missing; else the list as it is."""
    types = set(map(type, values))
    if types <= {float, int, bool, type(None)}:
        if int in types and not all(
            -_EXACT_IN_FLOAT <= v <= _EXACT_IN_FLOAT for v in values if type(v) is int
        ):
            return values  # float64 would merge neighbours: 64-bit ids
        return np.array(values, dtype=np.float64)
    return values


# -- Arrow and Parquet --------------------------------------------------------------------------------------


def _read_arrow(body: bytes, settings: Settings) -> pa.Table:
    try:
        for message in pa.ipc.MessageReader.open_stream(pa.BufferReader(body)):
            if _is_compressed(message.metadata.to_pybytes()):
                # A compressed buffer says how large it wants to become, and nothing bounds it before it is.
                raise MalformedError(
                    "compressed Arrow streams are not taken; send it uncompressed or as Parquet"
                )
        with pa.ipc.open_stream(pa.BufferReader(body)) as reader:
            _check_columns(len(reader.schema), settings, "schema")
            batches, rows = [], 0
            for batch in reader:
                rows += batch.num_rows
                _check_rows(rows, settings, allow_none=True)
                batch.validate(full=True)  # offsets of a hostile stream would read beyond its buffers
                batches.append(batch)
            return pa.Table.from_batches(batches, reader.schema)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise MalformedError(f"not an Arrow IPC stream: {_first_line(error)}") from None


def _is_compressed(metadata: bytes) -> bool:
    """Whether an Arrow IPC message holds a record batch with `BodyCompression` (Arrow's Message.fbs).

    pyarrow does not tell without decompressing, so this reads the flatbuffer: a table starts with the
    distance to its vtable, which holds the place of each field, 0 where it is absent.
    """

    def field(table: int, number: int) -> int:
        vtable = table - int.from_bytes(metadata[table : table + 4], "little", signed=True)
        size = int.from_bytes(metadata[vtable : vtable + 2], "little")
        entry = 4 + 2 * number
        offset = (
            int.from_bytes(metadata[vtable + entry : vtable + entry + 2], "little") if entry < size else 0
        )
        return table + offset if offset else 0

    def follow(place: int) -> int:
        return place + int.from_bytes(metadata[place : place + 4], "little") if place else 0

    message = int.from_bytes(metadata[:4], "little")
    kind, header = field(message, 1), follow(field(message, 2))
    if not kind or not header:
        return False
    if metadata[kind] == _DICTIONARY_BATCH:
        header = follow(field(header, 1))
        return bool(header and field(header, 3))
    return metadata[kind] == _RECORD_BATCH and field(header, 3) != 0


def _read_parquet(body: bytes, settings: Settings) -> pa.Table:
    try:
        plain = pq.ParquetFile(pa.BufferReader(body))
        _check_columns(len(plain.schema_arrow), settings, "schema")
        _check_rows(plain.metadata.num_rows, settings)
        size = sum(plain.metadata.row_group(k).total_byte_size for k in range(plain.metadata.num_row_groups))
        if size > 8 * settings.max_body_bytes:
            raise TooLargeError(f"unpacks to {size} bytes, at most {8 * settings.max_body_bytes} are taken")
        # Texts stay dictionaries: one long text that every row refers to would be as many long texts.
        texts = [column.path for column in map(plain.schema.column, range(len(plain.schema)))
                 if column.physical_type == "BYTE_ARRAY"]  # fmt: skip
        table = pq.ParquetFile(pa.BufferReader(body), read_dictionary=texts).read()
        table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise MalformedError(f"not Parquet: {_first_line(error)}") from None
    return table


def _from_table(table: pa.Table, target: Target, settings: Settings) -> Batch:
    _check_rows(table.num_rows, settings)
    if len(set(table.column_names)) != len(table.column_names):
        raise MalformedError("column names must be distinct", "schema")
    if "prediction" not in table.column_names:
        raise MalformedError("column `prediction` is required", "schema")
    columns = {name: _join(table.column(name)) for name in table.column_names}
    own = {name: columns.pop(name) for name in OWN_FIELDS if name in columns}
    nested = columns.get("features")
    if nested is not None and pa.types.is_struct(nested.type):
        columns = {field.name: pc.struct_field(nested, field.name) for field in nested.type}
    _check_columns(len(columns), settings, "schema")
    return _batch(
        target,
        table.num_rows,
        {name: _own_values(name, array) for name, array in own.items()},
        {name: from_arrow(array) for name, array in columns.items()},
        settings,
        "{name}[{index}]",
    )


def _join(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _own_values(name: str, array: pa.Array) -> Any:
    if name == "id":
        return array.to_pylist()
    if name == "timestamp" and pa.types.is_timestamp(array.type):
        return array
    return from_arrow(array)


def from_arrow(array: pa.Array) -> Values:
    """Numbers and booleans of Arrow to float64, strings and times as they are, the rest to a list."""
    kind = array.type
    if pa.types.is_dictionary(kind):
        if pa.types.is_string(kind.value_type) or pa.types.is_large_string(kind.value_type):
            return array
        array = array.dictionary_decode()
        kind = array.type
    if pa.types.is_null(kind):
        return np.full(len(array), np.nan)
    if pa.types.is_integer(kind) and kind.bit_width == 64 and len(array):
        low, high = pc.min_max(array).as_py().values()
        if low is not None and (low < -_EXACT_IN_FLOAT or high > _EXACT_IN_FLOAT):
            return list(array.to_pylist())
    if pa.types.is_boolean(kind):
        array, kind = array.cast(pa.uint8()), pa.uint8()
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        numbers = array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        return np.asarray(numbers, np.float64)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return array
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return array
    # Lists, structures, binary: not looked into, a value of none of our kinds or missing.
    return [OPAQUE if valid else None for valid in array.is_valid().to_pylist()]


# -- both ---------------------------------------------------------------------------------------------------


def _batch(
    target: Target,
    rows: int,
    own: Mapping[str, Any],
    features: dict[str, Values],
    settings: Settings,
    where: str,
) -> Batch:
    _check_columns(len(features), settings, "features")
    if rows * len(features) > MAX_VALUES:
        raise TooLargeError(f"{rows} rows of {len(features)} columns, at most {MAX_VALUES} values are taken")
    if not features:
        raise MalformedError("rows without features cannot be monitored", "features")
    for name in features:
        if not isinstance(name, str) or len(name) > MAX_NAME_LENGTH:
            raise MalformedError(f"a column's name is longer than {MAX_NAME_LENGTH} characters", "features")
    timestamps, naive = _timestamps(own.get("timestamp"), rows, where)
    return Batch(
        target=target,
        rows=rows,
        ids=_ids(own.get("id"), settings, where),
        timestamps=timestamps,
        naive_timestamps=naive,
        features=features,
        prediction=_ready(own["prediction"]),
        score=_ready(own["score"]) if own.get("score") is not None else None,
        latency=_latency(own.get("latency_seconds"), where),
    )


def _ready(values: Any) -> Values:
    return _column(values) if isinstance(values, list) else values


def _ids(values: Sequence[object] | None, settings: Settings, where: str) -> list[str | None] | None:
    if values is None:
        return None
    ids: list[str | None] = []
    for index, value in enumerate(values):
        if type(value) is str:
            if not 0 < len(value) <= settings.max_id_length:
                raise MalformedError(
                    f"an id has 1 to {settings.max_id_length} characters, this one {len(value)}",
                    where.format(index=index, name="id"),
                )
            ids.append(value)
        elif type(value) is int:
            ids.append(str(value))
        elif value is None:
            ids.append(None)
        else:
            raise MalformedError("an id is a text or an integer", where.format(index=index, name="id"))
    return ids if any(each is not None for each in ids) else None


def _timestamps(values: Any, rows: int, where: str) -> tuple[Floats, int]:
    if values is None:
        return np.full(rows, np.nan), 0
    if isinstance(values, pa.Array) and pa.types.is_timestamp(values.type):
        naive = len(values) - values.null_count if values.type.tz is None else 0
        return epoch_seconds(values), naive
    if isinstance(values, np.ndarray):
        return values, 0
    result = np.empty(rows)
    naive = 0
    parsed: dict[object, tuple[float, bool]] = {}  # rows of one batch often share their time
    values = values.to_pylist() if isinstance(values, pa.Array) else values
    for index, value in enumerate(values):
        known = parsed.get(value) if isinstance(value, str) else None
        if known is None:
            try:
                known = parse_time(value)
            except (ValueError, TypeError, OverflowError):
                raise MalformedError(
                    "a timestamp is an ISO 8601 text or seconds since the epoch",
                    where.format(index=index, name="timestamp"),
                ) from None
            if isinstance(value, str):
                parsed[value] = known
        result[index] = known[0]
        naive += known[1]
    return result, naive


def parse_time(value: object) -> tuple[float, bool]:
    """Seconds since the epoch, and whether the zone was missing (then it is UTC). None gives NaN.

    Raises:
        ValueError, TypeError, OverflowError: it is no time.
    """
    if value is None:
        return math.nan, False
    if isinstance(value, str):
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            return moment.replace(tzinfo=UTC).timestamp(), True
        return moment.timestamp(), False
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value), False
    raise TypeError("neither text nor number")


def epoch_seconds(array: pa.Array) -> Floats:
    """(rows,) seconds since the epoch of an Arrow timestamp or date array, NaN for nulls."""
    zone = array.type.tz if pa.types.is_timestamp(array.type) else None
    micros = array.cast(pa.timestamp("us", tz=zone))
    numbers = micros.cast(pa.int64()).cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return np.asarray(numbers, np.float64) / 1e6


def _latency(values: Any, where: str) -> Floats | None:
    if values is None:
        return None
    ready = _ready(values)
    if not isinstance(ready, np.ndarray):
        place = where.format(index=0, name="latency_seconds")
        raise MalformedError("a latency is a number of seconds", place)
    return np.where(ready >= 0, ready, np.nan)


def _check_rows(rows: int, settings: Settings, *, allow_none: bool = False) -> None:
    if rows == 0 and not allow_none:
        raise MalformedError("no rows")
    if rows > settings.max_rows_per_request:
        raise TooLargeError(f"{rows} rows, at most {settings.max_rows_per_request} are taken in one request")


def _check_columns(columns: int, settings: Settings, where: str) -> None:
    if columns > settings.max_columns:
        raise MalformedError(f"{columns} columns, at most {settings.max_columns} are taken", where)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:200]
