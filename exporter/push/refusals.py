"""Finds the rows for which the exporter refuses a request, by its own rules."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa

from exporter.errors import MalformedError
from exporter.formats.arrow_columns import from_arrow
from exporter.formats.batch import stored_texts
from exporter.formats.columns import Values, from_python, read_numbers, read_times
from exporter.formats.row_fields import LATENCY_DETAIL, TIME_DETAIL, read_ids
from exporter.formats.tables import read_ids_column
from exporter.push.assignment import Column, Fields
from exporter.settings import Settings
from exporter.typing import Ints

_PLACE = re.compile(r"^(?:columns\.)?([a-z_]+)\[(\d+)\]$")


def wrong_rows(fields: Fields, labels: bool, detail: str, where: str) -> dict[int, str]:
    """Reason by row for each row that no request may have, in order; empty where it is no fault of rows.

    Args:
        fields: of the request.
        labels: it has labels, not predictions.
        detail: of the refusal.
        where: place in the request, which is added if it is a row's.
    """
    found: dict[int, str] = {}
    own = fields.own
    if "timestamp" in own:
        _add(found, read_times(_typed(own["timestamp"])).wrong, f"timestamp: {TIME_DETAIL}")
    if "latency_seconds" in own:
        _add(found, read_numbers(_typed(own["latency_seconds"]))[1], f"latency_seconds: {LATENCY_DETAIL}")
    if "id" in own:
        found |= _wrong_ids(own["id"], required=labels)
    if labels:
        missing = [row for row, text in enumerate(stored_texts(_typed(own["label"]))) if text is None]
        _add(found, missing, "label: is required: a text, a number or a boolean")
    if place := _PLACE.match(where):  # also where the exporter's limits are not the usual ones
        found.setdefault(int(place[2]), f"{place[1]}: {detail}")
    return dict(sorted(found.items()))


def _add(found: dict[int, str], rows: Ints | list[int], reason: str) -> None:
    for row in np.asarray(rows, np.int64).tolist():
        found.setdefault(row, reason)


def _wrong_ids(column: Column, *, required: bool) -> dict[int, str]:
    values = column if isinstance(column, list) else read_ids_column(pa.chunked_array([column]))
    settings, found = Settings(), dict[int, str]()
    for row, value in enumerate(values):
        try:
            if read_ids([value], settings, "") is None and required:
                found[row] = "id: is required: a text or a number"
        except MalformedError as error:
            found[row] = f"id: {error.detail}"
    return found


def _typed(column: Column) -> Values:
    return from_python(column) if isinstance(column, list) else from_arrow(column)
