"""Reviews a reference that is there already: a file of this machine, or of a model or run of MLflow."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from exporter.config.models import TAG_PREFIX, ModelConfig, ModelsConfig
from exporter.errors import ConfigError, ReferenceInvalidError
from exporter.profiling.data import ReferenceFile
from exporter.profiling.files import MAX_BYTES, check_size, max_bytes
from exporter.registry.client import RegistryClient
from exporter.registry.reference_subjects import find_subject, source_metrics
from exporter.registry.sources import load_reference
from exporter.settings import Settings
from exporter.training.review import ReferenceReview, ReviewedModel, review_file


@dataclass(frozen=True)
class Rules:
    """Configuration, tags and settings by which a reference is reviewed.

    `models` are those of the configuration file, of which `model` names the entry of a file of this machine.
    `said` are settings of a model that win over it and over tags, named as in tags without their prefix.
    """

    models: ModelsConfig
    model: str
    said: Mapping[str, str]
    settings: Settings

    def resolve(self, model: str, tags: Mapping[str, str]) -> tuple[ModelConfig, tuple[str, ...]]:
        """The configuration of a model, and the problems of its tags.

        Raises:
            ConfigError: what is said cannot be used.
        """
        said = {TAG_PREFIX + name: text for name, text in self.said.items()}
        _, wrong = self.models.resolve(model, said)
        if wrong:
            raise ConfigError("; ".join(wrong).replace(f"tag {TAG_PREFIX}", ""))
        return self.models.resolve(model, {**tags, **said})


def check_reference(given: str, rules: Rules) -> ReferenceReview:
    """Review the reference of a model or run, which is found as the exporter finds it, or a file.

    Args:
        given: a path, a URI of a version, logged model or run, or one of a file in these.
        rules: of the review.

    Raises:
        ReferenceError: there is none, or it cannot be used.
        RegistryError: MLflow did not answer as it should.
        ConfigError: MLflow's URI, or what is said, cannot be used.
    """
    suffixes = "|".join(re.escape(suffix) for suffix in MAX_BYTES)
    if not re.match(r"(models|runs):/", given):
        return _check_path(Path(given).absolute(), rules)  # the child is elsewhere
    mlflow = RegistryClient(None, None, rules.settings.mlflow_timeout_seconds)
    if re.search(rf"/.+/.*({suffixes})$", given, re.IGNORECASE):
        return _check_remote_file(mlflow, given, rules)
    subject = find_subject(mlflow, given)
    config, problems = rules.resolve(subject.model, subject.tags)
    metrics = source_metrics(mlflow, subject)

    def review(file: ReferenceFile) -> ReferenceReview:
        model = ReviewedModel(subject.name, f"{given}, {file.source}", config, metrics, problems)
        return review_file(file, model, rules.settings)

    return load_reference(mlflow, subject.files, config, review)


def _check_path(path: Path, rules: Rules) -> ReferenceReview:
    max_bytes(path.name)  # an unknown extension is told before a file that is not there
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise ReferenceInvalidError(f"{path} cannot be read: {error.strerror}") from None
    config, _ = rules.resolve(rules.model, {})
    model = ReviewedModel(rules.model or path.name, str(path), config)
    return review_file(ReferenceFile(path, "file", config.reference_fields()), model, rules.settings)


def _check_remote_file(mlflow: RegistryClient, uri: str, rules: Rules) -> ReferenceReview:
    file = mlflow.find_file(mlflow.locate(uri))
    if file is None:
        raise ReferenceInvalidError(f"there is no file {uri}")
    check_size(uri, file.size_bytes or 0)
    with TemporaryDirectory(prefix="mlflow-exporter-") as directory:
        path = mlflow.download(file, Path(directory))
        config, _ = rules.resolve(rules.model, {})
        model = ReviewedModel(rules.model or path.name, uri, config)
        return review_file(ReferenceFile(path, "file", config.reference_fields()), model, rules.settings)
