from __future__ import annotations

import smtplib
from datetime import UTC, datetime
from email.message import EmailMessage

from exporter.demo.mailbox import Mailbox, read_mail
from tests.support.fakes import TIMEOUT_SECONDS

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def message(text: str = "", html: str = "") -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "a@example.org", "b@example.org", "café: distance"
    if text:
        mail.set_content(text)
        if html:
            mail.add_alternative(html, subtype="html")
    else:
        mail.set_content(html, subtype="html")
    return mail


def test_a_mail_that_is_sent_is_in_the_mailbox(free_port: int) -> None:
    with Mailbox(free_port) as mailbox:
        with smtplib.SMTP("127.0.0.1", free_port, timeout=TIMEOUT_SECONDS) as client:
            client.send_message(message("first"))
            client.send_message(message("second"))
        assert [(mail.subject, mail.text) for mail in mailbox.mails] == [
            ("café: distance", "first"),
            ("café: distance", "second"),
        ]


def test_the_plain_text_is_what_is_read() -> None:
    assert read_mail(bytes(message("plain", "<p>html</p>")), NOW).text == "plain"


def test_a_mail_of_html_alone_is_read_without_tags() -> None:
    assert read_mail(bytes(message(html="<p>5 &gt; <b>3</b></p>")), NOW).text == "5 > 3"


def test_a_mail_without_anything_is_a_mail() -> None:
    mail = read_mail(b"", NOW)
    assert (mail.subject, mail.text, mail.received) == ("", "", NOW)
