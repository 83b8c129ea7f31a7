"""What ends the demo with a message instead of a traceback."""

from __future__ import annotations

from exporter.errors import ExporterError


class DemoError(ExporterError):
    """The demo cannot go on; the message says why, for the person who started it."""


class ProcessDiedError(DemoError):
    """One of the demo's processes ended by itself."""
