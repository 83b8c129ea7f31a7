"""Erasure: the content of a record goes, its digests and so the chain stay."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from exporter.audit.record import Entry, format_time
from exporter.audit.trail import append
from exporter.errors import AuditError
from exporter.storage import schema

# Records by which the chain is verified.
KEPT_KINDS = ("checkpoint_key", "pruned", "erased")

_records = schema.audit_records


def erase(connection: sa.Connection, seq: int, actor: str, reason: str, at: float) -> int:
    """Erase the content of a record; a new record says who did so and why.

    Model, version, kind and time stay, so that a reader sees what is missing.

    Args:
        connection: within a transaction.
        seq: number of the record.
        actor: by whom.
        reason: why, without what is erased.
        at: the clock's time, in seconds since the epoch.

    Returns:
        Number of the new record.

    Raises:
        AuditError: there is no such record, its content is erased already, or the chain needs it.
    """
    row = connection.execute(sa.select(_records).where(_records.c.seq == seq)).first()
    if row is None:
        raise AuditError(f"there is no record {seq}: it was pruned, or never was")
    if row.body is None:
        raise AuditError(f"record {seq} is erased already")
    if row.kind in KEPT_KINDS:
        raise AuditError(
            f"record {seq} ({row.kind}) is part of the proof, and holds no one's data but an actor's"
        )
    gone = {"body": None, "actor": "", "action_id": ""}
    with _overwriting(connection):
        connection.execute(sa.update(_records).where(_records.c.seq == seq).values(gone))
    entry = Entry(
        "erased",
        actor,
        model=row.model,
        model_version=row.model_version,
        data={
            "seq": seq,
            "body_digest": bytes(row.body_digest).hex(),
            "kind": row.kind,
            "at": format_time(row.at),
            "reason": reason,
        },
    )
    return append(connection, [entry], at)


@contextmanager
def _overwriting(connection: sa.Connection) -> Iterator[None]:
    """Context in which SQLite overwrites what it deletes, on the disk as well."""
    if connection.dialect.name != "sqlite":
        yield
        return
    before = connection.exec_driver_sql("PRAGMA secure_delete").scalar_one()
    connection.exec_driver_sql("PRAGMA secure_delete=ON")
    yield
    connection.exec_driver_sql(f"PRAGMA secure_delete={'FAST' if before == 2 else int(before)}")
