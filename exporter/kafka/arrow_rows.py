"""Rows of a request in Arrow -> Arrow IPC streams with some of them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from exporter.formats.batch import Decoded
from exporter.formats.class_scores import Scores
from exporter.formats.columns import Mixed
from exporter.formats.tables import without_index
from exporter.payloads.columns import OWN_FIELDS
from exporter.typing import Ints


class ArrowRows:
    """Columns of a request, of which some rows are taken at a time.

    Ids, times and latencies are those that were read; other columns are of the type that they came with, as
    long as Arrow can take rows of it.

    Args:
        body: stream that was decoded.
        decoded: its contents.
    """

    def __init__(self, body: bytes, decoded: Decoded) -> None:
        with pa.ipc.open_stream(body) as reader:
            table = without_index(reader.read_all()).combine_chunks()
        columns = {name: table.column(name) for name in table.schema.names}
        nested = columns.get("features")
        if nested is not None and pa.types.is_struct(nested.type):
            features = dict(zip([field.name for field in nested.type], nested.flatten(), strict=True))
        else:
            features = {name: column for name, column in columns.items() if name not in OWN_FIELDS}
        taken = {name: _takeable(features[name], values) for name, values in decoded.features.items()}
        own = {"prediction": _takeable(columns["prediction"], decoded.prediction)}
        if decoded.labels is not None:
            own["label"] = _takeable(columns["label"], decoded.labels)
        if isinstance(decoded.scores, Scores):
            single = None if decoded.scores.several is not None else decoded.scores.single
            own["score"] = _takeable(columns["score"], single)
        if decoded.ids is not None:
            own["id"] = pa.array(decoded.ids, pa.string())
        if decoded.timestamps is not None:
            own["timestamp"] = pa.array(np.asarray(decoded.timestamps, np.float64))
        if decoded.latency is not None:
            own["latency_seconds"] = pa.array(np.asarray(decoded.latency, np.float64))
        self._features = pa.RecordBatch.from_arrays(list(taken.values()), list(taken))
        self._own = pa.RecordBatch.from_pydict(own)

    def encode(self, rows: Ints) -> bytes:
        chosen = pa.array(rows)
        features, own = (_trimmed(batch.take(chosen)) for batch in (self._features, self._own))
        nested = pa.StructArray.from_arrays(features.columns, features.schema.names)
        whole = pa.RecordBatch.from_arrays([nested, *own.columns], ["features", *own.schema.names])
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, whole.schema) as stream:
            stream.write_batch(whole)
        body: bytes = sink.getvalue().to_pybytes()
        return body


def _takeable(column: pa.ChunkedArray, values: object) -> pa.Array:
    """A column of which rows can be taken, and which is read as the same values."""
    if isinstance(values, Mixed) and not len(values.texts.texts):
        # What is no scalar is only counted.
        return pa.array([b"" if opaque else None for opaque in values.opaque.tolist()], pa.binary())
    array = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if pa.types.is_string_view(array.type):
        return array.cast(pa.large_string())
    return array


def _trimmed(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The same with the entries of dictionaries that are in use, or each message would have all of them."""
    for place, column in enumerate(batch.columns):
        if pa.types.is_dictionary(column.type) and len(column.dictionary) > batch.num_rows:
            batch = batch.set_column(place, batch.schema.names[place], _with_used_entries(column))
    return batch


def _with_used_entries(column: pa.DictionaryArray) -> pa.DictionaryArray:
    used, codes = np.unique(column.indices.cast(pa.int64()).fill_null(-1).to_numpy(), return_inverse=True)
    missing = int(used[:1].sum() == -1)
    dictionary = column.dictionary
    if pa.types.is_string_view(dictionary.type):
        dictionary = dictionary.cast(pa.large_string())
    indices = pa.array(codes - missing, mask=codes < missing)
    return pa.DictionaryArray.from_arrays(indices, dictionary.take(pa.array(used[missing:])))
