"""Verifies an export of the audit trail without the store that it came from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import orjson

from exporter.audit.anchors import Anchor, note_anchor
from exporter.audit.export import EXPORT_FORMAT, ExportRow
from exporter.audit.record import Head, StoredRecord
from exporter.audit.walk import Faults, TrailVerification, Walk, sort_faults
from exporter.errors import AuditError

DIGEST_BYTES = 32
MAX_CHECKPOINTS = 200_000  # hourly ones of twenty years


@dataclass(frozen=True, kw_only=True)
class ExportVerification(TrailVerification):
    """Result for an export.

    Attributes:
        header: what the export says about itself.
        newest_note: the last of its checkpoints; empty if there are none.
    """

    header: Mapping[str, Any]
    newest_note: str


def verify_export(
    rows: Iterable[ExportRow], witnesses: Iterable[Anchor] = (), vkeys: Sequence[str] = ()
) -> ExportVerification:
    """Verify an export in one pass.

    Args:
        rows: as `export.export_rows` or `export_files.read_rows` yields them.
        witnesses: ends of the chain that are remembered elsewhere.
        vkeys: keys that its checkpoints have to be signed by; empty: the keys that it names itself, which
            proves less.

    Raises:
        AuditError: it is no export.
    """
    remaining = iter(rows)
    header = _read_header(next(remaining, None))
    keys = tuple(vkeys) or tuple(map(str, header["keys"]))
    faults = Faults()
    records = _Records(remaining, faults)
    own = list(_anchors(records.checkpoints, keys, faults))
    walk = Walk(Head(header["first"] - 1, bytes.fromhex(header["previous"])), witnesses, own)
    for record in records:
        walk.add(record)
    chain = walk.finish(ends_here=True)
    if chain.last.seq < header["last"]:
        faults.add(chain.last.seq + 1, header["last"], "missing: the export ends before them")
    elif chain.last.seq > header["last"]:
        faults.add(header["last"] + 1, chain.last.seq, "the header does not know them")
    return ExportVerification(
        chain=chain,
        faults=tuple(sort_faults({*chain.faults, *faults.found})),
        fault_count=chain.fault_count + faults.count,
        checkpoints=len(records.checkpoints),
        keys=keys,
        trusted=bool(vkeys),
        header=header,
        newest_note=records.newest_note(),
    )


class _Records:
    """Records of an export; `checkpoints` are the rows before them."""

    def __init__(self, rows: Iterator[ExportRow], faults: Faults) -> None:
        self._rows = rows
        self._faults = faults
        self._seq = 0
        self.checkpoints: list[ExportRow] = []
        self._first: ExportRow | None = None
        while (row := self._next()) is not None:
            if row.type != "checkpoint" or len(self.checkpoints) == MAX_CHECKPOINTS:
                self._first = row
                break
            self.checkpoints.append(row)

    def __iter__(self) -> Iterator[StoredRecord]:
        row = self._first
        while row is not None:
            self._seq = row.seq
            complete = row.body_digest is not None and row.digest is not None
            if row.type in ("export", "checkpoint"):
                self._faults.add(row.seq, row.seq, f"a row of the type {row.type!r} is in its place")
            elif not complete or (row.type == "record") != (row.body is not None):
                self._faults.add(row.seq, row.seq, "its row is not complete")
            else:
                assert row.body_digest is not None
                yield StoredRecord(row.seq, row.body, row.body_digest, row.digest)
            row = self._next()

    def newest_note(self) -> str:
        """The last checkpoint that can be read; empty if there is none."""
        for row in reversed(self.checkpoints):
            with suppress(AuditError):
                return _note(row)
        return ""

    def _next(self) -> ExportRow | None:
        """The next row; None at the end, and where it cannot be read."""
        try:
            return next(self._rows, None)
        except AuditError as error:
            self._faults.add(self._seq + 1, self._seq + 1, f"it cannot be read: {error}")
            return None


def _read_header(row: ExportRow | None) -> Mapping[str, Any]:
    try:
        if row is None or row.type != "export" or row.body is None:
            raise ValueError
        header: dict[str, Any] = orjson.loads(row.body)
        first, last = header["first"], header["last"]
        known = header["format"] == EXPORT_FORMAT and isinstance(header["keys"], list)
        whole = type(first) is type(last) is int and 1 <= first <= last
        if not known or not whole or len(bytes.fromhex(header["previous"])) != DIGEST_BYTES:
            raise ValueError
    except (ValueError, KeyError, TypeError):
        raise AuditError(
            "it is no export of the audit trail, or of another version of the exporter"
        ) from None
    return header


def _anchors(rows: Iterable[ExportRow], keys: Sequence[str], faults: Faults) -> Iterator[Anchor]:
    for row in rows:
        source = f"the checkpoint of record {row.seq:,}"
        try:
            anchor = note_anchor(_note(row), source, keys)
            if not keys or anchor.seq != row.seq:
                raise AuditError(f"{source} is of another record, or no key is known")
        except AuditError as error:
            faults.add(row.seq, row.seq, str(error))
        else:
            yield anchor


def _note(row: ExportRow) -> str:
    try:
        return str(orjson.loads(row.body or b"")["note"])
    except (ValueError, KeyError, TypeError):
        raise AuditError(f"the checkpoint of record {row.seq:,} cannot be read") from None
