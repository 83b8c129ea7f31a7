"""Bytes of bodies."""

from __future__ import annotations

import gzip
import zlib

import pytest

from exporter.errors import MalformedError, TooLargeError, UnsupportedError
from exporter.payloads.documents import parse_json, uncompressed


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", " GZIP "])
def test_gzip_is_unpacked(encoding: str) -> None:
    assert uncompressed(gzip.compress(b"content"), encoding, 7) == b"content"


def test_other_encodings() -> None:
    assert uncompressed(zlib.compress(b"content"), "deflate", 7) == b"content"
    assert uncompressed(b"content", "identity", 1) == b"content"
    with pytest.raises(UnsupportedError):
        uncompressed(b"content", "br", 7)


def test_what_unpacks_to_too_much_is_not_unpacked() -> None:
    with pytest.raises(TooLargeError):
        uncompressed(gzip.compress(bytes(10**6)), "gzip", 1000)


@pytest.mark.parametrize(
    "body", [b"", b"content", gzip.compress(b"content")[:-8]], ids=["empty", "plain", "cut"]
)
def test_damaged_bodies_are_refused(body: bytes) -> None:
    with pytest.raises(MalformedError):
        uncompressed(body, "gzip", 100)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe\xfd", b"[" * 100_000, b"nan"])
def test_what_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedError):
        parse_json(body)


def test_numbers_are_as_other_parsers_read_them() -> None:
    found = parse_json(b"[1, 18446744073709551615, 18446744073709551616, -Infinity, 1e999]")

    assert found == [1, 2**64 - 1, float(2**64), float("-inf"), float("inf")]
    assert [type(each) for each in found[:3]] == [int, int, float]
