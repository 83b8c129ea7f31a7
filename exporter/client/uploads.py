"""Requests to the exporter, made of queued entries on the background thread."""

from __future__ import annotations

import gzip
import json
import math
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, NamedTuple, Protocol
from uuid import uuid4

from exporter.client.columns import ColumnRules, Columns
from exporter.client.counts import Counts, describe
from exporter.client.outbox import Entry, Kind
from exporter.client.snapshot import rows_by_name
from exporter.client.values import (
    id_text,
    json_score,
    key_text,
    moment,
    number_or_none,
    to_json_column,
)
from exporter.payloads.columns import OWN_FIELDS
from exporter.payloads.target import Target

PATHS: Mapping[Kind, str] = {"prediction": "/v1/predictions", "label": "/v1/labels"}
MAX_VALUES = 200_000  # rows x columns of a request
GZIP_LEVEL = 3  # twice as fast as the usual one, for a tenth more bytes
# Of own columns; predictions and labels are values as features are.
_CONVERSIONS: Mapping[str, Callable[[Any], object]] = {
    "id": id_text,
    "score": json_score,
    "timestamp": moment,
    "latency_seconds": number_or_none,
}


class Row(NamedTuple):
    """One queued row; `features` is a dictionary, or the values of a row of an array."""

    features: Any
    prediction: Any
    score: Any
    id: Any
    timestamp: Any
    label: Any
    latency_seconds: Any


class Item(Protocol):
    """Rows whose columns are made on the background thread: by `columns`, which is called once."""

    @property
    def rows(self) -> int: ...
    @property
    def size_bytes(self) -> int:
        """Estimate of the memory that it takes in the queue."""

    def columns(self) -> Columns: ...


@dataclass(frozen=True)
class Upload:
    """A request: `columns` of values of JSON, which may have to be halved.

    `key` is its `Idempotency-Key`, the same at each attempt. `queued_at` is that of its oldest row.
    """

    kind: Kind
    columns: Columns
    key: str
    queued_at: float

    @property
    def rows(self) -> int:
        return self.columns.rows


def is_sampled(row_id: str | None, sample: float) -> bool:
    """Return true if a row is among the fraction `sample`: by the hash of its id, the same in all processes,
    by chance without one."""
    if sample >= 1:
        return True
    if row_id is None:
        return random.random() < sample  # noqa: S311 - no secret
    digest = blake2b(row_id.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest) < sample * 2**64


class Packer:
    """Makes uploads of entries.

    Args:
        yield_thread: is called between columns, so that the service's threads run in between.
    """

    def __init__(
        self,
        target: Target,
        rules: ColumnRules,
        counts: Counts,
        *,
        sample: float,
        feature_names: Sequence[str],
        batch_rows: int,
        yield_thread: Callable[[], None] = lambda: time.sleep(1e-4),
    ) -> None:
        # a label is for every version that scored its id
        self._heads = {"prediction": target.to_json(), "label": {"model": target.model}}
        self._rules = rules
        self._counts = counts
        self._sample = sample
        self._feature_names = feature_names
        self._batch_rows = batch_rows
        self._yield_thread = yield_thread

    def pack(self, entries: Sequence[Entry]) -> Iterator[Upload]:
        """Yield uploads of at most `batch_rows` rows; rows that cannot be read are dropped and counted."""
        for group in self._alike(entries):
            for columns in self._cleaned(group, entries[0].kind):
                for start in range(0, columns.rows, self._rows_at_once(columns)):
                    part = columns.cut(start, start + self._rows_at_once(columns))
                    yield Upload(entries[0].kind, part, uuid4().hex, entries[0].queued_at)

    def halves(self, upload: Upload) -> list[Upload]:
        """Return both halves of an upload, each with a key of its own."""
        middle = upload.rows // 2
        halves = [upload.columns.cut(0, middle), upload.columns.cut(middle, upload.rows)]
        return [Upload(upload.kind, half, uuid4().hex, upload.queued_at) for half in halves]

    def body(self, upload: Upload) -> bytes:
        """Return the body of an upload, which is JSON in columns, by gzip."""
        head = json.dumps(self._heads[upload.kind])
        members = ",".join(self._members(upload.columns.own))
        if upload.kind == "prediction":
            members += f',"features":{{{",".join(self._members(upload.columns.features))}}}'
        return gzip.compress(f'{head[:-1]},"columns":{{{members}}}}}'.encode(), GZIP_LEVEL, mtime=0)

    def _members(self, columns: Mapping[str, Sequence[object]]) -> Iterator[str]:
        for name, values in columns.items():
            yield f"{json.dumps(name)}:{json.dumps(values, separators=(',', ':'))}"
            self._yield_thread()

    def _rows_at_once(self, columns: Columns) -> int:
        width = len(columns.features) + len(columns.own)
        return max(1, min(self._batch_rows, MAX_VALUES // max(width, 1)))

    def _alike(self, entries: Sequence[Entry]) -> Iterator[Columns]:
        """Yield the columns of entries, together where that does not add too many missing values."""
        parts = list(self._readable(entries))
        together: list[Columns] = []
        names: set[str] = set()
        rows = 0
        for part in parts:
            union = names.union(part.features)
            if together and (rows + part.rows) * len(union) > MAX_VALUES:
                yield Columns.join(together)
                together, rows, union = [], 0, set(part.features)
            together.append(part)
            names, rows = union, rows + part.rows
        if together:
            yield Columns.join(together)

    def _readable(self, entries: Iterable[Entry]) -> Iterator[Columns]:
        """Yield columns of all entries with one row, and of each other entry."""
        single = [entry for entry in entries if isinstance(entry.content, Row)]
        for group in _of_few_columns(single):
            yield from self._read_rows(group)
        for entry in entries:
            if not isinstance(entry.content, Row):
                try:
                    columns = entry.content.columns()
                    columns.check()
                    own = {"timestamp": [None] * columns.rows, **columns.own}
                    yield self._sampled(self._with_times(Columns(columns.rows, own, columns.features), entry))
                except Exception as error:  # noqa: BLE001 - of an item of another's making
                    self._counts.drop("invalid", entry.rows, describe(error))

    def _read_rows(self, entries: Sequence[Entry]) -> Iterator[Columns]:
        """Columns of entries of one row each, without those that cannot be read."""
        try:
            yield self._columns_of_rows(entries)
            return
        except Exception as error:  # noqa: BLE001 - of values of the service's own types
            if len(entries) == 1:
                self._counts.drop("invalid", 1, describe(error))
                return
        middle = len(entries) // 2
        yield from self._read_rows(entries[:middle])
        yield from self._read_rows(entries[middle:])

    def _columns_of_rows(self, entries: Sequence[Entry]) -> Columns:
        rows: list[Row] = [entry.content for entry in entries]
        columns = zip(*(row[1:] for row in rows), strict=True)
        own: dict[str, list[object]] = dict(zip(Row._fields[1:], map(list, columns), strict=True))
        pairs = zip(entries, own["timestamp"], strict=True)
        own["timestamp"] = [entry.called_at if given is None else given for entry, given in pairs]
        if entries[0].kind == "label":
            return Columns(len(rows), own, {})
        features = rows_by_name([row.features for row in rows], self._feature_names)
        return Columns(len(rows), own, features)

    def _with_times(self, columns: Columns, entry: Entry) -> Columns:
        """Columns in which rows without a time have that of the call."""
        times = [entry.called_at if each is None else each for each in columns.own["timestamp"]]
        return Columns(columns.rows, {**columns.own, "timestamp": times}, columns.features)

    def _sampled(self, columns: Columns) -> Columns:
        """Rows that are in the sample."""
        if self._sample >= 1:
            return columns
        ids = columns.own.get("id") or [None] * columns.rows
        return columns.take(row for row, each in enumerate(ids) if is_sampled(id_text(each), self._sample))

    def _cleaned(self, columns: Columns, needed: Kind) -> Iterator[Columns]:
        """Columns of values of JSON, without the rows of which none can be made."""
        try:
            yield self._clean(columns, needed)
            return
        except Exception as error:  # noqa: BLE001 - of values of the service's own types
            if columns.rows <= 1:
                self._counts.drop("invalid", columns.rows, describe(error))
                return
        middle = columns.rows // 2
        yield from self._cleaned(columns.cut(0, middle), needed)
        yield from self._cleaned(columns.cut(middle, columns.rows), needed)

    def _clean(self, columns: Columns, needed: Kind) -> Columns:
        """Columns of values of JSON, treated by the rules; own columns without a value are left out."""
        own: dict[str, list[object]] = {}
        for name in OWN_FIELDS:
            values = columns.own.get(name)
            if values is not None and (name == needed or any(value is not None for value in values)):
                own[name] = self._clean_own(name, values)
            self._yield_thread()
        features: dict[str, list[object]] = {}
        for raw, values in columns.features.items():
            name = key_text(raw)
            if not self._rules.keeps(name):
                continue
            cleaned, unsendable = to_json_column(values)
            self._counts.unsendable += unsendable
            features[name] = self._rules.hash(name, cleaned) if name in self._rules.hashed else cleaned
            self._yield_thread()
        return Columns(columns.rows, own, features)

    def _clean_own(self, name: str, values: Sequence[object]) -> list[object]:
        kinds = set(map(type, values))
        if kinds == {str} or (kinds == {float} and name != "id" and math.isfinite(sum(values))):  # type: ignore[arg-type]
            return list(values)  # as nearly always
        if convert := _CONVERSIONS.get(name):
            return list(map(convert, values))
        cleaned, unsendable = to_json_column(values)
        self._counts.unsendable += unsendable
        return cleaned


def _of_few_columns(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    """Entries with one row each, in groups of at most `MAX_VALUES` values, missing ones included."""
    group: list[Entry] = []
    names: set[object] = set()
    for entry in entries:
        features = entry.content.features
        keys = features.keys() if type(features) is dict else ()
        if not names.issuperset(keys):
            names.update(keys)
            if group and (len(group) + 1) * len(names) > MAX_VALUES:
                yield group
                group, names = [], set(keys)
        group.append(entry)
    if group:
        yield group
