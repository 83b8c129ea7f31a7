"""Witnesses are read from notes, from MLflow's tag and from Prometheus."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import pytest

from exporter.audit import anchors
from exporter.audit.anchors import Anchor, note_anchor, prometheus_anchors, tag_anchor
from exporter.errors import AuditError
from tests.support.trail import KEY, OTHER_KEY
from tests.support.web_server import Answer, WebServer

Serve = Callable[[Answer], WebServer]
DIGEST = bytes(range(32))


def series(*labels: dict[str, str]) -> Answer:
    return Answer(200, json.dumps({"status": "success", "data": list(labels)}).encode())


def test_a_note_is_taken_if_a_known_key_signed_it() -> None:
    note = KEY.sign(f"{KEY.name}\n7\n{base64.b64encode(DIGEST).decode()}\n")
    expected = Anchor(7, DIGEST, "kept.txt")
    assert note_anchor(note, "kept.txt", [KEY.vkey]) == expected
    assert note_anchor(note, "kept.txt") == expected
    with pytest.raises(AuditError, match=r"kept\.txt: the checkpoint of record 7 is not signed"):
        note_anchor(note, "kept.txt", [OTHER_KEY.vkey])


def test_a_tag_has_number_and_digest() -> None:
    assert tag_anchor(f"7 {DIGEST.hex()}", "MLflow") == Anchor(7, DIGEST, "MLflow")
    for value in ("", "7", f"x {DIGEST.hex()}", f"7 {DIGEST.hex()}0", f"-7 {DIGEST.hex()}"):
        with pytest.raises(AuditError, match=r"MLflow: .* is no number and digest"):
            tag_anchor(value, "MLflow")


def test_prometheus_is_asked_for_all_that_it_keeps(web_server: Serve) -> None:
    labels = {"instance": "exporter:19464", "job": "x"}
    server = web_server(
        series(
            labels | {"seq": "30", "digest": "bb" * 32},
            labels | {"seq": "7", "digest": DIGEST.hex()},
            labels | {"seq": "7", "digest": DIGEST.hex(), "job": "y"},
        )
    )
    found = prometheus_anchors(server.uri, 5000.0, '{job=~"x|y"}')
    source = "Prometheus (exporter:19464)"
    assert found == [Anchor(7, DIGEST, source), Anchor(30, b"\xbb" * 32, source)]
    asked = urlsplit(server.paths[0])
    assert asked.path == "/api/v1/series"
    assert parse_qs(asked.query) == {
        "match[]": ['mlflow_exporter_audit_checkpoint_info{job=~"x|y"}'],
        "start": ["0"],
        "end": ["5000.000"],
    }


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Answer(400, b'{"error": "parse error"}'), r"refused \(400\): parse error"),
        (Answer(503, b"<html>"), r"refused \(503\): Service Unavailable"),
        (Answer(200, b"<html>"), "is none of Prometheus"),
        (Answer(200, b'{"status": "success"}'), "is none of Prometheus"),
        (Answer(200, b'{"status": "error", "data": []}'), "is none of Prometheus"),
        (Answer(200, b'{"status": "success", "data": [1]}'), "is none of Prometheus"),
        (Answer(200, b'{"status": "success", "data": [{"seq": "7"}]}'), "without number and digest"),
        (Answer(200, b"{}", {"Content-Length": "7"}), "is none of Prometheus"),
        (Answer(200, b" " * 200), "larger than 100 bytes"),
    ],
)
def test_another_answer_is_an_error(
    web_server: Serve, monkeypatch: pytest.MonkeyPatch, answer: Answer, message: str
) -> None:
    monkeypatch.setattr(anchors, "MAX_ANSWER_BYTES", 100)
    with pytest.raises(AuditError, match=message):
        prometheus_anchors(web_server(answer).uri, 0.0)


def test_a_prometheus_that_is_silent_or_away_is_an_error(
    web_server: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(anchors, "TIMEOUT_SECONDS", 0.1)
    with pytest.raises(AuditError, match="cannot be reached: timed out"):
        prometheus_anchors(web_server(Answer(200, b"{}", delay_seconds=1)).uri, 0.0)
    with pytest.raises(AuditError, match=r"cannot be reached: .*refused"):
        prometheus_anchors("http://127.0.0.1:9", 0.0)
    with pytest.raises(AuditError, match="is no address such as"):
        prometheus_anchors("file:///etc/passwd", 0.0)
