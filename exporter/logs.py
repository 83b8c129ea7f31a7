"""Log format: one line per record, with foreign texts escaped."""

from __future__ import annotations

import logging
from copy import copy
from typing import Any

from exporter.formats.texts import printable, redact

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"


class LogFormatter(logging.Formatter):
    """Formats records so that no text in them can forge a line or show a password.

    Control characters, including line breaks, are escaped in messages and in the lines of tracebacks. The
    latter are indented, so that a line that starts with a time is a record.
    """

    def format(self, record: logging.LogRecord) -> str:
        record = copy(record)
        record.exc_text = None  # another formatter may have cached it
        return super().format(record)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's
        return printable(redact(super().formatMessage(record)))

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's
        return _indent(super().formatException(ei))

    def formatStack(self, stack_info: str) -> str:  # noqa: N802 - logging's
        return _indent(super().formatStack(stack_info))


def configure_logging(level: str) -> None:
    """Log to standard error, from a level such as `info` on."""
    handler = logging.StreamHandler()
    handler.setFormatter(LogFormatter(LOG_FORMAT))
    logging.basicConfig(level=level.upper(), handlers=[handler])
    if logging.root.level > logging.DEBUG:
        # It warns of every attempt at MLflow; the exporter logs the outcome of the request once.
        logging.getLogger("urllib3").setLevel(logging.ERROR)


def _indent(text: str) -> str:
    return "\n".join(f"  {printable(line)}" for line in redact(text).split("\n"))
