"""Sampled rows as they are read, for the service and for child processes."""

from __future__ import annotations

from dataclasses import dataclass

from exporter.config.sampling import SampleConfig

FEATURE_PREFIX = "features."  # of a feature's column in the Parquet of reference rows


@dataclass(frozen=True)
class SampledRow:
    """A live row: its time, its raw `content` as JSON, see `sampling.content`, and its label, if any."""

    at: float
    content: bytes
    label: str | None


@dataclass(frozen=True)
class Sample:
    """Uniform sample of the rows of a window.

    `counted` is the number of rows that the window counted, `covered` that of the ones among them in blocks
    from which rows were sampled; it is lower if the sample was off, or is younger than the window.
    """

    rows: tuple[SampledRow, ...]
    counted: int
    covered: int


@dataclass(frozen=True)
class RowsToKeep:
    """Columns of reference rows to leave out and to hash, as of sampled live rows, and the hash's key."""

    sample: SampleConfig
    key: bytes
