"""Prometheus, Alertmanager, what they scrape and where they send: on loopback, while a test needs them."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar

import httpx
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.support.fakes import TIMEOUT_SECONDS

T = TypeVar("T")


def wait_for(
    what: str, probe: Callable[[], T | None], seconds: float = TIMEOUT_SECONDS, interval: float = 0.05
) -> T:
    """The first truthy answer of `probe`; fails when there is none in time."""
    deadline = time.monotonic() + seconds
    while not (answer := probe()):
        assert time.monotonic() < deadline, f"no {what} within {seconds} s"
        time.sleep(interval)
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
                return httpx.get(ready_url, timeout=TIMEOUT_SECONDS, verify=False).is_success
            except httpx.TransportError:
                return False

        wait_for(f"answer from {command[0]}", ready)
        yield
    finally:
        process.terminate()
        try:
            process.wait(TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(TIMEOUT_SECONDS)


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
        "--rules.alert.resend-delay=1s",  # what fires before it finds Alertmanager is dropped
        "--web.enable-admin-api",
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


class Webhooks:
    """Takes what is posted to `/slack`, as Slack does, and to any other path; with `failing`, nothing."""

    def __init__(self) -> None:
        self.failing = False
        self.posts: list[tuple[str, dict[str, Any]]] = []

    def at(self, path: str) -> list[dict[str, Any]]:
        """The bodies that came to this path, oldest first."""
        return [body for posted_to, body in self.posts if posted_to == path]

    @property
    def titles(self) -> list[str]:
        """Titles of the messages in Slack."""
        return [message["attachments"][0]["title"] for message in self.at("/slack")]

    def wait_for_slack(self, title: str) -> dict[str, Any]:
        """The message with this title."""

        def find() -> dict[str, Any] | None:
            return next((m for m in self.at("/slack") if m["attachments"][0]["title"] == title), None)

        try:
            return wait_for("message", find)
        except AssertionError as error:
            raise AssertionError(f"{error}: {title!r} among {self.titles}") from None

    def take(self, path: str, body: dict[str, Any]) -> tuple[int, str]:
        """Status and text of the answer."""
        if self.failing:
            return 503, "service_unavailable"
        if path == "/slack" and (refusal := refuse_as_slack_does(body)):
            return 400, refusal
        self.posts.append((path, body))
        return 200, "ok"


def refuse_as_slack_does(message: dict[str, Any]) -> str:
    """Reason for which Slack would reject this message; empty if it would show it."""
    attachments = message.get("attachments", [])
    if not attachments or not all(each.get("text") and each.get("fallback") for each in attachments):
        return "no_text"
    buttons = [button for each in attachments for button in each.get("actions", [])]
    if not all(button["text"] and button["url"].startswith("http") for button in buttons):
        return "invalid_attachments"
    return ""


@contextmanager
def serving_webhooks(port: int) -> Iterator[Webhooks]:
    webhooks = Webhooks()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, text = webhooks.take(self.path, body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    with serving(port, Handler):
        yield webhooks


@contextmanager
def relaying_alerts(port: int, alertmanager: str) -> Iterator[None]:
    """Hands alerts on to Alertmanager: they fire until Prometheus says that they have ended.

    Prometheus has them end by themselves unless it repeats them in time. That is minutes, but four seconds
    where it repeats them every second, and a busy machine can be as long about it.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            now = datetime.now(UTC)
            alerts = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            for alert in alerts:
                if datetime.fromisoformat(alert["endsAt"]) > now:
                    del alert["endsAt"]
            answer = httpx.post(f"{alertmanager}{self.path}", json=alerts, timeout=TIMEOUT_SECONDS)
            self.send_response(answer.status_code)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    with serving(port, Handler):
        yield


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

    with serving(port, Handler):
        yield target


@contextmanager
def serving(port: int, handler: type[BaseHTTPRequestHandler]) -> Iterator[None]:
    server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
