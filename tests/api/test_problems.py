"""Problems quote requests safely."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from exporter.formats.raw import JSON_TYPE
from tests.support.api_server import Server, answers, assert_problem, post
from tests.support.rig import make_document, make_rows

Serve = Callable[..., Server]
URL = "/v1/predictions"


@pytest.mark.parametrize(
    ("url", "document", "where"),
    [
        (URL, make_document([{"features": {"age": 1}, "prediction": 1, "\ud800": 1}]), "predictions[0]."),
        (URL, {"model": "fraud", "version": "1", "columns": {"features": {}, "\ud800": []}}, "columns."),
        ("/v1/labels", {"model": "fraud", "labels": [{"id": "a", "label": 1, "\ud800": 1}]}, "labels[0]."),
        ("/v1/labels", {"model": "fraud", "columns": {"id": ["a"], "label": [1], "\ud800": 1}}, "columns."),
    ],
)
def test_half_a_surrogate_pair_in_a_key_is_shown_escaped(
    serve: Serve, url: str, document: dict[str, Any], where: str
) -> None:
    server = serve()
    body = json.dumps(document).encode()
    refused = server.client.post(url, content=body, headers={"content-type": JSON_TYPE})
    assert_problem(refused, 422, "Malformed", "", where + "\\ud800")
    assert answers(server, "prediction" if url == URL else "label") == {"422": 1}


def test_an_answer_does_not_grow_with_what_it_quotes(server: Server) -> None:
    refused = post(server, make_document(make_rows(1)), params={"x" * 50_000: "1"})
    assert refused.status_code == 422
    assert len(refused.content) < 25_000
