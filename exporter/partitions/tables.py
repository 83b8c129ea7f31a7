"""Statements over the same tables of all partitions, each a UNION ALL of one part for each."""

# ruff: noqa: S608 - all names are our own, values are parameters

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from typing import Any, TypeAlias

import sqlalchemy as sa

from exporter.storage.partition import COMMIT, SWEPT, schema_name

ROWS_AT_ONCE = 4096  # a kilobyte each
# Columns of the primary keys and their types; of the first the rows of a version are chosen.
BLOCK_KEY = {"reference_id": "int", "family": "int", "start": "bigint", "segment": "text"}
OUTCOMES_KEY = {"reference_id": "int", "start": "bigint", "segment": "text"}

Key: TypeAlias = tuple[Any, ...]  # values of a primary key


@dataclass(frozen=True)
class Mark:
    """State of a partition: the number of its last commit, and that up to which tombstones are gone."""

    commit: int
    swept: int


class PartitionTables:
    """Tables of partitions, which are read in the order of `numbers`."""

    def __init__(self, numbers: Sequence[int]) -> None:
        self.numbers = tuple(numbers)

    def load_marks(self, connection: sa.Connection) -> dict[int, Mark]:
        """Mark of each partition."""
        query = self._union(
            f"SELECT {{number}}, key, value FROM {{schema}}.meta WHERE key IN ('{COMMIT}', '{SWEPT}')"
        )
        values: dict[int, dict[str, int]] = defaultdict(dict)
        for number, key, value in connection.exec_driver_sql(query):
            values[number][key] = int(value)
        return {number: Mark(each[COMMIT], each[SWEPT]) for number, each in values.items()}

    def load_states(
        self, connection: sa.Connection, seen: Mapping[int, int], version_ids: Collection[int]
    ) -> dict[int, dict[int, sa.Row[Any]]]:
        """Rows of `version_states` by version and partition, of versions that changed in any partition.

        Args:
            connection: of the transaction.
            seen: number of a commit by partition; changes of later ones are read, all without one.
            version_ids: of further versions.
        """
        columns = "version_id, reference_id, last_prediction, waiting_rows, unknown_columns, totals"
        changed = self._union("SELECT version_id FROM {schema}.version_states WHERE " + _CHANGED)
        states = self._union(
            f"SELECT {{number}} AS number, {columns} FROM {{schema}}.version_states "
            "WHERE version_id = ANY(%(versions)s::int[]) OR version_id IN (SELECT version_id FROM changed)"
        )
        query = f"WITH changed AS MATERIALIZED ({changed}) {states}"
        given = {"seen": self._seen(seen), "versions": list(version_ids)}
        found: dict[int, dict[int, sa.Row[Any]]] = defaultdict(dict)
        for row in sorted(connection.exec_driver_sql(query, given), key=itemgetter(0)):
            found[row.version_id][row.number] = row
        return found

    def load_maturations(
        self, connection: sa.Connection, reference_ids: Collection[int]
    ) -> dict[int, dict[int, float]]:
        """Maturations in seconds by reference and partition, where outcomes were counted by one."""
        query = self._union(
            "SELECT {number}, reference_id, maturation_seconds FROM {schema}.reference_states "
            "WHERE reference_id = ANY(%(references)s::int[])"
        )
        found: dict[int, dict[int, float]] = defaultdict(dict)
        given = {"references": list(reference_ids)}
        for number, reference_id, seconds in connection.exec_driver_sql(query, given):
            found[reference_id][number] = seconds
        return found

    def changed_keys(
        self,
        connection: sa.Connection,
        table: str,
        key: Mapping[str, str],
        seen: Mapping[int, int],
        reference_ids: Collection[int],
    ) -> list[Key]:
        """Sorted keys of the rows of some references that changed in any partition, see `load_states`."""
        if not reference_ids:
            return []
        names = ", ".join(key)
        changed = self._union(
            f"SELECT {names} FROM {{schema}}.{table} WHERE {_CHANGED} "
            "AND reference_id = ANY(%(references)s::int[])"
        )
        query = f"SELECT DISTINCT {names} FROM ({changed}) AS changed"
        given = {"seen": self._seen(seen), "references": list(reference_ids)}
        return sorted(map(tuple, connection.exec_driver_sql(query, given)))

    def load_payloads(
        self, connection: sa.Connection, table: str, key: Mapping[str, str], keys: Sequence[Key]
    ) -> Iterator[tuple[Key, list[bytes]]]:
        """Payloads of each key in the order of the partitions; empty for a key that all have deleted."""
        names, given = ", ".join(key), ", ".join(f"%({name})s::{type_}[]" for name, type_ in key.items())
        same = " AND ".join(f"counts.{name} = wanted.{name}" for name in key)
        rows = self._union(
            f"SELECT {', '.join(f'counts.{name}' for name in key)}, {{number}} AS number, payload "
            f"FROM wanted JOIN {{schema}}.{table} AS counts ON {same}"
        )
        query = f"WITH wanted AS MATERIALIZED (SELECT * FROM unnest({given}) AS t({names})) {rows}"
        step = max(1, ROWS_AT_ONCE // len(self.numbers))
        for first in range(0, len(keys), step):
            some = keys[first : first + step]
            columns = dict(zip(key, map(list, zip(*some, strict=True)), strict=True))
            found = sorted(map(tuple, connection.exec_driver_sql(query, columns)))
            by_key = {each: list(group) for each, group in groupby(found, itemgetter(slice(len(key))))}
            for each in some:
                yield each, [bytes(row[-1]) for row in by_key.get(each, ()) if row[-1]]

    def _seen(self, seen: Mapping[int, int]) -> list[int]:
        return [seen.get(number, 0) for number in self.numbers]

    def _union(self, part: str) -> str:
        return _union(part, self.numbers)


_CHANGED = "changed > (%(seen)s::bigint[])[{place}]"


@lru_cache
def _union(part: str, numbers: tuple[int, ...]) -> str:
    return " UNION ALL ".join(
        part.format(number=number, place=place, schema=schema_name(number))
        for place, number in enumerate(numbers, 1)
    )
