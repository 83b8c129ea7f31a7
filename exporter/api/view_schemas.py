"""Pydantic models of the answers about models, versions and changes. Unknown figures are null."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field

from exporter.storage import schema


class Rebaselined(BaseModel):
    """The version's new reference."""

    old_digest: Annotated[str, Field(description="Of the reference before; empty where there was none.")]
    new_digest: str
    rows: int
    provisional: Annotated[
        bool, Field(description="It does not tell its natural variation: a wide limit holds.")
    ]
    notes: list[str]


class AuditEntry(BaseModel):
    """Who changed what on purpose, when and why."""

    at: datetime
    by: str
    action: str
    model: str
    version: str
    old_digest: str
    new_digest: str
    reason: str

    @classmethod
    def of(cls, entry: schema.AuditEntry) -> AuditEntry:
        return cls(**vars(entry))


class Audit(BaseModel):
    """The newest first."""

    entries: list[AuditEntry]


# -- quality
# ---------------------------------------------------------------------------------------------------


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


# -- versions
# --------------------------------------------------------------------------------------------------


class VersionSummary(BaseModel):
    """A monitored version; `status` tells whether it has a reference, `detail` why not."""

    version: str
    aliases: list[str]
    status: str
    detail: str
    predictions_total: int = Field(description="Since this process started.")
    last_prediction: datetime | None
    evaluated_at: datetime | None
    drifted: list[str] = Field(description="Columns that drift in any window.")
    changed: list[str] = Field(description="Columns that changed against the weeks before, in any window.")
    degraded: list[str] = Field(description="Columns that fail a data-quality check.")
    degraded_metrics: list[str] = Field(description="Metrics that labels show to be worse, in any window.")
    degraded_estimates: list[str] = Field(description="Metrics that scores let expect to be worse.")


class ModelSummary(BaseModel):
    model: str
    versions: list[VersionSummary]


class RegistryState(BaseModel):
    """How MLflow answered last."""

    up: bool
    error: str


class Models(BaseModel):
    registry: RegistryState
    models: list[ModelSummary]


class ColumnWindow(BaseModel):
    """A column in a window. `verdict` is `drifted`, `stable` or `undecided`; null figures are not known."""

    window: str
    rows: int
    effective_rows: float | None
    drift_score: float | None
    drift_limit: float | None
    drift_significance: float | None
    verdict: str
    undecided: str = Field(description="Why there is no verdict, empty where there is one.")
    distances: dict[str, float | None]


class ColumnChange(BaseModel):
    """A column in a window against the weeks before. `verdict` is `changed`, `stable` or `undecided`."""

    window: str
    change_score: float | None
    change_limit: float | None
    change_significance: float | None
    verdict: str
    undecided: str = Field(description="Why there is no verdict, empty where there is one.")


class Check(BaseModel):
    """Share of a column's rows that fail a check, in the window that is judged."""

    check: str
    window: str = Field(
        description="The shortest that the reference is dense enough for, or the shortest of all where half "
        "of the column fails there."
    )
    ratio: float
    reference_ratio: float | None = Field(description="Null where the reference has no value.")
    degraded: bool | None = Field(description="Null without a verdict.")
    undecided: str = Field(description="Why there is no verdict, empty where there is one.")


class ColumnDetail(BaseModel):
    column: str
    role: str
    kind: str
    unjudged: str = Field(description="Why drift is not judged, empty where it is.")
    windows: list[ColumnWindow]
    changes: list[ColumnChange] = Field(description="Empty until the weeks before are known.")
    checks: list[Check]


class ReferenceDetail(BaseModel):
    source: str
    digest: str
    rows: int
    split: str
    task: str
    target: str
    provisional: bool = Field(description="It does not tell its natural variation, for lack of times.")
    notes: list[str]


class VersionDetail(VersionSummary):
    model: str
    reference: ReferenceDetail | None
    unknown_columns: list[str] = Field(description="Columns of live rows that the reference does not have.")
    problems: list[str] = Field(
        description="What failed at the last evaluation, and what is said of the model, in tags or the file, "
        "to no effect."
    )
    window_rows: dict[str, int]
    columns: list[ColumnDetail]
    quality: list[QualityWindow] = Field(description="By window, the shortest first.")
    no_quality: str = Field(description="Why there is no quality, empty where there is.")
    segments: list[SegmentDetail]
