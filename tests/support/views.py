"""Small monitored versions with every kind of figure, for the tests of what they show."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np

from exporter.config.models import ModelConfig
from exporter.evaluation.change import ChangeEvaluation
from exporter.evaluation.comparison import DRIFTED, STABLE, UNDECIDED
from exporter.evaluation.data_quality import QualityCheck
from exporter.evaluation.drift import Evaluation, WindowEvaluation
from exporter.evaluation.habits.limits import Habit, Habits
from exporter.evaluation.importance import AttributionDrift, Importance
from exporter.evaluation.model_quality import (
    ClassQuality,
    Confusion,
    EstimatedQuality,
    MetricQuality,
    QualityEvaluation,
)
from exporter.evaluation.segments import SegmentEvaluation
from exporter.exposition.experiments import experiment_families
from exporter.exposition.group import Lag
from exporter.exposition.remediation import CheckpointView, LedgerView, PolicyView
from exporter.exposition.render import Family
from exporter.exposition.reports import ReportsView
from exporter.exposition.telemetry import Telemetry
from exporter.exposition.view import VersionView
from exporter.fleet import BadVerdict, Findings, ReportedValues
from exporter.measures.intervals import Interval
from exporter.monitoring.verdicts import bad_subjects
from exporter.reference.bins import Column
from exporter.reference.profile import Reference, Segment, Variation
from exporter.registry.runs import Experiment, Run
from exporter.serving_processes import GpuUse, ServingProcess
from exporter.settings import Window
from exporter.shard import Shard
from exporter.storage.sampled_rows import SampleSize
from exporter.typing import Floats

NOW = 1_800_000_000.0
HOUR, DAY = Window(3600, "1h"), Window(86400, "24h")


def make_reference(source: str = "extra_files/reference.parquet", **changes: Any) -> Reference:
    """Five columns: a number, a category, one that is not judged, the prediction and its score."""
    columns = (
        Column("age", "feature", "number", edges=np.array([18.0, 25.5])),
        Column("country", "feature", "category", categories=("DE", 'say "hi"\\\n')),
        Column("user_id", "feature", "category", unjudged="as many values as rows"),
        Column("prediction", "prediction", "boolean", categories=("0", "1")),
        Column("score", "score", "number", edges=np.array([0.5])),
    )
    counts = [
        [10, 50, 30, 10, 0],
        [70, 20, 10, 0, 0, 0],
        [100, 0, 0, 0],
        [90, 10, 0, 0, 0, 0],
        [0, 0, 0, 0],  # a column that came later: no share of nothing
    ]
    none = np.zeros(len(columns))
    labels = Reference(
        (Column("is_fraud", "label", "category", categories=("0", "1")),),
        np.array([90, 10, 0, 0, 0, 0], np.int64),
        np.zeros((1, 3)),
        rows=100,
        task="",
        source="",
    )
    return Reference(
        columns=columns,
        counts=np.array([count for column in counts for count in column], np.int64),
        moments=np.zeros((len(columns), 3)),
        rows=100,
        task="binary",
        source=source,
        **{"labels": labels, "variation": {3600: Variation(14, none, none, none, none, none)}, **changes},
    )


def make_evaluation(reference: Reference, at: float = NOW) -> Evaluation:
    """In the hour the first column has drifted, the second is stable; of the day nothing is known but
    that the first column changed."""
    nan = np.nan
    columns = len(reference.columns)

    def first(*figures: float) -> Floats:
        return np.array(figures)[:columns]

    hour = WindowEvaluation(
        window=HOUR,
        rows=1204,
        rows_by_column=np.full(columns, 1204, np.int64),
        effective_rows=np.full(columns, 1000.0),
        drift_score=first(0.31, 0.002, nan, 0.01, nan),
        drift_limit=first(0.112, 0.12, nan, 0.11, nan),
        drift_significance=first(300.0, 0.25, nan, nan, nan),
        verdict=first(DRIFTED, STABLE, UNDECIDED, UNDECIDED, UNDECIDED).astype(np.int8),
        undecided=("", "", *["no row has a value"] * 3)[:columns],
        undecided_codes=("", "", *["no_values"] * 3)[:columns],
        distances={"ks": first(0.2, nan, nan, nan, nan)},
    )
    day = WindowEvaluation(
        window=DAY,
        rows=0,
        rows_by_column=np.zeros(columns, np.int64),
        effective_rows=np.zeros(columns),
        drift_score=np.full(columns, nan),
        drift_limit=np.full(columns, nan),
        drift_significance=np.full(columns, nan),
        verdict=np.full(columns, UNDECIDED, np.int8),
        undecided=("no row has a value",) * columns,
        undecided_codes=("no_values",) * columns,
        distances={"ks": np.full(columns, nan)},
    )
    checks = (
        QualityCheck(0, "missing", 0.6, 0.1, True, HOUR),
        QualityCheck(0, "out_of_range", 0.0, 0.0, False, DAY),
        QualityCheck(1, "unseen", 0.5, nan, None, DAY, "the reference has no value in it"),
    )
    known = tuple(check for check in checks if check.column < columns)
    change = ChangeEvaluation(
        window=DAY,
        score=first(0.41, 0.003, 0.2, nan, nan),
        limit=first(0.15, 0.12, nan, nan, nan),
        significance=first(300.0, 0.5, nan, nan, nan),
        verdict=first(DRIFTED, STABLE, UNDECIDED, UNDECIDED, UNDECIDED).astype(np.int8),
        undecided=("", "", *["no row has a value"] * 3)[:columns],
    )
    return Evaluation(at=at, reference=reference, windows=(hour, day), checks=known, changes=(change,))


def make_quality() -> QualityEvaluation:
    """Quality of a day: recall has degraded, precision has no baseline, labels have drifted."""
    estimate = EstimatedQuality("recall", Interval(0.78, 0.71, 0.85), 0.9, 0.12, True, 0.02, 0.01)
    return QualityEvaluation(
        window=DAY,
        start=NOW - 2 * 86400,
        end=NOW - 86400,
        labels=900,
        unusable_labels=0,
        predictions=1000,
        coverage=0.9,
        weighted=False,
        metrics=(
            MetricQuality("precision", Interval(0.6, 0.5, 0.7), undecided="no baseline"),
            MetricQuality("recall", Interval(0.76, 0.7, 0.81), 0.9, 0.05, 0.02, 0.14, 0.09, True),
        ),
        classes=(ClassQuality("1", "recall", Interval(0.76, 0.7, 0.81)),),
        confusion=Confusion(("0", "1", "(other)"), np.array([[500, 60, 0], [80, 250, 0], [10, 0, 0]])),
        suppressed={"f1": "no rows to compute it from"},
        estimates=(estimate,),
        no_estimate="",
        label_drift=WindowEvaluation(
            window=DAY,
            rows=900,
            rows_by_column=np.array([900]),
            effective_rows=np.array([900.0]),
            drift_score=np.array([0.4]),
            drift_limit=np.array([0.11]),
            drift_significance=np.array([90.0]),
            verdict=np.array([DRIFTED], np.int8),
            undecided=("",),
            distances={},
        ),
    )


def make_view(reference: Reference | None = None, **changes: Any) -> VersionView:
    """Version 3 of `fraud`, with everything that a version can have."""
    if reference is None:
        whole = make_reference()
        reference = replace(whole, segments=(Segment("country=DE", 1, 5, whole),))
    state: dict[str, Any] = {
        "model": "fraud",
        "version": "3",
        "aliases": ("champion", "shadow"),
        "team": "risk",
        "run_id": "a1b2",
        "created": NOW - 30 * 86400,
        "task": "binary",
        "reference": reference,
        "reference_source": reference.source,
        "evaluation": make_evaluation(reference),
        "run_metrics": {"val/f1 score": 0.91},
        "predictions_total": 1204,
        "values": np.arange(reference.cells, dtype=np.int64),
        "latency": np.array([0, 0, 0, 1000, 200] + [0] * 8 + [4], np.int64),
        "latency_sum": 61.5,
        "last_prediction": NOW - 2.5,
        "first_prediction": NOW - 86400,
        "first_label": NOW - 43200,
        "quality": (make_quality(),),
        "maturation_seconds": 86400.0,
        "labels_total": 900,
        "label_delay": np.array([0, 800] + [0] * 8 + [100, 0], np.int64),
        "label_delay_sum": 8_800_000.5,
        "alias_changes": {"champion": NOW - 7200},
        "segments": tuple(make_segment_evaluation(reference, segment) for segment in reference.segments),
        "importance": Importance({"age": 0.75, "country": 0.25, "user_id": 0.0}, "tag"),
        "drift_importance": {"1h": 0.48},
        "sample": SampleSize(1200, 480_000),
        "missing_partitions": 0,
        "attribution": AttributionDrift(NOW - 600, 0.04, 900, {"age": 0.71, "country": 0.29, "user_id": 0.0}),
        "reported": ReportedValues(
            "4f2a", {("ValueDrift", "age", ""): 0.1, ("MissingValueCount", "country", "share"): 0.02}, 1
        ),
        "processes": (make_process(),),
    }
    state |= changes
    if "bad" not in state and state["evaluation"] is not None:
        findings = Findings(state["evaluation"], state["quality"], state["segments"])
        found = bad_subjects(findings, ModelConfig())
        state["bad"] = {subject: BadVerdict(NOW - 7200, severe) for subject, severe in found.items()}
    return VersionView(**state)


def make_process(process: str = "7-1799990000", **changes: Any) -> ServingProcess:
    """A process on `web-1` that told everything, with a GPU."""
    figures: dict[str, Any] = {
        "cpu_seconds": 81.5,
        "cpu_limit_cores": 2.0,
        "memory_bytes": 7e8,
        "memory_limit_bytes": 1e9,
        "threads": 12,
        "open_files": 31,
        "in_flight_requests": 3,
        "sent_rows": 1204,
        "dropped_rows": {"queue_full": 12, "exit": 0},
        "gpus": (GpuUse("GPU-8f2a", 0.4, 3e9, 16e9),),
    }
    return ServingProcess("web-1", process, **{**figures, **changes})


def make_segment_evaluation(reference: Reference, segment: Segment) -> SegmentEvaluation:
    """With the figures of the whole."""
    return SegmentEvaluation(segment, make_evaluation(reference).windows, (make_quality(),))


def make_bare_view(model: str = 'odd "näme"\\', version: str = "1") -> VersionView:
    """A version without a reference that nothing was sent to yet."""
    return VersionView(model=model, version=version, aliases=("champion",))


def make_habits(at: float = NOW - 10) -> Habits:
    """Usual traffic of version 3 of `fraud` and of its aliases, and a model whose past is not known yet."""
    fraud = ("fraud", "3")
    return Habits(
        at=at,
        silences={("fraud", "champion"): Habit(312.0, 4500.0), ("fraud", "shadow"): Habit(86400.0)},
        label_silences={"fraud": Habit(7200.0, 108000.0), "other": Habit(60.0, 3600.0)},
        latencies={fraud: Habit(0.21, 0.5)},
        coverages={(*fraud, "24h"): 0.45},
    )


def make_telemetry() -> Telemetry:
    """With every figure known."""
    telemetry = Telemetry(clock=lambda: NOW)
    telemetry.shard = Shard(2, 8)
    telemetry.leads, telemetry.count_transitions = lambda: True, lambda: 3
    telemetry.mlflow_up = True
    telemetry.mlflow_last_success = NOW - 12
    telemetry.count_poll_error("ask")
    telemetry.unmonitored_versions = 0
    telemetry.config_successful = True
    telemetry.config_last_success = NOW - 3600
    telemetry.queue_rows = 7
    telemetry.store_bytes = 4096
    telemetry.store_limit_bytes = 20 * 2**30
    telemetry.addresses = {"mlflow": "https://mlflow.example", "exporter": "https://monitor.example"}
    telemetry.count_rows("prediction", "accepted", 1204)
    telemetry.count_dropped_rows("too_old", 3)
    for version in (("fraud", "3"), ('odd "näme"\\', "1")):
        telemetry.watch_version(*version)
    telemetry.count_evaluation_error("fraud", "3", "reference")
    telemetry.observe_evaluation(0.004)
    telemetry.observe_ingest(0.5)
    telemetry.capture.count("request", "unanswered")
    telemetry.capture.waiting, telemetry.capture.waiting_bytes = 12, 18000
    remediation = telemetry.remediation
    remediation.policies = (
        PolicyView("approve", frozenset({("ModelQualityDegraded", "critical")})),
        PolicyView("off", frozenset({("ModelErrorRateHigh", "critical")})),
    )
    remediation.ledger = LedgerView(
        {("rollback", "awaiting_approval"): 1},
        NOW - 600,
        {("rollback", "fraud", "recovered"): NOW - 3600},
        NOW - 30,
        {("rollback", "cooldown", "fraud"): NOW - 7200},
    )
    remediation.open_breakers = frozenset({"fraud"})
    remediation.checkpoint = CheckpointView(41, "5f" * 32, NOW - 1200)
    remediation.watch_guards(["cooldown", "mode"])
    remediation.count_alert("firing")
    remediation.count_end("rollback", "recovered")
    remediation.count_refused("cooldown")
    telemetry.reports.count_sending("mlflow", "sent")
    telemetry.reports.unsent = {"mlflow": 0, "evidently": 3}
    telemetry.reports.view = ReportsView(2, NOW - 90, {("fraud", "3"): NOW - 600})
    telemetry.reports.count("done", "verdict", 6.5)
    group = telemetry.add_group()
    group.lags, group.partitions, group.consuming, group.waiting = {3: Lag(120, 4.5)}, 8, 2, 1
    group.count_commit()
    group.count_messages("taken", 17)
    group.count_dead_letter("undecodable")
    return telemetry


def make_runs() -> tuple[Family, ...]:
    """An experiment with a run."""
    run = Run("a1b2", "1", "bold-owl-7", "FINISHED", NOW - 3600, {"val/f1 score": 0.91, "loss": np.inf})
    experiment = Experiment("fraud", Counter({"FINISHED": 41, "FAILED": 2}), NOW - 3600, (run,))
    return experiment_families([experiment], 1, 100)
