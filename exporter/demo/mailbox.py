"""SMTP server for Alertmanager that keeps every mail and forwards none."""

from __future__ import annotations

import email
import html
import re
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import default

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session


@dataclass(frozen=True)
class Mail:
    """A delivered mail."""

    received: datetime
    subject: str
    text: str


class Mailbox:
    """SMTP server on loopback, in a thread of its own; `mails` are those delivered, oldest first."""

    def __init__(self, port: int) -> None:
        self._mails: list[Mail] = []
        self._lock = threading.Lock()
        self._controller = Controller(self, hostname="127.0.0.1", port=port)

    @property
    def mails(self) -> list[Mail]:
        with self._lock:
            return list(self._mails)

    def __enter__(self) -> Mailbox:
        self._controller.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._controller.stop()

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        """Keep a mail; called by the server."""
        mail = read_mail(envelope.original_content or b"", datetime.now(UTC))
        with self._lock:
            self._mails.append(mail)
        return "250 OK"


def read_mail(content: bytes, received: datetime) -> Mail:
    """Parse a mail: its subject and its plain text, or its HTML without the tags."""
    message = email.message_from_bytes(content, policy=default)
    assert isinstance(message, EmailMessage)
    body = message.get_body(("plain", "html"))
    text = str(body.get_content()) if body is not None else ""
    if body is not None and body.get_content_subtype() == "html":
        text = html.unescape(re.sub(r"<[^>]+>", "", text))
    return Mail(received, " ".join(str(message["subject"] or "").split()), text.strip())
