"""Messages over a socket: the length, then the content.

`multiprocessing.connection` takes 80 ms for 15 MB where this takes 10, because it makes a buffer of the whole
message for each read.
"""

from __future__ import annotations

import socket
import struct

_LENGTH = struct.Struct("=Q")


class MessageTooLongError(Exception):
    """A message is longer than the receiver takes."""


def send(connection: socket.socket, content: bytes | memoryview) -> None:
    """
    Raises:
        OSError: the other end is closed.
    """
    connection.sendall(_LENGTH.pack(len(content)))
    connection.sendall(content)


def receive(connection: socket.socket, max_bytes: int) -> bytes:
    """
    Raises:
        MessageTooLongError: nothing else can be received.
        OSError, EOFError: the other end is closed.
    """
    (length,) = _LENGTH.unpack(_read(connection, _LENGTH.size))
    if length > max_bytes:
        raise MessageTooLongError
    return bytes(_read(connection, length))


def _read(connection: socket.socket, length: int) -> bytearray:
    content = bytearray(length)
    rest = memoryview(content)
    while rest:
        count = connection.recv_into(rest)
        if not count:
            raise EOFError
        rest = rest[count:]
    return content
