"""Records of the audit trail: their canonical bytes and the digests that chain them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Literal, NamedTuple

import numpy as np
import rfc8785

from exporter import __version__
from exporter.formats.texts import cut, storable

Kind = Literal[
    "verdict_changed",
    "summary",
    "reference_built",
    "reference_replaced",
    "reference_missing",
    "version_monitored",
    "version_forgotten",
    "config_changed",
    "tags_changed",
    "alias_moved",
    "alert_received",
    "remediation",
    "approval",
    "hold",
    "simulated",
    "report_requested",
    "checkpoint_key",  # checkpoints are signed by another key from here on
    "pruned",
    "erased",
    "started",
    "stopped",
    "clock_set_back",
]

BODY_VERSION = 1
GENESIS = bytes(32)  # the digest before the first record
SALT_BYTES = 16
MAX_TEXT, MAX_BODY_BYTES, MAX_DEPTH = 1000, 64 * 2**10, 16
_SAFE_INTEGER, _LONGEST_INTEGER_BITS = 2**53, 4096


@dataclass(frozen=True)
class Entry:
    """An event to be recorded.

    Attributes:
        kind: of the event.
        actor: `system`, `monitor`, `mlflow`, `remediation/<policy>`, or the name of a token.
        model: empty where no model is concerned.
        model_version: empty where no version is concerned.
        subject: the column, alias, alert or policy that is concerned.
        action_id: of a remediation.
        data: values of JSON, by the kind.
        reference_digest: of the reference that was measured against.
        config_digest: of the configuration in force.
    """

    kind: Kind
    actor: str
    model: str = ""
    model_version: str = ""
    subject: str = ""
    action_id: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    reference_digest: str = ""
    config_digest: str = ""


class Columns(NamedTuple):
    """Copies of fields of a record's body, by which records are searched."""

    at: float
    kind: str
    actor: str
    action_id: str
    model: str
    model_version: str


class StoredRecord(NamedTuple):
    """A link of the chain.

    `body` is None where it was erased or is withheld, `digest` where a file leaves it out, `columns` where
    there are none beside the body.
    """

    seq: int
    body: bytes | None
    body_digest: bytes
    digest: bytes | None
    columns: Columns | None = None


class Head(NamedTuple):
    """Number and digest of the record with which a chain, or a part of it, ends; 0 and zeros before any."""

    seq: int
    digest: bytes


def make_body(entry: Entry, seq: int, at: float, salt: bytes) -> tuple[bytes, Columns]:
    """Canonical bytes of a record (RFC 8785), and its columns.

    `NaN` and infinities become the texts "NaN", "Infinity" and "-Infinity", whole numbers that a float does
    not hold exactly become texts. Longer texts and larger data are cut, and say so. The salt keeps the digest
    of a body that was erased or is withheld from being guessed.
    """
    names = (entry.actor, entry.action_id, entry.model, entry.model_version)
    columns = Columns(at, entry.kind, *map(_text, names))
    data = _plain(entry.data, 0)
    fields = {
        **columns._asdict(),
        "v": BODY_VERSION,
        "seq": seq,
        "at": format_time(at),
        "subject": _text(entry.subject),
        "data": data,
        "reference_digest": _text(entry.reference_digest),
        "config_digest": _text(entry.config_digest),
        "exporter": __version__,
        "salt": salt.hex(),
    }
    body = rfc8785.dumps(fields)
    if len(body) > MAX_BODY_BYTES:
        whole = rfc8785.dumps(data)
        begins = whole[:MAX_TEXT].decode("utf-8", "ignore")
        cut = {"bytes": len(whole), "sha256": sha256(whole).hexdigest(), "begins": begins}
        body = rfc8785.dumps(fields | {"data": {"cut": cut}})
    return body, columns


def digest_body(body: bytes) -> bytes:
    return sha256(body).digest()


def chain(previous: bytes, body_digest: bytes) -> bytes:
    """Digest of a record, from that of the one before and that of its body."""
    return sha256(b"\x01" + previous + body_digest).digest()


def format_time(at: float) -> str:
    """Return ISO 8601 in UTC with microseconds.

    >>> format_time(1764460800.5)
    '2025-11-30T00:00:00.500000Z'
    """
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def show_time(at: Any) -> str:
    """Return the same of any stored value: one that is no time is shown as in Python.

    >>> show_time("2025-11-30T00:00:00.500000Z")  # a text is within no period
    "'2025-11-30T00:00:00.500000Z'"
    """
    try:
        return format_time(at)
    except (TypeError, ValueError, OverflowError):
        return repr(at)


def _text(text: str) -> str:
    return cut(storable(text), MAX_TEXT)


def _plain(value: Any, depth: int) -> Any:
    """Return a value of JSON that RFC 8785 has a form for."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        if abs(value) < _SAFE_INTEGER:
            return value
        return str(value) if value.bit_length() <= _LONGEST_INTEGER_BITS else hex(value)
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if depth == MAX_DEPTH:
        return "nested too deeply"
    if isinstance(value, Mapping):
        return {storable(str(key)): _plain(each, depth + 1) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        listed = [_plain(each, depth + 1) for each in value]
        return sorted(listed, key=str) if isinstance(value, set | frozenset) else listed
    raise TypeError(f"{type(value).__name__} is no value of JSON")
