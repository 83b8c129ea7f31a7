"""Reference data: a file or a table, and what the owner says of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from exporter.config.models import Columns
from exporter.reference.bins import Column


@dataclass(frozen=True)
class ReferenceFile:
    """A file with reference data.

    `said` are fields of `ReferenceData` by name, which win over the file's own statements; `assumed` are
    those for which neither says anything.
    """

    path: Path
    source: str
    said: Mapping[str, Any] = field(default_factory=dict)
    assumed: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ReferenceData:
    """A reference as it was found: the table, and what its owner says of it.

    `task` and `positive_class` may be empty: the task is then inferred, and the positive class is found as
    `with_classes` says. `target`, `prediction`, `score` and `timestamp` name columns; where they are empty,
    `choose_roles` says which those are. `inputs` are the model's inputs by its signature, with their types,
    empty where it has none. `columns` says which features are looked at, `segments` which of them slice the
    rows. `frozen` are columns by role, of predictions and scores, whose bins are given.
    """

    table: pa.Table
    source: str
    task: str = ""
    target: str = ""
    split: str = ""
    notes: tuple[str, ...] = ()
    positive_class: str = ""
    columns: Columns = field(default_factory=Columns)
    segments: tuple[str, ...] = ()
    prediction: str = ""
    score: str = ""
    timestamp: str = ""
    inputs: Mapping[str, str] = field(default_factory=dict)
    frozen: Mapping[str, Column] = field(default_factory=dict)

    @property
    def named(self) -> dict[str, str]:
        """Columns that the owner named, by role."""
        names = {role: getattr(self, role) for role in ("prediction", "score", "timestamp", "target")}
        return {role: name for role, name in names.items() if name}
