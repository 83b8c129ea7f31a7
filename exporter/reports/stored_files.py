"""Files of reports as they are sent: decompressed, within bounds."""

from __future__ import annotations

import zlib

import sqlalchemy as sa

from exporter.errors import SendingError
from exporter.storage.reports import FileName, StoredReport, load_report_file

MAX_BYTES = 256 * 2**20
_GZIP = 31  # for zlib: a window of 32 KB, with gzip's header


def read_stored_file(connection: sa.Connection, report: StoredReport, name: FileName) -> bytes:
    """A file of a report.

    Raises:
        SendingError: it is gone, damaged, or larger than any report.
    """
    content = load_report_file(connection, report.id, name)
    if content is None:
        raise SendingError(f"the file {name} of the report is gone", down=False)
    try:
        unpacked = zlib.decompressobj(_GZIP)
        found = unpacked.decompress(content, MAX_BYTES)
    except zlib.error:
        raise SendingError(f"the file {name} of the report is damaged", down=False) from None
    if unpacked.unconsumed_tail:
        raise SendingError(f"the file {name} has more than {MAX_BYTES // 2**20} MB", down=False)
    return found
