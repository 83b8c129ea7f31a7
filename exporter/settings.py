"""Settings: frozen, from `EXPORTER_*` variables and command-line flags, checked before anything starts."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path

from exporter.errors import ConfigError

DISTANCES = ("jensen_shannon", "total_variation", "ks", "mean_shift")
FINE_BLOCKS = 312  # 26 hours of 5-minute blocks: a day's window and the rows that come late to it
FINE_PER_COARSE = 12
COARSE_BLOCKS = 1080  # 45 days of hours
MAX_WINDOWS = 5
PREFIX = "EXPORTER_"  # of every variable

Patterns = tuple[str, ...]  # such as `val_*`

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


@dataclass(frozen=True, order=True)
class Window:
    """A stretch of time up to now over which measures are taken; `name` is the value of the label."""

    seconds: int
    name: str


def parse_window(text: str) -> Window:
    """Read a Prometheus duration with one unit, such as `1h`.

    Raises:
        ConfigError: it is none.
    """
    match = re.fullmatch(r"([1-9]\d{0,6})([smhdw])", text.strip())
    if match is None:
        raise ConfigError(f"{text.strip()!r} is not a duration such as 30m, 24h or 7d")
    return Window(seconds=int(match[1]) * _UNITS[match[2]], name=text.strip())


def _windows(text: str) -> tuple[Window, ...]:
    return tuple(sorted({parse_window(part) for part in text.split(",")}))


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ConfigError("it has to be a whole number") from None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ConfigError("it has to be a number") from None


def _boolean(text: str) -> bool:
    if text.lower() in ("true", "1", "yes", "on"):
        return True
    if text.lower() in ("false", "0", "no", "off"):
        return False
    raise ConfigError("it has to be true or false")


def _distances(text: str) -> tuple[str, ...]:
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    for name in names:
        if name not in DISTANCES:
            raise ConfigError(f"unknown distance {name!r}, known are {', '.join(DISTANCES)}")
    return names


def _patterns(text: str) -> Patterns:
    return tuple(part.strip() for part in text.split(",") if part.strip())


@dataclass(frozen=True)
class Settings:
    """All settings of the service. The variable of `block_seconds` is `EXPORTER_BLOCK_SECONDS`, and so on."""

    host: str = "127.0.0.1"
    port: int = 19464
    store: str = "sqlite:///exporter.db"
    api_token_file: str = ""
    allowed_hosts: Patterns = ()  # names by which the exporter may be asked without a token, beside its own
    config: str = ""  # the file that says what is special about models
    grafana_url: str = ""  # of the dashboards, which the page at / links
    log_level: str = "info"

    evaluation_interval_seconds: float = 30.0
    mlflow_poll_interval_seconds: float = 30.0
    mlflow_timeout_seconds: float = 10.0
    windows: tuple[Window, ...] = field(default_factory=lambda: _windows("1h,24h,7d"))
    block_seconds: int = 300
    retire_after_seconds: float = 86400.0

    drift_threshold: float = 0.1
    drift_distances: tuple[str, ...] = ()
    reference_live_rows: int = 0  # 0: a version without a reference stays without one
    reference_max_rows: int = 1_000_000
    bin_names: bool = True  # false: series show a bin's index only

    runs: bool = True  # false: MLflow's own experiments and runs are not shown
    run_metrics: Patterns = ()  # none: all of them

    request_timeout_seconds: float = 60.0  # for a client to send a request, or to take the answer
    max_body_bytes: int = 32 * 2**20
    max_rows_per_request: int = 100_000
    max_queue_rows: int = 200_000
    max_columns: int = 500
    max_id_length: int = 256
    max_versions: int = 200
    max_series: int = 1_000_000
    max_experiments: int = 100
    max_runs: int = 20_000  # read; MLflow takes a millisecond for each
    max_run_series: int = 20_000
    max_future_seconds: float = 300.0
    prediction_retention_days: int = 30
    store_limit_bytes: int = 20 * 2**30
    store_check: bool = True  # false: the pages of SQLite are not checked at the start

    @property
    def coarse_seconds(self) -> int:
        """Length of a block once it is too old for fine ones."""
        return self.block_seconds * FINE_PER_COARSE

    @property
    def fine_retention_seconds(self) -> int:
        return self.block_seconds * FINE_BLOCKS

    @property
    def outcome_retention_seconds(self) -> int:
        return 2 * self.retention_seconds

    @property
    def retention_seconds(self) -> int:
        return self.coarse_seconds * COARSE_BLOCKS


_PARSERS: dict[str, Callable[[str], object]] = {
    "str": str,
    "int": _whole,
    "float": _number,
    "bool": _boolean,
    "tuple[Window, ...]": _windows,
    "tuple[str, ...]": _distances,
    "Patterns": _patterns,
}
# What has to be above zero; the others may be zero, none may be negative.
_POSITIVE = {
    "evaluation_interval_seconds", "mlflow_poll_interval_seconds", "mlflow_timeout_seconds", "block_seconds",
    "drift_threshold", "reference_max_rows", "request_timeout_seconds", "max_body_bytes",
    "max_rows_per_request", "max_queue_rows", "max_columns", "max_id_length", "max_versions", "max_series",
    "max_experiments", "max_runs", "max_run_series", "prediction_retention_days", "store_limit_bytes",
}  # fmt: skip


def load_settings(environment: Mapping[str, str], flags: Mapping[str, object] | None = None) -> Settings:
    """Settings from the environment, overridden by the flags that are not None.

    An empty variable counts as unset, since compose files cannot leave one out.

    Raises:
        ConfigError: a variable or flag is unknown or cannot be used; the message names it.
    """
    known = {f"{PREFIX}{f.name.upper()}": f for f in fields(Settings)}
    values: dict[str, object] = {}
    for variable, given in environment.items():
        text = given.strip()
        if not variable.startswith(PREFIX) or not text:
            continue
        if variable not in known:
            raise ConfigError(f"unknown setting {variable}{_meant(variable, known)}")
        setting = known[variable]
        try:
            values[setting.name] = _PARSERS[str(setting.type)](text)
        except ConfigError as error:
            raise ConfigError(f"{variable}={text!r}: {error}") from None
    values.update({name: value for name, value in (flags or {}).items() if value is not None})
    unknown = values.keys() - {item.name for item in fields(Settings)}
    if unknown:
        raise ConfigError(f"unknown setting {min(unknown)}")
    settings = Settings(**values)  # type: ignore[arg-type] # each value came through its parser
    _check(settings)
    return settings


def _meant(variable: str, known: Collection[str]) -> str:
    """Hint to the setting that an unknown variable may mean."""
    name = variable.removeprefix(PREFIX)
    similar = get_close_matches(name, [each.removeprefix(PREFIX) for each in known], n=1, cutoff=0.7)
    return f"; did you mean {PREFIX}{similar[0]}?" if similar else f", known are {', '.join(sorted(known))}"


def _check(settings: Settings) -> None:
    for item in fields(Settings):
        value = getattr(settings, item.name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            lowest = "above 0" if item.name in _POSITIVE else "0 or more"
            if not math.isfinite(value) or value < 0 or (item.name in _POSITIVE and value == 0):
                raise ConfigError(f"{PREFIX}{item.name.upper()} is {value}, it must be {lowest}")
    if settings.port > 65535:
        raise ConfigError(f"EXPORTER_PORT is {settings.port}, the highest is 65535")
    if settings.log_level.upper() not in logging.getLevelNamesMapping():
        raise ConfigError(
            f"EXPORTER_LOG_LEVEL is {settings.log_level!r}, it must be debug, info, warning or error"
        )
    _check_windows(settings)
    for name in settings.allowed_hosts:
        if not re.fullmatch(r"[^\s:/@]+", name):
            raise ConfigError(
                f"EXPORTER_ALLOWED_HOSTS: {name!r} is no name of a host; leave out scheme and port"
            )
    if settings.grafana_url and not re.match(r"https?://[^/]", settings.grafana_url):
        raise ConfigError(
            f"EXPORTER_GRAFANA_URL is {settings.grafana_url!r}, it must begin with http:// or https://"
        )
    if settings.api_token_file:
        try:
            token = Path(settings.api_token_file).read_text("utf-8").strip()
        except OSError as error:
            raise ConfigError(
                f"EXPORTER_API_TOKEN_FILE {settings.api_token_file} cannot be read: {error.strerror}"
            ) from None
        except ValueError:
            raise ConfigError(f"EXPORTER_API_TOKEN_FILE {settings.api_token_file} is no text") from None
        if not token:  # would let everybody in
            raise ConfigError(f"EXPORTER_API_TOKEN_FILE {settings.api_token_file} is empty")


def _check_windows(settings: Settings) -> None:
    lengths = {window.seconds for window in settings.windows}
    if not 1 <= len(settings.windows) <= MAX_WINDOWS:
        raise ConfigError(f"EXPORTER_WINDOWS are {len(settings.windows)}, they must be 1 to {MAX_WINDOWS}")
    if len(lengths) < len(settings.windows):
        raise ConfigError("EXPORTER_WINDOWS: two of them have the same length")
    for window in settings.windows:
        if window.seconds < settings.block_seconds:
            raise ConfigError(
                f"EXPORTER_WINDOWS: {window.name} is less than EXPORTER_BLOCK_SECONDS, "
                f"{settings.block_seconds} s"
            )
        if 2 * window.seconds > settings.retention_seconds:
            days = settings.retention_seconds / 86400
            raise ConfigError(
                f"EXPORTER_WINDOWS: {window.name} is more than half of the {days:g} days that are kept"
            )
