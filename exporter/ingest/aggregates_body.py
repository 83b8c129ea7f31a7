"""Bodies of `POST /v1/aggregates`: counts of rows that were folded elsewhere, read and checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from exporter.aggregates.state import VersionCounts
from exporter.errors import (
    ConflictError,
    MalformedError,
    StaleReferenceError,
    TooLargeError,
    UnavailableError,
)
from exporter.fleet import Fleet, Status, Version
from exporter.folding.bodies import MAX_BODY_COUNTS, MAX_BODY_PARTS, counts_of_part
from exporter.folding.checks import check_part
from exporter.folding.part import Counted, Part, read_part
from exporter.folding.reference_document import FoldingReference
from exporter.payloads.limits import MAX_NAME_LENGTH
from exporter.payloads.target import Target
from exporter.reference.bins import MAX_UNKNOWN_COLUMNS
from exporter.settings import Settings

MAX_SEQUENCE = 2**53  # every program that writes JSON has these integers

Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME_LENGTH)]
Count = Annotated[int, Field(ge=0, le=2**53)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class CountedBody(_Strict):
    """Counts of rows: base64 of a block, and of outcomes where there are any."""

    block: str
    outcomes: str | None = None


class SegmentBody(CountedBody):
    """Counts of the rows of one segment."""

    name: Name


class PartBody(CountedBody):
    """Counts of the rows of one block of time; `start` in seconds since the epoch, `seconds` its length."""

    start: Annotated[int, Field(ge=-(2**53), le=2**53)]
    seconds: Count
    newest: Annotated[float, Field(allow_inf_nan=False)]
    rows: Count
    labels: Count
    segments: Annotated[list[SegmentBody], Field(max_length=10_000)] = []
    unknown_columns: Annotated[list[Name], Field(max_length=MAX_UNKNOWN_COLUMNS)] = []


class AggregatesBody(_Strict):
    """Counts of rows of one version in the bins of its reference, which `digest` names.

    `source` names who counts, `sequence` grows from each of its bodies to the next.
    """

    model: Name
    version: Name
    digest: str
    block_seconds: Count
    source: Name
    sequence: Annotated[int, Field(ge=0, le=MAX_SEQUENCE)]
    parts: Annotated[list[PartBody], Field(min_length=1, max_length=MAX_BODY_PARTS)]


@dataclass(frozen=True, eq=False)
class AggregatesRequest:
    """Partial aggregates on their way to a commit; `received_at` is in seconds since the epoch."""

    body: bytes
    document: AggregatesBody
    received_at: float
    key: None = None  # they have a sequence in place of an idempotency key
    naive_timestamps: int = 0

    @property
    def model(self) -> str:
        return self.document.model

    @property
    def rows(self) -> int:
        return sum(part.rows for part in self.document.parts)

    @property
    def size_bytes(self) -> int:
        """Estimate of its memory until it is committed, in bytes."""
        return 3 * len(self.body)

    def prepare(self, fleet: Fleet, settings: Settings) -> PreparedAggregates:
        """Decode and check the counts.

        Raises:
            UnknownModelError: the version is not monitored.
            UnavailableError: it was just discovered, or its reference is still being made.
            ConflictError: they are in the bins of another reference, or of blocks of another length.
            MalformedError: damaged, or counts that no rows can have.
            TooLargeError: too many counts for one request.
        """
        given = self.document
        target = Target(given.model, version=given.version)
        (version,) = fleet.resolve(target, np.full(1, self.received_at))
        counts = counts_by_reference(version)
        current = counts.reference.digest
        if current != given.digest:
            detail = f"the current reference has digest {current}: fold the rows again, by that one"
            raise StaleReferenceError(detail, current)
        reference = folding_reference(version, counts, settings)
        if given.block_seconds != reference.block_seconds:
            detail = f"blocks are of {reference.block_seconds} seconds here, not {given.block_seconds}"
            raise ConflictError(detail, "block_seconds")
        parts, numbers = dict[tuple[int, int], Part](), 0
        for number, part_body in enumerate(given.parts):
            where = f"parts[{number}]"
            numbers += counts_of_part(reference, len(part_body.segments))
            if numbers > MAX_BODY_COUNTS:
                raise TooLargeError(f"at most {MAX_BODY_COUNTS} counts are taken in one request", where)
            part = read_part(part_body.model_dump(), reference, where)
            check_part(part, reference, where)
            if part.key in parts:
                raise MalformedError("a second part of the same block", where)
            parts[part.key] = part
        ordered = [parts[key] for key in sorted(parts)]
        source = f"{version.key}/{given.source}"
        return PreparedAggregates(version, counts, source, given.sequence, ordered)


@dataclass(frozen=True, eq=False)
class PreparedAggregates:
    """Checked counts of rows of a version, in the bins of `counts`.

    `source` is who counted them, among the sources of all versions.
    """

    version: Version
    counts: VersionCounts
    source: str
    sequence: int
    parts: Sequence[Part]

    @property
    def rows(self) -> int:
        return sum(part.rows for part in self.parts)

    @property
    def fingerprint(self) -> bytes:
        """Hash of all whole numbers: sums of floats depend on the order of rows in their last bits."""
        hashed = blake2b(digest_size=16)
        for part in self.parts:
            head = [part.start, part.seconds, part.labels, len(part.segments)]
            hashed.update(np.array(head, "<i8").tobytes())
            _hash(hashed, part.whole)
            for name, counted in sorted(part.segments.items()):
                hashed.update(name.encode() + b"\0")
                _hash(hashed, counted)
        return hashed.digest()


def read_aggregates(body: bytes, received_at: float) -> AggregatesRequest:
    """Read a body, without looking into its counts.

    Raises:
        MalformedError: no such document.
    """
    try:
        document = AggregatesBody.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise MalformedError(first["msg"], _where(first["loc"])) from None
    return AggregatesRequest(body, document, received_at)


def _where(location: Sequence[int | str]) -> str:
    """
    >>> _where(("parts", 3, "segments", 0, "name"))
    'parts[3].segments[0].name'
    """
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in location).lstrip(".")


def folding_reference(
    version: Version, counts: VersionCounts, settings: Settings, max_body_bytes: int | None = None
) -> FoldingReference:
    """Reference of a version for folding.

    Args:
        version: with the reference.
        counts: of the version, in the reference's bins.
        settings: with the length of blocks.
        max_body_bytes: of a request with counts; None for that of all requests.
    """
    target = Target(version.model, version=version.version)
    limits = settings.block_seconds, max_body_bytes or settings.max_body_bytes
    return FoldingReference(target, counts.reference, *limits, counts.layout)


def counts_by_reference(version: Version) -> VersionCounts:
    """Counts of a version in the bins of its reference.

    Raises:
        UnavailableError: the reference is still being made.
        ConflictError: the version has none.
    """
    if version.counts is not None:
        return version.counts
    named = f"version {version.version} of {version.model!r}"
    if version.status in (Status.PENDING, Status.COLLECTING):
        raise UnavailableError(f"the reference of {named} is still being made", retry_after_seconds=10)
    raise ConflictError(f"{named} has no reference: {version.detail or version.status.value}")


def _hash(hashed: blake2b, counted: Counted) -> None:
    block, outcomes = counted.block, counted.outcomes
    numbers = [block.counts, block.moments[:, 0], block.latency]
    if outcomes is not None:
        numbers += [outcomes.counts, outcomes.sums]
    for values in numbers:
        hashed.update(values.astype("<i8").tobytes())
