"""`exporter.log_reference`."""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from exporter.config.file import load_config_file
from exporter.config.models import ModelsConfig, Split, Task
from exporter.profiling.data import ReferenceFile
from exporter.profiling.files import check_size
from exporter.profiling.statements import with_statements
from exporter.registry.client import RegistryClient
from exporter.registry.mlmodel import read_statements
from exporter.registry.reference_logging import FILE, choose_destination, log_file
from exporter.registry.reference_subjects import find_subject, source_metrics
from exporter.settings import Settings
from exporter.training.frames import read_data
from exporter.training.review import ReferenceReview, ReviewedModel, review_file

if TYPE_CHECKING:
    from exporter.registry.reference_subjects import Given

_REPLACED = (
    "an exporter that has the former one keeps it: `mlflow-exporter rebaseline --file` replaces it there"
)


def log_reference(
    model: Given,
    data: Any,
    *,
    target: Any = None,
    predictions: Any = None,
    scores: Any = None,
    timestamp: Any = None,
    split: Split = "test",
    task: Task | None = None,
    positive_class: object = None,
    max_rows: int = 1_000_000,
    replace: bool = False,
    config: str | Path | None = None,
    tracking_uri: str | None = None,
    show: bool = True,
) -> ReferenceReview:
    """Log data as the reference of a model, where the exporter finds it, and return what becomes of it.

    Nothing is logged that the exporter could not use.

    Args:
        model: what `log_model` returned, a version, a run, or `models:/name/3`, `models:/name@alias`,
            `runs:/id`. The file is logged with the model; with the run where there is no logged model.
        data: normal rows as the model is asked for them, ideally held out from training: a frame of pandas,
            polars or Spark, an Arrow table, or columns by name. Spark's is sampled there.
        target: the labels. They, and the following three, are the name of a column of the data or one value
            a row.
        predictions: the model's own answers.
        scores: probability of the positive class, or of each class in the order of `classes_`.
        timestamp: times of the rows; over two weeks they show how much days differ when nothing is wrong.
        split: of the data: train, validation, test or live. Training data promises no quality.
        task: binary, multiclass or regression; otherwise inferred.
        positive_class: of a binary model; otherwise the usual one.
        max_rows: more are sampled.
        replace: a reference that is there already is replaced. An exporter that has it keeps the old one, see
            `mlflow-exporter rebaseline`.
        config: the exporter's configuration file, if it says something about the model.
        tracking_uri: of MLflow; otherwise as MLflow's client finds it.
        show: print the review.

    Raises:
        ReferenceInvalidError: the data cannot be a reference; the message says why.
        ReferenceExistsError: there is a reference already, or another one is found first.
        RegistryError: MLflow did not answer as it should.
        ConfigError: MLflow's URI, or the configuration file, cannot be used.
    """
    models = load_config_file(Path(config)) if config is not None else ModelsConfig()
    mlflow = RegistryClient(tracking_uri, None, None)
    subject = find_subject(mlflow, model)
    own_config, problems = models.resolve(subject.model, subject.tags)
    destination = choose_destination(mlflow, subject, own_config, replace=replace)
    own = {"target": target, "prediction": predictions, "score": scores, "timestamp": timestamp}
    logged = read_data(data, own, max_rows)
    stated = {**logged.named, "split": split, "task": task or "", "positive_class": _text(positive_class)}
    with TemporaryDirectory(prefix="mlflow-exporter-") as directory:
        path = Path(directory, FILE)
        pq.write_table(with_statements(logged.table, stated), path, compression="zstd")
        check_size(FILE, path.stat().st_size)
        stated_by_model, inputs = read_statements(mlflow, subject.files.root)
        file = ReferenceFile(
            path, destination.source, own_config.reference_fields(), {**stated_by_model, "inputs": inputs}
        )
        metrics = source_metrics(mlflow, subject)
        hints = problems + logged.notes + (_REPLACED,) * destination.replaces
        described = ReviewedModel(subject.name, destination.uri, own_config, metrics, hints)
        review = review_file(file, described, Settings())
        log_file(mlflow, subject, destination, path)
    if show:
        print(review, file=sys.stdout)  # noqa: T201 - for the person at the notebook
    return review


def _text(positive_class: object) -> str:
    return "" if positive_class is None else str(positive_class)
