"""A reference from a version's own first rows, for versions that have none and whose owner allows it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from exporter.arrays import Ints
from exporter.binning import MISMATCHED, canonical_text
from exporter.config import Settings
from exporter.profile import ReferenceData
from exporter.samples import Values, decode_predictions
from exporter.schema import SpooledRequest


def live_reference(spooled: Sequence[SpooledRequest], rows: int, settings: Settings) -> ReferenceData:
    """The first `rows` of the requests that waited, as reference data with their times.

    A column that is not all numbers in every request is taken as text.
    """
    tables = []
    for request in spooled:
        batch = decode_predictions(request.body, request.content_type, request.query, settings)
        columns = dict(batch.features)
        columns["prediction"] = batch.prediction
        if batch.score is not None:
            columns["score"] = batch.score
        arrays = {name: _array(values, request.row_numbers) for name, values in columns.items()}
        micros = (request.times * 1e6).astype(np.int64)
        arrays["timestamp"] = pa.array(micros).cast(pa.timestamp("us", tz="UTC"))
        tables.append(pa.table(arrays))
    texts = {name for table in tables for name in table.column_names if pa.types.is_string(table[name].type)}
    tables = [
        table.cast(pa.schema([(f.name, pa.string() if f.name in texts else f.type) for f in table.schema]))
        for table in tables
    ]
    table = pa.concat_tables(tables, promote_options="default").slice(0, rows)
    note = f"built from the first {table.num_rows} live rows: what was wrong with them is taken as normal"
    return ReferenceData(table, source="live", split="live", notes=(note,))


def _array(values: Values, rows: Ints) -> pa.Array:
    if isinstance(values, np.ndarray):
        return pa.array(values[rows], from_pandas=True)
    if isinstance(values, pa.Array):
        array = values.take(pa.array(rows))
        return array.cast(pa.string()) if not pa.types.is_timestamp(array.type) else array
    texts = [canonical_text(values[row]) for row in rows.tolist()]
    return pa.array([None if text is MISMATCHED else text for text in texts], pa.string())
