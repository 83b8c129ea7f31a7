"""References made of columns, for the tests of references and of their layouts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from exporter.aggregates.outcome_layout import OutcomeLayout, outcome_layout
from exporter.profiling.build import build_reference
from exporter.profiling.data import ReferenceData
from exporter.reference.profile import Reference
from exporter.settings import Window

ROWS = 2000


def make_reference() -> Reference:
    """A reference with every kind of column, rare categories, natural variation, labels and notes."""
    draw = np.random.default_rng(0)
    table = pa.table(
        {
            "age": [*draw.normal(40, 10, ROWS - 2), None, float("inf")],
            "country": [f"country {k}" for k in draw.geometric(0.1, ROWS)],
            "new": draw.random(ROWS) < 0.5,
            "seen": pa.array(
                1_700_000_000 + 86400 * (np.arange(ROWS) // 100 - draw.integers(0, 99, ROWS)),
                pa.timestamp("s"),
            ),
            "empty": pa.nulls(ROWS),
            "timestamp": 1_700_000_000 + 86400 * (np.arange(ROWS) // 100),
            "prediction": draw.integers(0, 2, ROWS),
            "score": draw.random(ROWS),
            "label": draw.integers(0, 2, ROWS),
        }
    )
    data = ReferenceData(table, "tests", split="test", notes=("a note — with a dash",))
    return build_reference(data, (Window(86400, "24h"),), 100)


def build(columns: dict[str, Any], **data: Any) -> Reference:
    """A reference of these columns and a feature `x`; `data` are other fields of `ReferenceData`."""
    rows = len(next(iter(columns.values())))
    return build_reference(
        ReferenceData(pa.table({"x": np.arange(rows) % 7, **columns}), "t", **data), (), 100
    )


def layout_of(reference: Reference) -> OutcomeLayout:
    layout = outcome_layout(reference)
    assert layout is not None
    return layout
