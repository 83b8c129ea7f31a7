"""Strategies of stored rows."""

from __future__ import annotations

from hypothesis import strategies as st

from exporter.storage.rows import StoredLabel, StoredPrediction

ids = st.binary(min_size=16, max_size=16)
texts = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
finite = st.floats(allow_nan=False)
predictions = st.builds(
    StoredPrediction,
    ids,
    st.integers(0, 2**31 - 1),
    st.integers(-(2**63), 2**63 - 1),
    finite,
    texts,
    st.none() | finite,
    texts,
    texts,
)
labels = st.builds(
    StoredLabel, ids, st.integers(0, 2**31 - 1), st.text("01é\0", max_size=3), finite, st.booleans()
)
