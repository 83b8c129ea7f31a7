"""The script that labels the pod of the leader, with an exporter and an API server of its own."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from threading import Thread

import pytest

SCRIPT = Path(__file__).parents[2] / "exporter" / "chart" / "files" / "leader_label.py"
SECONDS = 60  # limit on waiting


@dataclass
class Cluster:
    """Surroundings of the script: an exporter, ready or not, and an API server that takes patches or not."""

    is_ready: bool = False
    is_refusing: bool = False
    labels: Queue[tuple[str, str, object]] = field(default_factory=Queue)  # path, token, label

    def next_label(self) -> object:
        path, token, label = self.labels.get(timeout=SECONDS)
        assert (path, token) == ("/api/v1/namespaces/ml/pods/exporter-1", "Bearer renewed")
        return label


def serve(
    handler: type[BaseHTTPRequestHandler], context: ssl.SSLContext | None = None
) -> ThreadingHTTPServer:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """The script runs beside it."""
    world = Cluster()

    class Exporter(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if world.is_ready and self.path == "/-/ready" else 503)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    class ApiServer(Exporter):
        def do_PATCH(self) -> None:
            patch = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            assert self.headers["Content-Type"] == "application/merge-patch+json"
            label = patch["metadata"]["labels"]["mlflow-exporter/leader"]
            world.labels.put(
                (self.path, self.headers["Authorization"], "refused" if world.is_refusing else label)
            )
            self.send_response(500 if world.is_refusing else 200)
            self.end_headers()

    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-keyout", tmp_path / "key", "-out", tmp_path / "ca.crt", "-days", "2", "-subj", "/CN=kubernetes",
         "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    (tmp_path / "token").write_text("renewed")
    (tmp_path / "namespace").write_text("ml")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "ca.crt", tmp_path / "key")
    exporter, api = serve(Exporter), serve(ApiServer, context)
    environment = {
        "PATH": os.environ["PATH"],
        "POD": "exporter-1",
        "READY": f"http://127.0.0.1:{exporter.server_port}/-/ready",
        "ACCOUNT": str(tmp_path),
        "KUBERNETES_SERVICE_HOST": "127.0.0.1",
        "KUBERNETES_SERVICE_PORT_HTTPS": str(api.server_port),
    }
    with subprocess.Popen([sys.executable, SCRIPT], env=environment) as script:
        yield world
        script.kill()
    for server in (exporter, api):
        server.shutdown()
        server.server_close()


def test_the_label_follows_the_leader(cluster: Cluster) -> None:
    assert cluster.next_label() == "false"  # whatever an earlier run had written
    cluster.is_ready = True
    assert cluster.next_label() == "true"
    cluster.is_ready = False
    assert cluster.next_label() == "false"


def test_a_label_that_was_refused_is_written_later(cluster: Cluster) -> None:
    assert cluster.next_label() == "false"
    cluster.is_refusing = True
    cluster.is_ready = True
    assert [cluster.next_label(), cluster.next_label()] == ["refused", "refused"]
    cluster.is_refusing = False
    while (label := cluster.next_label()) == "refused":
        pass
    assert label == "true"
