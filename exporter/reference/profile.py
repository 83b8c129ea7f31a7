"""A version's reference: the bins of its columns, and the reference's own counts in them."""

from __future__ import annotations

import hashlib
import json
import zlib
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np

from exporter.errors import StoreError, decoding
from exporter.reference.bins import BinLayout, Column
from exporter.typing import Floats, Ints

ClassOrder = Literal["", "number", "text"]

REFERENCE_CODEC = 1
# Note on a reference without natural variation, shown to users.
PROVISIONAL = (
    "the reference does not show how much days differ, so only large drift is reported until two weeks of "
    "traffic have shown it: give the reference a column `timestamp`, with each row's time, over two weeks"
)


@dataclass(frozen=True)
class Variation:
    """Natural variation of a reference between chunks as long as a window, see `natural_variation`.

    `drift` (columns,) is the allowed excess of PSI over noise; `missing`, `unseen`, `out_of_range` and
    `type_mismatch` (columns,) are allowed differences from the reference's shares. `chunks` is the number of
    chunks that had enough rows without being merged with others of the same hour of the week.
    """

    chunks: int
    drift: Floats
    missing: Floats
    unseen: Floats
    out_of_range: Floats
    type_mismatch: Floats


@dataclass(frozen=True)
class Segment:
    """Rows of a version that are in one category of a column.

    `cell` is the category's cell in the whole layout. `reference` is the profile of the reference's rows of
    the segment, in the same columns and bins.
    """

    name: str
    column: int
    cell: int
    reference: Reference


@dataclass(frozen=True)
class Reference(BinLayout):
    """Reference profile of a version: columns, their frozen bins, and the reference's own counts in them.

    `counts` (cells,) are of the `rows` reference rows, `moments` (columns, 3) are count, sum and sum of
    squares of their standardised values. `variation` is by window length in seconds; without any, verdicts
    are provisional. `source` is where the reference came from.

    `classes` are canonical texts and `positive_class` is one of them, both empty unless the task is to
    classify; `class_order` is their order, empty in references of older versions, which sorted texts that
    look like numbers as numbers. `quality_variation` and `estimate_variation` are by window length in
    seconds, then by metric, see `quality_allowance`. `labels` is the profile of the target, whose column is
    not in `columns`, since live rows do not have it; `outcomes` are the encoded `Outcomes` of the reference's
    predictions and labels. Both are empty without labels. `segments` are evaluated by themselves. `named` are
    the columns that the owner named, by role. `score_edges` divide the scores of labelled rows into finer
    bins than the score column's, see `OutcomeLayout`.
    """

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
    def digest(self) -> str:
        """SHA-256 of the whole profile."""
        return hashlib.sha256(self._payload()).hexdigest()

    @property
    def provisional(self) -> bool:
        """True if natural variation is unknown."""
        return not self.variation

    @cached_property
    def remarks(self) -> tuple[str, ...]:
        """Notes, with remarks on a provisional reference and on one stored by an older version."""
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
            "columns": with_columns and [column.state() for column in self.columns],
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
        # Empty fields are left out, so that references of older versions keep their digests.
        return state | {name: value for name, value in of_labels.items() if value}

    def encode(self) -> bytes:
        """Bytes for the store, from which `decode_reference` restores a reference with the same digest."""
        return bytes([REFERENCE_CODEC]) + zlib.compress(self._payload(), 6)


def _by_text(variation: dict[int, dict[str, float]]) -> dict[str, dict[str, float]]:
    return {str(seconds): allowances for seconds, allowances in sorted(variation.items())}


def _by_seconds(variation: dict[str, dict[str, float]]) -> dict[int, dict[str, float]]:
    return {int(seconds): allowances for seconds, allowances in variation.items()}


def decode_reference(data: bytes) -> Reference:
    """Decode the bytes of `Reference.encode`.

    Raises:
        StoreDamagedError: the bytes are damaged.
        StoreError: another version of the codec wrote them.
    """
    if data[:1] != bytes([REFERENCE_CODEC]):
        detail = f"the stored reference has format {data[:1].hex()}, this is {REFERENCE_CODEC:02x}"
        raise StoreError(detail)
    with decoding("the stored reference"):
        return _restore(json.loads(zlib.decompress(data[1:])))


def _restore(state: dict[str, Any], whole: Reference | None = None) -> Reference:
    """Reference from its state; that of a segment takes its columns from `whole`."""
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
    return tuple(map(Column.restore, state["columns"]))
