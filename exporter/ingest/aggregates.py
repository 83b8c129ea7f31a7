"""Adds counts of rows that were folded elsewhere to those of their version, once by source and sequence."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from exporter.aggregates.outcomes import LABEL_DELAY_BOUNDS, Outcomes
from exporter.aggregates.state import Totals
from exporter.errors import MalformedError
from exporter.exposition.telemetry import DropReason
from exporter.folding.part import Counted, Part
from exporter.ingest.aggregates_body import PreparedAggregates
from exporter.ingest.changes import Changes
from exporter.settings import Settings
from exporter.storage.schema import COARSE, FINE
from exporter.storage.transaction import Transaction
from exporter.typing import Ints

_MAX_COUNT = 2**31 - 1  # of outcomes


@dataclass(frozen=True)
class Taken:
    """Numbers of rows by what became of them."""

    accepted: int
    repeated: int
    dropped: dict[DropReason, int]


def take_aggregates(
    transaction: Transaction, changes: Changes, settings: Settings, request: PreparedAggregates, now: float
) -> Taken:
    """Take the counts of a request, unless its sequence was taken before.

    Raises:
        MalformedError: the sequence goes back, or came with other counts; or there would be too many of one
            hour. Nothing is taken.
    """
    fingerprint = request.fingerprint
    known = transaction.find_source(request.source)
    if known is not None:
        sequence, before = known
        if request.sequence < sequence:
            detail = f"the sequence goes back: {sequence} was taken already; nothing is taken"
            raise MalformedError(detail, "sequence")
        if request.sequence == sequence and before != fingerprint:
            detail = "this sequence came with other counts before; nothing is taken"
            raise MalformedError(detail, "sequence")
        if request.sequence == sequence:
            return Taken(0, request.rows, {})
    kept, dropped = _by_age(request.parts, settings, now)
    accepted = [_now_or_before(part, now) for part in kept]
    hours = _outcomes_by_hour(accepted, settings)
    _check_room(changes, request, hours)
    _add(changes, request, accepted, settings, now)
    version, counts = request.version, request.counts
    for start, outcomes in hours.items():
        changes.add_outcomes(version, counts, start, outcomes)
    transaction.put_source(request.source, request.sequence, fingerprint, now)
    return Taken(sum(part.rows for part in accepted), 0, dropped)


def _by_age(
    parts: Sequence[Part], settings: Settings, now: float
) -> tuple[list[Part], dict[DropReason, int]]:
    """Parts of the times that rows are taken of, and the rows of the others by reason."""
    kept, dropped = list[Part](), defaultdict[DropReason, int](int)
    for part in parts:
        if part.start > now + settings.max_future_seconds:
            dropped["future"] += part.rows
        elif part.start < now - settings.max_age_seconds:
            dropped["too_old"] += part.rows
        else:
            kept.append(part)
    return kept, dict(dropped)


def _now_or_before(part: Part, now: float) -> Part:
    """The part, in the block of the present if it is slightly ahead, as rows are."""
    start = min(part.start, int(now // part.seconds) * part.seconds)
    return replace(part, start=start, newest=min(part.newest, now))


def _outcomes_by_hour(parts: Sequence[Part], settings: Settings) -> dict[int, Outcomes]:
    """Outcomes of all rows by the start of their coarse block, with counts of 64 bits."""
    hours: dict[int, tuple[Ints, Ints]] = {}
    for part in parts:
        outcomes, start = part.whole.outcomes, _hour(part, settings)
        if outcomes is not None:
            counts, sums = outcomes.counts.astype(np.int64), outcomes.sums
            if start in hours:
                counts, sums = hours[start][0] + counts, hours[start][1] + sums
            hours[start] = counts, sums
    return {start: Outcomes(_narrow(counts), sums) for start, (counts, sums) in hours.items()}


def _narrow(counts: Ints) -> npt.NDArray[np.int32]:
    """
    Raises:
        MalformedError: there are too many of one hour.
    """
    if counts.max(initial=0) > _MAX_COUNT:
        raise MalformedError(f"more than {_MAX_COUNT} rows of one hour; nothing is taken", "parts")
    return counts.astype(np.int32)


def _check_room(changes: Changes, request: PreparedAggregates, hours: Mapping[int, Outcomes]) -> None:
    """
    Raises:
        MalformedError: together with earlier ones there are too many of one hour.
    """
    for start, outcomes in hours.items():
        before = changes.find_outcomes(request.version, request.counts, start)
        if before is not None:
            _narrow(before.counts.astype(np.int64) + outcomes.counts)


def _add(
    changes: Changes, request: PreparedAggregates, parts: Sequence[Part], settings: Settings, now: float
) -> None:
    """Add everything but the outcomes of all rows."""
    version, counts = request.version, request.counts
    for part in parts:
        block = part.whole.block
        changes.add_sighting(version, part.newest, now, part.unknown_columns)
        family = FINE if part.seconds == settings.block_seconds else COARSE
        changes.add_block(version, counts, part.start, block, now, family)
        for name, inside in part.segments.items():
            _add_segment(changes, request, name, _hour(part, settings), inside)
        label_delay = np.zeros(len(LABEL_DELAY_BOUNDS) + 1, np.int64)
        label_delay[0] = part.labels  # which came with their rows
        changes.add_totals(
            version,
            Totals(
                predictions=block.rows,
                values=block.counts.astype(np.int64),
                latency=block.latency,
                latency_sum=block.latency_sum,
                labels=part.labels,
                label_delay=label_delay,
            ),
        )


def _add_segment(
    changes: Changes, request: PreparedAggregates, name: str, start: int, inside: Counted
) -> None:
    changes.add_segment_block(request.version, request.counts, name, start, inside.block)
    if inside.outcomes is not None:
        changes.add_segment_outcomes(request.version, request.counts, name, start, inside.outcomes)


def _hour(part: Part, settings: Settings) -> int:
    """Start of the coarse block of a part."""
    return part.start // settings.coarse_seconds * settings.coarse_seconds
