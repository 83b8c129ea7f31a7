"""(reference, blocks, now) -> Evaluation: the verdict on every column and window. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from exporter.config import Window
from exporter.reference import Floats, Ints, Reference

DRIFTED, STABLE, UNDECIDED = 1, 0, -1


@dataclass(frozen=True)
class Thresholds:
    """What the owner of a model may set: PSI beyond limit that counts, for all columns and by column name."""

    drift: float = 0.1
    drift_by_column: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class WindowEvaluation:
    """One window. All arrays are (columns,), in the reference's order; NaN where there is no figure.

    `rows_by_column` are the rows with a value (neither missing nor mismatched), `effective_rows` those divided by the
    design effect. `drift_limit` is threshold + sampling floor + natural variation. `verdict` is DRIFTED, STABLE or UNDECIDED.
    `distances` by method, only those asked for.
    """

    window: Window
    rows: int
    rows_by_column: Ints
    effective_rows: Floats
    drift_score: Floats
    drift_limit: Floats
    drift_significance: Floats
    verdict: npt.NDArray[np.int8]
    distances: dict[str, Floats]


@dataclass(frozen=True)
class QualityCheck:
    """A data-quality share of the shortest window against the reference's own. `degraded` is None without a verdict."""

    column: int
    check: str
    ratio: float
    reference_ratio: float
    degraded: bool | None


@dataclass(frozen=True)
class Evaluation:
    """All measures of one version at `at` (seconds since the epoch)."""

    at: float
    reference: Reference
    windows: tuple[WindowEvaluation, ...]
    checks: tuple[QualityCheck, ...]
