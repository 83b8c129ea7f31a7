"""Any change of a chain that a witness knows the end of is found, near the record that was changed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import orjson
from hypothesis import given
from hypothesis import strategies as st

from exporter.audit.anchors import Anchor
from exporter.audit.record import GENESIS, Head, StoredRecord, chain, digest_body, make_body
from exporter.audit.walk import MAX_FAULTS, Chain, Walk
from tests.support.trail import make_entry

ROWS = 20
START = Head(0, GENESIS)


@cache
def records() -> tuple[StoredRecord, ...]:
    found, digest = [], GENESIS
    for seq in range(1, ROWS + 1):
        body, columns = make_body(make_entry(seq), seq, float(seq), bytes(16))
        digest = chain(digest, digest_body(body))
        found.append(StoredRecord(seq, body, digest_body(body), digest, columns))
    return tuple(found)


def witness(*seqs: int) -> list[Anchor]:
    return [Anchor(seq, records()[seq - 1].digest or b"", "a witness") for seq in seqs]


def walk(found: Sequence[StoredRecord], *seqs: int, start: Head = START, ends_here: bool = False) -> Chain:
    walk = Walk(start, witness(*seqs))
    for record in found:
        walk.add(record)
    return walk.finish(ends_here=ends_here)


@st.composite
def changes(draw: st.DrawFn) -> tuple[int, list[StoredRecord]]:
    """Number of the first record that was changed, deleted, doubled or moved, and all records after that."""
    found = list(records())
    place = draw(st.integers(0, ROWS - 1))
    record = found[place]
    kind = draw(st.sampled_from(["bit", "delete", "double", "swap", "forge"]))
    if kind == "bit":
        name = draw(st.sampled_from(["body", "body_digest", "digest"]))
        data = bytearray(getattr(record, name))
        bit = draw(st.integers(0, 8 * len(data) - 1))
        data[bit // 8] ^= 1 << bit % 8
        found[place] = record._replace(**{name: bytes(data)})
    elif kind == "delete":
        del found[place]
    elif kind == "double":
        found.insert(place, record)
    elif kind == "swap":
        other = draw(st.integers(0, ROWS - 1).filter(lambda each: each != place))
        found[place], found[other] = found[other]._replace(seq=place + 1), record._replace(seq=other + 1)
        place = min(place, other)
    else:  # with digests that fit, so that only the next record, or a witness, can tell
        body = orjson.dumps(orjson.loads(record.body or b"") | {"subject": "forged"})
        before = found[place - 1].digest if place else GENESIS
        digest = chain(before or b"", digest_body(body))
        found[place] = record._replace(body=body, body_digest=digest_body(body), digest=digest)
    return place + 1, found


@given(changes())
def test_a_change_is_found_and_named(change: tuple[int, list[StoredRecord]]) -> None:
    seq, changed = change
    found = walk(changed, ROWS)
    assert found.fault_count
    first = found.faults[0]
    assert first.seq <= seq <= first.last_seq or (seq == ROWS and first.last_seq == ROWS)
    assert first.last_seq - first.seq <= 1 or first.last_seq == ROWS


@given(st.integers(1, ROWS - 1))
def test_a_chain_rebuilt_from_a_record_on_is_found_between_two_witnesses(seq: int) -> None:
    found, digest = list(records()), records()[seq - 2].digest or b"" if seq > 1 else GENESIS
    for place in range(seq - 1, ROWS):
        body = found[place].body or b""
        if place == seq - 1:
            body = orjson.dumps(orjson.loads(body) | {"subject": "forged"})
        digest = chain(digest, digest_body(body))
        found[place] = found[place]._replace(body=body, body_digest=digest_body(body), digest=digest)
    seqs = (5, 10, 15, ROWS)
    result = walk(found, *seqs)
    first = result.faults[0]
    assert first.seq <= seq <= first.last_seq
    assert first.last_seq in seqs
    assert result.anchored == (((1, first.seq - 1),) if first.seq > 1 else ())
    assert not walk(found).fault_count, "nothing within tells"


def test_bodies_may_be_withheld() -> None:
    """As in an export about one model: others are digests of bodies alone."""
    found = [
        record if record.seq % 3 else StoredRecord(record.seq, None, record.body_digest, None)
        for record in records()
    ]
    result = walk(found, 10, ROWS)
    assert not result.fault_count
    assert (result.without_body, result.anchored) == (6, ((1, ROWS),))
    found[5] = found[5]._replace(body_digest=bytes(32))
    assert walk(found, ROWS).faults[0][:2] == (6, 7)


def test_a_part_is_walked_from_the_record_before_it() -> None:
    part = records()[9:15]
    before = Head(9, records()[8].digest or b"")
    result = walk(part, 9, 12, 18, start=before, ends_here=True)
    assert not result.fault_count
    assert (result.first_seq, result.last.seq) == (10, 15)
    assert (result.anchored, result.unanchored) == (((10, 12),), ((13, 15),))
    assert [anchor.seq for anchor in result.unused] == [18]
    assert walk(part, start=Head(9, bytes(32))).faults[0][:2] == (10, 10)


def test_columns_are_compared_where_there_are_some() -> None:
    bare = [record._replace(columns=None) for record in records()]
    assert not walk(bare).fault_count
    bare[3] = bare[3]._replace(seq=5)
    assert walk(bare).faults[0][:2] == (4, 4)


def test_faults_are_bounded_and_counted() -> None:
    broken = [record._replace(body=b"{}") for record in records()] * 10
    found = walk(broken)
    assert (len(found.faults), found.fault_count) == (MAX_FAULTS, 200)
    assert str(found.faults[0]) == "record 1: its content is not the one that was recorded"


def test_content_that_is_no_record_is_found() -> None:
    for body in (b"", b"[]", b"{}", b"\xff", b"7", b'{"seq":1,"at":[]}'):
        digest = chain(GENESIS, digest_body(body))
        record = records()[0]._replace(body=body, body_digest=digest_body(body), digest=digest)
        assert walk([record]).faults[0][:2] == (1, 1)
