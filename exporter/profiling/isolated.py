"""Profiles reference data in a child process: files may be damaged, and profiling takes memory."""

from __future__ import annotations

from functools import cache

import pyarrow as pa

from exporter.errors import CrashedError, IsolationError, ReferenceInvalidError
from exporter.formats.texts import first_line
from exporter.isolation import Children
from exporter.profiling.build import build_reference
from exporter.profiling.data import ReferenceData, ReferenceFile
from exporter.profiling.files import read_reference
from exporter.reference.profile import Reference, decode_reference
from exporter.settings import Settings

MEMORY_BYTES = 768 * 2**20
PROFILING_SECONDS = 600.0
MAX_ENCODED_BYTES = 256 * 2**20


def profile(data: ReferenceFile | ReferenceData, settings: Settings) -> Reference:
    """Read and profile reference data in a child process, one reference at a time.

    Raises:
        ReferenceInvalidError: it cannot be read or profiled, or that takes too much memory or time.
    """
    try:
        return decode_reference(_children().run(_profile, data, settings))
    except IsolationError as error:
        name = repr(data.path.name) if isinstance(data, ReferenceFile) else "the reference"
        detail = f"{name} cannot be profiled: {error}"
        if not isinstance(error, CrashedError):
            detail += "; a sample of its rows, as Parquet, is as good a reference"
        raise ReferenceInvalidError(detail) from error


@cache
def _children() -> Children:
    return Children(1, [__name__, "scipy.stats"], MEMORY_BYTES, PROFILING_SECONDS, MAX_ENCODED_BYTES)


def _profile(data: ReferenceFile | ReferenceData, settings: Settings) -> bytes:
    name = repr(data.path.name) if isinstance(data, ReferenceFile) else "the reference"
    if isinstance(data, ReferenceFile):
        data = read_reference(data, settings.reference_max_rows)
    try:
        return build_reference(data, settings.windows, settings.max_columns).encode()
    # Arrow looks at some parts of a table only when they are used.
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        raise ReferenceInvalidError(f"{name} cannot be read: {first_line(error)}") from error
