"""Bodies of `POST /v1/aggregates`, damaged within their counts too, behind right checksums."""

from __future__ import annotations

import random
import struct
import zlib
from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Any

import numpy as np
import orjson

from exporter.aggregates.outcomes import Outcomes
from exporter.aggregates.state import VersionCounts
from exporter.aggregates.timeline import Timeline
from exporter.evaluation.context import EvaluationContext, QualityRules
from exporter.evaluation.drift import evaluate
from exporter.evaluation.model_quality import evaluate_quality
from exporter.evaluation.quality_reference import quality_reference
from exporter.fleet import Fleet, Live, Version
from exporter.folding.reference_document import FoldingReference
from exporter.ingest.aggregates_body import PreparedAggregates, read_aggregates
from exporter.settings import Settings
from exporter.storage.schema import StoredVersion
from tests.support.folded import make_body, make_folding_reference, make_live_table
from tests.support.rig import NOON

AGGREGATES = "aggregates"  # in place of a content type
_HEADER = struct.calcsize("<B16sI")  # of outcomes: codec, digest, checksum
_SETTINGS = Settings()


class Recipients:
    """A version of each task, which takes aggregates."""

    def __init__(self) -> None:
        references = [make_folding_reference(task) for task in ("binary", "regression")]
        self.bodies = [_body(reference, number) for number, reference in enumerate(references)]
        self._fleet = Fleet(_SETTINGS)
        self._fleet.known = {"fraud": frozenset("01")}
        for number, each in enumerate(references):
            version = Version(StoredVersion(number, "fraud", str(number), 0, None, "", 0))
            counts = VersionCounts(number, each.reference, Timeline(_SETTINGS), each.layout)
            version.live = Live(counts)
            self._fleet.add(version)

    def take(self, body: bytes) -> None:
        """Read and check a body, and evaluate its counts.

        Raises:
            RequestError: refused.
        """
        prepared = read_aggregates(body, NOON).prepare(self._fleet, _SETTINGS)
        assert len(prepared.fingerprint) == 16
        _evaluate(prepared)


def _body(reference: FoldingReference, version: int) -> bytes:
    body = make_body(reference, make_live_table("regression" if version else "binary", 40, span_seconds=900))
    return body.replace(b'"version":"1"', b'"version":"%d"' % version)


def _evaluate(prepared: PreparedAggregates) -> None:
    counts, timeline, outcomes = prepared.counts, Timeline(_SETTINGS), dict[int, Outcomes]()
    for part in prepared.parts:
        timeline.fine[part.start] = part.whole.block
        if part.whole.outcomes is not None:
            outcomes[part.start] = part.whole.outcomes
    context = EvaluationContext(_SETTINGS.windows, NOON)
    evaluate(counts.reference, timeline, context.with_effects(counts.reference, timeline))
    against = quality_reference(counts.reference, QualityRules(), {})
    evaluate_quality(against, outcomes, timeline, context)


def damage_counts(body: bytes, draw: random.Random, damage: Callable[[bytes], bytes]) -> bytes:
    """Damage the counts of one part, of all rows or of a segment."""
    document: dict[str, Any] = orjson.loads(body)
    part = draw.choice(document["parts"])
    counted = draw.choice([part, *part["segments"]])
    name = draw.choice([key for key in ("block", "outcomes") if counted[key]])
    data = b64decode(counted[name])
    if name == "block":
        changed = data[:1] + zlib.compress(damage(zlib.decompress(data[1:])))
    else:
        rest = damage(data[_HEADER:])
        changed = data[: _HEADER - 4] + struct.pack("<I", zlib.crc32(rest)) + rest
    counted[name] = b64encode(changed).decode()
    if draw.random() < 0.2:
        part[draw.choice(["start", "seconds", "rows", "labels"])] += draw.choice([-1, 1, 300, 2**40])
    return orjson.dumps(document)


def nudge(data: bytes, draw: random.Random) -> bytes:
    """Numbers that are slightly other ones: the lowest byte of one in four or eight is changed."""
    numbers = np.frombuffer(data, np.uint8).copy()
    place = draw.randrange(len(numbers)) & ~3
    numbers[place] = (int(numbers[place]) + draw.choice([-1, 1])) % 256
    return numbers.tobytes()
