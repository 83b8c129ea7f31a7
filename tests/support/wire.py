"""The same predictions in every wire format."""

from __future__ import annotations

import io
import json
import math
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from exporter.formats.batch import Batch
from exporter.formats.class_scores import Scores
from exporter.formats.columns import OPAQUE, Mixed, Texts, Times, Values
from exporter.formats.predictions import decode_predictions
from exporter.formats.raw import ARROW_TYPE, JSON_TYPE, PARQUET_TYPE, PARQUET_TYPES, RawRequest
from exporter.ingest.parquet import parquet_to_arrow
from exporter.reference.binning import Binned, bin_batch
from exporter.reference.bins import BinLayout
from exporter.reference.classes import Outputs, read_outputs
from exporter.reference.profile import Reference
from exporter.settings import Settings
from exporter.typing import Floats

QUERY = {"model": "fraud", "version": "3"}
FORMATS = (
    "rows", "columns", "split", "records", "inputs", "arrow", "encoded arrow", "nested arrow", "parquet",
)  # fmt: skip


@dataclass(frozen=True)
class Predictions:
    """Columns of values as Python has them; `own` are id, timestamp, score and latency_seconds."""

    features: dict[str, list[Any]]
    prediction: list[Any]
    own: dict[str, list[Any]] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        return len(self.prediction)


def decode(
    document: object, settings: Settings | None = None, content_type: str = JSON_TYPE, **query: str
) -> Batch:
    """Decode a JSON document, or a body as it is, in the way that a request takes."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    raw, settings = RawRequest(content_type, query, body), settings or Settings()
    if content_type in PARQUET_TYPES:
        raw = parquet_to_arrow(raw, settings)
    return decode_predictions(raw.body, raw.content_type, raw.query, settings)


def bin_decoded(layout: BinLayout, batch: Batch, timestamps: Floats) -> Binned:
    """Bins of a batch, with its outputs in terms of the layout's reference."""
    outputs = Outputs(batch.prediction, None if batch.scores is None else batch.scores.single)
    if isinstance(layout, Reference):
        outputs = read_outputs(layout, batch)
    return bin_batch(layout, batch, outputs, timestamps)


def listed(values: Values | Scores | None) -> list[object]:
    """A column as a list, None for a missing value."""
    if values is None:
        return []
    if isinstance(values, Scores):
        several = values.several_or_none
        return [
            one if one is not None else two for one, two in zip(several, listed(values.single), strict=True)
        ]
    if isinstance(values, Texts):
        return [*values.rows()]
    if isinstance(values, Mixed):
        rows = zip(values.numbers.tolist(), values.texts.rows(), values.opaque.tolist(), strict=True)
        return [OPAQUE if opaque else _scalar(number, text) for number, text, opaque in rows]
    numbers = values.seconds if isinstance(values, Times) else values
    return [None if math.isnan(value) else value for value in numbers.tolist()]


def _scalar(number: float, text: str | None) -> object:
    if math.isnan(number) or text is None:
        return text
    return number if number % 1 else int(text)


def type_of(form: str) -> str:
    """The content type of one of `FORMATS`."""
    if form == "parquet":
        return PARQUET_TYPE
    return ARROW_TYPE if "arrow" in form else JSON_TYPE


def decode_as(form: str, predictions: Predictions) -> Batch:
    query = {} if type_of(form) == JSON_TYPE else QUERY
    return decode(encode(form, predictions), None, type_of(form), **query)


def encode(form: str, predictions: Predictions) -> bytes:
    """The body of a request in one of `FORMATS`."""
    features, prediction, own = predictions.features, predictions.prediction, predictions.own
    if form == "rows":
        rows = [
            {
                # what is missing may be left out as well as null, though not from every row
                "features": {name: v[k] for name, v in features.items() if k % 2 == 0 or v[k] is not None},
                "prediction": prediction[k],
                **{name: values[k] for name, values in own.items()},
            }
            for k in range(predictions.rows)
        ]
        return _dump({**QUERY, "predictions": rows})
    if form == "columns":
        columns = {"features": features, "prediction": prediction, **own}
        return _dump({**QUERY, "columns": columns})
    if form == "records":
        names = list(features)
        records = [dict(zip(names, row, strict=True)) for row in zip(*features.values(), strict=True)]
        return _dump({**QUERY, "dataframe_records": records, "predictions": prediction, **own})
    if form == "inputs":
        return _dump({**QUERY, "inputs": features, "predictions": prediction, **own})
    if form == "split":
        data = [list(row) for row in zip(*features.values(), strict=True)]
        split = {"columns": list(features), "data": data}
        return _dump({**QUERY, "dataframe_split": split, "predictions": prediction, **own})
    arrays = {name: pa.array(values) for name, values in features.items()}
    if form == "encoded arrow":
        arrays = {name: array.dictionary_encode() for name, array in arrays.items()}
    if form == "nested arrow":
        arrays = {"features": pa.StructArray.from_arrays(list(arrays.values()), list(arrays))}
    arrays |= {name: pa.array(values) for name, values in {"prediction": prediction, **own}.items()}
    return to_parquet(pa.table(arrays)) if form == "parquet" else to_stream(pa.table(arrays))


def _dump(document: object) -> bytes:
    """JSON as clients write it who have dates and decimals."""
    return json.dumps(
        document, default=lambda value: float(value) if isinstance(value, Decimal) else value.isoformat()
    ).encode()


def to_stream(table: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table)
    return sink.getvalue()


def to_parquet(table: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()
