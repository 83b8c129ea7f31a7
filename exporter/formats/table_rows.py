"""Tables of Arrow and Parquet -> checked rows."""

from __future__ import annotations

from math import nan

import numpy as np
import pyarrow as pa

from exporter.errors import MalformedError
from exporter.formats.arrow_columns import from_arrow, scores_from_arrow, text_bytes
from exporter.formats.batch import Decoded
from exporter.formats.columns import read_numbers, read_times
from exporter.formats.row_fields import LATENCY_DETAIL, MAX_LATENCY_SECONDS, TIME_DETAIL, read_ids
from exporter.formats.tables import read_ids_column, without_index
from exporter.payloads.columns import OWN_FIELDS
from exporter.payloads.limits import check_columns, check_expansion, check_keys, check_rows
from exporter.payloads.target import Target
from exporter.settings import Settings


def read_table_rows(table: pa.Table, target: Target, settings: Settings) -> Decoded:
    """Read and check the rows of a table.

    Features are the columns that are not our own, or the fields of a structure named `features`.

    Raises:
        MalformedError: no prediction, an unknown column beside `features`, or a value that cannot be read.
        TooLargeError: too many rows or values.
        pa.ArrowException, ValueError: broken contents.
    """
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
    typed = {name: from_arrow(column) for name, column in own.items() if name not in ("id", "score")}
    timestamps, naive = None, 0
    if "timestamp" in typed:
        moments = read_times(typed["timestamp"])
        if len(moments.wrong):
            raise MalformedError(TIME_DETAIL, f"timestamp[{moments.wrong[0]}]")
        timestamps, naive = moments.seconds, moments.naive
    latency = None
    if "latency_seconds" in typed:
        latency, wrong = read_numbers(typed["latency_seconds"])
        if len(wrong):
            raise MalformedError(LATENCY_DETAIL, f"latency_seconds[{wrong[0]}]")
        latency = np.where((latency >= 0) & (latency <= MAX_LATENCY_SECONDS), latency, nan)
    return Decoded(
        target=target,
        rows=table.num_rows,
        ids=read_ids(read_ids_column(own["id"]), settings, "{name}[{index}]") if "id" in own else None,
        timestamps=timestamps,
        naive_timestamps=naive,
        features={name: from_arrow(column) for name, column in features.items()},
        prediction=typed["prediction"],
        scores=scores_from_arrow(own["score"]) if "score" in own else None,
        labels=typed.get("label"),
        latency=latency,
    )
