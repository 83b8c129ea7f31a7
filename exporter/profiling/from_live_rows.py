"""Reference data from the first rows of a version that has no reference, if the owner allows it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa

from exporter.formats.arrow_columns import join_as_arrow
from exporter.formats.class_scores import Scores
from exporter.formats.columns import Times, Values, take_rows
from exporter.formats.predictions import decode_acknowledged
from exporter.profiling.data import ReferenceData
from exporter.settings import Settings
from exporter.storage.schema import RawRows


def live_reference(requests: Iterable[RawRows], rows: int, settings: Settings) -> ReferenceData:
    """The first `rows` of the requests that waited, as reference data with their times.

    A column that is not all numbers, or all times, in every request is taken as text.
    """
    features: list[dict[str, Values | Scores]] = []
    own: list[dict[str, Values | Scores]] = []
    wanted = rows
    for request in requests:
        batch = decode_acknowledged(request.body, request.content_type, request.query, settings)
        chosen = request.row_numbers[:wanted]
        features.append({name: take_rows(values, chosen) for name, values in batch.features.items()})
        own.append(
            {"prediction": take_rows(batch.prediction, chosen), "timestamp": Times(request.times[:wanted])}
        )
        if batch.scores is not None:
            own[-1]["score"] = batch.scores.take(chosen)
        wanted -= len(chosen)
        if not wanted:
            break
    inputs = dict.fromkeys((name for part in features for name in part), "")
    roles = dict.fromkeys(role for part in own for role in part)
    named: dict[str, Any] = {role: role if role not in inputs else f"the row's {role}" for role in roles}
    parts: list[dict[str, Values | Scores]] = [
        columns | {named[role]: values for role, values in of_row.items()}
        for columns, of_row in zip(features, own, strict=True)
    ]
    lengths = [len(of_row["timestamp"]) for of_row in own]
    table = pa.table(
        {
            name: join_as_arrow(
                [p.get(name, np.full(n, np.nan)) for p, n in zip(parts, lengths, strict=True)]
            )
            for name in [*inputs, *named.values()]
        }
    )
    note = f"built from the first {table.num_rows} live rows: what was wrong with them is taken as normal"
    return ReferenceData(table, source="live", split="live", notes=(note,), inputs=inputs, **named)
