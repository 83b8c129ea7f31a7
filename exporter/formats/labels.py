"""Wire formats of labels -> batches: JSON in rows and columns, Arrow and Parquet, as for predictions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from exporter.errors import MalformedError
from exporter.formats.arrow_columns import from_arrow, text_bytes
from exporter.formats.batch import RawValues, stored_texts
from exporter.formats.columns import Values, from_python, read_times
from exporter.formats.json_forms import read_document
from exporter.formats.raw import JSON_TYPE, media_type
from exporter.formats.row_fields import TIME_DETAIL, read_ids, read_model
from exporter.formats.tables import read_ids_column, read_table, understanding, without_index
from exporter.payloads.limits import check_expansion, check_keys, check_rows
from exporter.settings import Settings
from exporter.typing import Floats

FIELDS = ("id", "label", "timestamp")


@dataclass(frozen=True)
class DecodedLabels:
    """Labels of `rows` predictions of a model, as canonical texts.

    `timestamps` (rows,) when each became known, in seconds since the epoch, NaN where the row has no time.
    """

    model: str
    ids: list[str]
    labels: list[str]
    timestamps: Floats
    naive_timestamps: int

    @property
    def rows(self) -> int:
        return len(self.ids)


def decode_labels(
    body: bytes, content_type: str, query: Mapping[str, str], settings: Settings
) -> DecodedLabels:
    """Decode one request.

    Raises:
        MalformedError: it cannot be read, or a row lacks its id or label; nothing of it counts.
        TooLargeError: too many rows, or it unpacks to too much.
        UnsupportedError: an unknown content type.
    """
    if media_type(content_type) != JSON_TYPE:
        table = read_table(body, content_type, settings)
        check_keys([query], ("model",), "query.{name}")
        with understanding("a table"):
            check_rows(table.num_rows, settings)
            table = without_index(table)
            check_keys([dict.fromkeys(table.schema.names)], FIELDS, "schema.{name}")
            columns = {name: table.column(name) for name in table.schema.names}
            check_expansion(sum(map(text_bytes, columns.values())), settings)
            ids = read_ids_column(columns.pop("id")) if "id" in columns else None
            typed = {name: from_arrow(column) for name, column in columns.items()}
            return _batch(read_model(query, "query."), ids, typed, settings, "{name}[{index}]")
    document = read_document(body, query)
    model = read_model(document)
    if "labels" in document and "columns" in document:
        raise MalformedError("either `labels` (rows) or `columns`")
    form, inside = ("columns", "columns.") if "columns" in document else ("labels", "labels[].")
    elsewhere = {name: f"{inside}{name}" for name in FIELDS} | {"columns": "columns"}
    check_keys([document], ("model", form), "{name}", elsewhere)
    if form not in document:
        raise MalformedError("`labels` (rows) or `columns` is required")
    if form == "labels":
        own, where = _from_rows(document["labels"], settings), "labels[{index}].{name}"
    else:
        own, where = _from_columns(document["columns"], settings), "columns.{name}[{index}]"
    ids = own.pop("id", None)
    return _batch(model, ids, {name: from_python(own[name]) for name in own}, settings, where)


def _from_rows(rows: object, settings: Settings) -> dict[str, RawValues]:
    if not isinstance(rows, list):
        raise MalformedError("must be a list of labels", "labels")
    check_rows(len(rows), settings, "labels")
    for index, row in enumerate(rows):
        if not isinstance(row, dict):
            raise MalformedError("must be an object", f"labels[{index}]")
    check_keys(rows, FIELDS, "labels[{index}].{name}")
    return {name: [row.get(name) for row in rows] for name in FIELDS}


def _from_columns(columns: object, settings: Settings) -> dict[str, RawValues]:
    if not isinstance(columns, dict):
        raise MalformedError("must be an object of columns", "columns")
    check_keys([columns], FIELDS, "columns.{name}")
    chosen = {name: columns[name] for name in FIELDS if columns.get(name) is not None}
    for name, values in chosen.items():
        if not isinstance(values, list):
            raise MalformedError("must be a list", f"columns.{name}")
    lengths = {len(values) for values in chosen.values()}
    if len(lengths) > 1:
        raise MalformedError(f"columns differ in length: {sorted(lengths)}", "columns")
    check_rows(max(lengths, default=0), settings, "columns")
    return chosen


def _batch(
    model: str, raw_ids: RawValues | None, own: Mapping[str, Values], settings: Settings, where: str
) -> DecodedLabels:
    for name, known in (("id", raw_ids is not None), ("label", "label" in own)):
        if not known:
            raise MalformedError(f"`{name}` is required", where.format(name=name, index=0))
    ids = read_ids(raw_ids or [], settings, where) or [None]
    labels = stored_texts(own["label"])
    for name, values in (("id", ids), ("label", labels)):
        if None in values:
            place = where.format(name=name, index=values.index(None))
            raise MalformedError(f"`{name}` is required: a text, a number or a boolean", place)
    timestamps, naive = np.full(len(labels), np.nan), 0
    if "timestamp" in own:
        moments = read_times(own["timestamp"])
        if len(moments.wrong):
            place = where.format(name="timestamp", index=moments.wrong[0])
            raise MalformedError(TIME_DETAIL, place)
        timestamps, naive = moments.seconds, moments.naive
    # None was refused above
    return DecodedLabels(model, ids, labels, timestamps, naive)  # type: ignore[arg-type]
