"""Reads request bodies, with limits on memory and time."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager

from starlette.requests import ClientDisconnect, Request

from exporter.errors import OverloadedError, TooLargeError, TooSlowError, UnsupportedError
from exporter.settings import Settings

IN_FLIGHT_BODIES = 8  # number of bodies of maximal size that may be in memory at once


class BodyReader:
    """Reads bodies with a limit on the memory of all at once, and on the size and time of each."""

    def __init__(self, settings: Settings) -> None:
        self.max_body_bytes = settings.max_body_bytes
        self.timeout_seconds = settings.request_timeout_seconds
        self.free_bytes = IN_FLIGHT_BODIES * settings.max_body_bytes

    def read(self, request: Request) -> AbstractAsyncContextManager[bytes]:
        """Return the body as a context, at whose end it no longer counts as in memory.

        Raises:
            TooSlowError: it did not arrive in time.
            TooLargeError: it is larger than a body may be.
            OverloadedError: bodies of other requests take all memory.
            UnsupportedError: it is compressed.
            ClientDisconnect: the client hung up.
        """
        return _Body(self, request)


class _Body:
    def __init__(self, reader: BodyReader, request: Request) -> None:
        self._reader = reader
        self._request = request
        self._size = 0

    async def __aenter__(self) -> bytes:
        headers, limit = self._request.headers, self._reader.max_body_bytes
        if headers.get("content-encoding", "identity").strip().lower() != "identity":
            raise UnsupportedError("compressed bodies are not taken; Parquet is compressed in itself")
        announced = headers.get("content-length", "")
        if announced.isdigit() and int(announced) > limit:
            raise TooLargeError(f"{announced} bytes, at most {limit} are taken")
        try:
            async with asyncio.timeout(self._reader.timeout_seconds):
                return await self._receive()
        except TimeoutError:
            self._release()
            seconds = f"{self._reader.timeout_seconds:g} seconds"
            raise TooSlowError(f"{self._size} bytes of the body came in the {seconds} it may take") from None
        except BaseException:
            self._release()
            raise

    async def _receive(self) -> bytes:
        reader, chunks, more = self._reader, list[bytes](), True
        while more:
            message = await self._request.receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            chunk, more = message.get("body", b""), message.get("more_body", False)
            self._size += len(chunk)
            reader.free_bytes -= len(chunk)
            if self._size > reader.max_body_bytes:
                raise TooLargeError(f"more than the {reader.max_body_bytes} bytes that are taken")
            if reader.free_bytes < 0:
                raise OverloadedError("too many large requests at once", retry_after_seconds=1)
            chunks.append(chunk)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def __aexit__(self, *_: object) -> None:
        self._release()

    def _release(self) -> None:
        self._reader.free_bytes += self._size
