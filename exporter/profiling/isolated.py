"""Profiles reference data in a child process: files may be damaged, and profiling takes memory."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from functools import cache

import pyarrow as pa

from exporter.errors import CrashedError, IsolationError, ReferenceInvalidError
from exporter.formats.texts import first_line
from exporter.isolation import Children
from exporter.profiling.build import build_from
from exporter.profiling.data import ReferenceData, ReferenceFile
from exporter.profiling.files import read_reference
from exporter.profiling.from_sampled_rows import LiveSample, profile_live_sample
from exporter.profiling.kept_rows import kept_rows, treat_again
from exporter.profiling.own_columns import read_own_columns
from exporter.reference.profile import Reference, decode_reference
from exporter.sampling.rows import RowsToKeep
from exporter.settings import Settings

MEMORY_BYTES = 768 * 2**20
PROFILING_SECONDS = 600.0
MAX_ENCODED_BYTES = 256 * 2**20
_LENGTH_BYTES = 8


@dataclass(frozen=True)
class Profiled:
    """A reference, and rows of it as Parquet, see `kept_rows`; empty where none are to be kept."""

    reference: Reference
    rows: bytes


def profile(
    data: ReferenceFile | ReferenceData | LiveSample, settings: Settings, keep: RowsToKeep | None = None
) -> Profiled:
    """Read and profile reference data in a child process, one reference at a time.

    Raises:
        ReferenceInvalidError: it cannot be read or profiled, or that takes too much memory or time.
    """
    try:
        answer = _children().run(_profile, data, settings, keep)
        length = int.from_bytes(answer[:_LENGTH_BYTES])
        encoded, rows = answer[_LENGTH_BYTES:][:length], answer[_LENGTH_BYTES + length :]
        return Profiled(decode_reference(encoded), rows)
    except IsolationError as error:
        name = repr(data.path.name) if isinstance(data, ReferenceFile) else "the reference"
        detail = f"{name} cannot be profiled: {error}"
        if not isinstance(error, CrashedError):
            detail += "; a sample of its rows, as Parquet, is as good a reference"
        raise ReferenceInvalidError(detail) from error


def renew_rows(content: bytes, keep: RowsToKeep) -> bytes:
    """Rows of a reference as `treat_again` makes them, in a child process.

    Raises:
        IsolationError, UnavailableError: as from `Children.run`.
    """
    return _children().run(treat_again, content, keep)


@cache
def _children() -> Children:
    return Children(1, [__name__, "scipy.stats"], MEMORY_BYTES, PROFILING_SECONDS, MAX_ENCODED_BYTES)


def _profile(
    data: ReferenceFile | ReferenceData | LiveSample, settings: Settings, keep: RowsToKeep | None
) -> bytes:
    """Length of the encoded reference, the reference, and rows of it."""
    name = repr(data.path.name) if isinstance(data, ReferenceFile) else "the reference"
    is_hashed = isinstance(data, LiveSample)
    try:
        if isinstance(data, LiveSample):
            table, own, reference = profile_live_sample(data, settings)
        else:
            if isinstance(data, ReferenceFile):
                data = read_reference(data, settings.reference_max_rows)
            table, own = data.table, read_own_columns(data)
            reference = build_from(data, own, settings.windows, settings.max_columns)
        encoded = reference.encode()
        rows = b""
        if keep is not None:
            try:
                rows = kept_rows(table, own, reference, keep, hashed=is_hashed)
            except Exception:  # noqa: BLE001 - also when memory runs out: the profile is worth more than rows
                traceback.print_exc()
        return len(encoded).to_bytes(_LENGTH_BYTES) + encoded + rows
    # Arrow looks at some parts of a table only when they are used.
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        raise ReferenceInvalidError(f"{name} cannot be read: {first_line(error)}") from error
