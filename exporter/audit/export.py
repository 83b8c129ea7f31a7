"""Selects a part of the audit trail in a form that can be verified without the store.

An export is a sequence of rows: a header, the checkpoints that cover the period, then every record of the
period in order. Records of other models have the digest of their body in its place, so that the whole chain
can be recomputed. The export goes on to the first checkpoint after the period: all of it is covered by one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import orjson
import sqlalchemy as sa

from exporter import __version__
from exporter.audit.checkpoint import Checkpoint, checkpoints, verifier_keys
from exporter.audit.filters import in_period, sequence_range
from exporter.audit.record import format_time
from exporter.audit.trail import CHUNK_ROWS, digest_before, head
from exporter.errors import AuditError
from exporter.storage.schema import audit_records

EXPORT_FORMAT = "mlflow-exporter audit export 1"
# Of the exporter itself: without them a gap in the records of a model cannot be explained.
SYSTEM_KINDS = ("started", "stopped", "clock_set_back", "config_changed", "checkpoint_key", "pruned")

RowType = Literal["export", "checkpoint", "record", "other", "erased"]
_RECORDS = audit_records.c


@dataclass(frozen=True)
class Selection:
    """The records whose bodies are exported.

    Attributes:
        model: empty: of all models.
        version: of the model, with records of the model as a whole; empty: of all its versions.
        start: of the period, in seconds since the epoch, inclusive; None: the oldest record.
        end: exclusive; None: the newest record.
    """

    model: str = ""
    version: str = ""
    start: float | None = None
    end: float | None = None


@dataclass(frozen=True)
class ExportRow:
    """A row of an export.

    `body` is JSON, that of a record in the bytes that were hashed. `body_digest` is that of a record, and
    `digest` the one of the chain up to it.
    """

    type: RowType
    seq: int
    body: bytes | None = None
    body_digest: bytes | None = None
    digest: bytes | None = None


def export_rows(connection: sa.Connection, selection: Selection, now: float) -> Iterator[ExportRow]:
    """Rows of an export, with flat memory.

    Args:
        connection: that sees one state of the store, see `read_only.reading`.
        now: time of the export.

    Raises:
        AuditError: the period has no records, or they are not all there.
    """
    first, last = sequence_range(connection, selection.start, selection.end)
    if last < first:
        raise AuditError("there are no records of this period")
    if selection.end is None:
        last = head(connection).seq
    previous = digest_before(connection, first)
    if previous is None:
        raise AuditError(f"the record before {first} is missing: verify the store")
    proof = _covering(connection, first, last)
    if proof:
        last = max(last, proof[-1].seq)
    header = {
        "format": EXPORT_FORMAT,
        "model": selection.model,
        "version": selection.version,
        "from": format_time(selection.start) if selection.start is not None else "",
        "to": format_time(selection.end) if selection.end is not None else "",
        "first": first,
        "last": last,
        "previous": previous.hex(),
        "keys": verifier_keys(connection),
        "at": format_time(now),
        "exporter": __version__,
    }
    yield ExportRow("export", first, orjson.dumps(header))
    for each in proof:
        yield ExportRow("checkpoint", each.seq, orjson.dumps({"at": format_time(each.at), "note": each.note}))
    yield from _records(connection, selection, first, last)


def _covering(connection: sa.Connection, first: int, last: int) -> list[Checkpoint]:
    """Checkpoints from the first record up to the first checkpoint at or after the last record."""
    found = []
    for each in checkpoints(connection, first):
        found.append(each)
        if each.seq >= last:
            break
    return found


def _records(connection: sa.Connection, selection: Selection, first: int, last: int) -> Iterator[ExportRow]:
    shown = _selected(selection)
    # Bodies of others stay on the disk: they would be most of what is read.
    body = sa.case((shown, _RECORDS.body), else_=None).label("body")
    selected = sa.case((shown, 1), else_=0).label("selected")
    query = sa.select(_RECORDS.seq, selected, body, _RECORDS.body_digest, _RECORDS.digest)
    for start in range(first, last + 1, CHUNK_ROWS):
        end = min(last, start + CHUNK_ROWS - 1)
        rows = connection.execute(query.where(_RECORDS.seq.between(start, end)).order_by(_RECORDS.seq)).all()
        for expected, row in zip(range(start, end + 1), rows, strict=False):
            if row.seq != expected:
                break
            yield _row(row)
        if len(rows) != end - start + 1:
            raise AuditError(f"records are missing after {start}: verify the store")


def _row(row: sa.Row[*tuple[Any, ...]]) -> ExportRow:
    body_digest, digest = bytes(row.body_digest), bytes(row.digest)
    if not row.selected:
        return ExportRow("other", row.seq, None, body_digest, digest)
    if row.body is None:
        return ExportRow("erased", row.seq, None, body_digest, digest)
    return ExportRow("record", row.seq, bytes(row.body), body_digest, digest)


def _selected(selection: Selection) -> sa.ColumnElement[bool]:
    conditions = [sa.true(), *in_period(selection.start, selection.end)]
    if selection.model:
        of_model = _RECORDS.model == selection.model
        if selection.version:
            of_model &= _RECORDS.model_version.in_([selection.version, ""])
        conditions.append(of_model | ((_RECORDS.model == "") & _RECORDS.kind.in_(SYSTEM_KINDS)))
    return sa.and_(*conditions)
