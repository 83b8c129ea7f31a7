"""CloudEvents of inference loggers: attributes, and the body of a request or a response.

KServe's logger sends one event for a request and one for the response, with the same `ce-id`, in binary mode:

    ce-specversion: 1.0
    ce-id: 8fd4ff3e-1c0a-4f4c-a9e6-1d1c5a0d7a32
    ce-type: org.kubeflow.serving.inference.request
    ce-source: fraud-predictor-00001-deployment-5d8f9c7b6-x2x7w
    ce-time: 2026-08-21T17:26:03.123456789Z
    ce-recordedtime: 2026-08-21T17:26:03.124Z
    ce-inferenceservicename: fraud
    ce-namespace: shop
    ce-component: predictor
    ce-endpoint: default
    content-type: application/json

`ce-time` is the time at which the request came or was answered if there is a `ce-recordedtime`. Older
releases have none, and `ce-time` is the time of sending. `ce-annotations` has annotations of the
pod, as JSON.
https://github.com/cloudevents/spec/blob/main/cloudevents/bindings/http-protocol-binding.md
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from hashlib import blake2b
from typing import Any, Literal
from urllib.parse import unquote

import orjson

from exporter.errors import MalformedError
from exporter.formats.json_forms import parse_json
from exporter.formats.raw import media_type
from exporter.formats.texts import printable

Half = Literal["request", "response"]
Attributes = Mapping[str, str]

STRUCTURED_TYPE = "application/cloudevents+json"
BATCH_TYPE = "application/cloudevents-batch+json"
MAX_EVENTS = 1000  # of a batch
MAX_ATTRIBUTE_LENGTH = 1000  # characters
ANNOTATIONS = ("monitoring/model", "monitoring/version", "monitoring/alias")

# KServe's, and of Seldon Core and MLServer.
_TYPE = re.compile(r"(?:org\.kubeflow|io\.seldon)\.serving\.inference\.(request|response)")
_TIME = re.compile(r"(.*:\d\d)(?:\.(\d+))?(Z|z|[+-]\d\d:\d\d)")


@dataclass(frozen=True)
class Event:
    """Half an exchange.

    `at` is its time in seconds since the epoch, None without one; `measured` tells the time at which the half
    passed from that of sending. `annotations` are those of the pod that name the version.
    """

    half: Half
    id: str
    service: str
    namespace: str = ""
    endpoint: str = ""
    component: str = ""
    source: str = ""
    at: float | None = None
    measured: bool = False
    annotations: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @cached_property
    def key(self) -> bytes:
        """Hash that is equal for both halves of an exchange."""
        parts = (self.namespace, self.service, self.component, self.endpoint, self.source, self.id)
        return blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=16).digest()

    @cached_property
    def digest(self) -> bytes:
        """Hash of the body."""
        return blake2b(self.body, digest_size=8).digest()

    @property
    def characters(self) -> int:
        """Length of all attributes."""
        attributes = (self.id, self.service, self.namespace, self.endpoint, self.component, self.source)
        return sum(map(len, (*attributes, *self.annotations.values())))

    @property
    def origin(self) -> str:
        """Namespace, service and endpoint, for people."""
        service = f"{self.namespace}/{self.service}" if self.namespace else self.service
        return printable(f"{service}@{self.endpoint}" if self.endpoint else service)


def read_events(headers: Mapping[str, str], body: bytes) -> list[Event]:
    """Events of a message in binary, structured or batched mode.

    Args:
        headers: names in small letters; attributes begin with `ce-`, or as in Kafka with `ce_`.
        body: of the message.

    Raises:
        MalformedError: it is no event of an inference logger, or an attribute is missing.
    """
    content_type = media_type(headers.get("content-type", ""))
    if content_type == STRUCTURED_TYPE:
        return [_from_structure(parse_json(body))]
    if content_type == BATCH_TYPE:
        found = parse_json(body)
        if not isinstance(found, list) or len(found) > MAX_EVENTS:
            raise MalformedError(f"a batch is a list of at most {MAX_EVENTS} events")
        return [_from_structure(each) for each in found]
    return [read_event(headers, body)]


def read_event(headers: Mapping[str, str], body: bytes) -> Event:
    """Event of a message in binary mode; arguments and errors as of `read_events`."""
    return _event({name[3:]: value for name, value in headers.items() if name[:3] in ("ce-", "ce_")}, body)


def _from_structure(document: object) -> Event:
    if not isinstance(document, dict):
        raise MalformedError("an event is a JSON object")
    texts = {name: value for name, value in document.items() if isinstance(value, str)}
    if "data_base64" in texts:
        try:
            return _event(texts, b64decode(texts["data_base64"], validate=True))
        except ValueError:
            raise MalformedError("`data_base64` is no base64") from None
    data: Any = document.get("data", b"")
    if isinstance(data, str):  # of a content type that is not JSON
        data = data.encode("utf-8", "surrogatepass")
    try:
        return _event(texts, data if isinstance(data, bytes) else orjson.dumps(data))
    except TypeError:
        detail = "`data` has too many levels, or a value is no text in Unicode or of more than 64 bits"
        raise MalformedError(detail) from None


def _event(attributes: Attributes, body: bytes) -> Event:
    kind = _TYPE.fullmatch(attributes.get("type", ""))
    if kind is None:
        raise MalformedError("no request or response of an inference logger", "ce-type")
    for name in ("id", "inferenceservicename"):
        if not attributes.get(name):
            raise MalformedError("is missing", f"ce-{name}")
    at = _seconds(attributes.get("time", ""))
    return Event(
        half="request" if kind[1] == "request" else "response",
        id=_text(attributes, "id"),
        service=_text(attributes, "inferenceservicename"),
        namespace=_text(attributes, "namespace"),
        endpoint=_text(attributes, "endpoint"),
        component=_text(attributes, "component"),
        source=_text(attributes, "source"),
        at=at,
        measured=at is not None and "recordedtime" in attributes,
        annotations=_annotations(attributes.get("annotations", "")),
        body=body,
    )


def _text(attributes: Attributes, name: str) -> str:
    value = attributes.get(name, "")
    if len(value) > MAX_ATTRIBUTE_LENGTH:
        raise MalformedError(f"has {len(value)} characters", f"ce-{name}")
    return unquote(value) if "%" in value else value


def _seconds(text: str) -> float | None:
    """Seconds since the epoch; None if it is no time of RFC 3339, whose fractions may have any digits."""
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    try:
        whole = datetime.fromisoformat(f"{found[1]}{'+00:00' if found[3] in 'Zz' else found[3]}")
        return whole.astimezone(UTC).timestamp() + float(f"0.{(found[2] or '0')[:9]}")
    except (ValueError, OverflowError):
        return None


def _annotations(text: str) -> Mapping[str, str]:
    if not text:
        return {}
    try:
        found = parse_json(text.encode("utf-8", "surrogatepass"))
    except MalformedError:
        return {}
    named = {name: found.get(name) for name in ANNOTATIONS} if isinstance(found, dict) else {}
    return {
        name: value
        for name, value in named.items()
        if isinstance(value, str) and len(value) <= MAX_ATTRIBUTE_LENGTH
    }
