"""A partition of a topic as a store: a schema of PostgreSQL with tables of its own, beside shared ones.

Unqualified names find the partition's own tables first and the shared ones behind them. The shared tables are
written by the evaluator, those of a partition by the one worker that has it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from exporter.errors import ConfigError, StoreError
from exporter.storage import schema
from exporter.storage.sampled_rows import SAMPLE_KEY, new_key
from exporter.storage.schema import SCHEMA_VERSION

# Keys in the `meta` table of a partition.
TOPIC, COUNT, OFFSET = "topic", "partitions", "next_offset"
COMMIT = "commit"  # number of the last one that changed counts
SWEPT = "swept"  # tombstones of commits up to this one are gone
MARK = "mark"  # a commit and its time, as JSON: its tombstones are swept next

_OWN = (
    schema.meta,
    schema.reference_states,
    schema.version_states,
    schema.aggregates,
    schema.outcomes,
    schema.aggregate_sources,
    schema.models,
    schema.activity,
    schema.batches,
    schema.spool,
    schema.sstables,
    schema.sampled_rows,
)
_LOCK = 0x6D6C6670  # any number, the same for every exporter: partitions are made one after the other
_SELECT_NAMES = sa.text(
    "SELECT nspname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace "
    "WHERE relname = 'meta' AND nspname ~ '^partition_[0-9]+$'"
)
_SELECT_SHARED = sa.text(
    "SELECT quote_ident(nspname) FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace "
    "WHERE pg_class.oid = to_regclass('versions')"
)


@dataclass(frozen=True)
class Partition:
    """Partition of a topic that has `count` of them."""

    number: int
    topic: str
    count: int

    @property
    def schema(self) -> str:
        """Name of its schema in PostgreSQL."""
        return schema_name(self.number)


@dataclass(frozen=True)
class Partitions:
    """Partitions in a database: `numbers` of those that have a store, of `count` in the topic."""

    topic: str
    count: int
    numbers: tuple[int, ...]


def schema_name(number: int) -> str:
    """Name of the schema of a partition."""
    return f"partition_{number}"


def search_first(name: str) -> Callable[[Any, object], None]:
    """Listener that has new connections of psycopg look for tables in a schema first."""

    def configure(connection: Any, _record: object) -> None:
        connection.execute(
            "SELECT set_config('search_path', %s || ', ' || current_setting('search_path'), false)", (name,)
        )
        connection.commit()  # or a rollback would take it back

    return configure


def find_partitions(connection: sa.Connection) -> Partitions | None:
    """Partitions that have a store, None if none has."""
    numbers = sorted(int(name.rpartition("_")[2]) for name in connection.scalars(_SELECT_NAMES))
    if not numbers:
        return None
    parts = [
        f"SELECT key, value FROM {schema_name(number)}.meta WHERE key IN ('{TOPIC}', '{COUNT}')"  # noqa: S608
        for number in numbers
    ]
    said = {tuple(row) for row in connection.exec_driver_sql(" UNION ALL ".join(parts))}
    values = dict(said)
    if len(said) != 2:
        raise StoreError("partitions of several topics are in the database")
    return Partitions(values[TOPIC], int(values[COUNT]), tuple(numbers))


def check_topic(found: Partitions | None, topic: str, count: int) -> None:
    """Check that a topic is the one that the partitions in a database are of.

    Raises:
        ConfigError: it is another one, or has another number of partitions.
    """
    if found is None or (found.topic, found.count) == (topic, count):
        return
    raise ConfigError(
        f"the topic {topic} has {count} partitions, the database is of {found.topic} with {found.count}: a "
        "label would be looked for in another partition than its prediction. Use the former topic, or a new "
        "one with a new database"
    )


def open_partition(connection: sa.Connection, partition: Partition) -> None:
    """Make the tables of a partition that has none yet, in the connection's transaction.

    Raises:
        ConfigError: the database has partitions of another topic, or of another number of them.
        StoreError: the shared tables, or those of the partition, are missing or of another schema.
    """
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    shared = connection.scalar(_SELECT_SHARED)
    if shared is None:
        raise StoreError("the database has no tables of an exporter yet: start the evaluator first")
    _check_schema(connection, shared, "the evaluator's")
    found = find_partitions(connection)
    check_topic(found, partition.topic, partition.count)
    if found is not None and partition.number in found.numbers:
        _check_schema(connection, partition.schema, "the partition's")
        return
    connection.execute(sa.schema.CreateSchema(partition.schema))
    schema.metadata.create_all(connection, tables=_OWN, checkfirst=False)
    values = {
        "schema_version": str(SCHEMA_VERSION),
        TOPIC: partition.topic,
        COUNT: str(partition.count),
        COMMIT: "0",
        SWEPT: "0",
        SAMPLE_KEY: _share_key(connection, shared),
    }
    rows = [{"key": key, "value": value} for key, value in values.items()]
    connection.execute(schema.meta.insert(), rows)


def _check_schema(connection: sa.Connection, where: str, whose: str) -> None:
    query = sa.text(f"SELECT value FROM {where}.meta WHERE key = 'schema_version'")  # noqa: S608 - a name
    found = connection.scalar(query)
    if found != str(SCHEMA_VERSION):
        raise StoreError(
            f"{whose} tables have schema {found}, this program needs {SCHEMA_VERSION}: run the evaluator and "
            "the workers in the same version, the evaluator first"
        )


def _share_key(connection: sa.Connection, shared: str) -> str:
    """Key of the sample that is the same in all partitions, made the first time."""
    put = f"INSERT INTO {shared}.meta VALUES (:key, :value) ON CONFLICT (key) DO NOTHING"  # noqa: S608 - a name
    connection.execute(sa.text(put), {"key": SAMPLE_KEY, "value": new_key()})
    query = sa.text(f"SELECT value FROM {shared}.meta WHERE key = :key")  # noqa: S608 - a name
    return str(connection.execute(query, {"key": SAMPLE_KEY}).scalar_one())


def partition_values(connection: sa.Connection, keys: Sequence[str]) -> dict[str, str]:
    """Values of the `meta` table of the partition of a connection."""
    query = sa.select(schema.meta.c.key, schema.meta.c.value).where(schema.meta.c.key.in_(keys))
    return {row.key: row.value for row in connection.execute(query)}
