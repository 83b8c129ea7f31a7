"""Reads request bodies, with limits on memory and time."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager

from starlette.requests import ClientDisconnect, Request

from exporter.errors import (
    MalformedError,
    OverloadedError,
    TooLargeError,
    TooSlowError,
    UnsupportedError,
)
from exporter.settings import Settings

IN_FLIGHT_BODIES = 8  # number of bodies of maximal size that may be in memory at once
GZIP = ("gzip", "x-gzip")
PLAIN = ("", "identity")
_GZIP_WINDOW = 16 + zlib.MAX_WBITS  # of a stream with gzip's head and checksum
# Decompressed at a time: the first part at once, further ones in a thread, each counted before the next.
STEP_BYTES = 2**18


class BodyReader:
    """Reads bodies with a limit on the memory of all at once, and on the size and time of each."""

    def __init__(self, settings: Settings) -> None:
        self.max_body_bytes = settings.max_body_bytes
        self.timeout_seconds = settings.request_timeout_seconds
        self.free_bytes = IN_FLIGHT_BODIES * settings.max_body_bytes

    def read(self, request: Request) -> AbstractAsyncContextManager[bytes]:
        """Return the body, decompressed, as a context, at whose end it no longer counts as in memory.

        The limit on its size is for both forms.

        Raises:
            TooSlowError: it did not arrive in time.
            TooLargeError: it is larger than a body may be.
            OverloadedError: bodies of other requests take all memory.
            UnsupportedError: it is compressed otherwise than by gzip.
            MalformedError: it is no gzip.
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
        encoding = headers.get("content-encoding", "").strip().lower()
        if encoding not in (*PLAIN, *GZIP):
            raise UnsupportedError("of compressed bodies those by gzip are taken")
        announced = headers.get("content-length", "")
        if announced.isdigit() and int(announced) > limit:
            raise TooLargeError(f"{announced} bytes, at most {limit} are taken")
        try:
            async with asyncio.timeout(self._reader.timeout_seconds):
                body = await self._receive()
            return await self._decompress(body) if encoding in GZIP else body
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
            self._count(len(chunk))
            if self._size > reader.max_body_bytes:
                raise TooLargeError(f"more than the {reader.max_body_bytes} bytes that are taken")
            chunks.append(chunk)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def _decompress(self, packed: bytes) -> bytes:
        """Decompress a body in parts, each of which counts as in memory before the next is made."""
        limit, parts, size = self._reader.max_body_bytes, list[bytes](), 0
        unpacking = _unpack(packed)
        part = next(unpacking, None)
        while part is not None:
            parts.append(part)
            size += len(part)
            self._count(len(part))
            if size > limit:
                raise TooLargeError(f"it unpacks to more than the {limit} bytes that are taken")
            if len(packed) <= STEP_BYTES and len(part) < STEP_BYTES:
                part = next(unpacking, None)  # that was all
            else:
                part = await asyncio.to_thread(next, unpacking, None)
        self._count(-len(packed))
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _count(self, size: int) -> None:
        """Count bytes as in memory.

        Raises:
            OverloadedError: bodies of all requests take too much.
        """
        self._size += size
        self._reader.free_bytes -= size
        if self._reader.free_bytes < 0:
            raise OverloadedError("too many large requests at once", retry_after_seconds=1)

    async def __aexit__(self, *_: object) -> None:
        self._release()

    def _release(self) -> None:
        self._reader.free_bytes += self._size


def _unpack(packed: bytes) -> Iterator[bytes]:
    """Yield what the gzip of a body contains, in parts of at most `STEP_BYTES`.

    Raises:
        MalformedError: it is no gzip, breaks off, or something follows.
    """
    stream = zlib.decompressobj(_GZIP_WINDOW)
    for start in range(0, len(packed), STEP_BYTES):
        rest, more = packed[start : start + STEP_BYTES], True
        while more:
            try:
                part = stream.decompress(rest, STEP_BYTES)
            except zlib.error:
                raise MalformedError("the body is no gzip") from None
            yield part
            rest = stream.unconsumed_tail
            more = not stream.eof and (len(rest) > 0 or len(part) == STEP_BYTES)
        if stream.unused_data or (stream.eof and start + STEP_BYTES < len(packed)):
            raise MalformedError("something follows after the gzip of the body")
    if not stream.eof:
        raise MalformedError("the gzip of the body breaks off")
