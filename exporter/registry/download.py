"""Files from the web, at URLs that whoever may tag a version has chosen.

So no other place is asked than the one that can be seen, none that gives credentials away, and none for as
long as it likes. Addresses within a private network are let through: references are often there.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPConnection, HTTPMessage, HTTPResponse, HTTPSConnection
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from threading import Timer
from typing import IO, Any
from urllib.parse import urljoin, urlsplit
from urllib.request import HTTPHandler, HTTPRedirectHandler, HTTPSHandler, Request, build_opener

from exporter.errors import ReferenceInvalidError
from exporter.profiling.files import check_size

DOWNLOAD_SECONDS = 300.0  # half a gigabyte, the largest file, at 2 MB/s
CHUNK_BYTES = 2**20
# Where clouds tell a machine its credentials, beside link-local addresses: AWS, Google, Alibaba.
METADATA_ADDRESSES = {ip_address(text) for text in ("fd00:ec2::254", "fd20:ce::254", "100.100.100.200")}


def download(url: str, path: Path, timeout_seconds: float) -> None:
    """Copy a file from the web; `timeout_seconds` is how long it may say nothing.

    Raises:
        ReferenceInvalidError: too large, or at a place that is not asked.
        OSError, ValueError, HTTPException: it cannot be read.
    """
    with _Deadline(DOWNLOAD_SECONDS) as deadline:
        opener = build_opener(_Handler(deadline), _SameHost())
        try:
            with opener.open(url, timeout=timeout_seconds) as answer, path.open("wb") as file:
                promised = int(answer.headers.get("Content-Length") or 0)
                check_size(path.name, promised)
                received = 0
                while chunk := answer.read(CHUNK_BYTES):
                    received += len(chunk)
                    check_size(path.name, received)
                    file.write(chunk)
                if received < promised:  # which http.client takes for the end
                    raise ValueError(f"it ended after {received} of {promised} bytes")
        finally:
            if deadline.passed:  # what failed then failed by it; or it looks as if the file had ended
                raise TimeoutError(f"it took longer than {DOWNLOAD_SECONDS:g} s")


class _Deadline:
    """Cuts connections off when the time is over: a timeout of theirs begins anew with each byte."""

    def __init__(self, seconds: float) -> None:
        self.passed = False
        self._sockets: list[socket.socket] = []
        self._timer = Timer(seconds, self._pass)
        self._timer.daemon = True

    def __enter__(self) -> _Deadline:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._timer.join()
        for each in self._sockets:
            each.close()

    def watch(self, connected: socket.socket) -> None:
        self._sockets.append(connected.dup())  # TLS takes the socket itself away
        if self.passed:
            self._pass()

    def _pass(self) -> None:
        self.passed = True
        for each in self._sockets:
            with suppress(OSError):  # it is cut off already
                each.shutdown(socket.SHUT_RDWR)


class _SameHost(HTTPRedirectHandler):
    """Follows a redirect only within a host: what is asked is what can be seen in the URL."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        old, new = urlsplit(req.full_url), urlsplit(urljoin(req.full_url, newurl))
        if (old.scheme, old.hostname, old.port) != (new.scheme, new.hostname, new.port):
            fp.close()
            place = f"{new.scheme}://{new.netloc.rpartition('@')[2]}"
            raise ReferenceInvalidError(f"it redirects to {place}, and redirects stay within a host")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _Handler(HTTPHandler, HTTPSHandler):
    """Connects only where it may, and under the deadline."""

    def __init__(self, deadline: _Deadline) -> None:
        super().__init__()
        self._deadline = deadline

    def http_open(self, req: Request) -> HTTPResponse:
        return self.do_open(self._make(HTTPConnection), req)

    def https_open(self, req: Request) -> HTTPResponse:
        return self.do_open(self._make(HTTPSConnection), req)

    def _make(self, kind: type[HTTPConnection]) -> Callable[..., HTTPConnection]:
        def make(*arguments: Any, **options: Any) -> HTTPConnection:
            connection = kind(*arguments, **options)
            # The one place before TLS and after the name is resolved; http.client has no public one.
            connection._create_connection = self._connect  # type: ignore[attr-defined]
            return connection

        return make

    def _connect(self, address: tuple[str, int], timeout: float, source: Any = None) -> socket.socket:
        """As `socket.create_connection`, to addresses that were looked at."""
        peers = [found[4] for found in socket.getaddrinfo(*address, type=socket.SOCK_STREAM)]
        for peer in peers:
            _check_address(str(peer[0]))
        error = OSError("it has no address")
        for peer in peers:
            if self._deadline.passed:
                break
            try:
                connected = socket.create_connection((str(peer[0]), int(peer[1])), timeout, source)
            except OSError as failure:
                error = failure
                continue
            self._deadline.watch(connected)
            return connected
        raise error


def _check_address(text: str) -> None:
    """
    Raises:
        ReferenceInvalidError: it is where machines tell of themselves.
    """
    address = ip_address(text)
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if address.is_link_local or address in METADATA_ADDRESSES:
        raise ReferenceInvalidError(
            f"its address {address} is not asked: link-local ones and those of cloud metadata are not"
        )
