"""Bodies of requests and answers, as they come and as they are read; bounded in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any, ClassVar

from exporter.payloads.documents import uncompressed

_CHUNK_BYTES = 64  # that a chunk takes beside its content
_DEFLATE_RATIO = 1032  # to which deflate compresses at most


@dataclass(frozen=True, slots=True)
class Body:
    """Chunks of a body, of `size_bytes` in memory, and the headers that tell how to read it."""

    HEADERS: ClassVar = (b"content-type", b"content-encoding", b"inference-header-content-length")

    chunks: Sequence[bytes]
    size_bytes: int
    content_type: str = ""
    encoding: str = ""
    header_length: str = ""

    @property
    def media_type(self) -> str:
        return self.content_type.partition(";")[0].strip().lower()

    @property
    def is_json(self) -> bool:
        return self.media_type in ("", "application/json", "text/json") or self.media_type.endswith("+json")

    @property
    def unpacked_bytes(self) -> int:
        """Upper bound of what it unpacks to."""
        return self.size_bytes * (_DEFLATE_RATIO if self.encoding else 1)

    def content(self, max_bytes: int) -> bytes:
        return uncompressed(b"".join(self.chunks), self.encoding, max_bytes)


class Budget:
    """Bytes that the bodies of all requests in flight may take at once."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._used = 0
        self._lock = Lock()  # a service may have several event loops

    def take(self, size: int) -> bool:
        with self._lock:
            if self._used + size > self._limit:
                return False
            self._used += size
            return True

    def release(self, size: int) -> None:
        with self._lock:
            self._used -= size


class ArrivingBody:
    """Body of a request or an answer as it comes: its chunks, unless they are `lost` for a reason.

    Args:
        headers: by name in small letters.
        budget: of memory, which it takes until `release`.
        max_bytes: of a body that is kept.
    """

    def __init__(self, headers: Mapping[bytes, bytes], budget: Budget, max_bytes: int) -> None:
        self.headers = headers
        self.complete = False
        self.lost = ""
        self._given_up = False
        self._budget = budget
        self._max_bytes = max_bytes
        self._chunks: list[bytes] = []
        self._size = 0
        self._taken = 0
        announced = headers.get(b"content-length", b"")
        if announced.isdigit() and int(announced[:20]) > self._max_bytes:
            self.lose("too_large")

    def lose(self, reason: str) -> None:
        """Give up the body, for a reason that is counted unless it is empty."""
        self._given_up, self.lost = True, reason
        self.release()

    def add(self, message: Mapping[str, Any]) -> None:
        chunk = message.get("body", b"")
        if chunk and not self._given_up:
            taken = len(chunk) + _CHUNK_BYTES
            if self._size + len(chunk) > self._max_bytes:
                self.lose("too_large")
            elif not self._budget.take(taken):
                self.lose("memory")
            else:
                self._taken += taken
                self._size += len(chunk)
                self._chunks.append(bytes(chunk))  # no copy of bytes
        self.complete = not message.get("more_body", False)

    @property
    def body(self) -> Body:
        text = {name: self.headers.get(name, b"").decode("latin-1") for name in Body.HEADERS}
        return Body(self._chunks, self._taken, *text.values())

    def release(self) -> None:
        self._budget.release(self._taken)
        self._taken = 0
        self._chunks = []
