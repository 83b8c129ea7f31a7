"""Parts -> bodies of `POST /v1/aggregates`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from exporter.folding.part import Part
from exporter.folding.reference_document import FoldingReference

# Of one request: limits on what the exporter decodes at once, whatever the size of the body.
MAX_BODY_PARTS = 2000
MAX_BODY_COUNTS = 4_000_000
COUNT_BYTES = 8  # of a body for a count; most take less: they are small, and compressed


@dataclass(frozen=True)
class Body:
    """One request: parts of a source, which counts once by `source` and `sequence`."""

    source: str
    sequence: int
    parts: Sequence[Part]

    @property
    def rows(self) -> int:
        return sum(part.rows for part in self.parts)

    def encode(self, reference: FoldingReference) -> bytes:
        """Bytes of the JSON document."""
        document = {
            "model": reference.target.model,
            "version": reference.target.version,
            "digest": reference.digest,
            "block_seconds": reference.block_seconds,
            "source": self.source,
            "sequence": self.sequence,
            "parts": [part.to_json(reference) for part in self.parts],
        }
        return json.dumps(document, separators=(",", ":"), allow_nan=False).encode()


def counts_of_part(reference: FoldingReference, segments: int) -> int:
    """Numbers that a part of as many segments has, decoded."""
    layout = reference.layout
    outcomes = layout.counts + layout.sums if layout is not None else 0
    return (1 + segments) * (reference.reference.cells + 3 * len(reference.reference.columns) + outcomes)


def bodies(parts: Sequence[Part], reference: FoldingReference, source: str, sequence: int) -> Iterator[Body]:
    """Bodies of all parts, in order of time.

    The first has the source as it is given, the next ones have `#2`, `#3` and so on behind it, since a
    sequence counts once. How parts are divided depends on their number alone, so that the same rows make
    the same bodies again.
    """
    most = min(MAX_BODY_COUNTS, reference.max_body_bytes // COUNT_BYTES)
    some, counts, number = list[Part](), 0, 1
    for part in sorted(parts, key=lambda each: each.key):
        more = counts_of_part(reference, len(part.segments))
        if some and (counts + more > most or len(some) == MAX_BODY_PARTS):
            yield Body(_numbered(source, number), sequence, some)
            some, counts, number = [], 0, number + 1
        some.append(part)
        counts += more
    if some:
        yield Body(_numbered(source, number), sequence, some)


def _numbered(source: str, number: int) -> str:
    return source if number == 1 else f"{source}#{number}"
