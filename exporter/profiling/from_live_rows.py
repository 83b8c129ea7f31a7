"""Reference data from the first rows of a version that has no reference, if the owner allows it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa

from exporter.formats.arrow_columns import scores_to_arrow
from exporter.formats.class_scores import Scores
from exporter.formats.columns import Times, Values, canonical_texts, encode_texts, take_rows
from exporter.formats.predictions import decode_acknowledged
from exporter.profiling.data import ReferenceData
from exporter.profiling.own_columns import MAX_SECONDS
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
            name: _join([p.get(name, np.full(n, np.nan)) for p, n in zip(parts, lengths, strict=True)])
            for name in [*inputs, *named.values()]
        }
    )
    note = f"built from the first {table.num_rows} live rows: what was wrong with them is taken as normal"
    return ReferenceData(table, source="live", split="live", notes=(note,), inputs=inputs, **named)


def _join(columns: Sequence[Values | Scores]) -> pa.Array:
    if any(isinstance(column, Scores) and column.several is not None for column in columns):
        rows = [c.several_or_none if isinstance(c, Scores) else [None] * len(c) for c in columns]
        return scores_to_arrow([*chain.from_iterable(rows)])
    parts = [column.single if isinstance(column, Scores) else column for column in columns]
    known = [part for part in parts if not (isinstance(part, np.ndarray) and np.isnan(part).all())]
    if all(isinstance(part, np.ndarray) for part in known):
        return pa.array(
            np.concatenate([part for part in parts if isinstance(part, np.ndarray)]), from_pandas=True
        )
    if all(isinstance(part, Times) for part in known):
        seconds = np.concatenate([part.seconds if isinstance(part, Times) else part for part in parts])
        missing = np.isnan(seconds)
        micros = np.clip(np.where(missing, 0.0, seconds), -MAX_SECONDS, MAX_SECONDS) * 1e6
        return pa.array(micros.astype(np.int64), mask=missing).cast(pa.timestamp("us", tz="UTC"))
    texts = encode_texts([text for part in parts for text in canonical_texts(part).rows()])
    # JSON can escape half a surrogate pair, which is no text that Arrow or a label of a metric could hold.
    shown = [text.encode("utf-8", "replace").decode() for text in texts.texts]
    return pa.DictionaryArray.from_arrays(pa.array(texts.codes, mask=texts.codes < 0), pa.array(shown))
