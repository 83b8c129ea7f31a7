"""Numbers of Evidently's metrics, with names that stay the same from report to report."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from exporter.formats.texts import cut, storable
from exporter.reports.contents import MAX_VALUES, EvidentlyValue

MAX_PART_LENGTH = 100
_PLURAL = {"counts": "count", "shares": "share"}
# Arguments that do not tell two metrics apart, or change with the configuration.
_SILENT = {
    "type", "column", "column_name", "columns", "method", "threshold", "drift_share", "probas_threshold",
    "nbinsx", "conf_matrix", "pr_curve", "pr_table", "roc_curve", "error_plot", "error_distr",
    "error_normality", "perc_error_plot", "metric",
}  # fmt: skip


def extract_values(results: Sequence[tuple[Mapping[str, Any], bool]]) -> tuple[list[EvidentlyValue], int]:
    """Finite numbers of metrics, the named ones first, and how many there are beyond `MAX_VALUES`.

    A metric may have a number, `{count, share}`, `{mean, std}`, `{label: x}`, `{counts: {label: x}, ...}` or
    a table. Two metrics of one name and column are told apart by the method, then by a running number; equal
    ones are one.

    Args:
        results: metrics as Evidently's `Snapshot.dict` has them, with `config` and `value`, and whether the
            configuration names them.
    """
    found: dict[tuple[str, str], list[EvidentlyValue]] = {}
    kept: list[tuple[Mapping[str, Any], object]] = []
    for result, named in sorted(results, key=lambda each: not each[1]):
        config = result["config"]
        if (config, result["value"]) in kept:
            continue
        kept.append((config, result["value"]))
        name, numbers = metric_name(config), list(_numbers(result["value"]))
        inner = config.get("metric")
        if isinstance(inner, Mapping) and "column_name" in config:  # GroupBy: a metric for each label
            name = f"{metric_name(inner)} by {config['column_name']}"
            numbers = [(" ".join(filter(None, (str(config.get("label")), part))), x) for part, x in numbers]
            config = inner
        column = storable(str(config.get("column") or config.get("column_name") or ""))
        candidates = [name]
        if config.get("method"):
            candidates.append(_with_argument(name, f"method={config['method']}"))
        candidates += [_with_argument(candidates[-1], str(number)) for number in range(2, 10)]
        for candidate in candidates:
            there = found.setdefault((candidate, column), [])
            if not {each.part for each in there} & {part for part, _ in numbers}:
                there += [EvidentlyValue(candidate, column, part, value, named) for part, value in numbers]
                break
    values = list(chain.from_iterable(found.values()))
    return values[:MAX_VALUES], max(len(values) - MAX_VALUES, 0)


def metric_name(config: Mapping[str, Any]) -> str:
    """Class of a metric, with the arguments that tell two of them apart.

    >>> metric_name({"type": "evidently:metric_v2:QuantileValue", "column": "age", "quantile": 0.25})
    'QuantileValue(quantile=0.25)'
    >>> metric_name({"type": "evidently:metric_v2:Accuracy", "classification_name": "default"})
    'Accuracy'
    """
    name = str(config["type"]).rpartition(":")[2]
    arguments = [
        f"{key}={'|'.join(map(str, value)) if isinstance(value, list) else getattr(value, 'value', value)}"
        for key, value in config.items()
        if key not in _SILENT
        and not key.endswith(("tests", "_method", "_threshold"))
        and value not in (None, "default", False, [])
        and not isinstance(value, Mapping)
    ]
    return cut(storable(f"{name}({','.join(arguments)})" if arguments else name), MAX_PART_LENGTH)


def _with_argument(name: str, argument: str) -> str:
    return f"{name[:-1]},{argument})" if name.endswith(")") else f"{name}({argument})"


def _numbers(value: object, *parts: str) -> Iterator[tuple[str, float]]:
    if isinstance(value, Mapping):
        for label, each in value.items():
            yield from _numbers(
                each, *parts, _PLURAL.get(str(label), str(label)) if not parts else str(label)
            )
    elif value is not None and not isinstance(value, str):
        try:
            number = float(value)  # type: ignore[arg-type]
        except (TypeError, ValueError, OverflowError):
            return
        if math.isfinite(number):
            yield storable(cut(" ".join(parts), MAX_PART_LENGTH)), number
