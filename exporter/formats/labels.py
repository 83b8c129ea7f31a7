"""Wire formats of labels -> columnar batches: rows, columns, Arrow and Parquet, as for predictions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from exporter.errors import MalformedError
from exporter.formats.arrow_columns import text_bytes
from exporter.formats.categories import MISMATCHED, canonical_text
from exporter.formats.columns import Texts, Values, from_python, read_times
from exporter.formats.limits import check_expansion, check_keys, check_rows
from exporter.formats.predictions import read_document, read_ids, read_model
from exporter.formats.tables import read_own_column, read_table, understanding, without_index
from exporter.formats.texts import storable
from exporter.reference.binning import number_texts
from exporter.settings import Settings
from exporter.typing import Floats

FIELDS = ("id", "label", "timestamp")
MAX_LABEL_LENGTH = 256


@dataclass(frozen=True)
class LabelBatch:
    """Labels of `rows` predictions of a model, in canonical texts.

    `timestamps` (rows,) when each became known, in seconds since the epoch, NaN where the row does not say.
    """

    model: str
    ids: list[str]
    labels: list[str]
    timestamps: Floats
    naive_timestamps: int

    @property
    def rows(self) -> int:
        return len(self.ids)


def decode_labels(body: bytes, content_type: str, query: Mapping[str, str], settings: Settings) -> LabelBatch:
    """Decode one request.

    Raises:
        MalformedError: it cannot be read as what it says it is, a row lacks its id or label; nothing counts.
        TooLargeError: too many rows, or it unpacks to too much.
        UnsupportedError: an unknown content type.
    """
    table = read_table(body, content_type, settings)
    if table is not None:
        check_keys([query], ("model",), "query.{name}")
        with understanding("a table"):
            check_rows(table.num_rows, settings)
            table = without_index(table)
            check_keys([dict.fromkeys(table.schema.names)], FIELDS, "schema.{name}")
            columns = {name: table.column(name) for name in table.schema.names}
            check_expansion(sum(map(text_bytes, columns.values())), settings)
            own = {name: read_own_column(name, column) for name, column in columns.items()}
            return _batch(read_model(query, "query."), own, settings, "{name}[{index}]")
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
        return _batch(model, _from_rows(document["labels"], settings), settings, "labels[{index}].{name}")
    return _batch(model, _from_columns(document["columns"], settings), settings, "columns.{name}[{index}]")


def _from_rows(rows: object, settings: Settings) -> dict[str, Values]:
    if not isinstance(rows, list):
        raise MalformedError("must be a list of labels", "labels")
    check_rows(len(rows), settings, "labels")
    for index, row in enumerate(rows):
        if not isinstance(row, dict):
            raise MalformedError("must be an object", f"labels[{index}]")
    check_keys(rows, FIELDS, "labels[{index}].{name}")
    return _normal({name: [row.get(name) for row in rows] for name in FIELDS})


def _from_columns(columns: object, settings: Settings) -> dict[str, Values]:
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
    return _normal(chosen)


def _normal(columns: Mapping[str, list[Any]]) -> dict[str, Values]:
    return {name: values if name == "id" else from_python(values) for name, values in columns.items()}


def _batch(model: str, own: Mapping[str, Values], settings: Settings, where: str) -> LabelBatch:
    for name in ("id", "label"):
        if name not in own:
            raise MalformedError(f"`{name}` is required", where.format(name=name, index=0))
    ids = read_ids(own["id"], settings, where) or [None]
    labels = label_texts(own["label"])
    for name, values in (("id", ids), ("label", labels)):
        if None in values:
            place = where.format(name=name, index=values.index(None))
            raise MalformedError(f"`{name}` is required: a text, a number or a boolean", place)
    timestamps, naive = np.full(len(labels), np.nan), 0
    if "timestamp" in own:
        moments = read_times(own["timestamp"])
        if len(moments.wrong):
            place = where.format(name="timestamp", index=moments.wrong[0])
            raise MalformedError("a timestamp is an ISO 8601 text or seconds since the epoch", place)
        timestamps, naive = moments.seconds, moments.naive
    # None was refused above
    return LabelBatch(model, ids, labels, timestamps, naive)  # type: ignore[arg-type]


def label_texts(values: Values) -> list[str | None]:
    """One canonical text a row; None where there is no label, or none that could be one."""
    if isinstance(values, np.ndarray):
        values = number_texts(values)
    if isinstance(values, Texts):  # what is done with a text is done once
        either = [*map(_label, values.texts), None]  # -1 is the last
        return [either[code] for code in values.codes.tolist()]
    return [_label(value) for value in values] if isinstance(values, list) else [None] * len(values)


def _label(value: object) -> str | None:
    text = canonical_text(value)
    if text is None or text is MISMATCHED:
        return None
    return storable(text[:MAX_LABEL_LENGTH])
