"""Stored content of a sampled row: one JSON object of at most 16 KB.

    {"features": {"age": 41.5, "country": "DE"}, "prediction": 1, "score": 0.83}

Values are as they came: a text in a column of numbers stays a text. Missing ones are left out, as are
infinities, which JSON cannot hold. Whole numbers are integers, times ISO 8601 in UTC. Several scores are in
`scores`, a list or an object by class. If a row is too large, texts are cut further, then the last columns
are left out and counted in `columns_left_out`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from itertools import islice
from math import isfinite
from typing import Any

import numpy as np
import orjson

from exporter.config.sampling import SampleConfig
from exporter.formats.batch import Batch
from exporter.formats.categories import canonical_text
from exporter.formats.columns import EXACT_IN_FLOAT, Mixed, Texts, Times, Values, canonical_texts
from exporter.formats.texts import storable

MAX_TEXT = 256  # characters
SHORTER_TEXTS = (64, 16)  # of a row that is too large
MAX_ROW_BYTES = 16 * 2**10
NESTED = "(nested)"  # stands for a list or an object
HASH_BYTES = 8
_DIGITS = re.compile(r"-?[0-9]{1,20}")


@dataclass(frozen=True)
class Treatment:
    """Columns of a version that are stored, in order, and the ones of them whose values are hashed."""

    columns: Sequence[str]
    hashed: Collection[str]
    key: bytes

    @classmethod
    def of(cls, config: SampleConfig, columns: Sequence[str], key: bytes) -> Treatment:
        """Treatment by a model's configuration of the columns that its reference has."""
        left_out = frozenset(config.leave_out)
        return cls([name for name in columns if name not in left_out], frozenset(config.hash), key)


def encode_row(batch: Batch, row: int, treatment: Treatment) -> bytes:
    """Content of one row of a batch."""
    features = {}
    for name in treatment.columns:
        values = batch.features.get(name)
        value = None if values is None else _value(values, row)
        if value is None or values is None:
            continue
        if name in treatment.hashed and (text := _text(values, row)) is not None:
            value = hash_text(treatment.key, name, text)
        features[name] = value
    own: dict[str, Any] = {"prediction": _value(batch.prediction, row)}
    if batch.scores is not None:
        several = batch.scores.several[row] if batch.scores.several is not None else None
        if several is None:
            own["score"] = _value(batch.scores.single, row)
        else:
            own["scores"] = orjson.loads(several.text)
    return _dump(features, {name: value for name, value in own.items() if value is not None})


def _dump(features: Mapping[str, Any], own: Mapping[str, Any]) -> bytes:
    for length in (MAX_TEXT, *SHORTER_TEXTS):
        features, own = ({name: _cut(v, length) for name, v in part.items()} for part in (features, own))
        content = orjson.dumps({"features": features, **own})
        if len(content) <= MAX_ROW_BYTES:
            return content
    kept = len(features)
    while kept and len(content) > MAX_ROW_BYTES:
        kept = min(kept - 1, kept * MAX_ROW_BYTES // len(content))
        left_out = len(features) - kept
        few = dict(islice(features.items(), kept))
        content = orjson.dumps({"features": few, **own, "columns_left_out": left_out})
    if len(content) > MAX_ROW_BYTES:  # names of classes
        own = {name: value for name, value in own.items() if name != "scores"}
        content = orjson.dumps({"features": {}, **own, "columns_left_out": len(features)})
    return content


def _cut(value: Any, length: int) -> Any:
    return storable(value[:length]) if isinstance(value, str) else value


def _value(values: Values, row: int) -> float | int | str | None:
    """Value of one row for JSON, None where it is missing."""
    if isinstance(values, np.ndarray):
        return _number(float(values[row]))
    if isinstance(values, Mixed):
        if values.opaque[row]:
            return NESTED
        number, text = float(values.numbers[row]), _text(values, row)
        if number != number:
            return text
        if abs(number) >= EXACT_IN_FLOAT and text is not None and _DIGITS.fullmatch(text):
            whole = int(text)
            return whole if -(2**63) <= whole < 2**64 else _number(number)
        return _number(number)
    return _text(values, row)


def _text(values: Values, row: int) -> str | None:
    """Canonical text of one row's value, None where it is missing or no scalar."""
    if isinstance(values, np.ndarray):
        return canonical_text(float(values[row]))
    if isinstance(values, Times):
        return time_text(float(values.seconds[row]))
    texts = values.texts if isinstance(values, Mixed) else values
    code = texts.codes[row]
    return None if code < 0 else texts.texts[code]


def _number(value: float) -> float | int | None:
    if not isfinite(value):
        return None
    return int(value) if value.is_integer() and abs(value) <= EXACT_IN_FLOAT else value


def time_text(seconds: float) -> str | None:
    """A time in ISO 8601 in UTC, None for NaN; seconds since the epoch as text beyond the year 9999.

    >>> time_text(1748865600.5)
    '2025-06-02T12:00:00.500000+00:00'
    """
    if not isfinite(seconds):
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        return repr(seconds)


# -- hashes -------------------------------------------------------------------------------------------------


def hash_text(key: bytes, column: str, text: str) -> str:
    """Keyed hash of the canonical text of a value in a column, 16 hexadecimal digits."""
    named = f"{column}\0{text}".encode("utf-8", "surrogatepass")
    return blake2b(named, digest_size=HASH_BYTES, key=key).hexdigest()


def hash_values(key: bytes, column: str, values: Values) -> Texts:
    """(rows,) keyed hash of each value of a column; none where it is missing or no scalar."""
    if isinstance(values, Times):
        distinct, codes = np.unique(values.seconds, return_inverse=True)
        found = [time_text(each) for each in distinct.tolist()]
        codes = np.where(np.isfinite(values.seconds), codes, -1)
        texts = Texts(codes, [text or "" for text in found])
    else:
        texts = canonical_texts(values)
    return Texts(texts.codes, [hash_text(key, column, text) for text in texts.texts])
