"""Configuration of reports: the section `reports` of `exporter.yml`, and what models say otherwise.

reports:
  every: 24h
  window: 24h
  metrics: [{ValueDrift: {column: amount, method: wasserstein}}]
models:
  fraud:
    reports: {every: 12h}
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from exporter.config.named_metrics import NamedMetrics
from exporter.config.section import Location, Seconds, Section
from exporter.errors import ConfigError
from exporter.settings import DAY_SECONDS, parse_window

MAX_WINDOW_DAYS = 60  # longer than any sample is kept
MAX_RETENTION_DAYS = 400
MIN_INTERVAL_SECONDS = 60.0


def check_window(text: str) -> str:
    """The name of a window, such as `24h`.

    Raises:
        ValueError: it is none, or longer than any sample is kept.
    """
    try:
        seconds = parse_window(text).seconds
    except ConfigError as error:
        raise ValueError(str(error)) from None
    if seconds > MAX_WINDOW_DAYS * DAY_SECONDS:
        raise ValueError(f"{text} is more than {MAX_WINDOW_DAYS} days, the most there are")
    return text.strip()


def _interval(seconds: float) -> float:
    if 0 < seconds < MIN_INTERVAL_SECONDS:
        raise ValueError(f"has to be at least {MIN_INTERVAL_SECONDS:g} s, or 0 for never")
    return seconds


def _kept(seconds: float) -> float:
    if not 0 < seconds <= MAX_RETENTION_DAYS * DAY_SECONDS:
        raise ValueError(f"has to be more than 0 and at most {MAX_RETENTION_DAYS}d")
    return seconds


def _experiment(name: str) -> str:
    try:
        name.format(model="fraud")
    except (LookupError, ValueError):
        raise ValueError("the only placeholder is {model}") from None
    return name


WindowName = Annotated[str, AfterValidator(check_window)]
Interval = Annotated[Seconds, AfterValidator(_interval)]


class ModelReportsConfig(Section):
    """Keys of the section `reports` that a model may set otherwise; None is as there."""

    every: Interval | None = None
    window: WindowName | None = None
    metrics: NamedMetrics | None = None
    descriptors: NamedMetrics | None = None


class ReportsConfig(Section):
    """The section `reports`. Durations are in seconds; `window` is the name of one, such as `24h`.

    `every` is the time between scheduled reports, 0 for none. `pause` is the shortest time between reports
    of a version for verdicts that turned bad. Without `metrics` the presets of the task are used.
    """

    enabled: bool = True
    every: Interval = float(DAY_SECONDS)
    on_verdicts: bool = True
    pause: Seconds = 3600.0
    window: WindowName = "24h"
    retention: Annotated[Seconds, AfterValidator(_kept)] = 30.0 * DAY_SECONDS
    metrics: NamedMetrics = ()
    descriptors: NamedMetrics = ()
    mlflow: bool = True
    experiment: Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_experiment)] = (
        "monitoring/{model}"
    )
    evidently_url: Annotated[str, Field(pattern=r"^(https?://[^/]|$)")] = ""
    evidently_secret_file: Location | None = None

    def of_model(self, own: ModelReportsConfig) -> ReportsConfig:
        """Return the section as it is for a model."""
        said = {name: getattr(own, name) for name in ModelReportsConfig.model_fields}
        return self.model_copy(update={name: value for name, value in said.items() if value is not None})
