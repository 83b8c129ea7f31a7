"""Pydantic models of the answers about models, versions and changes. Unknown figures are null."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, Field


class Rebaselined(BaseModel):
    """The version's new reference."""

    old_digest: Annotated[
        str, Field(description="Digest of the previous reference; empty if there was none.")
    ]
    new_digest: str
    rows: int
    provisional: Annotated[bool, Field(description="Its natural variation is unknown: a wide limit applies.")]
    notes: list[str]


class AuditEntry(BaseModel):
    """A record of the audit trail. One whose body was erased has its number, time, kind and names."""

    v: int = Field(default=1, description="Version of the format.")
    seq: int
    at: datetime
    kind: str
    actor: str = Field(description="`system`, `monitor`, `mlflow`, a policy, or the name of a token.")
    action_id: str = Field(description="Of a remediation; empty for others.")
    model: str
    model_version: str
    subject: str = Field(default="", description="The column, alias, alert or policy.")
    data: dict[str, Any] = Field(default={}, description="By the kind, see exporter/audit/README.md.")
    reference_digest: str = ""
    config_digest: str = ""
    exporter: str = Field(default="", description="Version of the exporter.")
    salt: str = Field(default="", description="Keeps the digest of an erased body from being guessed.")
    erased: bool = Field(default=False, description="True where the body was erased.")
    body_digest: str = Field(description="SHA-256 of the fields above in canonical JSON (RFC 8785).")
    digest: str = Field(description="SHA-256 of 0x01, the digest of the record before, and `body_digest`.")


class Audit(BaseModel):
    """Records of the audit trail, newest first."""

    entries: list[AuditEntry]
    next: int | None = Field(description="Parameter `next` for older records; null if there are none.")


class Erased(BaseModel):
    """The record that says what was erased."""

    seq: int


# -- quality -------------------------------------------------------------------------------------------------


class MetricDetail(BaseModel):
    """A metric in a matured window: the figure with its 99 % interval, or the reason why there is none."""

    metric: str
    value: float | None
    lower: float | None
    upper: float | None
    absent: str = Field(description="Why there is no figure; empty if there is one.")
    baseline: float | None = Field(description="The baseline of the version; null if it has none.")
    tolerance: float | None
    allowance: float | None = Field(description="Null if the natural variation is unknown.")
    shortfall: float | None = Field(description="Distance to the baseline; positive is worse.")
    provisional: bool = Field(description="The natural variation is unknown: alerts do not page.")
    degraded: bool | None = Field(description="Null without a verdict.")
    undecided: str = Field(description="Why there is no verdict; empty if there is one.")


class ClassMetric(BaseModel):
    """A metric of one class."""

    label: str = Field(description="The class.")
    metric: str
    value: float
    lower: float | None
    upper: float | None


class EstimateDetail(BaseModel):
    """A metric estimated from scores in the window up to now, without labels; blind to concept drift."""

    metric: str
    value: float | None
    lower: float | None
    upper: float | None
    baseline: float | None
    allowance: float | None
    shortfall: float | None
    error: float | None = Field(description="Estimate minus labelled figure of the matured window.")
    degraded: bool | None = Field(description="Null without a verdict.")
    undecided: str = Field(description="Why there is no verdict; empty if there is one.")


class LabelDrift(BaseModel):
    """Drift of the labels, judged like a column."""

    drift_score: float | None
    drift_limit: float | None
    drift_significance: float | None
    verdict: str
    undecided: str = Field(description="Why there is no verdict; empty if there is one.")


class ConfusionMatrix(BaseModel):
    """Labelled rows by class."""

    classes: list[str] = Field(description="The last is every other class.")
    rows: list[list[int]] = Field(description="By actual class, then by predicted class.")


class QualityWindow(BaseModel):
    """Model quality in a matured window, from `start` to `end`."""

    window: str
    start: datetime
    end: datetime
    predictions: int
    labels: int = Field(description="Usable labels that were joined with a prediction.")
    unusable_labels: int = Field(
        description="Labels that are missing, not numbers, or too far from those of the reference."
    )
    coverage: float | None = Field(description="Share of the predictions that have a label.")
    weighted: bool = Field(description="Labels are missing unevenly: rows are weighted by inverse coverage.")
    metrics: list[MetricDetail]
    classes: list[ClassMetric]
    confusion: ConfusionMatrix | None = Field(description="Null for a regression.")
    estimates: list[EstimateDetail]
    no_estimate: str = Field(description="Why estimates are missing; empty if none are.")
    label_drift: LabelDrift | None = Field(description="Null if the reference has no labels.")


class SegmentColumn(BaseModel):
    """Drift of one column of a segment, in one window."""

    column: str
    role: str
    window: str
    drift_score: float | None
    drift_limit: float | None
    verdict: str
    undecided: str = Field(description="Why there is no verdict; empty if there is one.")


class SegmentDetail(BaseModel):
    """One segment, against the rows of the same segment in the reference."""

    segment: str
    window_rows: dict[str, int]
    columns: list[SegmentColumn]
    quality: list[QualityWindow]
    no_quality: str = Field(description="Why there is no quality; empty if there is.")


# -- versions ------------------------------------------------------------------------------------------------


class VersionSummary(BaseModel):
    """A monitored version; `status` tells whether it has a reference, `detail` why not."""

    version: str
    aliases: list[str]
    status: str
    detail: str
    predictions_total: int = Field(
        description="Since this process started, in a Kafka group since it exists."
    )
    last_prediction: datetime | None
    evaluated_at: datetime | None
    drifted: list[str] = Field(description="Columns that have drifted in any window.")
    changed: list[str] = Field(
        description="Columns that have changed against the previous weeks, in any window."
    )
    degraded: list[str] = Field(description="Columns that fail a data-quality check.")
    degraded_metrics: list[str] = Field(description="Metrics that are degraded by labels, in any window.")
    degraded_estimates: list[str] = Field(
        description="Metrics that are degraded as estimated from scores, in any window."
    )


class ModelSummary(BaseModel):
    model: str
    versions: list[VersionSummary]


class RegistryState(BaseModel):
    """The result of the last request to MLflow."""

    up: bool
    error: str


class Models(BaseModel):
    registry: RegistryState
    models: list[ModelSummary]


class ColumnWindow(BaseModel):
    """A column in a window. `verdict` is `drifted`, `stable` or `undecided`; unknown figures are null."""

    window: str
    rows: int
    effective_rows: float | None
    drift_score: float | None
    drift_limit: float | None
    drift_significance: float | None
    verdict: str
    undecided: str = Field(description="Why there is no verdict; empty if there is one.")
    distances: dict[str, float | None]


class ColumnChange(BaseModel):
    """A column in a window against the previous weeks. `verdict` is `changed`, `stable` or `undecided`."""

    window: str
    change_score: float | None
    change_limit: float | None
    change_significance: float | None
    verdict: str
    undecided: str = Field(description="Why there is no verdict; empty if there is one.")


class Check(BaseModel):
    """Share of a column's rows that fail a check, in the judged window."""

    check: str
    window: str = Field(
        description="The shortest that the reference is dense enough for, or the shortest of all "
        "if half of the column fails there."
    )
    ratio: float
    reference_ratio: float | None = Field(description="Null if the reference has none.")
    degraded: bool | None = Field(description="Null without a verdict.")
    undecided: str = Field(description="Why there is no verdict; empty if there is one.")


class ColumnDetail(BaseModel):
    column: str
    role: str
    kind: str
    unjudged: str = Field(description="Why drift is not judged; empty if it is.")
    windows: list[ColumnWindow]
    changes: list[ColumnChange] = Field(description="Empty until the previous weeks are known.")
    checks: list[Check]
    importance: float | None = Field(description="Share in the model's answers; null if it is unknown.")


class ImportanceDetail(BaseModel):
    """Importance of the features, and the drift that is weighted by it."""

    source: str = Field(description="`tag`, `config`, `run_artifact` or `permutation`.")
    drift: dict[str, float] = Field(
        description="By window, from 0 to 1: the sum of importance times 1 - limit / score where the score "
        "is beyond its limit."
    )
    attribution_drift: float | None = Field(
        description="Total variation of the attribution shares of recent live rows and of the reference's; "
        "null unless importance is measured by permutation."
    )
    attribution_rows: int = Field(description="Sampled live rows that it was measured on.")


class ReferenceDetail(BaseModel):
    source: str
    digest: str
    rows: int
    split: str
    task: str
    target: str
    provisional: bool = Field(description="Its natural variation is unknown, for lack of times.")
    notes: list[str]


class BadVerdictDetail(BaseModel):
    """A verdict that is bad now."""

    measure: str = Field(
        description="`drift`, `change`, `data_quality/<check>`, `quality`, `estimated_quality`, "
        "`label_drift` or `coverage`."
    )
    name: str = Field(description="The column or metric.")
    window: str = Field(description="Empty for checks of data quality.")
    segment: str = Field(description="Empty for the whole version.")
    since: datetime
    severe: bool = Field(description="It has been severe since.")


class VersionDetail(VersionSummary):
    model: str
    reference: ReferenceDetail | None
    unknown_columns: list[str] = Field(description="Columns of live rows that are not in the reference.")
    problems: list[str] = Field(
        description="Failures of the last evaluation, and settings in tags or the configuration file "
        "that have no effect."
    )
    window_rows: dict[str, int]
    bad: list[BadVerdictDetail] = Field(description="The oldest first.")
    importance: ImportanceDetail | None
    columns: list[ColumnDetail] = Field(description="In the order of their importance, if it is known.")
    quality: list[QualityWindow] = Field(description="By window, the shortest first.")
    no_quality: str = Field(description="Why there is no quality; empty if there is.")
    segments: list[SegmentDetail]
