"""A request as it came."""

from __future__ import annotations

from dataclasses import dataclass

JSON_TYPE = "application/json"
ARROW_TYPE = "application/vnd.apache.arrow.stream"
PARQUET_TYPE = "application/vnd.apache.parquet"


@dataclass(frozen=True)
class RawRequest:
    """Undecoded request; it is what is stored while its version has no reference yet."""

    content_type: str
    query: dict[str, str]
    body: bytes
