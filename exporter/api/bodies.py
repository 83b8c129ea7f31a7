"""Reading request bodies within bounds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import Request

from exporter.errors import OverloadedError, TooLargeError, TooSlowError, UnsupportedError
from exporter.settings import Settings

IN_FLIGHT_BODIES = 8  # how many of the largest bodies may be in memory at once


class BodyReader:
    """Reads bodies; what is in memory at once is bounded over all requests, and each in time."""

    def __init__(self, settings: Settings) -> None:
        self._max_body_bytes = settings.max_body_bytes
        self._timeout_seconds = settings.request_timeout_seconds
        self._free_bytes = IN_FLIGHT_BODIES * settings.max_body_bytes

    @asynccontextmanager
    async def read(self, request: Request) -> AsyncIterator[bytes]:
        """The body, counted as in memory until the block ends.

        Raises:
            TooSlowError: it is not there in time.
            TooLargeError: larger than one body may be.
            OverloadedError: too much is in memory already.
            UnsupportedError: it is compressed.
        """
        if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
            raise UnsupportedError("compressed bodies are not taken; Parquet is compressed in itself")
        announced = request.headers.get("content-length", "")
        if announced.isdigit() and int(announced) > self._max_body_bytes:
            raise TooLargeError(f"{announced} bytes, at most {self._max_body_bytes} are taken")
        size, chunks = 0, []
        try:
            try:
                async with asyncio.timeout(self._timeout_seconds):
                    async for chunk in request.stream():
                        size += len(chunk)
                        self._free_bytes -= len(chunk)
                        if size > self._max_body_bytes:
                            raise TooLargeError(f"more than the {self._max_body_bytes} bytes that are taken")
                        if self._free_bytes < 0:
                            raise OverloadedError("too many large requests at once", retry_after_seconds=1)
                        chunks.append(chunk)
            except TimeoutError:
                seconds = f"{self._timeout_seconds:g} seconds"
                raise TooSlowError(f"{size} bytes of the body came in the {seconds} it may take") from None
            yield chunks[0] if len(chunks) == 1 else b"".join(chunks)
        finally:
            self._free_bytes += size
