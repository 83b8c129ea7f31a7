"""Configuration of models: the file `exporter.yml`, and the tags `monitoring.*` that override it.

    defaults:
      minimums: {labels: 500}
    models:
      fraud:
        target: is_fraud
        positive_class: 1
        maturation: 30d
        tolerances: {recall: 0.05}
        segments: [country]

An unknown key is an error with its line.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, FiniteFloat, ValidationError

from exporter.config.importance import Importance
from exporter.config.reports import ModelReportsConfig
from exporter.config.sampling import SampleConfig
from exporter.config.section import (
    Count,
    EmptyMapping,
    Location,
    Name,
    Names,
    Seconds,
    Section,
    Share,
    Threshold,
    describe_error,
)
from exporter.settings import DAY_SECONDS

MAX_SEGMENTS = 5  # columns; each of their values has series of its own
MAX_MATURATION_DAYS = 60  # labels are counted for 90
TAG_PREFIX = "monitoring."

Task = Literal["binary", "multiclass", "regression"]
Split = Literal["train", "validation", "test", "live"]
QualityMetric = Literal[
    "accuracy", "precision", "recall", "f1", "precision_macro", "recall_macro", "f1_macro",
    "roc_auc", "log_loss", "brier", "calibration_error", "mae", "rmse", "mape", "r2", "bias",
]  # fmt: skip


def _kept(seconds: float) -> float:
    if seconds > MAX_MATURATION_DAYS * DAY_SECONDS:
        raise ValueError(
            f"{seconds / DAY_SECONDS:g} days are more than {MAX_MATURATION_DAYS}, the most there are"
        )
    return seconds


def _few(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(names) > MAX_SEGMENTS:
        raise ValueError(f"{len(names)} columns, at most {MAX_SEGMENTS} are taken")
    return names


Maturation = Annotated[Seconds, AfterValidator(_kept)]


class Columns(Section):
    """Monitored features: those in `include`, or all if it is empty, except those in `exclude`."""

    include: Names = ()
    exclude: Names = ()

    def select(self, column: str) -> bool:
        """Return true if a feature is monitored."""
        return (not self.include or column in self.include) and column not in self.exclude


class Minimums(Section):
    """Minimums below which there is no verdict on quality."""

    labels: Count = 200
    positives: Count = 30
    coverage: Share = 0.8


class ModelConfig(Section):
    """Configuration of one model. Values that are None or empty are inferred, or have a default.

    `positive_class` is the text as written, for `match_class`. `target`, `prediction`, `score` and
    `timestamp` are columns of the reference, see `choose_roles`. `reference_uri` and `importance` come only
    from the file and may be local paths; `importance` may also be weights as JSON, or `permutation`.
    `sample` comes only from the file too. `maturation` is the time to wait for a prediction's label, in
    seconds.
    """

    task: Task | None = None
    target: Name | None = None
    positive_class: Name | None = None
    prediction: Name | None = None
    score: Name | None = None
    timestamp: Name | None = None
    reference_uri: Location | None = None
    reference_split: Split | None = None
    prevalence: Annotated[float, Field(gt=0, lt=1)] | None = None
    columns: Annotated[Columns, EmptyMapping] = Columns()
    drift_threshold: Threshold | None = None
    drift_thresholds: Annotated[dict[Name, Threshold], EmptyMapping] = {}
    maturation: Maturation = 0.0
    minimums: Annotated[Minimums, EmptyMapping] = Minimums()
    baselines: Annotated[dict[QualityMetric, FiniteFloat], EmptyMapping] = {}
    tolerances: Annotated[dict[QualityMetric, Annotated[FiniteFloat, Field(ge=0)]], EmptyMapping] = {}
    segments: Annotated[Names, AfterValidator(_few)] = ()
    reports: Annotated[ModelReportsConfig, EmptyMapping] = ModelReportsConfig()
    importance: Importance = ""
    sample: Annotated[SampleConfig, EmptyMapping] = SampleConfig()

    def reference_fields(self) -> dict[str, Any]:
        """Return the configured fields of `ReferenceData`, which decide how a reference is built."""
        fields = {
            "task": self.task,
            "target": self.target,
            "split": self.reference_split,
            "positive_class": self.positive_class,
            "prediction": self.prediction,
            "score": self.score,
            "timestamp": self.timestamp,
            "columns": self.columns,
            "segments": self.segments,
        }
        return {name: value for name, value in fields.items() if value is not None}


_Entry = Annotated[ModelConfig, EmptyMapping]


class ModelsConfig(Section):
    """The sections of models."""

    defaults: _Entry = ModelConfig()
    models: Annotated[dict[Name, _Entry], EmptyMapping] = {}

    def resolve(self, model: str, tags: Mapping[str, str]) -> tuple[ModelConfig, tuple[str, ...]]:
        """Resolve the configuration of a model: for each setting its tag, else its entry, else the default.

        Returns:
            The configuration, and the problems of its tags; a wrong tag counts as absent.
        """
        merged = _merge(_said(self.defaults), _said(self.models.get(model, ModelConfig())))
        problems = []
        for tag, text in sorted(tags.items()):
            if f"{tag}.".startswith(f"{TAG_PREFIX}sample."):  # a tag could undo `leave_out`
                problems.append(f"tag {tag}: the sample is set in the configuration file only")
                continue
            try:
                candidate = _merge(merged, _read_tag(tag, text.strip()))
                ModelConfig.model_validate(candidate)
            except ValidationError as error:
                problems.append(f"tag {tag} is {text!r}: {describe_error(ModelConfig, error.errors()[0])}")
            else:
                merged = candidate
        return ModelConfig.model_validate(merged), tuple(problems)


# -- tags ---------------------------------------------------------------------------------------------------

# Tags that other modules read; `reference_uri` may name other places than that of the file.
_OTHER_TAGS = {"enabled", "team", "reference_uri", "importance"}
_OTHER_TAGS |= {"inference_service", "action_id", "audit_checkpoint", "auto_rollback", "blocked", "report"}
_TABLES = {"drift_threshold": "drift_thresholds", "tolerance": "tolerances", "baseline": "baselines"}
_LISTS = {"segments", "columns.include", "columns.exclude"}


def _read_tag(tag: str, text: str) -> dict[str, Any]:
    """Convert `monitoring.drift_threshold.age` to {"drift_thresholds": {"age": text}}; empty is absent."""
    name = tag.removeprefix(TAG_PREFIX)
    if name == tag or name in _OTHER_TAGS or not text:
        return {}
    value: object = [part.strip() for part in text.split(",") if part.strip()] if name in _LISTS else text
    setting, _, rest = name.partition(".")
    if rest and setting in _TABLES:
        return {_TABLES[setting]: {rest: value}}
    return {setting: {rest: value}} if rest else {name: value}


def _said(config: ModelConfig) -> dict[str, Any]:
    return config.model_dump(exclude_unset=True)


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = _merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged
