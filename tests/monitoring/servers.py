"""Prometheus, Alertmanager, a mailbox and a scrape target, on loopback, for as long as a test needs them."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TypeVar

import httpx
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

T = TypeVar("T")


def wait_for(what: str, probe: Callable[[], T | None], seconds: float = 60) -> T:
    """The first truthy answer of `probe`; fails when there is none in time."""
    deadline = time.monotonic() + seconds
    while not (answer := probe()):
        assert time.monotonic() < deadline, f"no {what} within {seconds} s"
        time.sleep(0.05)
    return answer


@contextmanager
def running(command: list[str], ready_url: str, log: Path) -> Iterator[None]:
    """Start a server, wait until it is ready, stop it at the end."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:

        def ready() -> bool:
            assert process.poll() is None, log.read_text()
            try:
                return httpx.get(ready_url, timeout=5).is_success
            except httpx.TransportError:
                return False

        wait_for(f"answer from {command[0]}", ready)
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(20)


@contextmanager
def running_alertmanager(program: str, config: Path, port: int) -> Iterator[str]:
    """Yields its address."""
    url = f"http://127.0.0.1:{port}"
    command = [
        program,
        f"--config.file={config}",
        f"--storage.path={config.parent / 'alertmanager-data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",  # alone: opens no further port
    ]
    with running(command, f"{url}/-/ready", config.parent / "alertmanager.log"):
        yield url


@contextmanager
def running_prometheus(program: str, config: Path, port: int) -> Iterator[str]:
    """Yields its address."""
    url = f"http://127.0.0.1:{port}"
    command = [
        program,
        f"--config.file={config}",
        f"--storage.tsdb.path={config.parent / 'prometheus-data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with running(command, f"{url}/-/ready", config.parent / "prometheus.log"):
        yield url


class Mailbox:
    """Takes every mail that is sent to its port."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 # aiosmtpd's name
        assert isinstance(envelope.content, bytes)
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        return "250 taken"

    @property
    def subjects(self) -> list[str]:
        return [mail["Subject"] for mail in self.mails]

    def wait_for(self, subject: str) -> EmailMessage:
        def find() -> EmailMessage | None:
            return next((mail for mail in self.mails if mail["Subject"] == subject), None)

        try:
            return wait_for("mail", find)
        except AssertionError as error:
            raise AssertionError(f"{error}: {subject!r} among {self.subjects}") from None


@contextmanager
def open_mailbox(port: int) -> Iterator[Mailbox]:
    mailbox = Mailbox()
    controller = Controller(mailbox, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield mailbox
    finally:
        controller.stop()


class Target:
    """An exporter written by hand: `/metrics` shows `exposition`, or fails where that is None."""

    def __init__(self) -> None:
        self.exposition: str | None = ""


@contextmanager
def serving_target(port: int) -> Iterator[Target]:
    target = Target()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if target.exposition is None:
                self.send_error(503)
                return
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.end_headers()
            self.wfile.write(target.exposition.encode())

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield target
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
