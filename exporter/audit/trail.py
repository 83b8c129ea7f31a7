"""Appends to the chain of the audit trail, within the transaction that is described."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import orjson
import sqlalchemy as sa

from exporter import __version__
from exporter.audit.record import Entry
from exporter.storage import schema

FORMAT = 1
GENESIS = bytes(32)  # the digest before the first record


def append(connection: sa.Connection, entries: Sequence[Entry], at: float) -> None:
    """Append entries to the chain.

    Args:
        connection: within the transaction that the entries describe.
        entries: in order.
        at: time of the event, in seconds since the epoch.
    """
    records = schema.audit_records
    head = connection.execute(
        sa.select(records.c.seq, records.c.digest).order_by(records.c.seq.desc()).limit(1)
    ).first()
    seq, digest = (head.seq, bytes(head.digest)) if head is not None else (0, GENESIS)
    rows = []
    for seq, entry in enumerate(entries, seq + 1):  # noqa: B020
        shown = vars(entry) | {"v": FORMAT, "seq": seq, "at": at, "exporter": __version__}
        body = orjson.dumps(shown, option=orjson.OPT_SORT_KEYS)
        body_digest = sha256(body).digest()
        digest = sha256(b"\x01" + digest + body_digest).digest()
        rows.append(
            {
                "seq": seq,
                "at": at,
                "kind": entry.kind,
                "actor": entry.actor,
                "action_id": entry.action_id,
                "model": entry.model,
                "model_version": entry.model_version,
                "body": body,
                "body_digest": body_digest,
                "digest": digest,
            }
        )
    if rows:
        connection.execute(records.insert(), rows)
