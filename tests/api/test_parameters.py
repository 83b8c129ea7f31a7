"""Parameters of requests: unknown and repeated ones are refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.api_server import Server
from tests.support.rig import make_document, make_rows

Serve = Callable[..., Server]


@pytest.mark.parametrize(
    ("method", "path", "where"),
    [
        ("POST", "/v1/predictions?model=fraud", "query.model"),
        ("POST", "/v1/predictions?model=fraud&model=churn", "query.model"),
        ("POST", "/v1/labels?model=fraud", "query.model"),
        ("POST", "/v1/models/fraud/versions/1/rebaseline?by=me&reason=so&live=24h&period=1d", "query.period"),
        ("GET", "/v1/models?model=fraud", "query.model"),
        ("GET", "/v1/models/fraud/versions/1?window=24h", "query.window"),
        ("GET", "/v1/audit?limt=7", "query.limt"),
        ("GET", "/v1/audit?limit=7&limit=8", "query.limit"),
        ("GET", "/metrics?collect=core", "query.collect"),
    ],
)
def test_a_parameter_that_nothing_reads_is_refused(
    server: Server, method: str, path: str, where: str
) -> None:
    refused = server.client.request(method, path, json=make_document(make_rows(1)))
    assert (refused.status_code, refused.json()["where"]) == (422, where)
