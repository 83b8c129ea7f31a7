"""Wire formats of predictions -> batches of typed columns.

JSON in rows and columns, requests to MLflow's server, Arrow IPC streams and Parquet end in one `Batch`. A
request is read by itself, so that its errors are its own, and typed together with others that are alike: a
numpy call takes as long for one row as for a hundred. Odd values inside a column are kept: they are what we
monitor. Only a request that cannot be understood is refused, and then as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import chain
from math import nan
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from exporter.errors import MalformedError
from exporter.formats.arrow_columns import from_arrow, scores_from_arrow, text_bytes
from exporter.formats.class_scores import Scores, read_scores
from exporter.formats.columns import (
    EXACT_IN_FLOAT,
    Times,
    Values,
    canonical_texts,
    from_python,
    join_columns,
    parse_time,
    read_numbers,
    read_times,
)
from exporter.formats.json_forms import OWN_FIELDS, TARGET_KEYS, parse_json, read_json, without_unread_keys
from exporter.formats.limits import (
    MAX_NAME_LENGTH,
    check_columns,
    check_expansion,
    check_keys,
    check_rows,
    is_short_text,
)
from exporter.formats.tables import read_ids_column, read_table, understanding, without_index
from exporter.formats.texts import storable
from exporter.settings import Settings
from exporter.typing import Floats

_NO_LIMIT = 2**62  # of requests that were taken already
MAX_LATENCY_SECONDS = 1e9  # longer than anybody waits; sums of latencies stay exact enough to be averaged
MAX_STORED_LENGTH = 256  # of the text of a prediction or a label
TIME_DETAIL = "a timestamp is an ISO 8601 text or seconds since the epoch"
_LATENCY_DETAIL = "a latency is a number of seconds"

RawValues: TypeAlias = list[Any]  # of JSON, not typed yet


@dataclass(frozen=True)
class Target:
    """Model and version that predicted, or an alias that is resolved at each row's own time."""

    model: str
    version: str = ""
    alias: str = ""


@dataclass(frozen=True)
class Decoded:
    """Checked rows of one request; fields as in `Batch`, columns of JSON not typed yet."""

    target: Target
    rows: int
    ids: list[str | None] | None
    timestamps: Sequence[float] | Floats | None
    naive_timestamps: int
    features: Mapping[str, Values | RawValues]
    prediction: Values | RawValues
    scores: Scores | RawValues | None
    labels: Values | RawValues | None
    latency: Sequence[float] | Floats | None

    @property
    def likeness(self) -> Hashable:
        """Equal for requests that can be assembled together."""
        scores = self.scores.single if isinstance(self.scores, Scores) else self.scores
        forms: tuple[Hashable, ...] = (scores is None, self.labels is None)
        if not isinstance(self.prediction, list):  # of JSON, columns of any values can be put together
            forms += tuple(map(_form, (*self.features.values(), self.prediction, scores, self.labels)))
        return self.target, tuple(self.features), self.ids is None, self.latency is None, forms

    def typed(self) -> Decoded:
        """With typed columns: of many rows they are best typed by the thread that reads them."""
        return replace(
            self,
            features={name: _join([values]) for name, values in self.features.items()},
            prediction=_join([self.prediction]),
            scores=None if self.scores is None else _join_scores([self.scores]),
            labels=None if self.labels is None else _join([self.labels]),
        )


def _form(values: object) -> Hashable:
    return type(values), isinstance(values, Times) and values.naive


@dataclass(frozen=True)
class Batch:
    """Columns of `rows` predictions.

    `timestamps` (rows,) seconds since the epoch, NaN where the row has none; `naive_timestamps` counts the
    ones without a zone, taken as UTC. `latency` (rows,) seconds, NaN where there is none. `labels` (rows,)
    texts as they are stored.
    """

    target: Target
    rows: int
    ids: list[str | None] | None
    timestamps: Floats
    naive_timestamps: int
    features: dict[str, Values]
    prediction: Values
    scores: Scores | None
    labels: list[str | None] | None
    latency: Floats | None


def decode_predictions(body: bytes, content_type: str, query: Mapping[str, str], settings: Settings) -> Batch:
    """Decode one request.

    Raises:
        RequestError: as from `read_predictions`.
    """
    return assemble([read_predictions(body, content_type, query, settings)])


def read_predictions(body: bytes, content_type: str, query: Mapping[str, str], settings: Settings) -> Decoded:
    """Read and check one request.

    Raises:
        MalformedError: it cannot be read; nothing of it counts.
        TooLargeError: too many rows or values, or it unpacks to too much.
        UnsupportedError: an unknown content type.
    """
    table = read_table(body, content_type, settings)
    if table is None:
        return _from_document(read_document(body, query), settings)
    check_keys([query], TARGET_KEYS, "query.{name}")
    with understanding("a table"):
        return _from_table(table, _target(query, "query."), settings)


def decode_acknowledged(
    body: bytes, content_type: str, query: Mapping[str, str], settings: Settings
) -> Batch:
    """Decode a request that was taken before, maybe under other limits or by a version that refused less.

    Raises:
        RequestError: as from `read_predictions`; it was damaged since.
    """
    settings = replace(
        settings,
        max_body_bytes=_NO_LIMIT,
        max_rows_per_request=_NO_LIMIT,
        max_columns=_NO_LIMIT,
        max_id_length=_NO_LIMIT,
    )
    try:
        return decode_predictions(body, content_type, query, settings)
    except MalformedError:
        table = read_table(body, content_type, settings)
        if table is None:
            decoded = _from_document(without_unread_keys(read_document(body, {})), settings)
            return assemble([decoded])
        if "features" in table.schema.names and pa.types.is_struct(table.schema.field("features").type):
            table = table.select([name for name in ("features", *OWN_FIELDS) if name in table.schema.names])
        with understanding("a table"):
            return assemble([_from_table(table, _target(query, "query."), settings)])


def assemble(requests: Sequence[Decoded]) -> Batch:
    """All rows, in order, of requests of one `likeness`."""
    first = requests[0]
    scores, labels = [each.scores for each in requests], [each.labels for each in requests]
    times = [np.full(r.rows, nan) if r.timestamps is None else r.timestamps for r in requests]
    latencies = [each.latency for each in requests if each.latency is not None]
    return Batch(
        target=first.target,
        rows=sum(each.rows for each in requests),
        ids=None if first.ids is None else list(chain.from_iterable(each.ids or () for each in requests)),
        timestamps=np.concatenate(times, dtype=np.float64),
        naive_timestamps=sum(each.naive_timestamps for each in requests),
        features={name: _join([each.features[name] for each in requests]) for name in first.features},
        prediction=_join([each.prediction for each in requests]),
        scores=None if first.scores is None else _join_scores(scores),
        labels=None if first.labels is None else stored_texts(_join(labels)),
        latency=np.concatenate(latencies, dtype=np.float64) if latencies else None,
    )


def _join(columns: Sequence[Any]) -> Values:
    """Typed column of all rows, from columns that are all typed or all raw."""
    if isinstance(columns[0], list):
        return from_python(columns[0] if len(columns) == 1 else list(chain.from_iterable(columns)))
    return join_columns(columns)


def _join_scores(columns: Sequence[Any]) -> Scores:
    if isinstance(columns[0], list):
        return read_scores(list(chain.from_iterable(columns)))
    return Scores.join(columns)


def stored_texts(values: Values) -> list[str | None]:
    """(rows,) canonical text of each prediction or label as it is stored, None where there is none."""
    texts = canonical_texts(values)
    return texts.spread([storable(text[:MAX_STORED_LENGTH]) for text in texts.texts])


def _from_document(document: Mapping[str, Any], settings: Settings) -> Decoded:
    target = _target(document)
    found = read_json(document, settings)
    own, where = found.own, found.where
    timestamps, latency = own.get("timestamp"), own.get("latency_seconds")
    times = _read_each(timestamps or [], parse_time, TIME_DETAIL, "timestamp", where)
    if latency is not None:
        latency = _read_each(latency, _read_latency, _LATENCY_DETAIL, "latency_seconds", where)
    return Decoded(
        target=target,
        rows=found.rows,
        ids=read_ids(own["id"], settings, where) if "id" in own else None,
        timestamps=[seconds for seconds, _ in times] if times else None,
        naive_timestamps=sum(naive for _, naive in times),
        features=found.features,
        prediction=own["prediction"],
        scores=own.get("score"),
        labels=own.get("label"),
        latency=latency,
    )


def _read_each(
    values: RawValues, read: Callable[[object], Any], detail: str, name: str, where: str
) -> list[Any]:
    """Read values one by one, equal ones once; `where` is the template of a value's place."""
    known: dict[object, Any] = {}
    for index, value in enumerate(values):
        try:
            if value not in known:
                known[value] = read(value)
        except (ValueError, TypeError):  # a list or an object has no hash
            raise MalformedError(detail, where.format(name=name, index=index)) from None
    return [known[value] for value in values]


def _read_latency(value: object) -> float:
    if value is None:
        return nan
    if not isinstance(value, int | float):
        raise TypeError(_LATENCY_DETAIL)
    return value if 0 <= value <= MAX_LATENCY_SECONDS else nan


def read_document(body: bytes, query: Mapping[str, str]) -> dict[str, Any]:
    """Object of a JSON body, which names its model itself.

    Raises:
        MalformedError: no object, or there is a query.
    """
    if query:
        raise MalformedError("JSON says this in the body; unknown key", f"query.{min(query)}")
    document = parse_json(body)
    if not isinstance(document, dict):
        raise MalformedError("the body must be a JSON object")
    return document


def read_model(source: Mapping[str, Any], prefix: str = "") -> str:
    """The registered model's name."""
    model = source.get("model")
    if not model or not is_short_text(model):
        raise MalformedError("`model` is required: the registered model's name", f"{prefix}model")
    return model


def _target(source: Mapping[str, Any], prefix: str = "") -> Target:
    model, version, alias = read_model(source, prefix), source.get("version"), source.get("alias")
    if isinstance(version, int) and not isinstance(version, bool):
        version = str(version)
    if (version is None) == (alias is None):
        raise MalformedError("`version` or `alias` is required, not both", f"{prefix}version")
    chosen = version if version is not None else alias
    if not chosen or not is_short_text(chosen):
        place = "version" if version is not None else "alias"
        raise MalformedError(f"must be a text of 1 to {MAX_NAME_LENGTH} characters", f"{prefix}{place}")
    return Target(model, version=chosen) if version is not None else Target(model, alias=chosen)


# -- Arrow and Parquet --------------------------------------------------------------------------------------


def _from_table(table: pa.Table, target: Target, settings: Settings) -> Decoded:
    """Features are the columns that are not our own, or the fields of a structure named `features`."""
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
            raise MalformedError(_LATENCY_DETAIL, f"latency_seconds[{wrong[0]}]")
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


# -- ids ----------------------------------------------------------------------------------------------------


def read_ids(values: RawValues, settings: Settings, where: str) -> list[str | None] | None:
    """(rows,) id or None of each row; None where no row has one.

    A whole number is an id by its digits, also as a float or a decimal, which columns of integers become
    where some are missing; but one that may have lost digits is refused. `where` is the template of a value's
    place.
    """
    if set(map(type, values)) == {str}:  # as nearly always
        lengths = [*map(len, values)]
        if min(lengths) > 0 and max(lengths) <= settings.max_id_length:
            return values
    ids: list[str | None] = []
    for index, value in enumerate(values):
        text = _id_text(value)
        if text is None:
            ids.append(None)
        elif isinstance(text, str) and 0 < len(text) <= settings.max_id_length:
            ids.append(text)
        else:
            detail = "an id is a text, a UUID or an integer of at most 64 bits; send other numbers as text"
            if isinstance(text, str):
                detail = f"an id has 1 to {settings.max_id_length} characters, this one {len(text)}"
            raise MalformedError(detail, where.format(name="id", index=index))
    return ids if any(each is not None for each in ids) else None


def _id_text(value: object) -> object:
    """The text of a whole number, None for NaN, and anything else as it is."""
    if isinstance(value, float | Decimal) and value != value:
        return None
    if isinstance(value, float) and value.is_integer() and abs(value) <= EXACT_IN_FLOAT:
        return str(int(value))
    whole = isinstance(value, Decimal) and value.is_finite() and value == value.to_integral_value()
    if (whole or type(value) is int) and -(2**63) <= value < 2**64:  # type: ignore[operator] # a number
        return str(int(value))  # type: ignore[call-overload] # the same
    return value
