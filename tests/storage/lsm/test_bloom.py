"""Bloom filters."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from exporter.storage.lsm.bloom import BloomFilter, Probes


def hash_of(number: int) -> bytes:
    return number.to_bytes(8, "little") * 2


@given(st.lists(st.integers(0, 2**64 - 1), unique=True), st.lists(st.integers(0, 2**64 - 1)))
def test_there_are_no_false_negatives(known: list[int], others: list[int]) -> None:
    halves = np.array([[n, n] for n in known], np.uint64).reshape(-1, 2)
    ids = BloomFilter.decode(BloomFilter.of(halves).encode(), len(halves))
    assert ids.find(Probes.of([hash_of(n) for n in known])).tolist() == list(range(len(known)))
    if not known:
        assert ids.find(Probes.of([hash_of(n) for n in others])).tolist() == []


def test_false_positives_are_rare() -> None:
    random = np.random.default_rng(0)
    known, others = random.bytes(16 * 50_000), random.bytes(16 * 50_000)
    ids = BloomFilter.of(np.frombuffer(known, "<u8").reshape(-1, 2))
    found = ids.find(Probes.of([others[k : k + 16] for k in range(0, len(others), 16)]))
    assert len(found) < 0.003 * 50_000
