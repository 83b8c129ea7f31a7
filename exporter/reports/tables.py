"""Tables that Evidently takes: clean columns of window and reference, and notes on what was left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pandas as pd

from exporter.config.named_metrics import NamedMetric
from exporter.errors import ReportError
from exporter.formats.texts import listed, printable
from exporter.reference.bins import ColumnKind
from exporter.reports.cleaning import (
    MAX_CATEGORIES,
    CleanColumn,
    clean,
    clean_texts,
    limit_categories,
)
from exporter.reports.contents import ReportColumn, ReportInput
from exporter.reports.outputs import CleanOutputs, clean_outputs, prediction_kind
from exporter.reports.rows import read_live, read_reference_rows

MAX_COLUMNS = 50  # each takes a tenth of a second, and 20 kB of the compressed page
MAX_LISTED = 20  # names in a note
Kind = Literal["number", "category", "text", "time"]


@dataclass(frozen=True)
class ReportTables:
    """Window and reference, None without one, with the same columns.

    `kinds` are by column. `names` are the columns of prediction, score and target, by role, as far as they
    are there. `features` are in the order in which they are shown. `outputs` are the clean outputs of the
    window and, where there is one, of the reference.
    """

    current: pd.DataFrame
    reference: pd.DataFrame | None
    kinds: Mapping[str, Kind]
    features: tuple[ReportColumn, ...]
    names: Mapping[str, str]
    outputs: tuple[CleanOutputs, ...]
    notes: tuple[str, ...]

    def of_kind(self, kind: Kind) -> list[str]:
        """Columns of this kind."""
        return [name for name, each in self.kinds.items() if each == kind]


def make_tables(given: ReportInput) -> ReportTables:
    """Clean the rows of a report.

    Raises:
        ReportError: the window has no rows.
    """
    notes = list(given.notes)
    features = [column for column in given.columns if column.role == "feature"]
    if len(features) > MAX_COLUMNS:
        beyond = [column.name for column in features[MAX_COLUMNS:]]
        notes.append(f"at most {MAX_COLUMNS} columns are shown; left out: {listed(beyond, MAX_LISTED)}")
        features = features[:MAX_COLUMNS]
    names = [column.name for column in features]
    live, base = read_live(given.rows, names), read_reference_rows(given.reference_rows, names)
    if not len(live):
        raise ReportError("no rows of the window were sampled")
    if base is None:
        notes.append("the reference's rows are not stored, so nothing is compared with them")
    making = _Making(has_reference=base is not None, notes=notes)
    texts = _text_columns(given.descriptors, names)
    kept = []
    for column in features:
        raw = [live.features[column.name], *([base.features[column.name]] if base is not None else [])]
        if making.add(column.name, "text" if column.name in texts else column.kind, raw):
            kept.append(column)
    outputs = [clean_outputs(given, rows) for rows in (live, base) if rows is not None]
    own = making.add_outputs(given, outputs)
    return ReportTables(
        current=pd.DataFrame(making.current),
        reference=pd.DataFrame(making.reference) if base is not None else None,
        kinds=making.kinds,
        features=tuple(kept),
        names=own,
        outputs=tuple(outputs),
        notes=tuple(making.notes),
    )


def _text_columns(descriptors: Sequence[NamedMetric], names: Sequence[str]) -> set[str]:
    """Columns that descriptors read."""
    named: set[str] = set()
    for descriptor in descriptors:
        for value in descriptor.arguments.values():
            named.update(value if isinstance(value, list) else [value] if isinstance(value, str) else [])
    return named & set(names)


@dataclass
class _Making:
    """ReportTables in the making, column by column."""

    has_reference: bool
    notes: list[str]
    current: dict[str, Any] = field(default_factory=dict)
    reference: dict[str, Any] = field(default_factory=dict)
    kinds: dict[str, Kind] = field(default_factory=dict)

    def add(self, name: str, kind: ColumnKind | Literal["text"], raw: Sequence[Sequence[Any]]) -> bool:
        """Add a column of raw values, of the window and of the reference; false if it is left out."""
        return self.add_clean(name, kind, [clean_texts(v) if kind == "text" else clean(kind, v) for v in raw])

    def add_clean(
        self,
        name: str,
        kind: ColumnKind | Literal["text"],
        columns: Sequence[CleanColumn],
        expected: str = "",
    ) -> bool:
        """The same of clean values; `expected` says what they have to be."""
        shown = printable(name)
        places = ("the window", "the reference")
        expected = expected or {"number": "numbers", "time": "times"}.get(kind, "single values")
        if self._note_wrong(shown, expected, columns):
            return False
        for column, place in zip(columns, places, strict=False):
            if not column.present:
                self.notes.append(f"column {shown} is left out: it has no value in {place}")
                return False
        values = [column.values for column in columns]
        if kind in ("category", "boolean"):
            values, count = limit_categories(*values)
            if count > MAX_CATEGORIES:
                self.notes.append(
                    f"column {shown}: of {count:,} categories the {MAX_CATEGORIES} most frequent are shown"
                )
        self.kinds[name] = "category" if kind == "boolean" else kind
        for table, each in zip((self.current, self.reference), values, strict=False):
            table[name] = series(self.kinds[name], each)
        return True

    def _note_wrong(self, shown: str, expected: str, columns: Sequence[CleanColumn]) -> bool:
        """Note values that count as missing; true if the column has no others."""
        wrong, infinite = sum(c.wrong for c in columns), sum(c.infinite for c in columns)
        if any(column.wrong and not column.present for column in columns):
            self.notes.append(f"column {shown} is left out: its values are no {expected}")
            return True
        if wrong:
            self.notes.append(f"column {shown}: {wrong:,} values are no {expected} and count as missing")
        if infinite:
            self.notes.append(f"column {shown}: {infinite:,} infinite values count as missing")
        return False

    def add_outputs(self, given: ReportInput, outputs: Sequence[CleanOutputs]) -> dict[str, str]:
        """Add predictions, scores and labels that both tables have; the names of their columns, by role."""
        found = {}
        labels = [each.labels for each in outputs]
        label_kind: ColumnKind = "number" if given.task == "regression" else "category"
        for role, kind, columns in (
            ("prediction", prediction_kind(given), [each.predictions for each in outputs]),
            ("score", "number", [each.scores for each in outputs]),
            ("target", label_kind, labels if given.task and all(c.present for c in labels) else []),
        ):
            if any(column.present or column.wrong for column in columns):
                name = role if role not in self.kinds else f"{role} (of the model)"
                expected = "class of the model" if role == "target" and given.classes else ""
                if self.add_clean(name, kind, columns, expected):
                    found[role] = name
        return found


def series(kind: Kind, values: Sequence[Any]) -> pd.Series[Any]:
    """A column of clean values."""
    if kind == "number":
        return pd.Series(values, dtype="float64")
    return pd.Series(values, dtype="datetime64[ns]" if kind == "time" else "object")
