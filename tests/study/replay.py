"""Blocks of a version -> its evaluations, by the evaluation that serves /metrics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from exporter.aggregates.block import Block
from exporter.aggregates.timeline import Timeline
from exporter.evaluation.context import EvaluationContext
from exporter.evaluation.drift import Evaluation, evaluate
from exporter.reference.profile import Reference
from exporter.settings import Settings

SETTINGS = Settings()


def replay(
    reference: Reference, blocks: Mapping[int, Block], moments: Sequence[float]
) -> Iterator[Evaluation]:
    """Evaluate at each moment what had been counted by then, with the default windows and thresholds."""
    evaluation = None
    for now, timeline in timelines(blocks, moments):
        context = EvaluationContext(SETTINGS.windows, now, before=evaluation)
        evaluation = evaluate(reference, timeline, context.with_effects(reference, timeline))
        yield evaluation


def timelines(blocks: Mapping[int, Block], moments: Sequence[float]) -> Iterator[tuple[float, Timeline]]:
    """Each moment, and what had been counted by then."""
    coarse = _coarse(blocks)
    for now in moments:
        horizon = Timeline(SETTINGS).horizon(now)
        oldest = int(now) - SETTINGS.retention_seconds
        yield (
            now,
            Timeline(
                SETTINGS,
                _between(blocks, horizon, int(now), SETTINGS.block_seconds),
                _between(coarse, oldest, horizon, SETTINGS.coarse_seconds),
            ),
        )


def _between(blocks: Mapping[int, Block], start: int, end: int, length: int) -> dict[int, Block]:
    """Whole blocks from a start on, to the last that has ended."""
    starts = range(-(-start // length) * length, end - length + 1, length)
    return {at: blocks[at] for at in starts if at in blocks}


def _coarse(blocks: Mapping[int, Block]) -> dict[int, Block]:
    found: dict[int, Block] = {}
    for start, block in blocks.items():
        hour = start // SETTINGS.coarse_seconds * SETTINGS.coarse_seconds
        found[hour] = found[hour] + block if hour in found else block
    return found
