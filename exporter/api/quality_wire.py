"""Pydantic models of the answers about model quality. Unknown figures are null."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, Field


class MetricDetail(BaseModel):
    """A metric in a matured window: the figure with its 99 % interval, or why there is none."""

    metric: str
    value: float | None
    lower: float | None
    upper: float | None
    absent: str = Field(description="Why there is no figure, empty where there is one.")
    baseline: float | None = Field(description="What the version promised; null where it promised nothing.")
    tolerance: float | None
    allowance: float | None = Field(description="Null where the natural variation is unknown.")
    shortfall: float | None = Field(description="How far from the baseline; positive is worse.")
    provisional: bool = Field(description="The natural variation is not known: no alert pages.")
    degraded: bool | None = Field(description="Null without a verdict.")
    undecided: str = Field(description="Why there is no verdict, empty where there is one.")


class ClassMetric(BaseModel):
    """A metric of one class."""

    label: str = Field(description="The class.")
    metric: str
    value: float
    lower: float | None
    upper: float | None


class EstimateDetail(BaseModel):
    """A metric as estimated from scores, without labels, of the window up to now; blind to concept drift."""

    metric: str
    value: float | None
    lower: float | None
    upper: float | None
    baseline: float | None
    allowance: float | None
    shortfall: float | None
    error: float | None = Field(description="The estimate of the matured window less what labels say of it.")
    degraded: bool | None = Field(description="Null without a verdict.")
    undecided: str = Field(description="Why there is no verdict, empty where there is one.")


class LabelDrift(BaseModel):
    """Drift of the labels, judged like a column."""

    drift_score: float | None
    drift_limit: float | None
    drift_significance: float | None
    verdict: str
    undecided: str = Field(description="Why there is no verdict, empty where there is one.")


class QualityWindow(BaseModel):
    """The quality within a matured window, from `start` to `end`."""

    window: str
    start: datetime
    end: datetime
    predictions: int
    labels: int = Field(description="Labels that met one of the predictions and can be used.")
    unusable_labels: int = Field(
        description="Further ones, which are missing, no numbers, or too far from the reference's."
    )
    coverage: float | None = Field(description="Share of the predictions that have a label.")
    weighted: bool = Field(
        description="Labels come for some predictions rather than others: rows count by inverse coverage."
    )
    metrics: list[MetricDetail]
    classes: list[ClassMetric]
    estimates: list[EstimateDetail]
    no_estimate: str = Field(description="Why there are no estimates, or not all, empty where there are.")
    label_drift: LabelDrift | None = Field(description="Null where the reference has no labels.")


class SegmentColumn(BaseModel):
    """Drift of one column of a segment, in one window."""

    column: str
    role: str
    window: str
    drift_score: float | None
    drift_limit: float | None
    verdict: str
    undecided: str = Field(description="Why there is no verdict, empty where there is one.")


class SegmentDetail(BaseModel):
    """The rows of one segment, against the reference's own rows of it."""

    segment: str
    window_rows: dict[str, int]
    columns: list[SegmentColumn]
    quality: list[QualityWindow]
    no_quality: str = Field(description="Why there is no quality, empty where there is.")
