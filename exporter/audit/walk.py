"""Walks along a chain, from a store or a file, and finds where it was changed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from exporter.audit.anchors import Anchor
from exporter.audit.record import Head, StoredRecord, chain, digest_body, show_time

MAX_FAULTS = 100  # that are named; all are counted

Range = tuple[int, int]  # numbers of the first and the last record


class Fault(NamedTuple):
    """Records of which at least one is not as it was written, from `seq` to `last_seq`, and what shows it."""

    seq: int
    last_seq: int
    problem: str

    def __str__(self) -> str:
        if self.last_seq == self.seq:
            return f"record {self.seq:,}: {self.problem}"
        return f"records {self.seq:,} to {self.last_seq:,}: {self.problem}"


def sort_faults(faults: Iterable[Fault]) -> list[Fault]:
    """Faults by record, the narrower first."""
    return sorted(faults, key=lambda fault: (fault.last_seq, -fault.seq))


class Faults:
    """The first faults, and the number of all."""

    def __init__(self) -> None:
        self.found: list[Fault] = []
        self.count = 0

    def add(self, seq: int, last_seq: int, problem: str) -> None:
        self.count += 1
        if len(self.found) < MAX_FAULTS:
            self.found.append(Fault(seq, last_seq, problem))


@dataclass(frozen=True)
class Chain:
    """Result of a walk.

    Attributes:
        first_seq: number of the first record.
        last: the last record, or the start where there was none.
        records: number of records.
        without_body: number of records whose body was erased or is withheld.
        faults: the first ones by record, see `Fault`.
        fault_count: number of all faults.
        anchored: records that witnesses agree with.
        signed: records that signed checkpoints of the trail itself agree with.
        unused: anchors of records that the walk did not meet.
    """

    first_seq: int
    last: Head
    records: int
    without_body: int
    faults: tuple[Fault, ...]
    fault_count: int
    anchored: tuple[Range, ...]
    signed: tuple[Range, ...]
    unused: tuple[Anchor, ...]

    @property
    def unanchored(self) -> tuple[Range, ...]:
        """Records that no witness agrees with."""
        found, following = [], self.first_seq
        for first, last in self.anchored:
            if first > following:
                found.append((following, first - 1))
            following = last + 1
        if following <= self.last.seq:
            found.append((following, self.last.seq))
        return tuple(found)


@dataclass(frozen=True, kw_only=True)
class TrailVerification:
    """Result for a store or an export.

    Attributes:
        chain: of its records; its faults are those of the walk alone.
        faults: all faults, the first by record.
        fault_count: number of all faults.
        checkpoints: number of checkpoints in it.
        keys: verifier keys that they were held against.
        trusted: True where these came from the caller, not from the trail itself.
    """

    chain: Chain
    faults: tuple[Fault, ...]
    fault_count: int
    checkpoints: int
    keys: tuple[str, ...]
    trusted: bool

    @property
    def intact(self) -> bool:
        return not self.fault_count

    @property
    def proven(self) -> bool:
        """As `intact`; of a store also False if witnesses were asked in vain."""
        return self.intact


class Walk:
    """Checks records one after the other, in the memory of one.

    Args:
        start: record before the first one.
        witnesses: anchors from outside of the store.
        own: anchors of the trail's own signed checkpoints.
    """

    def __init__(self, start: Head, witnesses: Iterable[Anchor] = (), own: Iterable[Anchor] = ()) -> None:
        self.faults = Faults()
        self._start = self._last = start
        self._previous: bytes | None = start.digest  # None after a gap
        self._doubt: bytes | None = None  # digest that the last record should have had
        self._records = self._without_body = 0
        self._groups = (_Anchors(start.seq, witnesses), _Anchors(start.seq, own))
        for group in self._groups:
            group.pass_by(start.seq, start.digest, self.faults)

    def add(self, record: StoredRecord) -> dict[str, Any]:
        """Check the next record.

        Returns:
            Its body; empty if there is none, or none that can be read.
        """
        seq, expected = record.seq, self._last.seq + 1
        if seq < expected:
            self.faults.add(seq, seq, "it is there twice, or not in its place")
            return {}
        if seq > expected:
            self._settle()
            self.faults.add(expected, seq - 1, "missing")
            self._previous = None
        self._records += 1
        before = self.faults.count
        body = self._check_body(record)
        digest = self._check_link(record, named=self.faults.count > before)
        for group in self._groups:
            group.pass_by(seq, digest, self.faults)
        self._last, self._previous = Head(seq, digest), digest
        return body

    def finish(self, *, ends_here: bool = False) -> Chain:
        """Result of the walk.

        Args:
            ends_here: the part that was walked is known to end here; anchors of later records say nothing.
        """
        self._settle()
        witnesses, own = self._groups
        unused = [*witnesses.before]
        for anchor in (*witnesses.left(), *own.left()):
            if ends_here:
                unused.append(anchor)
            else:
                problem = f"missing: {anchor.source} remembers record {anchor.seq:,}"
                self.faults.add(self._last.seq + 1, anchor.seq, problem)
        return Chain(
            self._start.seq + 1,
            self._last,
            self._records,
            self._without_body,
            tuple(sort_faults(self.faults.found)),
            self.faults.count,
            witnesses.ranges(),
            own.ranges(),
            tuple(unused),
        )

    def _check_body(self, record: StoredRecord) -> dict[str, Any]:
        if record.body is None:
            self._without_body += 1
            return {}
        if digest_body(record.body) != record.body_digest:
            self.faults.add(record.seq, record.seq, "its content is not the one that was recorded")
            return {}
        try:
            body = orjson.loads(record.body)
            differing = _compare(record, body)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
            self.faults.add(record.seq, record.seq, "its content cannot be read")
            return {}
        if differing:
            self.faults.add(record.seq, record.seq, f"its {differing} differs from its content")
        return dict(body)

    def _check_link(self, record: StoredRecord, *, named: bool) -> bytes:
        """Check that a record, which may be `named` as changed, follows from the one before.

        Returns:
            Its digest.
        """
        if self._previous is None:
            return record.digest or b""
        computed = chain(self._previous, record.body_digest)
        if record.digest is None:
            return computed
        if record.digest == computed:
            self._settle()
        elif self._doubt is not None and record.digest == chain(self._doubt, record.body_digest):
            # The stored digest of the last record was changed, and nothing else.
            self.faults.add(self._last.seq, self._last.seq, "its digest is not the one that was recorded")
            self._doubt = None
        else:
            self._settle()
            self._doubt = None if named else computed
        return record.digest

    def _settle(self) -> None:
        """Name a link that does not hold, where what follows does not tell which end of it was changed."""
        if self._doubt is not None:
            self._doubt = None
            seq = self._last.seq
            if seq - 1 > self._start.seq:
                problem = "the second does not follow from the first: one was changed or replaced"
                self.faults.add(seq - 1, seq, problem)
            else:
                self.faults.add(seq, seq, "it does not follow from what is before it")


class _Anchors:
    """Anchors in order, and how far they agree."""

    def __init__(self, start: int, anchors: Iterable[Anchor]) -> None:
        self._start = start
        self._by_seq: dict[int, list[Anchor]] = defaultdict(list)
        self.before: list[Anchor] = []
        for anchor in anchors:
            if anchor.seq < start:
                self.before.append(anchor)
            else:
                self._by_seq[anchor.seq].append(anchor)
        self._passed: list[tuple[int, bool]] = []

    def pass_by(self, seq: int, digest: bytes, faults: Faults) -> None:
        """Compare a record with the anchors of its number."""
        anchors = self._by_seq.pop(seq, None)
        if anchors is None:
            return
        known = max((passed for passed, agrees in self._passed if agrees), default=self._start)
        differing = [anchor for anchor in anchors if anchor.digest != digest]
        for anchor in differing:
            problem = f"{anchor.source} remembers another record {seq:,}: the chain was rewritten"
            faults.add(min(known + 1, seq), seq, problem)
        self._passed.append((seq, not differing))

    def left(self) -> Sequence[Anchor]:
        """Anchors of records that were not met, by number."""
        return [anchor for seq in sorted(self._by_seq) for anchor in self._by_seq[seq]]

    def ranges(self) -> tuple[Range, ...]:
        """Records up to each anchor that agrees."""
        found: list[Range] = []
        before = self._start
        for seq, agrees in self._passed:
            if agrees and seq > before:
                if found and found[-1][1] == before:
                    found[-1] = (found[-1][0], seq)
                else:
                    found.append((before + 1, seq))
            before = seq
        return tuple(found)


def _compare(record: StoredRecord, body: dict[str, Any]) -> str:
    """Name of the first column that differs from the body; empty if none does."""
    if body["seq"] != record.seq:
        return "number"
    if record.columns is None:
        return ""
    at, *texts = record.columns
    if body["at"] != show_time(at):
        return "time"
    for name, text in zip(record.columns._fields[1:], texts, strict=True):
        if body[name] != text:
            return name
    return ""
