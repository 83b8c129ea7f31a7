"""Wire formats of predictions -> columnar batches.

Rows and columns of JSON, requests to MLflow's server, Arrow IPC streams and Parquet all end in one `Batch`,
whose columns are in the normal forms of `exporter.formats.columns`. Odd values inside a column are kept:
they are what we monitor. Only a request that cannot be understood is refused, and then as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa

from exporter.errors import MalformedError
from exporter.formats.arrow_columns import from_arrow, text_bytes
from exporter.formats.columns import EXACT_IN_FLOAT, OPAQUE, Texts, Values, read_numbers, read_times
from exporter.formats.json_forms import OWN_FIELDS, TARGET_KEYS, parse_json, read_json, without_unread_keys
from exporter.formats.limits import (
    MAX_NAME_LENGTH,
    check_columns,
    check_expansion,
    check_keys,
    check_rows,
    is_short_text,
)
from exporter.formats.tables import read_own_column, read_table, understanding, without_index
from exporter.settings import Settings
from exporter.typing import Floats

_NO_LIMIT = 2**62  # of what was taken already
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
        return _from_document(read_document(body, query), settings)
    check_keys([query], TARGET_KEYS, "query.{name}")
    with understanding("a table"):
        return _from_table(table, _target(query, "query."), settings)


def decode_acknowledged(
    body: bytes, content_type: str, query: Mapping[str, str], settings: Settings
) -> Batch:
    """Decode a request that was taken before, maybe under other limits or by a version that refused less.

    Raises:
        RequestError: as from `decode_predictions`; it was damaged since.
    """
    settings = replace(
        settings,
        max_body_bytes=_NO_LIMIT,
        max_rows_per_request=_NO_LIMIT,
        max_columns=_NO_LIMIT,
        max_id_length=_NO_LIMIT,
    )
    try:
        return decode_predictions(body, content_type, query, settings)
    except MalformedError:
        table = read_table(body, content_type, settings)
        if table is None:
            return _from_document(without_unread_keys(read_document(body, {})), settings)
        if "features" in table.schema.names and pa.types.is_struct(table.schema.field("features").type):
            table = table.select([name for name in ("features", *OWN_FIELDS) if name in table.schema.names])
        with understanding("a table"):
            return _from_table(table, _target(query, "query."), settings)


def _from_document(document: Mapping[str, Any], settings: Settings) -> Batch:
    target = _target(document)
    found = read_json(document, settings)
    return _batch(target, found.rows, found.own, found.features, settings, found.where)


def read_document(body: bytes, query: Mapping[str, str]) -> dict[str, Any]:
    """Object of a JSON body, which names its model itself.

    Raises:
        MalformedError: it is no object, or there is a query.
    """
    if query:
        raise MalformedError("JSON says this in the body; unknown key", f"query.{min(query)}")
    document = parse_json(body)
    if not isinstance(document, dict):
        raise MalformedError("the body must be a JSON object")
    return document


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


# -- Arrow and Parquet --------------------------------------------------------------------------------------


def _from_table(table: pa.Table, target: Target, settings: Settings) -> Batch:
    """Features are the columns that are not our own, or the fields of a structure named `features`."""
    check_rows(table.num_rows, settings)
    table = without_index(table)
    fields = table.schema.names
    if "prediction" not in fields:
        raise MalformedError("column `prediction` is required", "schema")
    own = {name: table.column(name) for name in OWN_FIELDS if name in fields}
    if "features" in fields and pa.types.is_struct(table.schema.field("features").type):
        check_keys([dict.fromkeys(fields)], ("features", *OWN_FIELDS), "schema.{name}")
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


# -- all --------------------------------------------------------------------------------------------------


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
    """One id or None a row; None where no row has one.

    A whole number is an id by its digits, also as a float or a decimal, which columns of integers become
    where some are missing; but one that may have lost digits is none.
    """
    listed = values.rows() if isinstance(values, Texts) else values if isinstance(values, list) else [OPAQUE]
    if set(map(type, listed)) == {str}:  # as nearly always
        lengths = [*map(len, listed)]  # type: ignore[arg-type] # as just seen
        if min(lengths) > 0 and max(lengths) <= settings.max_id_length:
            return listed  # type: ignore[return-value]
    ids: list[str | None] = []
    for index, value in enumerate(listed):
        text = _id_text(value)
        if text is None:
            ids.append(None)
        elif isinstance(text, str) and 0 < len(text) <= settings.max_id_length:
            ids.append(text)
        else:
            detail = "an id is a text, a UUID or an integer of at most 64 bits; send other numbers as text"
            if isinstance(text, str):
                detail = f"an id has 1 to {settings.max_id_length} characters, this one {len(text)}"
            raise MalformedError(detail, where.format(name="id", index=index))
    return ids if any(each is not None for each in ids) else None


def _id_text(value: object) -> object:
    """The text of a whole number, None for NaN, and anything else as it is."""
    if isinstance(value, float | Decimal) and value != value:
        return None
    if isinstance(value, float) and value.is_integer() and abs(value) <= EXACT_IN_FLOAT:
        return str(int(value))
    whole = isinstance(value, Decimal) and value.is_finite() and value == value.to_integral_value()
    if (whole or type(value) is int) and -(2**63) <= value < 2**64:  # type: ignore[operator] # a number
        return str(int(value))  # type: ignore[call-overload] # the same
    return value
