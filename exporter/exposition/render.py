"""Renders samples as Prometheus text 0.0.4 or OpenMetrics 1.0.

    # HELP mlflow_model_window_rows Predictions within a window.
    # TYPE mlflow_model_window_rows gauge
    mlflow_model_window_rows{model="fraud",model_version="3",window="1h"} 1204

The exporter's own metrics are rendered by prometheus-client. At 7 us a sample it is too slow for the hundreds
of thousands that versions have. Their lines are put together here, from a *prefix* (name, labels and a blank)
that is rendered once and kept, and the value.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import accumulate
from numbers import Integral
from operator import add
from typing import SupportsFloat

from prometheus_client import Metric as ClientMetric
from prometheus_client import generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from exporter.exposition.metric import Metric

# Lines that are rendered without letting another thread run: about 2 ms of the interpreter's lock.
_LINES_PER_CHUNK = 5_000

_LABEL_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})
_TEXT_HELP_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n"})

# Where `repr` is right: not for bool and numpy's types (some of which are floats), nor for these values.
_PLAIN_TYPES = frozenset({int, float})
_UNUSUAL = frozenset({"nan", "inf", "-inf"})


class Format(Enum):
    """An exposition format; `value` is its content type."""

    TEXT = "text/plain; version=0.0.4; charset=utf-8"
    OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


@dataclass(frozen=True)
class Family:
    """All samples of one metric: `values[i]` belongs to the line that starts with `prefixes[i]`.

    Raises:
        ValueError: the numbers of prefixes and values differ.
    """

    metric: Metric
    prefixes: Sequence[str]
    values: Sequence[float]

    def __post_init__(self) -> None:
        if len(self.prefixes) != len(self.values):
            raise ValueError(f"{self.metric.name}: {len(self.prefixes)} prefixes, {len(self.values)} values")


def render_prefix(metric: Metric, labels: Sequence[str]) -> str:
    """The line of a sample up to its value. `labels` are the values of `metric.labels`, in their order."""
    return _prefix(metric.name, zip(metric.labels, labels, strict=True))


def histogram_prefixes(metric: Metric, labels: Sequence[str]) -> list[str]:
    """Prefixes of one histogram, in the order of `histogram_values`."""
    pairs = list(zip(metric.labels, labels, strict=True))
    bucket, total, count = metric.series_names
    # Prometheus 3 respells any `le` this way; 2 keeps what it scrapes, so an upgrade would start new series.
    edges = [*map(floatToGoString, metric.buckets), "+Inf"]
    return [
        *(_prefix(bucket, [*pairs, ("le", edge)]) for edge in edges),
        _prefix(total, pairs),
        _prefix(count, pairs),
    ]


def histogram_values(counts: Sequence[int], total: float) -> list[float]:
    """Values of one histogram from its counts by bucket (not cumulative, +Inf last) and the sum of values."""
    cumulative = list(accumulate(counts))
    return [*cumulative, total, cumulative[-1]]


def _prefix(name: str, labels: Iterable[tuple[str, str]]) -> str:
    text = ",".join(f'{label}="{_escape_label(value)}"' for label, value in labels)
    return f"{name}{{{text}}} " if text else f"{name} "


def _escape_label(value: str) -> str:
    # JSON can carry half a surrogate pair, which has no UTF-8: one such category must not break the page.
    return value.translate(_LABEL_ESCAPES).encode("utf-8", "replace").decode("utf-8")


def render(families: Iterable[Family], form: Format, own: Sequence[ClientMetric] = ()) -> bytes:
    """The page: `families`, then prometheus-client's metrics `own`.

    A metric may occur in one family only; a family without samples leaves no trace.
    """
    chunks: list[bytes] = []
    for family in families:
        if not family.prefixes:
            continue
        chunks.append(_header(family.metric, form))
        for start in range(0, len(family.prefixes), _LINES_PER_CHUNK):
            end = start + _LINES_PER_CHUNK
            values = family.values[start:end]
            numbers = list(map(repr, values))
            if not (_PLAIN_TYPES.issuperset(map(type, values)) and _UNUSUAL.isdisjoint(numbers)):
                numbers = [_spell(value) for value in values]
            lines = map(add, family.prefixes[start:end], numbers)
            chunks.append(("\n".join(lines) + "\n").encode())
    encode = openmetrics.generate_latest if form is Format.OPENMETRICS else generate_latest
    return b"".join([*chunks, encode(_Fixed(own))])  # of OpenMetrics with the `# EOF`


class _Fixed(Collector):
    """Metrics that were collected already."""

    def __init__(self, metrics: Sequence[ClientMetric]) -> None:
        self._metrics = metrics

    def collect(self) -> Sequence[ClientMetric]:
        return self._metrics


def _spell(value: SupportsFloat) -> str:
    number = repr(int(value)) if isinstance(value, Integral) else repr(float(value))
    return {"nan": "NaN", "inf": "+Inf", "-inf": "-Inf"}.get(number, number)


def _header(metric: Metric, form: Format) -> bytes:
    if form is Format.OPENMETRICS:
        name, text = metric.openmetrics_name, metric.help.translate(_LABEL_ESCAPES)
    else:
        name, text = metric.name, metric.help.translate(_TEXT_HELP_ESCAPES)
    return f"# HELP {name} {text}\n# TYPE {name} {metric.type}\n".encode()
