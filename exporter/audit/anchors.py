"""Anchors: ends that the chain had, as witnesses outside of the store remember them."""

from __future__ import annotations

import http.client
import json
import re
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from exporter.audit.checkpoint import check_note, read_note
from exporter.errors import AuditError
from exporter.formats.texts import first_line, printable, redact

INFO_METRIC = "mlflow_exporter_audit_checkpoint_info"
TIMEOUT_SECONDS = 30.0
MAX_ANSWER_BYTES = 64 * 2**20
_TAG = re.compile(r"([0-9]{1,18}) ([0-9a-f]{64})")


@dataclass(frozen=True)
class Anchor:
    """A record's number and digest, and who remembers them."""

    seq: int
    digest: bytes
    source: str


def note_anchor(text: str, source: str, vkeys: Sequence[str] = ()) -> Anchor:
    """Anchor of a checkpoint that was kept.

    Args:
        text: the signed note.
        source: the place where it was kept.
        vkeys: one of these keys has to have signed it; empty: it is taken without.

    Raises:
        AuditError: it is no checkpoint, or not signed by one of the keys.
    """
    try:
        note = check_note(text, vkeys) if vkeys else read_note(text)
    except AuditError as error:
        raise AuditError(f"{source}: {error}") from None
    return Anchor(note.seq, note.digest, source)


def tag_anchor(value: str, source: str) -> Anchor:
    """Anchor of the tag `monitoring.audit_checkpoint` in MLflow: number and hexadecimal digest.

    Raises:
        AuditError: the value has another form.
    """
    found = _TAG.fullmatch(value.strip())
    if found is None:
        raise AuditError(f"{source}: {value[:100]!r} is no number and digest")
    return Anchor(int(found[1]), bytes.fromhex(found[2]), source)


def prometheus_anchors(url: str, now: float, selector: str = "") -> list[Anchor]:
    """Anchors that Prometheus remembers, as far back as its retention, oldest first.

    Args:
        url: of the server, such as `http://localhost:9090`.
        now: the clock's time, in seconds since the epoch.
        selector: labels that the series must have, such as `{instance="exporter:19464"}`, where it scrapes
            several exporters.

    Raises:
        AuditError: Prometheus cannot be reached, or its answer is none.
    """
    query = urlencode({"match[]": f"{INFO_METRIC}{selector}", "start": "0", "end": f"{now:.3f}"})
    found = {}
    for labels in _get_series(url, query):
        digest = labels.get("digest", "")
        if not re.fullmatch("[0-9a-f]{64}", digest) or not re.fullmatch("[0-9]{1,18}", labels.get("seq", "")):
            raise AuditError(f"Prometheus has a series of {INFO_METRIC} without number and digest")
        source = printable(f"Prometheus ({labels.get('instance', '')})")
        anchor = Anchor(int(labels["seq"]), bytes.fromhex(digest), source)
        found[anchor.seq, anchor.digest] = anchor
    return [found[key] for key in sorted(found)]


def _get_series(url: str, query: str) -> list[dict[str, str]]:
    if not url.startswith(("http://", "https://")):
        raise AuditError(f"{redact(url)!r} is no address such as http://localhost:9090")
    address = f"{url.rstrip('/')}/api/v1/series?{query}"
    try:
        with urllib.request.urlopen(address, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310 - checked above
            body = answer.read(MAX_ANSWER_BYTES + 1)
    except urllib.error.HTTPError as error:
        raise AuditError(f"Prometheus refused ({error.code}): {_detail(error)}") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        cause = getattr(error, "reason", error)
        text = first_line(cause) if isinstance(cause, BaseException) else str(cause)
        raise AuditError(f"Prometheus at {redact(url)} cannot be reached: {text}") from None
    if len(body) > MAX_ANSWER_BYTES:
        raise AuditError(f"the answer of Prometheus is larger than {MAX_ANSWER_BYTES} bytes")
    try:
        answered: Any = json.loads(body)
        series = answered["data"]
        if answered["status"] != "success" or not all(isinstance(labels, dict) for labels in series):
            raise ValueError
    except (ValueError, KeyError, TypeError, RecursionError):
        raise AuditError(f"the answer of {redact(url)} is none of Prometheus") from None
    return list(series)


def _detail(error: urllib.error.HTTPError) -> str:
    try:
        return printable(str(json.loads(error.read(2**16))["error"]))[:300]
    except (ValueError, KeyError, TypeError, OSError):
        return str(error.reason)
