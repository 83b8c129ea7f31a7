"""Requests to targets: limits, secrets, and what is known about a request that failed."""

from __future__ import annotations

import logging
import socket
import ssl
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from exporter.remediation.targets import Targets
from exporter.remediation.targets.exchange import (
    MAX_ANSWER_BYTES,
    MAX_SECRET_BYTES,
    Answer,
    Call,
    Credentials,
    Limits,
    NoAnswerError,
    NotSentError,
    exchange,
)
from tests.remediation.targets.conftest import JOB
from tests.support.orchestrators import (
    PASSWORD,
    TOKEN,
    FakeAirflow2,
    FakeAirflow3,
    FakeDatabricks,
    FakeMuteWebhook,
    OrchestratorServer,
)

Make = Callable[..., Targets]
SHORT = Limits(connect_seconds=5, read_seconds=0.3, total_seconds=0.5)
WIDE = Limits(connect_seconds=5, read_seconds=20, total_seconds=30)


def answer_once(*packets: bytes, hold: bool = False) -> str:
    """URL of a server that takes one connection and sends these bytes, whatever it is asked."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with listener, listener.accept()[0] as connection:
            connection.recv(65536)
            for packet in packets:
                connection.sendall(packet)
            if hold:
                connection.settimeout(20)
                connection.recv(1)  # until the client goes

    Thread(target=serve, daemon=True).start()
    return f"http://127.0.0.1:{listener.getsockname()[1]}/"


def get(url: str, limits: Limits = WIDE, ca_file: str | None = None) -> Answer:
    return exchange(Call("GET", url), Credentials(), limits, ca_file)


def test_an_answer_is_cut_where_it_is_too_large(shared_server: OrchestratorServer) -> None:
    body = b"x" * (MAX_ANSWER_BYTES + 1)
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    assert len(get(answer_once(head, body)).body) == MAX_ANSWER_BYTES


@pytest.mark.parametrize(
    "packets",
    [(), (b"SSH-2.0-OpenSSH_9.2\r\n",), (b"HTTP/1.1 200 OK\r\n", b"X" * 70_000), (b"HTTP/1.1 2",)],
)
def test_what_is_no_answer_of_http_is_none(packets: tuple[bytes, ...]) -> None:
    with pytest.raises(NoAnswerError, match=r"no answer from 127\.0\.0\.1"):
        get(answer_once(*packets))


@pytest.mark.parametrize("packets", [(), (b"HTTP/1.1 200 OK\r\n",)])
def test_a_server_that_holds_its_answer_back_is_left(packets: tuple[bytes, ...]) -> None:
    with pytest.raises(NoAnswerError, match="none in time"):
        get(answer_once(*packets, hold=True), SHORT)


def test_a_port_where_nobody_listens_was_sent_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(NotSentError, match=f"no connection to 127.0.0.1:{port}: "):
        get(f"http://127.0.0.1:{port}/")


def test_a_host_that_does_not_exist_was_sent_nothing() -> None:
    with pytest.raises(NotSentError, match=r"no connection to no-such-host\.invalid"):
        get("http://no-such-host.invalid/")


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A certificate of its own for localhost, and the URL of a server that has it."""
    directory = tmp_path_factory.mktemp("tls")
    certificate, key = directory / "cert.pem", directory / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost"],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            accepted, _ = listener.accept()
            try:
                with context.wrap_socket(accepted, server_side=True) as connection:
                    if b"/silent" in connection.recv(65536):
                        connection.settimeout(20)
                        connection.recv(1)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            except OSError:
                continue

    Thread(target=serve, daemon=True).start()
    return certificate, f"https://localhost:{listener.getsockname()[1]}"


def test_a_certificate_that_nobody_vouches_for_gets_nothing(tls: tuple[Path, str]) -> None:
    with pytest.raises(NotSentError, match="CERTIFICATE_VERIFY_FAILED"):
        get(tls[1])


def test_a_certificate_may_be_vouched_for_by_a_file(tls: tuple[Path, str]) -> None:
    assert get(tls[1], ca_file=str(tls[0])).status == 200


def test_a_certificate_of_another_host_gets_nothing(tls: tuple[Path, str]) -> None:
    with pytest.raises(NotSentError, match="CERTIFICATE_VERIFY_FAILED"):
        get(tls[1].replace("localhost", "127.0.0.1"), ca_file=str(tls[0]))


def test_the_limit_holds_with_tls_too(tls: tuple[Path, str]) -> None:
    limits = Limits(connect_seconds=5, read_seconds=20, total_seconds=0.3)
    with pytest.raises(NoAnswerError, match="none in time"):
        get(f"{tls[1]}/silent", limits, str(tls[0]))


def forwarding_proxy(answer: bytes) -> tuple[str, list[bytes]]:
    """URL of a proxy that answers CONNECT so and then forwards to localhost; and what it was asked."""
    listener = socket.create_server(("127.0.0.1", 0))
    asked: list[bytes] = []

    def copy(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)

    def serve() -> None:
        with listener, listener.accept()[0] as client:
            asked.append(client.recv(65536))
            client.sendall(answer)
            port = int(asked[0].split()[1].rpartition(b":")[2])
            with socket.create_connection(("127.0.0.1", port)) as server:
                Thread(target=copy, args=(server, client), daemon=True).start()
                copy(client, server)

    Thread(target=serve, daemon=True).start()
    return f"http://127.0.0.1:{listener.getsockname()[1]}", asked


def test_a_target_is_reached_through_a_proxy_that_sees_no_secret(tls: tuple[Path, str]) -> None:
    proxy, asked = forwarding_proxy(b"HTTP/1.1 200 Connection established\r\n\r\n")
    credentials = Credentials({"Authorization": f"Bearer {TOKEN}"})
    answer = exchange(Call("GET", tls[1]), credentials, WIDE, str(tls[0]), proxy)
    assert answer.status == 200
    assert asked[0].startswith(f"CONNECT {tls[1].removeprefix('https://')} HTTP/1.".encode())
    assert TOKEN.encode() not in asked[0]


def test_a_proxy_that_refuses_has_sent_nothing(tls: tuple[Path, str]) -> None:
    proxy, _ = forwarding_proxy(b"HTTP/1.1 403 Forbidden\r\n\r\n")
    with pytest.raises(NotSentError, match="403 Forbidden"):
        exchange(Call("GET", tls[1]), Credentials(), WIDE, str(tls[0]), proxy)


def test_a_ca_file_that_is_none_is_told(tls: tuple[Path, str]) -> None:
    with pytest.raises(NotSentError, match="no connection to localhost"):
        get(tls[1], ca_file="/no/such/file")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "does not hold a secret on a single line"),
        (b" \n", "does not hold a secret on a single line"),
        (b"one\r\nX-Admin: true", "does not hold a secret on a single line"),
        ("schlüssel".encode(), "does not hold a secret on a single line"),
        (b"\xff\xfe", "cannot be read: it is no text"),
        (b"x" * (MAX_SECRET_BYTES + 1), "is larger than"),
    ],
)
def test_a_file_without_a_secret_sends_nothing_and_shows_nothing_of_it(
    targets: Make, shared_server: OrchestratorServer, secrets: dict[str, str], content: bytes, problem: str
) -> None:
    its = targets(FakeDatabricks())
    Path(secrets["token_file"]).write_bytes(content)
    sent = its.dispatch("it", JOB, repeated=False)
    assert (sent.outcome, sent.repeatable) == ("unreachable", True)
    assert problem in sent.reason
    assert "X-Admin" not in sent.reason
    assert its.follow("it", JOB, "7").state == "unanswered"
    assert shared_server.requests == []


def test_a_secret_is_read_at_each_call(
    targets: Make, shared_server: OrchestratorServer, secrets: dict[str, str]
) -> None:
    its = targets(fake := FakeDatabricks())
    Path(secrets["token_file"]).unlink()
    assert its.dispatch("it", JOB, repeated=False).reason.endswith(
        "cannot be read: No such file or directory"
    )
    Path(secrets["token_file"]).write_text("expired")
    assert its.dispatch("it", JOB, repeated=False).reason.startswith("it answers 401")
    Path(secrets["token_file"]).write_text(TOKEN)
    assert its.dispatch("it", JOB, repeated=False).outcome == "accepted"
    assert len(fake.runs) == 1


def test_secrets_are_in_no_log_and_no_reason(
    targets: Make, shared_server: OrchestratorServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for fake in (FakeAirflow2(), FakeAirflow3(), FakeDatabricks()):
        its = targets(fake)
        shared_server.faults.extend(["forbidden"])
        sent = its.dispatch("it", JOB, repeated=False)
        assert PASSWORD not in repr(sent)
        assert TOKEN not in repr(sent) or isinstance(fake, FakeAirflow2)  # which does not know it
    assert TOKEN not in caplog.text
    assert PASSWORD not in caplog.text
    assert PASSWORD not in repr(Credentials({}, PASSWORD, (PASSWORD,)))


def test_airflow_3_takes_a_token_as_well_as_a_user(
    targets: Make, shared_server: OrchestratorServer, secrets: dict[str, str]
) -> None:
    class WithToken(FakeAirflow3):
        def secrets(self, token_file: str, password_file: str) -> dict[str, str]:
            return {"token_file": token_file}

    assert targets(WithToken()).dispatch("it", JOB, repeated=False).outcome == "accepted"
    assert [request.path for request in shared_server.requests] == ["/api/v2/dags/retrain%20fraud/dagRuns"]


def test_a_sign_in_that_fails_starts_nothing(
    targets: Make, shared_server: OrchestratorServer, secrets: dict[str, str]
) -> None:
    its = targets(FakeAirflow3())
    Path(secrets["password_file"]).write_text("wrong")
    sent = its.dispatch("it", JOB, repeated=False)
    assert (sent.outcome, sent.repeatable) == ("unreachable", True)
    assert sent.reason == 'signing in: it answers 401: {"detail": "Invalid credentials"}'
    assert shared_server.starts == []


def test_a_missing_label_sends_nothing(targets: Make, shared_server: OrchestratorServer) -> None:
    body = {"id": "{action_id}", "window": "{labels.window}"}
    sent = targets(FakeDatabricks(), body=body).dispatch("it", JOB, repeated=False)
    assert (sent.outcome, sent.reason) == ("refused", "the body of target it: the alert has no label window")
    assert shared_server.requests == []


def test_a_target_that_is_gone_from_the_configuration_is_refused(targets: Make) -> None:
    its = targets(FakeMuteWebhook())
    assert its.dispatch("other", JOB, repeated=False).reason == "there is no target other"
    assert its.follow("other", JOB, "1").state == "unanswered"
    assert (its.timeout_seconds("it"), its.timeout_seconds("other")) == (86400, 0)


def test_a_message_is_short_and_on_one_line() -> None:
    credentials: Any = Credentials(secrets=("abc",))
    shown = credentials.hide(Answer(500, b"<b>\n\x1b[2J abc " + b"y" * 5000).message)
    assert shown.startswith("it answers 500: <b> \\x1b[2J *** yyy")
    assert len(shown) == 300
