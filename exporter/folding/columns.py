"""Columns of rows that are folded: which are read, and under which names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from exporter.errors import ConfigError
from exporter.folding.reference_document import FoldingReference
from exporter.payloads.columns import OWN_FIELDS


@dataclass(frozen=True)
class Columns:
    """Columns that are read: `renamed` are the names under which folding knows them, by column.

    `unknown` are columns that the reference lacks, which are not read.
    """

    renamed: Mapping[str, str]
    unknown: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls, given: Sequence[str], reference: FoldingReference, names: Mapping[str, str] | None = None
    ) -> Columns:
        """Choose from the given columns.

        Args:
            given: all that there are.
            reference: by which the rows are folded.
            names: column of each of a row's own fields that has another name.

        Raises:
            ConfigError: a named column is not there, or one that every row needs.
        """
        chosen = {own: own for own in OWN_FIELDS if own in given} | dict(names or {})
        missing = [column for column in chosen.values() if column not in given]
        missing += [own for own in ("prediction",) if own not in chosen]
        if missing:
            raise ConfigError(f"no column {missing[0]!r}; there are {', '.join(given[:20])}")
        own_of = {column: own for own, column in chosen.items()}
        replaced = {own for own, column in chosen.items() if own != column}
        features = [name for name in given if name not in own_of and name not in replaced]
        known = {*reference.reference.feature_names, "features"}
        renamed = {name: name for name in features if name in known} | own_of
        unknown = reference.reference.unknown_columns(name for name in features if name not in known)
        # Ids are not counted, and take long to read.
        return cls({name: own for name, own in renamed.items() if own != "id"}, unknown)

    @property
    def names(self) -> list[str]:
        """Columns that are read."""
        return [*self.renamed]

    def rename(self, table: pa.Table) -> pa.Table:
        """The columns `names` of a table, as folding knows them."""
        return table.rename_columns([self.renamed[name] for name in table.schema.names])
