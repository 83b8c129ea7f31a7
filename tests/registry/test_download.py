"""What may be fetched from the web, from where, and for how long."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread

import pytest

import exporter.registry.download
from exporter.errors import ReferenceInvalidError
from exporter.registry.download import download
from tests.support.web_server import Answer, WebServer


@pytest.fixture
def drip() -> Iterator[Callable[[bytes], str]]:
    """The URL of a server that begins with what it is given, and then sends a byte now and then for ever."""
    stopped = Event()
    threads = []
    listeners = []

    def start(begin: bytes) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def serve() -> None:
            with listener.accept()[0] as connection:
                connection.sendall(begin)
                try:
                    while not stopped.wait(0.02):
                        connection.sendall(b"a")
                except OSError:
                    pass

        threads.append(Thread(target=serve))
        threads[-1].start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}/r.csv"

    yield start
    stopped.set()
    for thread in threads:
        thread.join()
    for listener in listeners:
        listener.close()


@pytest.mark.parametrize(
    "begin", [b"HTTP/1.1 200 OK\r\n\r\na,b\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", b""],
    ids=["a file without end", "a file", "headers"],
)  # fmt: skip
def test_a_server_that_drips_is_cut_off(
    drip: Callable[[bytes], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begin: bytes
) -> None:
    monkeypatch.setattr(exporter.registry.download, "DOWNLOAD_SECONDS", 0.3)
    with pytest.raises(TimeoutError, match=r"it took longer than 0\.3 s"):
        download(drip(begin), tmp_path / "r.csv", timeout_seconds=10)


def test_a_file_that_is_cut_short_is_not_taken_for_all_of_it(
    web_server: Callable[[Answer], WebServer], tmp_path: Path
) -> None:
    web = web_server(Answer(200, b"a\n1\n", {"Content-Length": "99"}))
    with pytest.raises(ValueError, match="it ended after 4 of 99 bytes"):
        download(f"{web.uri}/r.csv", tmp_path / "r.csv", timeout_seconds=10)


def test_a_redirect_within_the_host_is_followed(
    web_server: Callable[[Answer], WebServer], tmp_path: Path
) -> None:
    web = web_server(Answer(302, b"", {"Location": "/r.csv"}))
    with pytest.raises(OSError, match="infinite loop"):
        download(f"{web.uri}/other.csv", tmp_path / "r.csv", timeout_seconds=10)
    assert set(web.paths) == {"/other.csv", "/r.csv"}


@pytest.mark.parametrize("status", [301, 302, 307])
def test_a_redirect_to_another_host_is_not_followed(
    web_server: Callable[[Answer], WebServer], tmp_path: Path, status: int
) -> None:
    inside = web_server(Answer(200, b"a\n1\n"))
    web = web_server(Answer(status, b"", {"Location": f"{inside.uri}/r.csv"}))
    with pytest.raises(ReferenceInvalidError, match=f"it redirects to {inside.uri}, and"):
        download(f"{web.uri}/r.csv", tmp_path / "r.csv", timeout_seconds=10)
    assert inside.paths == []


@pytest.mark.parametrize("location", ["https://127.0.0.1/r.csv", "file:///etc/passwd", "//127.0.0.2/r.csv"])
def test_a_redirect_of_another_kind_is_not_followed(
    web_server: Callable[[Answer], WebServer], tmp_path: Path, location: str
) -> None:
    web = web_server(Answer(302, b"", {"Location": location}))
    with pytest.raises((ReferenceInvalidError, OSError), match=r"redirects to http|not allowed"):
        download(f"{web.uri}/r.csv", tmp_path / "r.csv", timeout_seconds=10)


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "2852039166",
        "[fe80::1]",
        "[::ffff:169.254.169.254]",
        "[fd00:ec2::254]",
        "100.100.100.200",
    ],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_addresses_that_give_credentials_away_are_not_asked(tmp_path: Path, scheme: str, host: str) -> None:
    with pytest.raises(ReferenceInvalidError, match="is not asked: link-local ones and those of cloud"):
        download(f"{scheme}://{host}/r.csv", tmp_path / "r.csv", timeout_seconds=1)


def test_a_name_is_judged_by_all_of_its_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, 80)) for host in ("127.0.0.1", "169.254.1.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    with pytest.raises(ReferenceInvalidError, match=r"169\.254\.1\.1 is not asked"):
        download("http://example.invalid/r.csv", tmp_path / "r.csv", timeout_seconds=1)
