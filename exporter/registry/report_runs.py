"""Reports as runs of MLflow.

A report is one run, found by its tag `monitoring.report_id`: however often and wherever an attempt to log it
broke off, the next one continues with the same run. Four things link the run and the model's version:

    the logged model is an input of the run      lineage, and the column "Version" of the table of runs
    a few metrics are logged with the model's id only these bring the run to the page of the logged model
    the run's description                        leads to the version, and to the exporter's page
    the version's tag `monitoring.report`        leads from the version to the newest report

Not every metric has the model's id: MLflow returns all of them, of all reports, with each logged model.
"""

from __future__ import annotations

import logging
import posixpath
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from exporter.errors import RegistryAuthError, RegistryError
from exporter.formats.texts import utc_text
from exporter.registry.client import RegistryClient
from exporter.registry.client_errors import MissingError
from exporter.registry.models import KEPT_TAG, REPORT_ID_TAG, REPORT_TAG, REPORTS_TAG, model_id_of

if TYPE_CHECKING:
    from mlflow.entities import Metric, Run

MAX_METRICS = 1000  # of a run: what MLflow takes in one request
MAX_NAME = 250  # characters of a metric's name, as MLflow has it
MAX_TAG = 5000  # characters of a tag's value, of which MLflow takes 8,000
MAX_PAGES = 20  # of runs that are looked at, the oldest

log = logging.getLogger(__name__)

_READABLE = str.maketrans({"(": " ", "=": " ", ",": " ", ")": ""})


@dataclass(frozen=True)
class ReportRun:
    """A report to be logged. Times are in seconds since the epoch.

    Attributes:
        report_id: hexadecimal digits.
        experiment: name of the experiment, which is created where it is not there.
        name: of the run.
        model: name of the model.
        version: number of the version.
        started_at: start of the run.
        ended_at: its end.
        metrics: values by name, see `metric_name`.
        headline: names of the metrics that are also those of the logged model.
        tags: of the run.
        description: of the run, in Markdown.
        link: value of the version's tag; empty: it is not set.
        files: contents by name.
    """

    report_id: str
    experiment: str
    name: str
    model: str
    version: str
    started_at: float
    ended_at: float
    metrics: Mapping[str, float] = field(default_factory=dict)
    headline: Collection[str] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    description: str = ""
    link: str = ""
    files: Mapping[str, bytes] = field(default_factory=dict)


def metric_name(*parts: str) -> str:
    """The name that MLflow takes for a metric, of parts of which the empty ones are left out.

    MLflow refuses most punctuation and more than 250 characters. A name that lost some of its characters ends
    with a digest of all of them, so that two names stay two.

    >>> metric_name("QuantileValue(quantile=0.25)", "dep_delay", "")
    'QuantileValue quantile 0.25/dep_delay'
    >>> metric_name("ValueDrift", "amount €")
    'ValueDrift/amount _ 3e04e1a6'
    """
    written = [part.translate(_READABLE) for part in parts if part]
    kept = [re.sub(r"[^\w .-]", "_", part).strip() for part in written]
    name = "/".join("_" if not part.strip(".") else part for part in kept)
    if name != "/".join(written) or len(name) > MAX_NAME or posixpath.normpath(name) != name:
        digest = sha256("/".join(parts).encode("utf-8", "replace")).hexdigest()[:8]
        return f"{name[: MAX_NAME - 9]} {digest}"
    return name


def log_report(mlflow: RegistryClient, report: ReportRun) -> str:
    """Log a report, or what is missing of it, and return the id of its run.

    Of a run that is complete only the tags are set again. One that was deleted stays so.

    Raises:
        RegistryError: MLflow did not take it; a further attempt continues with the same run.
        OSError: there is no room for a temporary file.
    """
    from mlflow.entities import LoggedModelInput, RunTag

    model_id = _model_id(mlflow, report)
    experiment_id = _experiment_id(mlflow, report)
    run = _find_run(mlflow, experiment_id, report.report_id)
    if run is not None and run.info.lifecycle_stage == "deleted":
        return str(run.info.run_id)
    tags = {name: text[:MAX_TAG] for name, text in report.tags.items() if text}
    tags |= {
        REPORT_ID_TAG: report.report_id,
        "mlflow.note.content": report.description[:MAX_TAG],
        "mlflow.source.name": "mlflow-exporter",
    }
    if run is None:
        started_ms = round(report.started_at * 1000)
        with mlflow.asking():
            run = mlflow.raw.create_run(experiment_id, started_ms, tags, report.name)
    run_id = str(run.info.run_id)
    if run.info.status != "FINISHED":
        _log_files(mlflow, run_id, report.files)
        with mlflow.asking():
            mlflow.raw.log_batch(run_id, metrics=_metrics(report, model_id))
            if model_id:
                mlflow.raw.log_inputs(run_id, models=[LoggedModelInput(model_id)])
    with mlflow.asking():
        mlflow.raw.log_batch(run_id, tags=[RunTag(name, text) for name, text in tags.items()])
        mlflow.raw.set_terminated(run_id, "FINISHED", round(report.ended_at * 1000))
    if report.link and model_id is not None:
        try:
            mlflow.set_version_tag(report.model, report.version, REPORT_TAG, report.link)
        except RegistryAuthError as error:  # a user may be allowed to log runs, and not to edit the model
            log.warning("%s version %s has no link to its report: %s", report.model, report.version, error)
    return run_id


def delete_expired_reports(mlflow: RegistryClient, now: float) -> int:
    """Delete the runs of reports whose time is over, and return their number.

    MLflow keeps deleted runs until `mlflow gc`. A run whose tag `monitoring.kept_until` was deleted stays.
    """
    experiments = [each.experiment_id for each in mlflow.list_experiments(f"tags.`{REPORTS_TAG}` LIKE '%'")]
    pages = mlflow.list_runs(experiments, f"tags.`{KEPT_TAG}` LIKE '%'", order="ASC")
    expired = [
        run.info.run_id
        for page in islice(pages, MAX_PAGES)
        for run in page
        if run.data.tags[KEPT_TAG] < utc_text(now)
    ]
    deleted = 0
    for run_id in expired:
        try:
            with mlflow.asking():
                mlflow.raw.delete_run(run_id)
            deleted += 1
        except (MissingError, RegistryAuthError):  # gone, or of another exporter
            continue
    return deleted


def _model_id(mlflow: RegistryClient, report: ReportRun) -> str | None:
    """Id of the logged model of the report's version, empty if it has none; None if the version is gone."""
    try:
        return model_id_of(mlflow.get_version(report.model, report.version))
    except MissingError:
        return None


def _experiment_id(mlflow: RegistryClient, report: ReportRun) -> str:
    name = report.experiment
    with mlflow.asking():
        found = mlflow.raw.get_experiment_by_name(name)
    if found is None:
        tags = {
            REPORTS_TAG: "own",  # it has nothing else
            "mlflow.experimentKind": "custom_model_development",  # or MLflow asks each visitor
            "mlflow.note.content": "Reports of mlflow-exporter on the live data of models.",
        }
        try:
            with mlflow.asking():
                return str(mlflow.raw.create_experiment(name, tags=tags))
        except RegistryError:  # another exporter was faster
            with mlflow.asking():
                found = mlflow.raw.get_experiment_by_name(name)
            if found is None:
                raise
    if found.lifecycle_stage == "deleted":
        raise RegistryError(
            f"experiment {name} of MLflow is deleted: restore it, or name another in `reports.experiment`"
        )
    if REPORTS_TAG not in found.tags:
        with mlflow.asking():
            mlflow.raw.set_experiment_tag(found.experiment_id, REPORTS_TAG, "shared")
    return str(found.experiment_id)


def _find_run(mlflow: RegistryClient, experiment_id: str, report_id: str) -> Run | None:
    """The first run of a report, also a deleted one."""
    from mlflow.entities import ViewType

    with mlflow.asking():
        found = mlflow.raw.search_runs(
            [experiment_id],
            filter_string=f"tags.`{REPORT_ID_TAG}` = '{report_id}'",
            run_view_type=ViewType.ALL,
            max_results=1,
            order_by=["attributes.start_time ASC"],
        )
    return found[0] if found else None


def _log_files(mlflow: RegistryClient, run_id: str, files: Mapping[str, bytes]) -> None:
    with TemporaryDirectory(prefix="mlflow-exporter-") as directory:
        for name, content in files.items():
            path = Path(directory) / name
            path.write_bytes(content)
            with mlflow.asking():
                mlflow.raw.log_artifact(run_id, str(path))
            path.unlink()


def _metrics(report: ReportRun, model_id: str | None) -> list[Metric]:
    """Metrics at the end of the report: each attempt gives them the same time, so MLflow has them once."""
    from mlflow.entities import Metric

    at_ms = round(report.ended_at * 1000)
    return [
        Metric(name, value, at_ms, 0, model_id=(model_id or None) if name in report.headline else None)
        for name, value in list(report.metrics.items())[:MAX_METRICS]
    ]
