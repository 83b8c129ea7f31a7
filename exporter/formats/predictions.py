"""Wire formats of predictions -> batches of typed columns.

JSON in rows and columns, requests to MLflow's server, Arrow IPC streams and Parquet end in one `Batch`. Odd
values inside a column are kept: they are what we monitor. Only a request that cannot be read is refused, and
then as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pyarrow as pa

from exporter.errors import MalformedError
from exporter.formats.batch import Batch, Decoded, assemble
from exporter.formats.columns import parse_time
from exporter.formats.json_forms import TARGET_KEYS, read_document, read_json, without_unread_keys
from exporter.formats.raw import JSON_TYPE, media_type
from exporter.formats.row_fields import (
    LATENCY_DETAIL,
    TIME_DETAIL,
    read_each,
    read_ids,
    read_latency,
    read_target,
)
from exporter.formats.table_rows import read_table_rows
from exporter.formats.tables import read_table, understanding
from exporter.payloads.columns import OWN_FIELDS
from exporter.payloads.limits import check_keys
from exporter.settings import Settings

_NO_LIMIT = 2**62  # of requests that were taken already


def decode_predictions(body: bytes, content_type: str, query: Mapping[str, str], settings: Settings) -> Batch:
    """Decode one request.

    Raises:
        RequestError: as from `read_predictions`.
    """
    return assemble([read_predictions(body, content_type, query, settings)])


def read_predictions(body: bytes, content_type: str, query: Mapping[str, str], settings: Settings) -> Decoded:
    """Read and check one request.

    Raises:
        MalformedError: it cannot be read; nothing of it counts.
        TooLargeError: too many rows or values, or it unpacks to too much.
        UnsupportedError: an unknown content type.
    """
    if media_type(content_type) == JSON_TYPE:
        return read_rows(read_document(body, query), settings)
    table = read_table(body, content_type, settings)
    check_keys([query], TARGET_KEYS, "query.{name}")
    with understanding("a table"):
        return read_table_rows(table, read_target(query, "query."), settings)


def decode_acknowledged(
    body: bytes, content_type: str, query: Mapping[str, str], settings: Settings
) -> Batch:
    """Decode a request that was taken before, maybe under other limits or by a version that refused less.

    Raises:
        RequestError: as from `read_predictions`; it was damaged since.
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
        if media_type(content_type) == JSON_TYPE:
            decoded = read_rows(without_unread_keys(read_document(body, {})), settings)
            return assemble([decoded])
        table = read_table(body, content_type, settings)
        if "features" in table.schema.names and pa.types.is_struct(table.schema.field("features").type):
            table = table.select([name for name in ("features", *OWN_FIELDS) if name in table.schema.names])
        with understanding("a table"):
            return assemble([read_table_rows(table, read_target(query, "query."), settings)])


def read_rows(document: Mapping[str, Any], settings: Settings) -> Decoded:
    """Read and check the rows of a JSON document.

    Raises:
        MalformedError: it has none of the forms, or a value cannot be read.
        TooLargeError: too many rows or values.
    """
    target = read_target(document)
    found = read_json(document, settings)
    own, where = found.own, found.where
    timestamps, latency = own.get("timestamp"), own.get("latency_seconds")
    times = read_each(timestamps or [], parse_time, TIME_DETAIL, "timestamp", where)
    if latency is not None:
        latency = read_each(latency, read_latency, LATENCY_DETAIL, "latency_seconds", where)
    return Decoded(
        target=target,
        rows=found.rows,
        ids=read_ids(own["id"], settings, where) if "id" in own else None,
        timestamps=[seconds for seconds, _ in times] if times else None,
        naive_timestamps=sum(naive for _, naive in times),
        features=found.features,
        prediction=own["prediction"],
        scores=own.get("score"),
        labels=own.get("label"),
        latency=latency,
    )
