"""Blocks of a version -> its findings, by the evaluation that serves /metrics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from exporter.aggregates.block import Block
from exporter.aggregates.timeline import Timeline
from exporter.config.models import ModelConfig
from exporter.evaluation.context import EvaluationContext, Thresholds
from exporter.evaluation.drift import evaluate
from exporter.fleet import Findings
from exporter.monitoring.verdicts import bad_subjects, merge_histories
from exporter.reference.profile import Reference
from exporter.settings import Settings

SETTINGS = Settings()
DEFAULTS = Thresholds()


def replay(
    reference: Reference,
    blocks: Mapping[int, Block],
    moments: Sequence[float],
    thresholds: Thresholds = DEFAULTS,
) -> Iterator[Findings]:
    """Evaluate at each moment what had been counted by then, in the default windows."""
    found = None
    for now, timeline in timelines(blocks, moments):
        before = found.evaluation if found is not None else None
        context = EvaluationContext(SETTINGS.windows, now, thresholds, before=before)
        evaluation = evaluate(reference, timeline, context.with_effects(reference, timeline))
        found = dated(Findings(evaluation), found)
        yield found


def dated(found: Findings, before: Findings | None) -> Findings:
    """Findings with the history of their bad verdicts, as `Journal.dated` has it."""
    known = (before.bad if before is not None else None) or {}
    bad = bad_subjects(found, ModelConfig())
    return replace(found, bad=merge_histories(bad, found.evaluation.at, known))


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
