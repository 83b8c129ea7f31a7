"""Folds files in one process, within bounded memory: Parquet, Arrow and ORC, as pyarrow reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds

from exporter.errors import ConfigError, MalformedError
from exporter.folding.fold import Folder
from exporter.folding.reference_document import FoldingReference
from exporter.formats.tables import without_index
from exporter.payloads.columns import OWN_FIELDS

BATCH_ROWS = 65_536
READ_AHEAD = 2  # batches, and files, beside the ones that are folded
FORMATS = ("parquet", "arrow", "orc")
# Files in the directory of such a table are not all of its current version.
_TABLES = {"_delta_log": "Delta", "metadata": "Iceberg"}


class Columns:
    """Columns of a schema that folding reads, under the names that it reads them by.

    Args:
        schema: of the rows.
        reference: by which they are folded.
        names: column of each of a row's own fields that has another name.

    Raises:
        ConfigError: a named column is not there.
    """

    def __init__(self, schema: pa.Schema, reference: FoldingReference, names: Mapping[str, str]) -> None:
        given = without_index(schema.empty_table()).schema.names
        missing = [name for name in names.values() if name not in given]
        if missing:
            raise ConfigError(f"no column {missing[0]!r}; there are {', '.join(given[:20])}")
        renamed = {column: own for own, column in names.items()}
        shadowed = {own for own in names if names[own] != own}
        known = reference.reference.feature_names | {*OWN_FIELDS, "features"}
        self.renamed: dict[str, str] = {}  # name that folding reads, by column
        unknown = []
        for name in given:
            wanted = renamed.get(name, name)
            if wanted == "id" or (name in shadowed and name not in renamed):
                continue  # ids are not counted
            if wanted in known:
                self.renamed[name] = wanted
            else:
                unknown.append(name)
        self.unknown_columns = reference.reference.unknown_columns(unknown)

    @property
    def names(self) -> list[str]:
        """Columns that are read."""
        return [*self.renamed]

    def rename(self, table: pa.Table) -> pa.Table:
        """The columns of a table with `names`, as folding reads them."""
        return table.rename_columns([self.renamed[name] for name in table.schema.names])


def fold_files(
    paths: Sequence[str | Path],
    reference: FoldingReference,
    *,
    file_format: str = "parquet",
    names: Mapping[str, str] | None = None,
    hourly: bool = False,
    untimed_at: float | None = None,
) -> Folder:
    """Fold the rows of files, and of all files in directories.

    Args:
        paths: of files and directories.
        reference: of the version that the rows are of.
        file_format: one of `FORMATS`.
        names: column of each of a row's own fields that has another name.
        hourly: fold by hour, see `Folder`.
        untimed_at: time of rows that have none, see `Folder`.

    Raises:
        ConfigError: there are no such files or columns, or they are those of a table of Delta or Iceberg.
        MalformedError: a row cannot be read; nothing is to be sent.
    """
    for path in paths:
        _check_directory(Path(path))
    folder = Folder(reference, hourly=hourly, untimed_at=untimed_at)
    for path in paths:
        try:
            dataset = ds.dataset(path, format=file_format, partitioning="hive")
        except (OSError, pa.ArrowException) as error:
            raise ConfigError(f"{path}: {error}") from None
        columns = Columns(dataset.schema, reference, names or {})
        options = {"batch_size": BATCH_ROWS, "batch_readahead": READ_AHEAD, "fragment_readahead": READ_AHEAD}
        try:
            for batch in dataset.scanner(columns=columns.names, **options).to_batches():
                folder.add_rows(columns.rename(pa.Table.from_batches([batch])), columns.unknown_columns)
        except (OSError, pa.ArrowException) as error:
            raise MalformedError(f"{path}: {error}") from None
    return folder


def _check_directory(path: Path) -> None:
    """
    Raises:
        ConfigError: it is the directory of a table, with files of several versions of it.
    """
    for name, kind in _TABLES.items():
        inside = path / name
        if inside.is_dir() and (name != "metadata" or any(inside.glob("*.metadata.json"))):
            raise ConfigError(
                f"{path} is a table of {kind}, whose files are of several versions: read it with Spark, "
                "see exporter/folding/README.md"
            )
