"""Parts: mergeable counts of a version's rows in one block of time, as they travel."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from exporter.aggregates.block import Block, decode_block, unpacked_bytes
from exporter.aggregates.outcomes import Outcomes, decode_outcomes
from exporter.errors import MalformedError, StoreError
from exporter.folding.reference_document import FoldingReference
from exporter.reference.bins import MAX_UNKNOWN_COLUMNS


@dataclass(frozen=True)
class Counted:
    """Counts of rows: a block, and outcomes of scores and labelled rows; None where there are none."""

    block: Block
    outcomes: Outcomes | None

    def __add__(self, other: Counted) -> Counted:
        mine, others = self.outcomes, other.outcomes
        both = mine + others if mine is not None and others is not None else mine or others
        return Counted(self.block + other.block, both)


@dataclass(frozen=True)
class Part:
    """Counts of the rows of one block of time; parts of the same reference and block add up.

    `start` of the block is in seconds since the epoch, `seconds` its length, `newest` the time of its newest
    row, `labels` the number of rows with a label. `segments` are by the name of the segment, those with rows.
    """

    start: int
    seconds: int
    newest: float
    labels: int
    whole: Counted
    segments: Mapping[str, Counted] = field(default_factory=dict)
    unknown_columns: frozenset[str] = frozenset()

    @property
    def rows(self) -> int:
        return self.whole.block.rows

    @property
    def key(self) -> tuple[int, int]:
        """Block that the part is of: start and length."""
        return self.start, self.seconds

    def __add__(self, other: Part) -> Part:
        assert self.key == other.key, "parts of different blocks do not add up"
        segments = dict(self.segments)
        for name, counted in other.segments.items():
            segments[name] = segments[name] + counted if name in segments else counted
        unknown = self.unknown_columns | other.unknown_columns
        return Part(
            start=self.start,
            seconds=self.seconds,
            newest=max(self.newest, other.newest),
            labels=self.labels + other.labels,
            whole=self.whole + other.whole,
            segments=segments,
            unknown_columns=frozenset(sorted(unknown)[:MAX_UNKNOWN_COLUMNS]),
        )

    def to_json(self, reference: FoldingReference) -> dict[str, Any]:
        """JSON values that `read_part` reads."""
        return {
            "start": self.start,
            "seconds": self.seconds,
            "newest": self.newest,
            "rows": self.rows,
            "labels": self.labels,
            **_counted_to_json(self.whole, reference),
            "segments": [
                {"name": name, **_counted_to_json(counted, reference)}
                for name, counted in sorted(self.segments.items())
            ],
            "unknown_columns": sorted(self.unknown_columns),
        }


def _counted_to_json(counted: Counted, reference: FoldingReference) -> dict[str, str | None]:
    outcomes = None
    if counted.outcomes is not None and reference.layout is not None:
        outcomes = b64encode(counted.outcomes.encode(reference.layout)).decode()
    return {"block": b64encode(counted.block.encode()).decode(), "outcomes": outcomes}


def read_part(document: Mapping[str, Any], reference: FoldingReference, where: str) -> Part:
    """Read a part of known keys and types, see `Part.to_json`; whether its counts add up is not checked.

    Args:
        document: the part.
        reference: that it was folded by.
        where: the place of the part in a request.

    Raises:
        MalformedError: the bytes of its counts are damaged, or of other bins.
    """
    whole = _read_counted(document, reference, where)
    if whole.block.rows != document["rows"]:
        raise MalformedError("rows of other counts", where)
    return Part(
        start=document["start"],
        seconds=document["seconds"],
        newest=document["newest"],
        labels=document["labels"],
        whole=whole,
        segments={
            each["name"]: _read_counted(each, reference, f"{where}.segments[{number}]")
            for number, each in enumerate(document["segments"])
        },
        unknown_columns=frozenset(document["unknown_columns"]),
    )


def _read_counted(document: Mapping[str, Any], reference: FoldingReference, where: str) -> Counted:
    try:
        block = decode_block(_bytes(document["block"]), unpacked_bytes(reference.reference))
        outcomes, layout = None, reference.layout
        if document["outcomes"] is not None:
            if layout is None:
                raise StoreError("outcomes of this version are not counted")
            outcomes = decode_outcomes(layout, _bytes(document["outcomes"]))
    except StoreError as error:
        raise MalformedError(str(error), where) from None
    return Counted(block, outcomes)


def _bytes(text: str) -> bytes:
    """
    Raises:
        StoreError: no base64.
    """
    try:
        return b64decode(text, validate=True)
    except ValueError:
        raise StoreError("counts are base64") from None
