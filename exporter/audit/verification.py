"""Verifies the audit trail of a store: the chain, what was pruned and erased, checkpoints and witnesses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from exporter.audit.anchors import Anchor
from exporter.audit.checkpoint import VerifierKey, read_note, verifier_keys
from exporter.audit.record import GENESIS, Head, StoredRecord, show_time
from exporter.audit.segments import chain_header, segments
from exporter.audit.trail import head, read
from exporter.audit.walk import Faults, TrailVerification, Walk, sort_faults
from exporter.errors import AuditError, ExporterError
from exporter.storage import schema

MAX_ERASED = 100_000  # records without content in one store; with more the rest count as faults
MAX_SEQ = 2**63 - 1  # of the database

_records, _checkpoints = schema.audit_records, schema.audit_checkpoints


@dataclass(frozen=True, kw_only=True)
class StoreVerification(TrailVerification):
    """Result for a whole store.

    Attributes:
        pruned: number of records that headers stand for.
        pruned_until: time of the last of them by its header, in seconds since the epoch; None without any.
        segments: number of headers.
    """

    pruned: int
    pruned_until: float | None
    segments: int

    @property
    def proven(self) -> bool:
        """False also if nothing was found, but all that witnesses remember is said to have been pruned."""
        return self.intact and not (self.chain.unused and not self.chain.anchored)


def verify_store(
    connection: sa.Connection, witnesses: Sequence[Anchor] = (), vkeys: Sequence[str] = ()
) -> StoreVerification:
    """Verify the trail of a store, in one pass and constant memory.

    Args:
        connection: that sees one state of the store, see `read_only.reading`.
        witnesses: ends of the chain that are remembered elsewhere.
        vkeys: keys that its checkpoints have to be signed by; empty: the keys that it names itself, which
            proves less.
    """
    faults = Faults()
    pruned = _Pruned(connection, faults)
    keys = tuple(vkeys) or tuple(_own_keys(connection, faults))
    own = list(_read_checkpoints(connection, keys, faults))
    rest = [anchor for anchor in witnesses if not pruned.check(anchor, faults)]
    walk = Walk(pruned.end, rest, own)
    erasures = _Erasures()
    _check_before(connection, pruned.end.seq, faults)
    for record in read(connection, pruned.end.seq + 1, MAX_SEQ):
        body = walk.add(record)
        if record.body is None:
            erasures.note_missing(record, faults)
        elif body.get("kind") == "erased":
            erasures.explain(body, faults)
        elif body.get("kind") == "pruned":
            pruned.confirm(body, faults)
    chain = walk.finish()
    erasures.finish(faults)
    pruned.finish(faults)
    _check_head(head(connection), chain.last, faults)
    return StoreVerification(
        chain=chain,
        faults=tuple(sort_faults({*chain.faults, *faults.found})),
        fault_count=chain.fault_count + faults.count,
        checkpoints=len(own),
        keys=keys,
        trusted=bool(vkeys),
        pruned=pruned.end.seq,
        pruned_until=pruned.until,
        segments=len(pruned.digests) - 1,
    )


class _Pruned:
    """Headers of the records that were pruned."""

    def __init__(self, connection: sa.Connection, faults: Faults) -> None:
        self.end = Head(0, GENESIS)
        self.until: float | None = None
        self.digests = [GENESIS]  # of the chain of headers
        self._ends: dict[int, bytes] = {}
        self._confirmed = 0
        for header in segments(connection):
            if (
                header.first_seq - 1,
                header.previous_digest,
            ) != self.end or header.last_seq < header.first_seq:
                problem = "the header of what was pruned does not follow from the one before"
                faults.add(header.first_seq, header.last_seq, problem)
            self.end, self.until = Head(header.last_seq, header.last_digest), header.last_at
            self._ends[header.last_seq] = header.last_digest
            self.digests.append(chain_header(self.digests[-1], header))

    def check(self, anchor: Anchor, faults: Faults) -> bool:
        """Compare an anchor with the end of a segment; returns whether there is one."""
        known = self._ends.get(anchor.seq)
        if known is None or anchor.seq == self.end.seq:  # the walk begins there
            return False
        if known != anchor.digest:
            problem = f"{anchor.source} remembers another record {anchor.seq:,}: the header was rewritten"
            faults.add(1, anchor.seq, problem)
        return True

    def confirm(self, body: dict[str, Any], faults: Faults) -> None:
        """Compare the headers with a record about their deletion."""
        try:
            count, digest = int(body["data"]["segments"]), bytes.fromhex(body["data"]["segments_digest"])
        except (KeyError, ValueError, TypeError):
            faults.add(body["seq"], body["seq"], "it does not say what was pruned")
            return
        self._confirmed = max(self._confirmed, count)
        if not 0 < count < len(self.digests) or self.digests[count] != digest:
            problem = f"the headers of what was pruned are not those that record {body['seq']:,} proves"
            faults.add(1, max(self.end.seq, 1), problem)

    def finish(self, faults: Faults) -> None:
        if self._confirmed < len(self.digests) - 1:
            faults.add(1, self.end.seq, "deleted, and no record says that they were pruned")


class _Erasures:
    """Records without content, and those that say that it was erased."""

    def __init__(self) -> None:
        self._unexplained: dict[int, StoredRecord] = {}

    def note_missing(self, record: StoredRecord, faults: Faults) -> None:
        if len(self._unexplained) < MAX_ERASED:
            self._unexplained[record.seq] = record
        else:
            faults.add(record.seq, record.seq, "its content is missing")

    def explain(self, body: dict[str, Any], faults: Faults) -> None:
        data = body.get("data")
        seq = data.get("seq") if isinstance(data, dict) else None
        if not isinstance(data, dict) or not isinstance(seq, int):
            faults.add(body["seq"], body["seq"], "it does not say what was erased")
            return
        record = self._unexplained.pop(seq, None)
        if record is None or record.columns is None:  # pruned meanwhile, or there all the same, and checked
            return
        said = {name: data.get(name) for name in ("body_digest", "kind", "at")}
        said |= {name: body.get(name) for name in ("model", "model_version")}
        shown = record.columns._asdict() | {
            "at": show_time(record.columns.at),
            "body_digest": record.body_digest.hex(),
        }
        if shown != said | {"actor": "", "action_id": ""}:
            problem = f"it is not the record whose content record {body['seq']:,} says was erased"
            faults.add(record.seq, record.seq, problem)

    def finish(self, faults: Faults) -> None:
        for seq in self._unexplained:
            faults.add(seq, seq, "its content is missing, and no record says that it was erased")


def _own_keys(connection: sa.Connection, faults: Faults) -> Iterable[str]:
    try:
        return [str(VerifierKey.parse(vkey)) for vkey in verifier_keys(connection)]
    except ExporterError:
        faults.add(1, 1, "the records about the keys of checkpoints cannot be read")
        return ()


def _read_checkpoints(connection: sa.Connection, vkeys: Sequence[str], faults: Faults) -> Iterable[Anchor]:
    """Anchors of the stored checkpoints that one of the keys signed."""
    keys = [VerifierKey.parse(vkey) for vkey in vkeys]
    rows = connection.execute(sa.select(_checkpoints.c.seq, _checkpoints.c.note).order_by(_checkpoints.c.seq))
    for seq, text in map(tuple, rows):
        try:
            note = read_note(str(text))
        except AuditError as error:
            faults.add(seq, seq, f"its checkpoint in the store cannot be read: {error}")
            continue
        if note.signed_by(keys) is None:
            faults.add(seq, seq, "its checkpoint in the store is not signed by a known key")
        elif note.seq != seq:
            faults.add(seq, seq, f"its checkpoint in the store is that of record {note.seq:,}")
        else:
            yield Anchor(seq, note.digest, "a signed checkpoint in the store")


def _check_before(connection: sa.Connection, start: int, faults: Faults) -> None:
    """Find records that stand before the chain: searches and reports would show them."""
    number = _records.c.seq
    query = sa.select(sa.func.min(number), sa.func.max(number)).where(number <= start)
    first, last = connection.execute(query).one()
    if first is not None:
        faults.add(first, last, "they are no part of the chain, or were pruned")


def _check_head(stored: Head, last: Head, faults: Faults) -> None:
    if stored.seq > last.seq:
        faults.add(last.seq + 1, stored.seq, "missing at the end")
    elif stored.seq < last.seq:
        faults.add(stored.seq + 1, last.seq, "added after the end that the store knows")
    elif stored.digest != last.digest:
        faults.add(last.seq, last.seq, "its digest is not that of the end that the store knows")
