from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from exporter.aggregates.sparse import pack


@given(arrays(np.int64, st.integers(0, 300), elements=st.sampled_from([0, 0, 0, 1, -1, 2**62, -(2**63) + 1])))
def test_what_is_packed_comes_back(vector: np.ndarray) -> None:
    back = pack(vector).dense()

    assert back.dtype == vector.dtype
    assert back.tolist() == vector.tolist()


@pytest.mark.parametrize(("value", "size"), [(127, 1), (-128, 2), (128, 2), (40_000, 4)])
def test_values_are_as_narrow_as_they_can_be(value: int, size: int) -> None:
    packed = pack(np.array([0, value, 1], np.int32))

    assert (packed.values.itemsize, packed.places.itemsize) == (size, 1)
