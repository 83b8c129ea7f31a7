"""Settings of the service, from `EXPORTER_*` variables and command-line flags."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Annotated, Literal, get_args, get_type_hints

from exporter.drivers import missing_driver
from exporter.errors import ConfigError
from exporter.shard import SHARD_FIELD, WHOLE, Shard, parse_shard
from exporter.tokens import load_tokens

Role = Literal["all", "worker", "evaluator"]
Ingest = Literal["store", "kafka"]
Distance = Literal["jensen_shannon", "total_variation", "ks", "mean_shift"]
DISTANCES = get_args(Distance)
FINE_BLOCKS = 312  # 26 hours of 5-minute blocks: a day's window and the rows that come late to it
FINE_PER_COARSE = 12
LEAST_LEASE_SECONDS, MAX_LEASE_SECONDS = 3, 60  # the alert that no process leads waits for two minutes
COARSE_BLOCKS = 1080  # 45 days of hours
MAX_WINDOWS = 5
PREFIX = "EXPORTER_"  # of every variable
DEAD_LETTERS = ".dead-letter"  # end of a topic's name
MAX_TOPIC_LENGTH = 249  # of Kafka

_POSITIVE = "positive"
PositiveInt = Annotated[int, _POSITIVE]  # numbers of other types may be 0
PositiveFloat = Annotated[float, _POSITIVE]

HOUR_SECONDS, DAY_SECONDS = 3600, 86400
LEAST_AUDIT_DAYS = 183  # six months: EU AI Act, Articles 19 and 26
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": DAY_SECONDS, "w": 7 * DAY_SECONDS}


@dataclass(frozen=True, order=True)
class Window:
    """A period up to now over which measures are computed; `name` is the value of the label."""

    seconds: int
    name: str


def parse_window(text: str) -> Window:
    """Parse a Prometheus duration with one unit, such as `1h`.

    Raises:
        ConfigError: it is not such a duration.
    """
    match = re.fullmatch(r"([1-9]\d{0,6})([smhdw])", text.strip())
    if match is None:
        raise ConfigError(f"{text.strip()!r} is not a duration such as 30m, 24h or 7d")
    return Window(seconds=int(match[1]) * _UNITS[match[2]], name=text.strip())


def _parse_windows(text: str) -> tuple[Window, ...]:
    return tuple(sorted({parse_window(part) for part in text.split(",")}))


def _parse_int(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ConfigError("it has to be a whole number") from None


def _parse_float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ConfigError("it has to be a number") from None


def _parse_bool(text: str) -> bool:
    if text.lower() in ("true", "1", "yes", "on"):
        return True
    if text.lower() in ("false", "0", "no", "off"):
        return False
    raise ConfigError("it has to be true or false")


def _parse_names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _parse_distances(text: str) -> tuple[str, ...]:
    names = _parse_names(text)
    for name in names:
        if name not in DISTANCES:
            raise ConfigError(f"unknown distance {name!r}, known are {', '.join(DISTANCES)}")
    return names


def _parse_role(text: str) -> str:
    return _choice(text, get_args(Role))


def _parse_ingest(text: str) -> str:
    return _choice(text, get_args(Ingest))


def _choice(text: str, known: tuple[str, ...]) -> str:
    if text not in known:
        raise ConfigError(f"it has to be one of {', '.join(known)}")
    return text


# Pydantic would do, and take longer to import than everything else that `--help` needs.
_PARSERS: dict[object, Callable[[str], object]] = {
    str: str,
    int: _parse_int,
    float: _parse_float,
    bool: _parse_bool,
    Role: _parse_role,
    Ingest: _parse_ingest,
    tuple[str, ...]: _parse_names,
    tuple[Distance, ...]: _parse_distances,
    tuple[Window, ...]: _parse_windows,
    Shard: parse_shard,
}


@dataclass(frozen=True)
class Settings:
    """All settings of the service. The variable of `block_seconds` is `EXPORTER_BLOCK_SECONDS`, and so on."""

    host: str = "127.0.0.1"
    port: int = 19464
    store: str = "sqlite:///exporter.db"
    shard: Shard = WHOLE  # of the models
    api_token_file: str = ""  # of one token for everything
    api_tokens_file: str = ""  # of named tokens with scopes
    allowed_hosts: tuple[str, ...] = ()  # patterns of host names that need no token, beside its own
    config: str = ""  # path of the configuration file
    role: Role = "all"  # in a Kafka group: a worker, or the evaluator
    ingest: Ingest = "store"  # where POST routes put rows and labels
    kafka_brokers: tuple[str, ...] = ()  # host:port
    kafka_topic: str = "mlflow-exporter"
    kafka_group: str = "mlflow-exporter"
    kafka_config_file: str = ""  # of librdkafka's properties, such as SASL and TLS
    allow_commands: bool = False  # targets of remediation may be commands on this machine
    grafana_url: str = ""  # of the dashboards, linked from the page at /
    mlflow_url: str = ""  # of MLflow's UI as browsers reach it, linked from the pages
    external_url: str = ""  # at which people reach the exporter, for links to it; may have `{shard}` in it
    log_level: str = "info"

    evaluation_interval_seconds: PositiveFloat = 30.0
    mlflow_poll_interval_seconds: PositiveFloat = 30.0
    mlflow_timeout_seconds: PositiveFloat = 10.0
    windows: tuple[Window, ...] = _parse_windows("1h,24h,7d")
    block_seconds: PositiveInt = 300
    retire_after_seconds: float = 86400.0

    drift_threshold: PositiveFloat = 0.1
    drift_distances: tuple[Distance, ...] = ()
    reference_live_rows: int = 0  # 0: a version without a reference stays without one
    reference_max_rows: PositiveInt = 1_000_000
    bin_names: bool = True  # false: series show a bin's index only

    runs: bool = True  # false: no series of MLflow's experiments and runs
    run_metrics: tuple[str, ...] = ()  # patterns such as `val_*`; empty: all

    request_timeout_seconds: PositiveFloat = 60.0  # for a client to send a request, or to receive the answer
    max_body_bytes: PositiveInt = 32 * 2**20
    max_rows_per_request: PositiveInt = 100_000
    max_queue_rows: PositiveInt = 200_000
    max_columns: PositiveInt = 500
    max_id_length: PositiveInt = 256
    max_versions: PositiveInt = 200
    max_series: PositiveInt = 1_000_000
    max_experiments: PositiveInt = 100
    max_runs: PositiveInt = 20_000  # MLflow takes a millisecond for each
    max_run_series: PositiveInt = 20_000
    max_future_seconds: float = 300.0
    prediction_retention_days: PositiveInt = 30
    audit_retention_days: PositiveInt = 400
    audit_checkpoint_seconds: PositiveFloat = 3600.0
    audit_key_file: str = ""  # of the key that signs checkpoints; empty: beside a SQLite store
    store_limit_bytes: PositiveInt = 20 * 2**30
    store_check: bool = True  # false: SQLite's pages are not checked at the start
    lease_seconds: PositiveFloat = 15.0  # of PostgreSQL: within it a standby follows a leader that is gone

    @property
    def dead_letter_topic(self) -> str:
        return f"{self.kafka_topic}{DEAD_LETTERS}"

    @property
    def own_url(self) -> str:
        """`external_url` of this exporter."""
        return self.url_of_shard(self.shard.number)

    def url_of_shard(self, number: int) -> str:
        """`external_url` of a shard."""
        return self.external_url.replace(SHARD_FIELD, str(number))

    @property
    def coarse_seconds(self) -> int:
        """Length of the blocks that fine ones are merged into."""
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

    @property
    def max_age_seconds(self) -> int:
        """Age from which on rows are not taken: one that is sent again would count again without its id."""
        return min(self.retention_seconds, self.prediction_retention_days * DAY_SECONDS)


# Of each setting, without and with annotations.
_TYPES = get_type_hints(Settings)
_ANNOTATED = get_type_hints(Settings, include_extras=True)


def load_settings(environment: Mapping[str, str], flags: Mapping[str, object] | None = None) -> Settings:
    """Return the settings of the environment, overridden by the flags that are not None.

    An empty variable counts as unset, since compose files cannot leave one out.

    Raises:
        ConfigError: a variable or flag is unknown or unusable; the message names it.
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
            values[setting.name] = _PARSERS[_TYPES[setting.name]](text)
        except ConfigError as error:
            raise ConfigError(f"{variable}={text!r}: {error}") from None
    values.update({name: value for name, value in (flags or {}).items() if value is not None})
    unknown = values.keys() - {item.name for item in fields(Settings)}
    if unknown:
        raise ConfigError(f"unknown setting {min(unknown)}")
    settings = Settings(**values)  # type: ignore[arg-type] # each value came through its parser
    _check(settings)
    return settings


def find_warnings(settings: Settings) -> list[str]:
    """Return doubts about settings that can be used."""
    if settings.audit_retention_days >= LEAST_AUDIT_DAYS:
        return []
    return [
        f"EXPORTER_AUDIT_RETENTION_DAYS is {settings.audit_retention_days}: the EU AI Act asks for logs of "
        f"at least six months ({LEAST_AUDIT_DAYS} days) of high-risk systems (Articles 19 and 26)"
    ]


def _meant(variable: str, known: Collection[str]) -> str:
    """Return a hint for an unknown variable: the closest setting, or all of them."""
    name = variable.removeprefix(PREFIX)
    similar = get_close_matches(name, [each.removeprefix(PREFIX) for each in known], n=1, cutoff=0.7)
    return f"; did you mean {PREFIX}{similar[0]}?" if similar else f", known are {', '.join(sorted(known))}"


def _check(settings: Settings) -> None:
    for name, kind in _TYPES.items():
        value = getattr(settings, name)
        if kind in (int, float):
            positive = kind is not _ANNOTATED[name]
            if not math.isfinite(value) or value < 0 or (positive and value == 0):
                lowest = "above 0" if positive else "0 or more"
                raise ConfigError(f"{PREFIX}{name.upper()} is {value}, it must be {lowest}")
    if settings.port > 65535:
        raise ConfigError(f"EXPORTER_PORT is {settings.port}, the highest is 65535")
    if settings.log_level.upper() not in logging.getLevelNamesMapping():
        raise ConfigError(
            f"EXPORTER_LOG_LEVEL is {settings.log_level!r}, it must be debug, info, warning or error"
        )
    _check_windows(settings)
    _check_role(settings)
    if not LEAST_LEASE_SECONDS <= settings.lease_seconds <= MAX_LEASE_SECONDS:
        raise ConfigError(
            f"EXPORTER_LEASE_SECONDS is {settings.lease_seconds:g}, it must be {LEAST_LEASE_SECONDS} to "
            f"{MAX_LEASE_SECONDS}"
        )
    for name in settings.allowed_hosts:
        if not re.fullmatch(r"[^\s:/@]+", name):
            raise ConfigError(
                f"EXPORTER_ALLOWED_HOSTS: {name!r} is not a host name; leave out scheme and port"
            )
    for name in ("grafana_url", "mlflow_url", "external_url"):
        url = getattr(settings, name)
        if url and not re.match(r"https?://[^/\[\]@?#\s]", url):
            raise ConfigError(f"{PREFIX}{name.upper()} is {url!r}, it must begin with http:// or https://")
    load_tokens(settings.api_token_file, settings.api_tokens_file)


def _check_role(settings: Settings) -> None:
    role, brokers = settings.role, settings.kafka_brokers
    if role == "all":
        if settings.ingest == "kafka":
            raise ConfigError(
                "EXPORTER_INGEST=kafka is for EXPORTER_ROLE worker and evaluator; all writes to its store"
            )
        if brokers:
            raise ConfigError(
                "EXPORTER_KAFKA_BROKERS is for EXPORTER_ROLE worker and evaluator, not for all: "
                "run one of each"
            )
        return
    if not settings.shard.is_whole:
        raise ConfigError(
            f"EXPORTER_SHARD is {settings.shard}, which is not for EXPORTER_ROLE={role}: "
            "a Kafka group has all models, divided by partitions"
        )
    if not settings.store.startswith("postgresql"):
        raise ConfigError(f"EXPORTER_ROLE={role} needs EXPORTER_STORE=postgresql://...")
    if not brokers:
        raise ConfigError(f"EXPORTER_ROLE={role} needs EXPORTER_KAFKA_BROKERS, such as kafka:9092")
    for address in brokers:
        if not re.fullmatch(r"([^\s:/@\[\]]+|\[[0-9a-fA-F:.]+\]):[0-9]{1,5}", address):
            raise ConfigError(f"EXPORTER_KAFKA_BROKERS: {address!r} is not host:port")
    topic = settings.dead_letter_topic
    if not re.fullmatch(r"[a-zA-Z0-9._-]+", topic) or len(topic) > MAX_TOPIC_LENGTH:
        raise ConfigError(
            f"EXPORTER_KAFKA_TOPIC is {settings.kafka_topic!r}, it must be 1 to "
            f"{MAX_TOPIC_LENGTH - len(DEAD_LETTERS)} letters, digits, dots, underscores and hyphens"
        )
    if missing := missing_driver("confluent_kafka"):
        raise ConfigError(f"EXPORTER_ROLE={role}: {missing}")


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
            days = settings.retention_seconds / DAY_SECONDS
            raise ConfigError(
                f"EXPORTER_WINDOWS: {window.name} is more than half of the {days:g} days that are kept"
            )
