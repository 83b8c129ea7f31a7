"""Reference of a version for folding: bins, layout of outcomes and length of blocks."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from exporter.aggregates.outcome_layout import OutcomeLayout, outcome_layout
from exporter.errors import MalformedError, StoreError
from exporter.payloads.target import Target
from exporter.reference.profile import Reference, decode_reference
from exporter.settings import FINE_PER_COARSE


@dataclass(frozen=True, eq=False)
class FoldingReference:
    """Reference of one version and the settings by which its rows are folded.

    `block_seconds` is the length of a fine block, `max_body_bytes` the size of requests that the exporter
    takes. `layout` is None if outcomes of the version cannot be counted, see `why_no_layout`.
    """

    target: Target
    reference: Reference
    block_seconds: int
    max_body_bytes: int
    layout: OutcomeLayout | None

    @cached_property
    def digest(self) -> str:
        """Digest of the reference: counts in the bins of the same one add up."""
        return self.reference.digest

    @property
    def hour_seconds(self) -> int:
        """Length of a coarse block."""
        return self.block_seconds * FINE_PER_COARSE

    def to_json(self) -> dict[str, Any]:
        """JSON values that `read_reference` reads.

        The edges of scores are along with the reference because they are computed from it with functions
        that may differ by one bit on another machine.
        """
        edges = None if self.layout is None else self.layout.score_edges.tolist()
        return {
            "model": self.target.model,
            "version": self.target.version,
            "digest": self.digest,
            "block_seconds": self.block_seconds,
            "max_body_bytes": self.max_body_bytes,
            "score_edges": edges,
            "reference": b64encode(self.reference.encode()).decode(),
        }


def read_reference(document: bytes | Mapping[str, Any]) -> FoldingReference:
    """Read the answer of `GET /v1/models/{model}/versions/{version}/reference`.

    Raises:
        MalformedError: it is no such answer, or another version of the exporter wrote it.
    """
    try:
        values = json.loads(document) if isinstance(document, bytes) else document
        reference = decode_reference(b64decode(values["reference"]))
        layout = outcome_layout(reference)
        if layout is not None:
            layout = replace(layout, score_edges=np.array(values["score_edges"], np.float64))
        target = Target(str(values["model"]), version=str(values["version"]))
        numbers = int(values["block_seconds"]), int(values["max_body_bytes"])
        found = FoldingReference(target, reference, *numbers, layout)
        if found.digest != values["digest"] or found.block_seconds <= 0:
            raise ValueError("its digest is not that of its bins")
    except (StoreError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise MalformedError(f"no reference of an exporter of this version: {error}") from None
    return found
