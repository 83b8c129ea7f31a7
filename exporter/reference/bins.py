"""Columns, their frozen bins, and where these lie in a version's vector of counts.

All counts of a version are one flat vector: column after column, each with its *cells*. A value falls into
exactly one cell, so a column's cells always add up to its rows:

    number, time       bins by `edges`: the first is below the reference's range, the last above it
    category, boolean  one bin per category, then `(other)`, then `(unseen)`
    every kind         then `(missing)` and `(mismatch)`, which stay out of drift

So every window is one vector, and every measure is array arithmetic over it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from exporter.formats.texts import storable
from exporter.measures.layout import CellLayout
from exporter.payloads.limits import MAX_NAME_LENGTH
from exporter.typing import Floats, Ints

Role = Literal["feature", "prediction", "score", "label"]
ColumnKind = Literal["number", "category", "boolean", "time"]

MISSING, MISMATCH = "(missing)", "(mismatch)"
OTHER, UNSEEN = "(other)", "(unseen)"
MAX_UNKNOWN_COLUMNS = 20  # names of a version's live columns that its reference lacks


@dataclass(frozen=True)
class Column:
    """One column and its frozen bins.

    `edges` (number, time; strictly increasing) make `len(edges) + 1` bins, edge k being the first value of
    bin k + 1. `categories` are canonical texts. `known` are sorted 64-bit hashes of the reference's rarer
    categories: a value neither in `categories` nor in `known` is unseen, unless `known_complete` is False,
    since there were too many. `center`, `scale`, `low` and `high` standardise and winsorise the moments.
    `unjudged` is the reason why drift is not judged, empty if it is.
    """

    name: str
    role: Role
    kind: ColumnKind
    edges: Floats = field(default_factory=lambda: np.empty(0))
    categories: tuple[str, ...] = ()
    known: npt.NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, np.uint64))
    known_complete: bool = True
    center: float = 0.0
    scale: float = 1.0
    low: float = -np.inf
    high: float = np.inf
    unjudged: str = ""

    @property
    def numeric(self) -> bool:
        return self.kind in ("number", "time")

    @property
    def bins(self) -> int:
        """Number of cells used for drift: all but missing and mismatch."""
        return len(self.edges) + 1 if self.numeric else len(self.categories) + 2

    @property
    def cells(self) -> int:
        return self.bins + 2

    @cached_property
    def category_cells(self) -> dict[str, int]:
        """Cell of each listed category within the column."""
        return {text: cell for cell, text in enumerate(self.categories)}

    @cached_property
    def cell_names(self) -> tuple[str, ...]:
        """Name of each cell; it begins with the index, so that names are unique and sort like the bins."""
        if self.numeric:
            names = _interval_names(self.edges)
        else:
            shown = self.categories
            if self.kind == "boolean":
                shown = tuple({"0": "false", "1": "true"}[text] for text in shown)
            names = [text if len(text) <= 40 else text[:39] + "…" for text in shown] + [OTHER, UNSEEN]
        return tuple(f"{index:02d} {name}" for index, name in enumerate([*names, MISSING, MISMATCH]))

    def state(self) -> dict[str, Any]:
        """The column as JSON values, which `restore` reads."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        lists = {name: values[name].tolist() for name in ("edges", "known")}
        return values | lists | {"categories": list(self.categories)}

    @classmethod
    def restore(cls, state: dict[str, Any]) -> Column:
        """The column that `state` wrote."""
        own = {
            "edges": np.array(state["edges"], np.float64),
            "categories": tuple(state["categories"]),
            "known": np.array(state["known"], np.uint64),
        }
        return cls(**state | own)


def segment_name(column: Column, category: int) -> str:
    """Name of the segment of a category; a long name is cut and includes the category's index."""
    text = column.categories[category]
    if column.kind == "boolean":
        text = {"0": "false", "1": "true"}[text]
    short = text if len(text) <= 60 else f"{text[:59]}… ({category:02d})"
    return storable(f"{column.name}={short}")


def _interval_names(edges: Floats) -> list[str]:
    for digits in (4, 6, 9, 17):  # the shortest that distinguishes all edges
        texts = [f"{edge:.{digits}g}" for edge in edges]
        if len(set(texts)) == len(texts):
            break
    if not texts:
        return ["(any)"]
    inner = [f"[{low}, {high})" for low, high in pairwise(texts)]
    return [f"< {texts[0]}", *inner, f">= {texts[-1]}"]


@dataclass(frozen=True)
class BinLayout:
    """Columns and their cells side by side in one flat vector."""

    columns: tuple[Column, ...]

    @cached_property
    def offsets(self) -> Ints:
        """(columns + 1,) positions: column i has the cells from offsets[i] to offsets[i + 1] - 1."""
        return np.concatenate([[0], np.cumsum([column.cells for column in self.columns])]).astype(np.int64)

    @property
    def cells(self) -> int:
        return int(self.offsets[-1])

    @cached_property
    def feature_names(self) -> frozenset[str]:
        return frozenset(column.name for column in self.columns if column.role == "feature")

    def unknown_columns(self, names: Iterable[str]) -> frozenset[str]:
        """Names of features that the reference lacks, the first `MAX_UNKNOWN_COLUMNS` in order."""
        unknown = set(names) - self.feature_names
        return frozenset(name[:MAX_NAME_LENGTH] for name in sorted(unknown)[:MAX_UNKNOWN_COLUMNS])

    @cached_property
    def predicts_numbers(self) -> bool:
        return any(column.role == "prediction" and column.numeric for column in self.columns)

    @cached_property
    def numeric(self) -> Ints:
        """Indices of the columns that have moments."""
        return np.flatnonzero([column.numeric for column in self.columns])

    @cached_property
    def numeric_bins(self) -> NumericBins:
        return NumericBins.of(self)

    @cached_property
    def cell_layout(self) -> CellLayout:
        """Positions of each column's cells, for the measures."""
        return CellLayout.of(self.offsets, [column.kind for column in self.columns])


@dataclass(frozen=True)
class NumericBins:
    """Numeric columns of a layout side by side, to bin the values of all of them at once.

    `columns` (numeric,) are their indices. `edges` (edges, numeric, 1) are NaN where a column has fewer.
    `offsets` and `missing` (numeric, 1) are the first cell of each column and its cell of missing values.
    `low`, `high`, `center` and `scale` (numeric, 1) are as in `Column`.
    """

    columns: Ints
    edges: Floats
    offsets: npt.NDArray[np.int32]
    missing: npt.NDArray[np.int32]
    low: Floats
    high: Floats
    center: Floats
    scale: Floats

    @classmethod
    def of(cls, layout: BinLayout) -> NumericBins:
        columns = [column for column in layout.columns if column.numeric]
        edges = np.full((max((len(c.edges) for c in columns), default=0), len(columns), 1), np.nan)
        for place, column in enumerate(columns):
            edges[: len(column.edges), place, 0] = column.edges
        offsets = layout.offsets[layout.numeric]

        def upright(values: list[float]) -> Floats:
            return np.array(values, np.float64).reshape(-1, 1)

        return cls(
            columns=layout.numeric,
            edges=edges,
            offsets=offsets.reshape(-1, 1).astype(np.int32),
            missing=(offsets + [c.bins for c in columns]).reshape(-1, 1).astype(np.int32),
            low=upright([column.low for column in columns]),
            high=upright([column.high for column in columns]),
            center=upright([column.center for column in columns]),
            scale=upright([column.scale for column in columns]),
        )
