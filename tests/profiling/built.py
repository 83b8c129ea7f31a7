"""References built from columns, for the tests of profiling."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from exporter.profiling.build import build_reference
from exporter.profiling.data import ReferenceData
from exporter.reference.bins import Column
from exporter.reference.profile import Reference
from exporter.settings import Window

HOUR, DAY, WEEK = Window(3600, "1h"), Window(86400, "24h"), Window(604800, "7d")
ROWS = 3000
AGES = np.random.default_rng(0).normal(40, 10, ROWS)
START = 1_700_000_000


def build(columns: dict[str, Any], max_columns: int = 100, **data: Any) -> Reference:
    table = pa.table(columns)
    return build_reference(ReferenceData(table, "tests", **data), (HOUR, DAY, WEEK), max_columns)


def named(reference: Reference) -> dict[str, Column]:
    return {column.name: column for column in reference.columns}
