"""A request as it came."""

from __future__ import annotations

from dataclasses import dataclass

JSON_TYPE = "application/json"
ARROW_TYPE = "application/vnd.apache.arrow.stream"
PARQUET_TYPE = "application/vnd.apache.parquet"
PARQUET_TYPES = (PARQUET_TYPE, "application/x-parquet")


def media_type(content_type: str) -> str:
    """Media type of a `Content-Type` without its parameters, JSON's if it is empty."""
    return content_type.partition(";")[0].strip().lower() or JSON_TYPE


@dataclass(frozen=True)
class RawRequest:
    """Undecoded request; it is what is stored while its version has no reference yet.

    `parquet` is the body as the client sent it, where that was Parquet and `body` was made of it.
    """

    content_type: str
    query: dict[str, str]
    body: bytes
    parquet: bytes | None = None

    @property
    def sent(self) -> bytes:
        """Body as the client sent it."""
        return self.body if self.parquet is None else self.parquet
