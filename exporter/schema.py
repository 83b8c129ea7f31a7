"""The tables of the store, and the values that go in and out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Generic, NamedTuple, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from exporter.arrays import Floats, Ints
from exporter.pairs import StoredPrediction

SCHEMA_VERSION = 2
FINE, COARSE = 0, 1  # families of aggregates
DAY_SECONDS = 86400
_Row = TypeVar("_Row")

metadata = sa.MetaData()
meta = sa.Table(
    "meta", metadata, sa.Column("key", sa.String, primary_key=True), sa.Column("value", sa.String)
)
versions = sa.Table(
    "versions",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("model", sa.String, nullable=False),
    sa.Column("version", sa.String, nullable=False),
    # A model that was deleted and registered again has the same names, and nothing else in common.
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("last_prediction", sa.Float),
    sa.Column("status", sa.String, nullable=False, server_default=""),
    sa.UniqueConstraint("model", "version", "created_ms"),
)
references = sa.Table(
    "reference_profiles",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("version_id", sa.Integer, nullable=False, index=True),
    sa.Column("digest", sa.String, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("payload", sa.LargeBinary, nullable=False),
)
aggregates = sa.Table(
    "aggregates",
    metadata,
    sa.Column("reference_id", sa.Integer, primary_key=True),
    sa.Column("family", sa.SmallInteger, primary_key=True),
    sa.Column("start", sa.BigInteger, primary_key=True),
    sa.Column("segment", sa.String, primary_key=True, server_default=""),  # empty: of all rows
    sa.Column("payload", sa.LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)
outcomes = sa.Table(
    "outcomes",
    metadata,
    sa.Column("reference_id", sa.Integer, primary_key=True),
    sa.Column("start", sa.BigInteger, primary_key=True),
    sa.Column("segment", sa.String, primary_key=True, server_default=""),
    sa.Column("payload", sa.LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)
models = sa.Table(
    "models",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String, nullable=False, unique=True),
)
aliases = sa.Table(
    "alias_history",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("model", sa.String, nullable=False),
    sa.Column("alias", sa.String, nullable=False),
    sa.Column("version", sa.String, nullable=False),  # empty: the alias was removed
    sa.Column("since", sa.Float, nullable=False),
)
batches = sa.Table(
    "batches",
    metadata,
    sa.Column("key", sa.LargeBinary(16), primary_key=True),
    sa.Column("body", sa.LargeBinary(16), nullable=False),
    sa.Column("at", sa.Float, nullable=False, index=True),
)
spool = sa.Table(
    "spool",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("version_id", sa.Integer, nullable=False, index=True),
    sa.Column("content_type", sa.String, nullable=False),
    sa.Column("query", sa.String, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("rows", sa.Integer, nullable=False),
    sa.Column("row_numbers", sa.LargeBinary, nullable=False),
    sa.Column("times", sa.LargeBinary, nullable=False),
)
id_filters = sa.Table(
    "id_filters",
    metadata,
    sa.Column("name", sa.String, primary_key=True),  # of the table
    sa.Column("payload", sa.LargeBinary, nullable=False),
)
audit = sa.Table(
    "audit",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("by", sa.String, nullable=False),
    sa.Column("action", sa.String, nullable=False),
    sa.Column("model", sa.String, nullable=False),
    sa.Column("version", sa.String, nullable=False),
    sa.Column("old_digest", sa.String, nullable=False),
    sa.Column("new_digest", sa.String, nullable=False),
    sa.Column("reason", sa.String, nullable=False),
)


class PredictionRow(NamedTuple):
    """What is kept of a prediction with an id: what a label will need. The fields are the table's columns."""

    id_hash: bytes
    version_id: int
    payload: int
    at: float
    prediction: str | None
    score: float | None
    scores: str | None = None
    segments: str | None = None

    @property
    def stored(self) -> StoredPrediction:
        """What is read of it to be joined."""
        return (
            self.id_hash,
            self.version_id,
            self.at,
            self.prediction,
            self.score,
            self.scores,
            self.segments,
        )


class LabelRow(NamedTuple):
    """A label as it is kept. The fields are the table's columns.

    `at` is when its first value became known: a correction mends what was counted then. `matched` is whether
    a prediction with its id was there.
    """

    id_hash: bytes
    model_id: int
    label: str
    at: float
    matched: bool


@dataclass(frozen=True)
class IdKind(Generic[_Row]):
    """A kind of rows that are found by id, in tables of one UTC day, numbered from 1970; see `IdTables`.

    Tables are named `prefix` and the day. The first `keys` of the columns are distinct.
    """

    prefix: str
    make: Callable[[Iterable[Any]], _Row]
    column_types: tuple[tuple[str, Any, bool], ...]  # name, type, whether it may be missing
    keys: int

    @cached_property
    def columns(self) -> tuple[str, ...]:
        return tuple(name for name, _, _ in self.column_types)

    @lru_cache(maxsize=64)  # noqa: B019 - there are two kinds, for good
    def heap(self, name: str) -> sa.Table:
        """Rows in the order of their arrival, `n`."""
        number = sa.Column(
            "n", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=False
        )
        return sa.Table(name, sa.MetaData(), *self._columns(0), number)

    @lru_cache(maxsize=64)  # noqa: B019
    def sealed(self, name: str) -> sa.Table:
        """Rows in the order of their keys."""
        return sa.Table(name, sa.MetaData(), *self._columns(self.keys), sqlite_with_rowid=False)

    def _columns(self, keys: int) -> list[sa.Column[Any]]:
        return [
            sa.Column(name, kind, nullable=missing, primary_key=place < keys, autoincrement=False)
            for place, (name, kind, missing) in enumerate(self.column_types)
        ]


PREDICTIONS = IdKind(
    prefix="predictions_",
    make=PredictionRow._make,
    column_types=(
        ("id_hash", sa.LargeBinary(16), False),
        ("version_id", sa.Integer, False),
        ("payload", sa.BigInteger, False),
        ("at", sa.Float, False),
        ("prediction", sa.String, True),
        ("score", sa.Float, True),
        ("scores", sa.String, True),  # of several classes, see ClassScores.text
        ("segments", sa.String, True),  # see segments_of_rows
    ),
    keys=2,
)
LABELS = IdKind(
    prefix="labels_",
    make=LabelRow._make,
    column_types=(
        ("id_hash", sa.LargeBinary(16), False),
        ("model_id", sa.Integer, False),
        ("label", sa.String, False),
        ("at", sa.Float, False),
        ("matched", sa.Boolean, False),
    ),
    keys=1,
)


@lru_cache(maxsize=256)
def create_statement(table: sa.Table, dialect: sa.Dialect) -> str:
    return str(sa.schema.CreateTable(table, if_not_exists=True).compile(dialect=dialect))


@lru_cache
def upsert(table: sa.Table, column: str, dialect: str) -> Any:
    """Insert rows, or set `column` of those whose primary key is there."""
    insert = sqlite.insert if dialect == "sqlite" else postgresql.insert
    statement = insert(table)
    return statement.on_conflict_do_update(
        index_elements=list(table.primary_key), set_={column: statement.excluded[column]}
    )


@dataclass(frozen=True)
class SpooledRequest:
    """A request that waits for its version's reference: its body, which of its rows, and their times."""

    content_type: str
    query: dict[str, str]
    body: bytes
    row_numbers: Ints
    times: Floats


@dataclass(frozen=True)
class AliasMove:
    """From `since` on the alias points to `version`; empty where it was removed."""

    model: str
    alias: str
    version: str
    since: float


@dataclass(frozen=True)
class AuditEntry:
    """Who changed what on purpose, when and why. Digests are of references, the old one empty where there
    was none."""

    at: float
    by: str
    action: str
    model: str
    version: str
    old_digest: str
    new_digest: str
    reason: str


@dataclass(frozen=True)
class StoredVersion:
    """What is kept of a version: `status` as `set_status` left it, empty before; `spooled_rows` wait."""

    key: int
    model: str
    version: str
    created_ms: int
    last_prediction: float | None
    status: str
    spooled_rows: int
