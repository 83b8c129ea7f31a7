"""Folds files in one process, within bounded memory: Parquet, Arrow and ORC, as pyarrow reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds

from exporter.errors import ConfigError, MalformedError
from exporter.folding.columns import Columns
from exporter.folding.fold import Folder
from exporter.folding.reference_document import FoldingReference
from exporter.formats.tables import without_index

BATCH_ROWS = 65_536
READ_AHEAD = 2  # batches, and files, beside the ones that are folded
# Files in the directory of such a table are not all of its current version.
_TABLES = {"_delta_log": "Delta", "metadata": "Iceberg"}


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
        file_format: as pyarrow's datasets name it.
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
        given = without_index(dataset.schema.empty_table()).schema.names
        columns = Columns.of(given, reference, names)
        options = {"batch_size": BATCH_ROWS, "batch_readahead": READ_AHEAD, "fragment_readahead": READ_AHEAD}
        try:
            folder.add_batches(dataset.to_batches(columns=columns.names, **options), columns)
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
