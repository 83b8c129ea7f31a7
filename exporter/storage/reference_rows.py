"""Raw rows of references, beside their profiles, for reports."""

from __future__ import annotations

import sqlalchemy as sa

from exporter.storage import schema


def put_reference_rows(connection: sa.Connection, reference_id: int, content: bytes) -> None:
    """Keep rows of a reference, as Parquet; empty where none can be had, so that none are looked for."""
    connection.execute(_of(reference_id))
    connection.execute(schema.reference_rows.insert(), {"reference_id": reference_id, "content": content})


def load_reference_rows(connection: sa.Connection, reference_id: int) -> bytes:
    """Rows of a reference as Parquet, empty if there are none."""
    rows = schema.reference_rows.c
    found = connection.scalar(sa.select(rows.content).where(rows.reference_id == reference_id))
    return bytes(found or b"")


def were_looked_for(connection: sa.Connection, reference_id: int) -> bool:
    """True if rows of a reference are there, or cannot be had."""
    rows = schema.reference_rows.c
    query = sa.select(rows.reference_id).where(rows.reference_id == reference_id)
    return connection.scalar(query) is not None


def delete_reference_rows(connection: sa.Connection, reference_id: int) -> None:
    """Delete the rows of a reference."""
    connection.execute(_of(reference_id))


def delete_former_rows(connection: sa.Connection, version_id: int) -> None:
    """Delete the rows of all references that a version has had."""
    references = schema.references.c
    former = sa.select(references.id).where(references.version_id == version_id)
    connection.execute(
        sa.delete(schema.reference_rows).where(schema.reference_rows.c.reference_id.in_(former))
    )


def expire_reference_rows(connection: sa.Connection, unused_since: float) -> None:
    """Delete the rows of versions without a prediction since a time; those without any keep theirs."""
    references, states = schema.references.c, schema.version_states.c
    unused = (
        sa.select(references.id)
        .join_from(schema.references, schema.version_states, states.version_id == references.version_id)
        .where(states.last_prediction < unused_since)
    )
    connection.execute(
        sa.delete(schema.reference_rows).where(schema.reference_rows.c.reference_id.in_(unused))
    )


def _of(reference_id: int) -> sa.Delete:
    return sa.delete(schema.reference_rows).where(schema.reference_rows.c.reference_id == reference_id)
