"""Descriptions of metrics. The page, the README's table and the series budget follow from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Generic, Literal, TypeVar

MetricType = Literal["gauge", "counter", "histogram"]
MetricGroup = Literal["core", "bins", "runs", "process"]

_Source = TypeVar("_Source", contravariant=True)
_Value = TypeVar("_Value", covariant=True)

# Labels shared by many metrics, in the order in which they are shown.
VERSION = ("model", "model_version")
COLUMN = (*VERSION, "column", "role")


@dataclass(frozen=True)
class Metric:
    """One metric.

    `name` is the family's name in the text format, with the `_total` of a counter. `labels` are shown in this
    order, a histogram's `le` after them. `group` is the `collect[]` that asks for it. `buckets` are the upper
    bounds of a histogram, without +Inf.
    """

    name: str
    type: MetricType
    help: str
    labels: tuple[str, ...] = ()
    group: MetricGroup = "core"
    buckets: tuple[float, ...] = ()

    @property
    def series_names(self) -> tuple[str, ...]:
        """Names that a query can use: three of a histogram, else the metric's own."""
        if self.type == "histogram":
            return tuple(f"{self.name}{suffix}" for suffix in ("_bucket", "_sum", "_count"))
        return (self.name,)

    @property
    def openmetrics_name(self) -> str:
        """Name of the family in OpenMetrics, where only a counter's samples end in `_total`."""
        return self.name.removesuffix("_total") if self.type == "counter" else self.name


@dataclass(frozen=True)
class MetricOf(Metric, Generic[_Source, _Value]):
    """A metric and the function that reads its value from a source."""

    read: Callable[[_Source], _Value] = field(kw_only=True)


def count_series(metrics: Iterable[Metric], sizes: Mapping[str, int]) -> int:
    """Upper bound of the series of some metrics.

    `sizes` is the number of values of a label, 1 where it is not given; one of several labels that always
    change together, such as column and role, is enough.
    """
    return sum(
        prod(sizes.get(label, 1) for label in metric.labels)
        * (len(metric.buckets) + 3 if metric.type == "histogram" else 1)
        for metric in metrics
    )
