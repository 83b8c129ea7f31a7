"""Pydantic models of the bodies of ingestion, and of problems, for OpenAPI.

They document requests, and tests hold them against the decoders in `exporter.formats`, which read a body
column by column: a validated object per row would take ten times as long.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from exporter.api.serving_schemas import ServingReport
from exporter.ingest.aggregates_body import AggregatesBody

Scalar = float | int | bool | str | None
Score = float | list[float | None] | dict[str, float | None] | None


class _Body(BaseModel):
    """Object in a request; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid")


class PredictionRow(_Body):
    """One prediction. Only `features` and `prediction` are required."""

    id: str | int | None = Field(
        None, description="At most 256 characters. Needed for labels; a retry with the same id counts once."
    )
    timestamp: datetime | float | None = Field(
        None, description="Time of the prediction; UTC if it has no zone, now if left out."
    )
    features: dict[str, Scalar]
    prediction: Scalar
    score: Score = Field(
        None,
        description="The probability of the positive class; of several classes one each, as a list in the "
        "order of scikit-learn's `classes_` (numbers by value, texts by their characters), or by class.",
    )
    label: Scalar = Field(None, description="The ground truth, if already known.")
    latency_seconds: float | None = None


class PredictionColumns(_Body):
    """Predictions as columns of equal length."""

    id: list[str | int | None] | None = None
    timestamp: list[datetime | float | None] | None = None
    features: dict[str, list[Scalar]]
    prediction: list[Scalar]
    score: list[Score] | None = None
    label: list[Scalar] | None = None
    latency_seconds: list[float | None] | None = None


class DataframeSplit(_Body):
    """Features in the format of MLflow's scoring server; unnamed columns are called `0`, `1`, ..."""

    columns: list[str | int] | None = None
    data: list[list[Scalar]]
    index: list[Scalar] | None = Field(None, description="As written by pandas; ignored.")


DataframeRecords = list[dict[str, Scalar]]
ServerRows = DataframeRecords | list[list[Scalar]] | list[Scalar]
# Values, columns by row or as lists, or probabilities of classes.
ServerAnswer = list[Scalar] | list[dict[str, Any]] | list[list[float | None]] | dict[str, Any]


class PredictionBatch(_Body):
    """Predictions of exactly one of `version` and `alias`.

    Rows in `predictions`, or `columns`, or a request to MLflow's scoring server (`dataframe_split`,
    `dataframe_records`, `instances` or `inputs`) with its answer in `predictions` and, if need be, lists
    `id`, `timestamp`, `score`, `label` and `latency_seconds`.
    """

    model: str
    version: str | int | None = Field(None, description="The loaded version; preferable to `alias`.")
    alias: str | None = Field(None, description="Resolved at the time of each row.")
    predictions: list[PredictionRow] | ServerAnswer | None = None
    columns: PredictionColumns | None = None
    dataframe_split: DataframeSplit | None = None
    dataframe_records: DataframeRecords | None = None
    instances: ServerRows | None = None
    inputs: dict[str, list[Scalar]] | dict[str, Scalar] | ServerRows | None = None
    params: dict[str, Any] | None = Field(None, description="Of MLflow's scoring server; ignored.")
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
        "summary": "The same with records, and with ids for labels",
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

    id: str | int = Field(description="The id of the prediction.")
    label: float | int | bool | str
    timestamp: datetime | float | None = Field(
        None, description="Time at which it became known; now if left out."
    )


class LabelColumns(_Body):
    """Labels as columns of equal length."""

    id: list[str | int]
    label: list[float | int | bool | str]
    timestamp: list[datetime | float | None] | None = None


class LabelBatch(_Body):
    """Labels, as rows or columns. They are of a model, and apply to every version that scored the id."""

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


class FoldingReference(BaseModel):
    """A version's reference, by which rows are counted elsewhere; see `exporter.folding`."""

    model: str
    version: str
    digest: Annotated[str, Field(description="SHA-256 of the reference.")]
    block_seconds: Annotated[int, Field(description="Length of a block of time.", examples=[300])]
    max_body_bytes: Annotated[int, Field(description="Largest body that is taken.", examples=[33554432])]
    score_edges: Annotated[
        list[float] | None,
        Field(description="Edges of the bins of labelled rows' scores; null where labels are not counted."),
    ]
    reference: Annotated[str, Field(description="Base64 of the encoded reference.")]


class AcceptedLabels(BaseModel):
    """Counts of the labels, which are on disk now, by outcome; null: not known yet (they are in Kafka)."""

    accepted: Annotated[
        int, Field(description="New, and joined with a prediction; of produced ones all.", examples=[1])
    ]
    unmatched: Annotated[int | None, Field(description="New; waiting for their prediction.", examples=[0])]
    corrections: Annotated[int | None, Field(description="A different value than before.", examples=[0])]
    duplicates: Annotated[int | None, Field(description="The same value as before.", examples=[0])]


class Accepted(BaseModel):
    """Counts of the rows, which are on disk now, by outcome; null: not known yet (they are in Kafka)."""

    accepted: Annotated[int, Field(description="New rows, counted; of produced ones all.", examples=[1])]
    duplicates: Annotated[
        int | None,
        Field(
            description="Rows whose id was received before with the same payload; not counted again.",
            examples=[0],
        ),
    ]
    conflicts: Annotated[
        int | None,
        Field(
            description="Rows whose id was received before with another payload; counted too.", examples=[0]
        ),
    ]
    dropped: Annotated[
        dict[str, int] | None,
        Field(description="Rows that cannot be counted, by reason: `too_old`, `future`, `no_version`."),
    ] = None


class Problem(BaseModel):
    """The reason why a request was refused (RFC 9457)."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    where: Annotated[str | None, Field(examples=["predictions[3].features"])] = None


def untyped_schemas() -> dict[str, Any]:
    """Return the JSON schemas that FastAPI does not see, by name: raw bodies and problems."""
    schemas: dict[str, Any] = {}
    for model in (PredictionBatch, LabelBatch, AggregatesBody, ServingReport, Problem):
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas |= {**schema.pop("$defs", {}), model.__name__: schema}
    return schemas


def schema_reference(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}
