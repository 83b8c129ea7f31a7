"""Alerts as Alertmanager sends them, read within bounds.

Format: https://prometheus.io/docs/alerting/latest/configuration/#webhook_config, version 4.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import orjson

from exporter.errors import MalformedError
from exporter.formats.texts import cut, storable

Status = Literal["firing", "resolved"]
WEBHOOK_VERSION = "4"
MAX_ALERTS = 100_000  # of one body
MAX_LABELS = 64
MAX_ANNOTATIONS = 20
MAX_NAME_LENGTH = 256
MAX_VALUE_LENGTH = 1000  # characters of a label or annotation; longer ones are cut
MAX_LENGTH = 8000  # characters of all labels of an alert, and of all annotations

_STATUSES: dict[str, Status] = {"firing": "firing", "resolved": "resolved"}
_Labels = Mapping[str, str]


@dataclass(frozen=True)
class Alert:
    """An alert; times are in seconds since the epoch, None where there is none.

    Labels and annotations are cut to bounds. They are in the order of their names, so that two alerts with
    the same labels have the same ones after the cut.
    """

    status: Status
    labels: _Labels
    annotations: _Labels
    starts_at: float | None = None
    ends_at: float | None = None
    fingerprint: str = ""

    @property
    def name(self) -> str:
        return self.labels.get("alertname", "")

    @property
    def model(self) -> str:
        """Name of the model, empty where the alert is about none."""
        return self.labels.get("model", "")

    @property
    def model_version(self) -> str:
        """The version, empty where the alert is about none."""
        return self.labels.get("model_version", "")


@dataclass(frozen=True)
class Delivery:
    """One request of Alertmanager; `truncated` is the number of alerts that it left out."""

    receiver: str
    group_key: str
    alerts: tuple[Alert, ...]
    truncated: int = 0


def read_webhook(body: bytes) -> Delivery:
    """Read the body of a request of Alertmanager. Keys that it does not have today are left out.

    Raises:
        MalformedError: it is none, with the place in the body.
    """
    document = _parse(body)
    if not isinstance(document, dict):
        raise MalformedError("Alertmanager's webhook is an object")
    version = document.get("version")
    if version != WEBHOOK_VERSION:
        found = f"{version!r}"[:40] if "version" in document else "missing"
        raise MalformedError(
            f"this is another webhook: Alertmanager's has the version {WEBHOOK_VERSION!r}, this one: {found}",
            "version",
        )
    truncated = document.get("truncatedAlerts", 0)  # not sent before Alertmanager 0.21
    if not isinstance(truncated, int) or isinstance(truncated, bool) or not 0 <= truncated < 2**31:
        raise MalformedError("has to be a number of alerts", "truncatedAlerts")
    return Delivery(
        receiver=_text(document, "receiver", ""),
        group_key=_text(document, "groupKey", ""),
        alerts=tuple(_read_alerts(document.get("alerts"), "alerts", _status)),
        truncated=truncated,
    )


def read_alerts(body: bytes) -> tuple[Alert, ...]:
    """Read a file of alerts: a body of the webhook, or a list as of `amtool alert query --output=json`.

    Raises:
        MalformedError: it is none.
    """
    document = _parse(body)
    if isinstance(document, list):
        return tuple(_read_alerts(document, "", _listed_status))
    return read_webhook(body).alerts


def _parse(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedError(f"no JSON: {error}") from None


def _read_alerts(found: Any, where: str, status: Callable[[dict[str, Any], str], Status]) -> Iterator[Alert]:
    if not isinstance(found, list):
        raise MalformedError("has to be a list of alerts", where)
    if len(found) > MAX_ALERTS:
        raise MalformedError(f"{len(found)} alerts, at most {MAX_ALERTS} are taken", where)
    for index, alert in enumerate(found):
        place = f"{where}[{index}]"
        if not isinstance(alert, dict):
            raise MalformedError("has to be an alert", place)
        yield Alert(
            status=status(alert, place),
            labels=_labels(alert.get("labels"), f"{place}.labels", MAX_LABELS),
            annotations=_labels(alert.get("annotations") or {}, f"{place}.annotations", MAX_ANNOTATIONS),
            starts_at=_time(alert, "startsAt", place),
            ends_at=_time(alert, "endsAt", place),
            fingerprint=_text(alert, "fingerprint", place),
        )


def _status(alert: dict[str, Any], place: str) -> Status:
    found: Status | None = _STATUSES.get(str(alert.get("status")))
    if found is None:
        raise MalformedError("has to be firing or resolved", f"{place}.status")
    return found


def _listed_status(alert: dict[str, Any], place: str) -> Status:
    """Return the status of a listed alert: an object that says whether it is inhibited stands for firing."""
    return _status(alert, place) if isinstance(alert.get("status"), str) else "firing"


def _labels(found: Any, place: str, limit: int) -> dict[str, str]:
    if not isinstance(found, dict):
        raise MalformedError("has to be an object of texts", place)
    for name, value in found.items():
        if not isinstance(value, str):
            raise MalformedError("has to be a text", f"{place}.{name}"[:MAX_NAME_LENGTH])
    if not found:
        return {}
    # The names that tell what an alert is about are never among those that are left out.
    first = [name for name in ("alertname", "model", "model_version", "severity") if name in found]
    names = [*first, *sorted(found.keys() - set(first))][:limit]
    said: dict[str, str] = {}
    left = MAX_LENGTH
    for name in names:
        short, value = storable(name[:MAX_NAME_LENGTH]), _cut(found[name])
        left -= len(short) + len(value)
        if left < 0:
            break
        said.setdefault(short, value)  # two names may be the same without NUL
    return said


def _text(document: dict[str, Any], key: str, place: str) -> str:
    value = document.get(key, "")
    if not isinstance(value, str):
        raise MalformedError("has to be a text", f"{place}.{key}" if place else key)
    return _cut(value)


def _cut(text: str) -> str:
    return storable(cut(text, MAX_VALUE_LENGTH))


def _time(alert: dict[str, Any], key: str, place: str) -> float | None:
    """Return a time of RFC 3339, None for Go's zero time, which stands for none."""
    text = alert.get(key, "")
    if text == "" or (isinstance(text, str) and text.startswith("0001-")):
        return None
    try:
        at = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise MalformedError("has to be a time of RFC 3339", f"{place}.{key}") from None
    try:
        return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()
    except (OverflowError, ValueError):
        raise MalformedError("is not a time of our age", f"{place}.{key}") from None
