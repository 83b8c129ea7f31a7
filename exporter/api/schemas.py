"""The JSON that goes over the wire, as pydantic models: for OpenAPI, and for what we answer.

Predictions are decoded by `exporter.formats.predictions`, column by column: a validated object per row
would cost ten times as much. The models of requests here are their documentation, and tests hold the two
together.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from exporter.api.quality_wire import QualityWindow, SegmentDetail
from exporter.storage import schema

Scalar = float | int | bool | str | None
Score = float | list[float | None] | dict[str, float | None] | None


class _Body(BaseModel):
    """Object of a request; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid")


class PredictionRow(_Body):
    """One prediction. Only `features` and `prediction` are required."""

    id: str | int | None = Field(
        None, description="At most 256 characters. Needed for labels; a retry with the same id counts once."
    )
    timestamp: datetime | float | None = Field(
        None, description="When it was made; without a zone: UTC; left out: now."
    )
    features: dict[str, Scalar]
    prediction: Scalar
    score: Score = Field(
        None,
        description="The probability of the positive class; of several classes one each, as a list in the "
        "order of scikit-learn's `classes_` (numbers by value, texts by their characters), or by class.",
    )
    label: Scalar = Field(None, description="The ground truth, where it is known already.")
    latency_seconds: float | None = None


class PredictionColumns(_Body):
    """The same, column by column; all of one length."""

    id: list[str | int | None] | None = None
    timestamp: list[datetime | float | None] | None = None
    features: dict[str, list[Scalar]]
    prediction: list[Scalar]
    score: list[Score] | None = None
    label: list[Scalar] | None = None
    latency_seconds: list[float | None] | None = None


class DataframeSplit(_Body):
    """Features as MLflow's scoring server takes them; columns without names are called `0`, `1`, ..."""

    columns: list[str | int] | None = None
    data: list[list[Scalar]]
    index: list[Scalar] | None = Field(None, description="As pandas writes it; not looked into.")


Records = list[dict[str, Scalar]]


class PredictionBatch(_Body):
    """Exactly one of `version` and `alias`. Rows in `predictions`, or `columns`, or a request to MLflow's
    scoring server (`dataframe_split`, `dataframe_records`, `instances` or `inputs`) with its answer in
    `predictions` and, if need be, lists `id`, `timestamp`, `score`, `label` and `latency_seconds`."""

    model: str
    version: str | int | None = Field(None, description="The version that was loaded: better than `alias`.")
    alias: str | None = Field(None, description="Resolved at each row's own time.")
    predictions: list[PredictionRow] | list[Scalar] | None = None
    columns: PredictionColumns | None = None
    dataframe_split: DataframeSplit | None = None
    dataframe_records: Records | None = None
    instances: Records | list[list[Scalar]] | None = None
    inputs: dict[str, list[Scalar]] | Records | list[list[Scalar]] | None = None
    id: list[str | int | None] | None = None
    timestamp: list[datetime | float | None] | None = None
    score: list[Score] | None = None
    label: list[Scalar] | None = None
    latency_seconds: list[float | None] | None = None


PREDICTION_EXAMPLES: dict[str, Any] = {
    "rows": {
        "summary": "Rows",
        "value": {
            "model": "fraud",
            "version": "3",
            "predictions": [
                {
                    "id": "a1",
                    "timestamp": "2026-11-23T10:00:00Z",
                    "features": {"age": 41, "country": "DE"},
                    "prediction": 1,
                    "score": 0.93,
                    "latency_seconds": 0.012,
                }
            ],
        },
    },
    "columns": {
        "summary": "Columns",
        "value": {
            "model": "fraud",
            "version": "3",
            "columns": {
                "id": ["a1", "a2"],
                "features": {"age": [41, 27], "country": ["DE", "FR"]},
                "prediction": [1, 0],
            },
        },
    },
    "scoring server": {
        "summary": "A request to MLflow's scoring server together with its answer",
        "value": {
            "model": "fraud",
            "alias": "champion",
            "dataframe_split": {"columns": ["age", "country"], "data": [[41, "DE"]]},
            "predictions": [1],
        },
    },
    "scoring server, records": {
        "summary": "The same with records, and ids for labels",
        "value": {
            "model": "fraud",
            "version": "3",
            "dataframe_records": [{"age": 41, "country": "DE"}],
            "predictions": [1],
            "id": ["a3"],
        },
    },
}


class LabelRow(_Body):
    """The ground truth of a prediction."""

    id: str | int = Field(description="Of the prediction.")
    label: float | int | bool | str
    timestamp: datetime | float | None = Field(None, description="When it became known; left out: now.")


class LabelColumns(_Body):
    """The same, column by column; all of one length."""

    id: list[str | int]
    label: list[float | int | bool | str]
    timestamp: list[datetime | float | None] | None = None


class LabelBatch(_Body):
    """Either `labels` or `columns`. Labels are of a model, and apply to every version that scored the id."""

    model: str
    labels: list[LabelRow] | None = None
    columns: LabelColumns | None = None


LABEL_EXAMPLES: dict[str, Any] = {
    "rows": {"summary": "Rows", "value": {"model": "fraud", "labels": [{"id": "a1", "label": 0}]}},
    "columns": {
        "summary": "Columns",
        "value": {"model": "fraud", "columns": {"id": ["a1", "a2"], "label": [0, 1]}},
    },
}


class AcceptedLabels(BaseModel):
    """What became of the labels, which are on disk now; each is in one of the four."""

    accepted: Annotated[int, Field(description="New, and joined with a prediction.", examples=[1])]
    unmatched: Annotated[int, Field(description="New; they wait for their prediction.", examples=[0])]
    corrections: Annotated[int, Field(description="Another value than before.", examples=[0])]
    duplicates: Annotated[int, Field(description="The same value as before.", examples=[0])]


class Accepted(BaseModel):
    """What became of the rows, which are on disk now."""

    accepted: Annotated[int, Field(description="Rows that are new and count from now on.", examples=[1])]
    duplicates: Annotated[
        int, Field(description="Rows whose id came before with the same payload.", examples=[0])
    ]
    conflicts: Annotated[
        int,
        Field(description="Rows whose id came before with another payload; they count too.", examples=[0]),
    ]
    dropped: Annotated[
        dict[str, int] | None,
        Field(description="Rows that cannot count, by reason: `too_old`, `future`, `no_version`."),
    ] = None


class Problem(BaseModel):
    """Why a request was refused (RFC 9457)."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    where: Annotated[str | None, Field(examples=["predictions[3].features"])] = None


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


def untyped_schemas() -> dict[str, Any]:
    """JSON schemas, by name, of what FastAPI does not see: raw bodies and problems."""
    schemas: dict[str, Any] = {}
    for model in (PredictionBatch, LabelBatch, Problem):
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas |= {**schema.pop("$defs", {}), model.__name__: schema}
    return schemas


def schema_reference(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}
