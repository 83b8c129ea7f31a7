"""Append to the audit trail, and verify a trail of a million records, durable on SQLite.

python tests/benchmarks/bench_audit.py [append | verify]

The records are hourly summaries. Time of an append is beside that of the commit that it is part of.
"""

from __future__ import annotations

import resource
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from statistics import median

import orjson

from exporter.audit.anchors import Anchor
from exporter.audit.read_only import reading
from exporter.audit.record import GENESIS, Columns, Entry, chain, digest_body, make_body
from exporter.audit.trail import append
from exporter.audit.verification import verify_store
from exporter.storage.store import Store

RECORDS, APPENDS, BATCH = 1_000_000, 2_000, 200
START, STEP = 1_700_000_000.0, 30.0


def make_entry(number: int) -> Entry:
    score = sha256(number.to_bytes(8, "big")).digest()[0] / 256
    columns = {
        f"column_{place}": {"low": score, "high": score + 0.25, "last": round(place / 7, 3)}
        for place in range(20)
    }
    data = {"hour": number, "evaluations": 120, "rows": 4000 + number % 100, "columns": columns}
    return Entry("summary", "monitor", f"model-{number % 50}", "3", data=data, reference_digest="ab" * 32)


def bench_append(path: Path) -> None:
    store = Store(f"sqlite:///{path}")
    alone, many, commits = [], [], []
    for number in range(APPENDS):
        entry, started = make_entry(number), time.perf_counter()
        with store.writing() as connection:
            opened = time.perf_counter()
            append(connection, [entry], START + number)
            alone.append(time.perf_counter() - opened)
        commits.append(time.perf_counter() - started)
    for number in range(0, APPENDS, BATCH):
        entries = [make_entry(number + place) for place in range(BATCH)]
        with store.writing() as connection:
            opened = time.perf_counter()
            append(connection, entries, START + number)
            many.append((time.perf_counter() - opened) / BATCH)
    store.close()
    size = len(make_body(make_entry(1), 1, START, bytes(16))[0])
    print(f"append a record of {size:,} bytes   (below 1 ms beside the commit)")
    print(f"  one a commit     median {1e3 * median(alone):.2f} ms, 99 % {_percentile(alone):.2f} ms", end="")
    print(f"   with the commit {1e3 * median(commits):.2f} ms")
    print(f"  {BATCH} a commit   median {1e3 * median(many):.2f} ms each")


def _percentile(seconds: Sequence[float]) -> float:
    return 1e3 * sorted(seconds)[int(0.99 * len(seconds))]


def write_records(path: Path) -> bytes:
    """A trail of a million records, of 50 different contents; returns the digest of the last."""
    Store(f"sqlite:///{path}").close()
    bodies = [orjson.loads(make_body(make_entry(number), 1, START, bytes(16))[0]) for number in range(50)]
    digest = GENESIS

    def rows() -> Iterator[tuple[object, ...]]:
        nonlocal digest
        for seq in range(1, RECORDS + 1):
            at = START + STEP * seq
            shown = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime(at))
            fields = bodies[seq % 50] | {"seq": seq, "at": shown}
            body = orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)
            body_digest = digest_body(body)
            digest = chain(digest, body_digest)
            columns = Columns(at, *(fields[name] for name in Columns._fields[1:]))
            yield (seq, *columns, body, body_digest, digest)

    names = ", ".join(("seq", *Columns._fields, "body", "body_digest", "digest"))
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        connection.executemany(f"INSERT INTO audit_records ({names}) VALUES ({','.join('?' * 10)})", rows())
        connection.execute("INSERT INTO audit_head VALUES (1, ?, ?)", (RECORDS, digest))
    connection.close()
    return digest


def bench_verify(path: Path) -> None:
    digest = write_records(path)
    print(f"verify {RECORDS:,} records, {path.stat().st_size / 2**20:,.0f} MB   (below 60 s, memory flat)")
    witnesses = [Anchor(RECORDS, digest, "the benchmark")]
    with reading(f"sqlite:///{path}") as connection:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        wall, cpu = time.perf_counter(), time.process_time()
        found = verify_store(connection, witnesses)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    assert found.intact, found.faults
    assert found.chain.anchored == ((1, RECORDS),)
    print(f"  {wall:.1f} s, of CPU {cpu:.1f} s   most memory {before:,.0f} -> {after:,.0f} MB")


def main(chosen: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory(prefix="bench-audit-") as directory:
        if not chosen or "append" in chosen:
            bench_append(Path(directory) / "append.db")
        if not chosen or "verify" in chosen:
            bench_verify(Path(directory) / "verify.db")


if __name__ == "__main__":
    main(sys.argv[1:])
