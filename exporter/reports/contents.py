"""Input of a report, which is sent to the child process that makes it, and its result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import Base64Bytes

from exporter.config.named_metrics import NamedMetric
from exporter.reference.bins import ColumnKind, Role
from exporter.sampling.rows import SampledRow

MAX_VALUES = 5000


@dataclass(frozen=True)
class ReportColumn:
    """A column of the version.

    `drift_limit` is the PSI from which on it has drifted in the window, None where that is not known;
    `unjudged` is the reason why its drift is not judged, as in `reference.bins.Column`. `importance` is its
    share of the model's, None where that is not known.
    """

    name: str
    role: Role
    kind: ColumnKind
    drift_limit: float | None = None
    unjudged: str = ""
    importance: float | None = None


@dataclass(frozen=True)
class ReportInput:
    """Everything that a report is made of.

    `start` and `end` are the window, in seconds since the epoch. `task`, `classes` and `positive_class` are
    as in `Reference`. `columns` are in the order in which they are shown. `rows` are a sample of
    `rows_counted` rows. `reference_rows` are Parquet, empty where there are none. Without `metrics` the
    presets of the task are used. `reason` is a sentence on why the report was made, `notes` are remarks on
    its data, `links` are URLs by text. By `report_id` the report is found in Evidently's UI.
    """

    model: str
    version: str
    start: float
    end: float
    task: str
    classes: tuple[str, ...]
    positive_class: str
    columns: tuple[ReportColumn, ...]
    rows: tuple[SampledRow, ...]
    rows_counted: int
    reference_rows: bytes
    reference_digest: str
    metrics: tuple[NamedMetric, ...] = ()
    descriptors: tuple[NamedMetric, ...] = ()
    reason: str = ""
    notes: tuple[str, ...] = ()
    report_id: str = ""
    links: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class EvidentlyValue:
    """A number of a metric of Evidently.

    `metric` is its class, with the arguments that tell two of them apart: `ValueDrift`,
    `QuantileValue(quantile=0.25)`. `column` is empty for the whole data set, `part` for a single number; else
    it is `count`, `share`, `mean`, `std`, or a label. `named` is true if exporter.yml names the metric.
    """

    metric: str
    column: str
    part: str
    value: float
    named: bool


@dataclass(frozen=True)
class ReportResult:
    """A report: gzip of its HTML, of its JSON and of Evidently's own snapshot, and the numbers in it.

    `values` are at most `MAX_VALUES`, the named ones first. `notes` are sentences on what was left out and
    why. `rows` is the number of sampled rows in the report. Files are base64 in the child's answer.
    """

    html: Base64Bytes
    json: Base64Bytes
    snapshot: Base64Bytes
    values: tuple[EvidentlyValue, ...]
    notes: tuple[str, ...]
    rows: int
