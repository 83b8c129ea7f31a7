"""Labelled rows of a report, defined as Evidently's metrics of classification and regression take them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from evidently import BinaryClassification, DataDefinition, Dataset, MulticlassClassification, Regression
from evidently.presets import (
    ClassificationPreset,
    ClassificationQuality,
    ClassificationQualityByLabel,
    RegressionPreset,
)

from exporter.reports.contents import ReportInput
from exporter.reports.outputs import CleanOutputs, is_classification
from exporter.reports.tables import series

DEFAULT_THRESHOLD = 0.5


@dataclass(frozen=True)
class LabelledData:
    """Labelled rows of the window and of the reference, None without any.

    `presets` are what is made of them by default. `threshold` is the score from which on the model predicts
    the positive class of two, None without scores.
    """

    current: Dataset
    reference: Dataset | None
    presets: tuple[Any, ...]
    threshold: float | None = None


def labelled_rows(
    given: ReportInput, outputs: Sequence[CleanOutputs], notes: list[str]
) -> LabelledData | None:
    """Labelled rows, None without any; what is missing is added to the notes."""
    if not given.task:
        notes.append("the task of the model is not known, so its quality is not shown")
        return None
    tables = [_table(given, each) for each in outputs]
    current, reference = tables[0], tables[1] if len(tables) > 1 else None
    if current.empty:
        notes.append("no row of the window has a label, so the quality of predictions is not shown")
        return None
    notes.append(f"{len(current):,} of {len(outputs[0].labels.values):,} sampled rows have a label")
    if reference is not None and reference.empty:
        notes.append("the reference has no labels, so quality is not compared with it")
        reference = None
    if not is_classification(given.task):
        if not current["target"].any():
            notes.append("every label is 0, of which Evidently has no quality")
            return None
        definition = DataDefinition(
            numerical_columns=list(current.columns),
            regression=[Regression(target="target", prediction="prediction")],
        )
        return _rows(current, reference, definition, (RegressionPreset(),))
    return _classified(given, outputs, current, reference, notes)


def _classified(
    given: ReportInput,
    outputs: Sequence[CleanOutputs],
    current: pd.DataFrame,
    reference: pd.DataFrame | None,
    notes: list[str],
) -> LabelledData:
    absent = set(given.classes) - set(current["target"])
    if reference is not None and set(reference["target"]) != set(given.classes):
        notes.append("the reference has no label of some class, so quality is not compared with it")
        reference = None
    if absent:
        notes.append(
            f"no label in the window is {' or '.join(sorted(absent))}, so figures that need all classes, "
            "such as ROC AUC, are not shown"
        )
        columns = ["prediction", "target"]
        definition = _definition(
            columns, MulticlassClassification(target="target", prediction_labels="prediction")
        )
        whole = () if given.task == "binary" else (ClassificationQuality(conf_matrix=True),)
        presets = (*whole, ClassificationQualityByLabel())
        return _rows(current[columns], None, definition, presets)
    if given.task == "binary":
        scored = "score" in current and (reference is None or "score" in reference)
        threshold = _threshold(current, given.positive_class, notes) if scored else None
        classification: Any = BinaryClassification(
            target="target",
            prediction_labels="prediction",
            prediction_probas="score" if scored else None,
            pos_label=given.positive_class,
        )
        preset = ClassificationPreset(probas_threshold=threshold)
        columns = ["prediction", "target", *(["score"] if scored else [])]
        definition = _definition(columns, classification)
        return _rows(current[columns], reference, definition, (preset,), threshold)
    tables = [current] if reference is None else [current, reference]
    probable = all(name in table for table in tables for name in given.classes)
    probabilities = list(given.classes) if probable else []
    classification = MulticlassClassification(
        target="target", prediction_labels="prediction", prediction_probas=probabilities or None
    )
    columns = ["prediction", "target", *probabilities]
    return _rows(current[columns], reference, _definition(columns, classification), (ClassificationPreset(),))


def _rows(
    current: pd.DataFrame,
    reference: pd.DataFrame | None,
    definition: DataDefinition,
    presets: tuple[Any, ...],
    threshold: float | None = None,
) -> LabelledData:
    return LabelledData(
        Dataset.from_pandas(current, definition),
        None if reference is None else Dataset.from_pandas(reference[list(current.columns)], definition),
        presets,
        threshold,
    )


def _definition(columns: Sequence[str], classification: Any) -> DataDefinition:
    return DataDefinition(
        categorical_columns=["prediction", "target"],
        numerical_columns=[name for name in columns if name not in ("prediction", "target")],
        classification=[classification],
    )


def _table(given: ReportInput, outputs: CleanOutputs) -> pd.DataFrame:
    """Rows with a label and a prediction, and with a score if any has one."""
    kind: Any = "category" if is_classification(given.task) else "number"
    table = pd.DataFrame(
        {
            "prediction": series(kind, outputs.predictions.values),
            "target": series(kind, outputs.labels.values),
        }
    )
    if given.task == "binary" and outputs.scores.present:
        table["score"] = series("number", outputs.scores.values)
    for name, values in outputs.probabilities.items():
        if name not in table:
            table[name] = series("number", values)
    return table.dropna().reset_index(drop=True)


def _threshold(rows: pd.DataFrame, positive: str, notes: list[str]) -> float:
    """Score from which on the model predicts the positive class; Evidently does not look at predictions."""
    chosen = rows["prediction"] == positive
    low = rows.loc[~chosen, "score"].max()  # NaN without any
    high = rows.loc[chosen, "score"].min()
    if low < high:
        # The default where the model may use it.
        return DEFAULT_THRESHOLD if low < DEFAULT_THRESHOLD <= high else float(high)
    if low >= high:
        notes.append(
            "predictions do not follow from the scores by one threshold, so the figures of quality are those "
            f"of a threshold of {DEFAULT_THRESHOLD}"
        )
    return DEFAULT_THRESHOLD
