"""What a version is compared with: its columns, their frozen bins, and the reference's own counts in them.

All counts of a version live in one flat vector, the *layout*: column after column, each with its *cells*.
A value falls into exactly one cell, so a column's cells always add up to its rows:

    number, time       bins by `edges`: the first is below the reference's range, the last above it
    category, boolean  one bin per category, then `(other)`, then `(unseen)`
    every kind         then `(missing)` and `(mismatch)`, which stay out of drift

With the layout every window is one vector, and every measure is array arithmetic over it.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from exporter.errors import StoreError
from exporter.formats.decoding import decoding
from exporter.formats.texts import storable
from exporter.measures.layout import Layout
from exporter.typing import Floats, Ints

Role = Literal["feature", "prediction", "score", "label"]
ColumnKind = Literal["number", "category", "boolean", "time"]
ClassOrder = Literal["", "number", "text"]

MISSING, MISMATCH = "(missing)", "(mismatch)"
OTHER, UNSEEN = "(other)", "(unseen)"
CODEC_VERSION = 1
# The cost of a reference without natural variation, and the remedy: for people.
PROVISIONAL = (
    "the reference does not tell how much days differ, so drift is told beyond a wide limit only, until two "
    "weeks of traffic have taught it: give it a column `timestamp` with each row's time, two weeks of them"
)


@dataclass(frozen=True)
class Column:
    """One column and its frozen bins.

    `edges` (number, time; strictly increasing) make `len(edges) + 1` bins, edge k being the first value of
    bin k + 1. `categories` are canonical texts. `known` holds sorted 64-bit hashes of the reference's rarer
    categories: a value that is neither in `categories` nor there is unseen (where the set is not
    complete, since there were too many, nothing is). `center`, `scale`, `low` and
    `high` standardise and winsorise the moments. `unjudged` says why drift is not judged, empty where it is.
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
        """Cells that take part in drift: all but missing and mismatch."""
        return len(self.edges) + 1 if self.numeric else len(self.categories) + 2

    @property
    def cells(self) -> int:
        return self.bins + 2

    @cached_property
    def category_cells(self) -> dict[str, int]:
        """The cell of each listed category, counted within the column."""
        return {text: cell for cell, text in enumerate(self.categories)}

    @cached_property
    def cell_names(self) -> tuple[str, ...]:
        """Text of each cell, index first so that text sorts as the bins do and nothing collides."""
        if self.numeric:
            names = _interval_names(self.edges)
        else:
            shown = self.categories
            if self.kind == "boolean":
                shown = tuple({"0": "false", "1": "true"}[text] for text in shown)
            names = [text if len(text) <= 40 else text[:39] + "…" for text in shown] + [OTHER, UNSEEN]
        return tuple(f"{index:02d} {name}" for index, name in enumerate([*names, MISSING, MISMATCH]))


def segment_name(column: Column, category: int) -> str:
    """The name, to store it by, of the slice that is in a category; a long one tells its index as well."""
    text = column.categories[category]
    if column.kind == "boolean":
        text = {"0": "false", "1": "true"}[text]
    short = text if len(text) <= 60 else f"{text[:59]}… ({category:02d})"
    return storable(f"{column.name}={short}")


def _interval_names(edges: Floats) -> list[str]:
    for digits in (4, 6, 9, 17):  # the shortest that keeps neighbours apart
        texts = [f"{edge:.{digits}g}" for edge in edges]
        if len(set(texts)) == len(texts):
            break
    if not texts:
        return ["(any)"]
    inner = [f"[{low}, {high})" for low, high in pairwise(texts)]
    return [f"< {texts[0]}", *inner, f">= {texts[-1]}"]


@dataclass(frozen=True)
class NumericBins:
    """The numeric columns of a reference side by side, to bin their values all at once.

    `columns` (numeric,) their indices. `edges` (edges, numeric, 1), NaN where a column has fewer. `offsets`
    (numeric, 1) the first cell of each, `missing` (numeric, 1) the one of missing values. `low`, `high`,
    `center` and `scale` (numeric, 1) as in `Column`.
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
    def of(cls, reference: Reference) -> NumericBins:
        columns = [column for column in reference.columns if column.numeric]
        edges = np.full((max((len(c.edges) for c in columns), default=0), len(columns), 1), np.nan)
        for place, column in enumerate(columns):
            edges[: len(column.edges), place, 0] = column.edges
        offsets = reference.offsets[reference.numeric]

        def upright(values: list[float]) -> Floats:
            return np.array(values, np.float64).reshape(-1, 1)

        return cls(
            columns=reference.numeric,
            edges=edges,
            offsets=offsets.reshape(-1, 1).astype(np.int32),
            missing=(offsets + [c.bins for c in columns]).reshape(-1, 1).astype(np.int32),
            low=upright([column.low for column in columns]),
            high=upright([column.high for column in columns]),
            center=upright([column.center for column in columns]),
            scale=upright([column.scale for column in columns]),
        )


@dataclass(frozen=True)
class Variation:
    """How much the reference itself varies from one chunk, as long as a window, to the next.

    `drift` (columns,) is what PSI beyond noise may be because of it; `missing`, `unseen`, `out_of_range` and
    `type_mismatch` (columns,) what a share may be away from the reference's: see `natural_variation`.
    `chunks` is how many had enough rows by themselves, not put together with others of the same hour of the
    week.
    """

    chunks: int
    drift: Floats
    missing: Floats
    unseen: Floats
    out_of_range: Floats
    type_mismatch: Floats


@dataclass(frozen=True)
class Segment:
    """A slice of a version's rows: those in one category of a column.

    `cell` is the category's, counted over the whole layout. `reference` is the profile of the reference's own
    rows of the slice, in the columns of the whole.
    """

    name: str
    column: int
    cell: int
    reference: Reference


@dataclass(frozen=True)
class Reference:
    """A version's reference profile.

    `counts` (cells,) are the reference's own, `moments` (columns, 3) are count, sum and sum of squares of
    the standardised values, `variation` is by window length in seconds; a window without an entry gets a
    provisional verdict. `rows` is the number of reference rows. `source` says where it came from.

    `classes` are canonical texts and `positive_class` one of them, both empty unless the task is to classify;
    `class_order` says how they are sorted. It is empty in references of older versions, which sorted texts
    that look like numbers as numbers. `quality_variation` and `estimate_variation` are by window length in
    seconds, then by metric: see `quality_allowance`. `labels` is the profile of the target, whose one column
    is no column of this one, since samples do not bring it; `outcomes` is what `Outcomes.encode` wrote of the
    reference's own predictions and labels. Both are empty where the reference has none. `segments` are the
    slices that are looked at by themselves. `named` are the columns that were the row's own because the owner
    said so, by role. `score_edges` cut the scores of labelled rows finer than the score's own bins, see
    `OutcomeLayout`.
    """

    columns: tuple[Column, ...]
    counts: Ints
    moments: Floats
    rows: int
    task: str
    source: str
    split: str = ""
    target: str = ""
    variation: dict[int, Variation] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    positive_class: str = ""
    class_order: ClassOrder = ""
    labels: Reference | None = None
    outcomes: bytes = b""
    quality_variation: dict[int, dict[str, float]] = field(default_factory=dict)
    estimate_variation: dict[int, dict[str, float]] = field(default_factory=dict)
    segments: tuple[Segment, ...] = ()
    named: dict[str, str] = field(default_factory=dict)
    score_edges: Floats = field(default_factory=lambda: np.empty(0))

    @cached_property
    def offsets(self) -> Ints:
        """(columns + 1,): column i has the cells offsets[i] to offsets[i + 1]."""
        return np.concatenate([[0], np.cumsum([column.cells for column in self.columns])]).astype(np.int64)

    @property
    def cells(self) -> int:
        return int(self.offsets[-1])

    @cached_property
    def feature_names(self) -> frozenset[str]:
        return frozenset(column.name for column in self.columns if column.role == "feature")

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
    def digest(self) -> str:
        """SHA-256 over all that decides where a value is counted and what it is compared with."""
        return hashlib.sha256(self._payload()).hexdigest()

    @cached_property
    def layout(self) -> Layout:
        """Where the measures find each column's cells."""
        return Layout.of(self.offsets, [column.kind for column in self.columns])

    @property
    def provisional(self) -> bool:
        """Whether its natural variation is unknown."""
        return not self.variation

    @cached_property
    def remarks(self) -> tuple[str, ...]:
        """Notes, the cost of a provisional reference, and a doubt about one stored by an older version."""
        notes = (*self.notes, PROVISIONAL) if self.provisional else self.notes
        if self.class_order or self.classes == tuple(sorted(self.classes)):
            return notes
        doubt = (
            f"lists of scores are read in the order {', '.join(self.classes)}, which is wrong if the model's "
            "classes are texts: send scores by class, or rebaseline from the file"
        )
        return (*notes, doubt)

    def _payload(self) -> bytes:
        return json.dumps(self._state(), sort_keys=True, separators=(",", ":")).encode()

    def _state(self, *, with_columns: bool = True) -> dict[str, Any]:
        state: dict[str, Any] = {
            "columns": with_columns and [
                {
                    "name": c.name, "role": c.role, "kind": c.kind, "edges": c.edges.tolist(),
                    "categories": list(c.categories), "known": c.known.tolist(),
                    "known_complete": c.known_complete, "center": c.center,
                    "scale": c.scale, "low": c.low, "high": c.high, "unjudged": c.unjudged,
                }
                for c in self.columns
            ],
            "counts": self.counts.tolist(), "moments": self.moments.tolist(), "rows": self.rows,
            "task": self.task, "source": self.source, "split": self.split, "target": self.target,
            "variation": {
                str(seconds): {
                    "chunks": v.chunks, "drift": v.drift.tolist(), "missing": v.missing.tolist(),
                    "unseen": v.unseen.tolist(), "out_of_range": v.out_of_range.tolist(),
                    "type_mismatch": v.type_mismatch.tolist(),
                }
                for seconds, v in sorted(self.variation.items())
            },
            "notes": list(self.notes),
        }  # fmt: skip
        of_labels = {
            "classes": list(self.classes),
            "positive_class": self.positive_class,
            "class_order": self.class_order,
            "labels": self.labels._state(with_columns=with_columns) if self.labels is not None else None,
            "outcomes": self.outcomes.hex(),
            "quality_variation": _by_text(self.quality_variation),
            "estimate_variation": _by_text(self.estimate_variation),
            "segments": [
                {
                    "name": segment.name,
                    "column": segment.column,
                    "cell": segment.cell,
                    "reference": segment.reference._state(with_columns=False),
                }
                for segment in self.segments
            ],
            "named": self.named,
            "score_edges": with_columns and self.score_edges.tolist(),
        }
        # What is empty is left out: the digest of a reference without labels says nothing of labels.
        return state | {name: value for name, value in of_labels.items() if value}

    def encode(self) -> bytes:
        """Bytes for the store; `decode_reference` gives an equal reference with the same digest."""
        return bytes([CODEC_VERSION]) + zlib.compress(self._payload(), 6)


def _by_text(variation: dict[int, dict[str, float]]) -> dict[str, dict[str, float]]:
    return {str(seconds): allowances for seconds, allowances in sorted(variation.items())}


def _by_seconds(variation: dict[str, dict[str, float]]) -> dict[int, dict[str, float]]:
    return {int(seconds): allowances for seconds, allowances in variation.items()}


def decode_reference(data: bytes) -> Reference:
    """Read what `Reference.encode` wrote.

    Raises:
        StoreDamagedError: it is broken.
        StoreError: another version of the codec wrote it.
    """
    if data[:1] != bytes([CODEC_VERSION]):
        detail = f"the stored reference has format {data[:1].hex()}, this is {CODEC_VERSION:02x}"
        raise StoreError(detail)
    with decoding("the stored reference"):
        return _restore(json.loads(zlib.decompress(data[1:])))


def _restore(state: dict[str, Any], whole: Reference | None = None) -> Reference:
    """The reference of a state; that of a segment has the columns of the whole."""
    columns = whole.columns if whole is not None else _restore_columns(state)
    variation = {
        int(seconds): Variation(
            chunks=v.pop("chunks"), **{name: np.array(values, np.float64) for name, values in v.items()}
        )
        for seconds, v in state["variation"].items()
    }
    labels_of_whole = whole.labels if whole is not None else None
    restored = Reference(
        columns=columns,
        counts=np.array(state["counts"], np.int64),
        moments=np.array(state["moments"], np.float64).reshape(len(columns), 3),
        rows=state["rows"],
        task=state["task"],
        source=state["source"],
        split=state["split"],
        target=state["target"],
        variation=variation,
        notes=tuple(state["notes"]),
        classes=tuple(state.get("classes", ())),
        positive_class=state.get("positive_class", ""),
        class_order=state.get("class_order", ""),
        labels=_restore(state["labels"], labels_of_whole) if "labels" in state else None,
        outcomes=bytes.fromhex(state.get("outcomes", "")),
        quality_variation=_by_seconds(state.get("quality_variation", {})),
        estimate_variation=_by_seconds(state.get("estimate_variation", {})),
        named=state.get("named", {}),
        score_edges=whole.score_edges if whole is not None else np.array(state.get("score_edges", ())),
    )
    segments = [
        Segment(**{**segment, "reference": _restore(segment["reference"], restored)})
        for segment in state.get("segments", ())
    ]
    return replace(restored, segments=tuple(segments))


def _restore_columns(state: dict[str, Any]) -> tuple[Column, ...]:
    return tuple(
        Column(
            **{
                **c,
                "edges": np.array(c["edges"], np.float64),
                "categories": tuple(c["categories"]),
                "known": np.array(c["known"], np.uint64),
            }
        )
        for c in state["columns"]
    )
