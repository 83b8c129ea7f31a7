"""Clean traffic has to stay silent, whatever its shape and volume: seeded simulations of many windows."""

from __future__ import annotations

import numpy as np
import pytest

from exporter.aggregates.timeline import Timeline
from exporter.evaluation.comparison import DRIFTED, STABLE
from exporter.evaluation.context import EvaluationContext
from exporter.evaluation.drift import Evaluation, evaluate
from exporter.reference.profile import Reference
from exporter.settings import DISTANCES
from exporter.typing import Floats
from tests.support.traffic import DAY, NOW, SETTINGS, make_aggregate, make_column, variation_of

EVEN = np.full(10, 0.1)
TAILED = np.array([0, 0.001, 0.009, 0.04, 0.05, *[0.1] * 8, 0.05, 0.04, 0.009, 0.001, 0])
MANY = np.array([*(1 / np.arange(1, 31) ** 1.2), 0.05, 0])
RARE = np.array([0.97, 0.03, 0, 0])
SHAPES = [share / share.sum() for share in (EVEN, TAILED, MANY, RARE)] * 10


def sample_reference(rows: int, draw: np.random.Generator) -> Reference:
    """Forty columns of four shapes, with days that do not differ; itself a sample, as any reference is."""
    counts = [np.append(draw.multinomial(rows, share), [0, 0]) for share in SHAPES]
    return Reference(
        columns=tuple(make_column(f"c{k}", len(share)) for k, share in enumerate(SHAPES)),
        counts=np.concatenate(counts),
        moments=np.zeros((len(SHAPES), 3)),
        rows=rows,
        task="",
        source="tests",
        variation={DAY.seconds: variation_of(0.0, len(SHAPES))},
    )


def sample_timeline(
    reference: Reference, rows: int, draw: np.random.Generator, burst: int = 1, shapes: list[Floats] = SHAPES
) -> Timeline:
    """Today and yesterday with so many rows each, in bursts of alike ones at random times."""
    blocks = {}
    for length, begin in ((SETTINGS.block_seconds, 1), (SETTINGS.coarse_seconds, 2)):
        count = 86400 // length
        sizes = draw.multinomial(rows // burst, np.full(count, 1 / count))
        columns = [np.pad(draw.multinomial(sizes, share), ((0, 0), (0, 2))) for share in shapes]
        counts = burst * np.concatenate(columns, axis=1)
        starts = int(NOW) - begin * 86400 + length * np.arange(count)
        blocks[begin] = {
            int(start): make_aggregate(block, len(shapes))
            for start, block in zip(starts, counts, strict=True)
            if block.any()
        }
    return Timeline(SETTINGS, blocks[1], blocks[2])


def judge(reference: Reference, timeline: Timeline) -> Evaluation:
    context = EvaluationContext((DAY,), NOW, distances=DISTANCES)
    return evaluate(reference, timeline, context.with_effects(reference, timeline))


@pytest.mark.parametrize("rows", [30, 100, 300, 1000, 3000, 10_000])
@pytest.mark.parametrize("reference_rows", [200, 1000, 50_000])
def test_clean_windows_are_silent(rows: int, reference_rows: int) -> None:
    draw = np.random.default_rng(rows + reference_rows)

    for _ in range(5):
        reference = sample_reference(reference_rows, draw)
        evaluation = judge(reference, sample_timeline(reference, rows, draw))

        assert not (evaluation.windows[0].verdict == DRIFTED).any()
        assert not any(check.degraded for check in evaluation.checks)


@pytest.mark.parametrize("rows", [100, 300, 600, 1000, 3000, 10_000])
def test_bursts_of_ten_alike_rows_are_silent(rows: int) -> None:
    draw = np.random.default_rng(rows)

    for _ in range(5):
        reference = sample_reference(50_000, draw)
        evaluation = judge(reference, sample_timeline(reference, rows, draw, burst=10))

        assert not (evaluation.windows[0].verdict == DRIFTED).any()
        assert not any(check.degraded for check in evaluation.checks)


@pytest.mark.parametrize("burst", [1, 10])
def test_enough_rows_are_found_stable_and_not_only_undecided(burst: int) -> None:
    draw = np.random.default_rng(burst)
    reference = sample_reference(50_000, draw)

    evaluation = judge(reference, sample_timeline(reference, 2000 * burst, draw, burst))

    assert (evaluation.windows[0].verdict == STABLE).all()


@pytest.mark.parametrize("rows", [30, 300, 3000])
def test_a_unit_change_is_found_among_clean_columns(rows: int) -> None:
    draw = np.random.default_rng(rows)
    reference = sample_reference(50_000, draw)
    shapes = list(SHAPES)
    shapes[4] = np.array([0, 0, 0, 0, 0, 0, 0, 0, 0.1, 0.9])  # all values a hundredfold

    evaluation = judge(reference, sample_timeline(reference, rows, draw, shapes=shapes))

    assert np.flatnonzero(evaluation.windows[0].verdict == DRIFTED).tolist() == [4]
