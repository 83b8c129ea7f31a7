"""Messages arrive whole, or the receiver gets an error."""

from __future__ import annotations

import os
import socket
from threading import Thread

import pytest

from exporter.isolation.messages import MessageTooLongError, receive, send


@pytest.mark.parametrize("size", [0, 1, 5_000_000])
def test_a_message_arrives_as_it_was_sent(size: int) -> None:
    ours, theirs = socket.socketpair()
    content = os.urandom(size)
    with ours, theirs:
        sender = Thread(target=send, args=(ours, content))
        sender.start()
        assert receive(theirs, size) == content
        sender.join()


def test_a_message_that_is_too_long_is_not_read() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        send(ours, b"x" * 11)
        with pytest.raises(MessageTooLongError):
            receive(theirs, 10)


@pytest.mark.parametrize("sent", [b"", b"123", b"\x09" + bytes(7) + b"half"])
def test_an_end_in_the_middle_is_told(sent: bytes) -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        with ours:
            ours.sendall(sent)
        with pytest.raises(EOFError):
            receive(theirs, 1000)
