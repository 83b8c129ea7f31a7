"""Statements about a reference, by its owner: in the model's metadata, or in a Parquet file's own.

Both have them under the key `monitoring` and with the same names, the file as JSON. A file says which of its
columns are which wherever it lies, also where the model was logged before it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

KEY = "monitoring"
MAX_STATEMENT_BYTES = 2**16
# Fields of `ReferenceData`, and their names in statements.
NAMES = {
    "target": "target",
    "task": "task",
    "split": "reference_split",
    "positive_class": "positive_class",
    "prediction": "prediction",
    "score": "score",
    "timestamp": "timestamp",
}


def known_statements(stated: Mapping[str, Any]) -> dict[str, str]:
    """Statements by field of `ReferenceData`; those that are unknown or no scalars are left out."""
    said = {field: stated.get(name) for field, name in NAMES.items()}
    # Only scalars: a list of YAML may hold another many times over, and that yet another.
    return {
        field: str(value)
        for field, value in said.items()
        if isinstance(value, str | int | float) and value != ""
    }


def with_statements(table: pa.Table, fields: Mapping[str, str]) -> pa.Table:
    """The table with statements for its file, by field of `ReferenceData`, instead of its other metadata."""
    stated = {NAMES[field]: value for field, value in fields.items() if value}
    return table.replace_schema_metadata({KEY: json.dumps(stated)})


def file_statements(path: Path) -> dict[str, str]:
    """Statements of a file by field of `ReferenceData`; empty where it has none, or is no Parquet.

    Raises:
        pa.ArrowException, OSError: the file cannot be read.
    """
    if path.suffix.lower() != ".parquet":
        return {}
    text = (pq.read_metadata(path).metadata or {}).get(KEY.encode(), b"")
    try:
        stated = json.loads(text) if 0 < len(text) <= MAX_STATEMENT_BYTES else {}
    except (ValueError, RecursionError):
        return {}
    return known_statements(stated) if isinstance(stated, dict) else {}
