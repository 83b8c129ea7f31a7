"""Configuration of the sample of raw rows: the section `sample` of a model.

models:
  fraud:
    sample: {rows: 200, retention: 14d, leave_out: [iban], hash: [customer]}
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from exporter.config.section import Names, Seconds, Section
from exporter.settings import DAY_SECONDS

MAX_BLOCK_ROWS = 1000


class SampleConfig(Section):
    """Rows kept of each block of a version, 0 for none, for how many seconds, and the treatment of columns.

    Columns in `leave_out` are never stored, those in `hash` as keyed hashes of their values.
    """

    rows: Annotated[int, Field(ge=0, le=MAX_BLOCK_ROWS)] = 100
    retention: Seconds = 28 * DAY_SECONDS
    leave_out: Names = ()
    hash: Names = ()
