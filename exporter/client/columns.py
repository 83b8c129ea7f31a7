"""Columns of predictions and labels: what a request to the exporter is made of."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from exporter.formats.categories import canonical_text

HASH_BYTES = 8
MAX_KEY_BYTES = blake2b.MAX_KEY_SIZE


@dataclass(frozen=True)
class Columns:
    """Columns of `rows` predictions, of any Python or numpy values.

    `own` has `prediction`, and may have `id`, `timestamp`, `score`, `label` and `latency_seconds`. Columns of
    labels have no features; `own` has `id`, `label` and `timestamp`.
    """

    rows: int
    own: Mapping[str, Sequence[object]]
    features: Mapping[str, Sequence[object]]

    def check(self) -> None:
        """
        Raises:
            ValueError: a column has another number of rows.
        """
        for name, values in (*self.own.items(), *self.features.items()):
            if len(values) != self.rows:
                raise ValueError(f"{len(values)} values of `{name}`, in {self.rows} rows")

    def take(self, rows: Iterable[int]) -> Columns:
        """Return the given rows."""
        chosen = list(rows)
        return Columns(len(chosen), _taken(self.own, chosen), _taken(self.features, chosen))

    def cut(self, start: int, end: int) -> Columns:
        """Return the rows from `start` to before `end`."""
        own = {name: values[start:end] for name, values in self.own.items()}
        features = {name: values[start:end] for name, values in self.features.items()}
        return Columns(min(end, self.rows) - start, own, features)

    @staticmethod
    def join(parts: Sequence[Columns]) -> Columns:
        """Return the rows of all; a column that one of them lacks is missing in its rows."""
        if len(parts) == 1:
            return parts[0]
        sizes = [part.rows for part in parts]
        own = _joined([part.own for part in parts], sizes)
        return Columns(sum(sizes), own, _joined([part.features for part in parts], sizes))


def _taken(columns: Mapping[str, Sequence[object]], rows: Sequence[int]) -> dict[str, list[object]]:
    return {name: [values[row] for row in rows] for name, values in columns.items()}


def _joined(parts: Sequence[Mapping[str, Sequence[object]]], sizes: Sequence[int]) -> dict[str, list[object]]:
    names = dict.fromkeys(name for part in parts for name in part)
    joined: dict[str, list[object]] = {name: [] for name in names}
    for part, size in zip(parts, sizes, strict=True):
        for name, values in joined.items():
            values.extend(part[name] if name in part else [None] * size)
    return joined


@dataclass(frozen=True)
class ColumnRules:
    """Features that are left out, and features whose values are sent as keyed hashes."""

    leave_out: Collection[str] = frozenset()
    hashed: Collection[str] = frozenset()
    key: bytes = b""

    def keeps(self, name: str) -> bool:
        return name not in self.leave_out

    def hash(self, name: str, values: Iterable[object]) -> list[object]:
        """Return the hash of each value of a column, None of one that is missing or no scalar."""
        return [
            hash_value(self.key, name, value) if isinstance(value, str | int | float) else None
            for value in values
        ]


def hash_value(key: bytes, column: str, value: object) -> str | None:
    """Return the keyed hash of a value in a column, as `Monitor(hashed=...)` sends it; None of a missing one.

    It is 16 hexadecimal digits of BLAKE2b, the same for 1, 1.0, true and "1". A reference has the same values
    if its column is hashed by the same key.
    """
    text = canonical_text(value)
    if text is None:
        return None
    named = f"{column}\0{text}".encode("utf-8", "surrogatepass")
    return blake2b(named, digest_size=HASH_BYTES, key=key).hexdigest()
