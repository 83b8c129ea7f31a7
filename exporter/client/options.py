"""Arguments of a monitor, checked."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from exporter.client.columns import MAX_KEY_BYTES, ColumnRules
from exporter.client.connection import Connection
from exporter.errors import ConfigError
from exporter.payloads.target import Target

_COUNTS = ("queue_rows", "queue_bytes", "batch_rows")
_SECONDS = ("batch_seconds", "max_age_seconds", "exit_seconds")


@dataclass(frozen=True)
class Options:
    """Arguments of `Monitor`, by the same names.

    Raises:
        ConfigError: one of them cannot be used.
    """

    url: str
    model: str
    version: str | int
    alias: str
    token: str
    sample: float
    leave_out: Iterable[str]
    hashed: Iterable[str]
    hash_key: str | bytes
    feature_names: Iterable[str]
    queue_rows: int
    queue_bytes: int
    batch_rows: int
    batch_seconds: float
    max_age_seconds: float
    timeout_seconds: float
    exit_seconds: float
    on_drop: Callable[[str, int], object] | None
    resources: bool

    def __post_init__(self) -> None:
        if not isinstance(self.model, str) or not self.model:
            raise ConfigError("`model` is the registered model's name")
        if bool(str(self.version)) == bool(self.alias):
            raise ConfigError("`version` or `alias` is needed, not both")
        for name in ("leave_out", "hashed", "feature_names"):
            object.__setattr__(self, name, _texts(name, getattr(self, name)))
        if self.hashed and not self.hash_key:
            raise ConfigError("`hashed` needs a `hash_key`, the one by which the reference is hashed")
        if len(self._key) > MAX_KEY_BYTES:
            raise ConfigError(f"`hash_key` has {len(self._key)} bytes, at most {MAX_KEY_BYTES} are used")
        if not _is_number(self.sample) or not 0 < self.sample <= 1:
            raise ConfigError(f"`sample` is {self.sample!r}, it must be above 0 and at most 1")
        for name in (*_COUNTS, *_SECONDS, "timeout_seconds"):
            value, lowest = getattr(self, name), 0 if name in _SECONDS else 1e-3
            if not _is_number(value) or not lowest <= value < float("inf"):
                bound = "above 0" if lowest else "0 or more"
                raise ConfigError(f"`{name}` is {value!r}, it must be {bound}")
        if self.on_drop is not None and not callable(self.on_drop):
            raise ConfigError("`on_drop` is a function of a reason and a number of rows")
        self.connect()

    @property
    def target(self) -> Target:
        return Target(self.model, str(self.version), self.alias)

    @property
    def rules(self) -> ColumnRules:
        return ColumnRules(frozenset(self.leave_out), frozenset(self.hashed), self._key)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns of arrays and lists."""
        return tuple(self.feature_names)

    @property
    def _key(self) -> bytes:
        return self.hash_key.encode() if isinstance(self.hash_key, str) else self.hash_key

    def connect(self) -> Connection:
        """Return a connection, which is opened at its first request."""
        return Connection(self.url, self.token, timeout_seconds=self.timeout_seconds)


def _texts(name: str, values: Iterable[Any]) -> tuple[str, ...]:
    try:
        texts = tuple(values)
    except TypeError:
        texts = (None,)  # refused below
    if isinstance(values, str) or not all(isinstance(text, str) for text in texts):
        raise ConfigError(f"`{name}` is a list of names")
    return texts


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
