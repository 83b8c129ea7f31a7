"""Reading the audit trail over HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from hashlib import sha256

import pytest
import rfc8785
import sqlalchemy as sa

from exporter.api.audit_routes import LINES_TYPE
from exporter.audit.record import Entry
from exporter.audit.trail import append
from exporter.storage.schema import audit_records
from tests.api.conftest import serving
from tests.support.api_server import Server, assert_problem

DAY = 1_793_491_200.0  # 2026-11-01
ADA = "ada (=1+1)"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An exporter with five records of the model `churn`, a day apart, beside its own."""
    with serving(tmp_path_factory) as serve:
        server = serve()
        with server.service.store.writing() as connection:
            for day in range(5):
                entry = Entry("hold", ADA, "churn", str(day), data={"reason": "a;b", "score": 1e21})
                append(connection, [entry], DAY + day * 86400)
        yield server


def versions(server: Server, query: str) -> list[str]:
    found = server.client.get(f"/v1/audit?model=churn&{query}").json()["entries"]
    return [entry["model_version"] for entry in found]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", "43210"),
        ("version=3", "3"),
        ("kind=hold&actor=ada (%3D1%2B1)", "43210"),
        ("kind=summary", ""),
        ("action_id=c0ffee", ""),
        ("from=2026-11-02&to=2026-11-04T00:00:00Z", "21"),
        ("from=2026-11-04T00:00:00", "43"),
        ("to=2026-11-02T01:00:00%2B02:00", "0"),
        ("actor=%00", "43210"),
    ],
)
def test_records_are_filtered(server: Server, query: str, found: str) -> None:
    assert versions(server, query) == list(found)


def test_records_after_a_number_are_found(server: Server) -> None:
    entries = server.client.get("/v1/audit?model=churn").json()["entries"]
    assert versions(server, f"after={entries[2]['seq']}") == ["4", "3"]


def test_pages_follow_each_other(server: Server) -> None:
    page = server.client.get("/v1/audit?model=churn&limit=3")
    assert [entry["model_version"] for entry in page.json()["entries"]] == ["4", "3", "2"]
    assert versions(server, f"limit=3&next={page.json()['next']}") == ["1", "0"]
    last = server.client.get(page.links["next"]["url"])
    assert [entry["model_version"] for entry in last.json()["entries"]] == ["1", "0"]
    assert last.json()["next"] is None
    assert "link" not in last.headers


def test_json_lines_are_the_same_records(server: Server) -> None:
    lines = server.client.get("/v1/audit?model=churn&limit=2", headers={"Accept": LINES_TYPE})
    assert lines.headers["content-type"] == LINES_TYPE
    page = server.client.get("/v1/audit?model=churn&limit=2").json()
    assert [json.loads(line) for line in lines.text.splitlines()] == page["entries"]
    assert lines.links["next"]["url"] == f"/v1/audit?model=churn&limit=2&next={page['next']}"


def test_records_can_be_verified_by_their_answer(server: Server) -> None:
    older, newer = server.client.get("/v1/audit?limit=2").json()["entries"][::-1]
    digests = newer.pop("body_digest"), newer.pop("digest")
    body_digest = sha256(rfc8785.dumps(newer))
    chained = sha256(b"\x01" + bytes.fromhex(older["digest"]) + body_digest.digest())
    assert digests == (body_digest.hexdigest(), chained.hexdigest())


def test_the_bytes_that_were_hashed_are_in_the_answer(server: Server) -> None:
    text = server.client.get("/v1/audit?model=churn&limit=1", headers={"Accept": LINES_TYPE}).text
    body, _, digests = text.rpartition(',"body_digest":')
    assert json.loads(f'{{"body_digest":{digests}')["body_digest"] == sha256(f"{body}}}".encode()).hexdigest()


def test_an_erased_record_keeps_its_place(serve: Callable[..., Server]) -> None:
    server = serve()
    with server.service.store.writing() as connection:
        seq = append(connection, [Entry("hold", "ada", "churn")], DAY)
        connection.execute(sa.update(audit_records).where(audit_records.c.seq == seq).values(body=None))
    (entry,) = server.client.get("/v1/audit?model=churn").json()["entries"]
    assert (entry["erased"], entry["seq"], entry["kind"]) == (True, seq, "hold")
    assert entry["at"] == "2026-11-01T00:00:00.000000Z"
    assert len(entry["digest"]) == len(entry["body_digest"]) == 64


@pytest.mark.parametrize(
    ("query", "where"),
    [
        ("limit=0", "query.limit"),
        ("limit=1001", "query.limit"),
        ("next=first", "query.next"),
        ("after=-1", "query.after"),
        ("from=yesterday", "query.from"),
        ("start=2026-11-01", "query.start"),
        ("until=2026-11-01", "query.until"),
    ],
)
def test_parameters_that_cannot_be_used_are_refused(server: Server, query: str, where: str) -> None:
    answer = server.client.get(f"/v1/audit?{query}")
    assert_problem(answer, 422, "Malformed", "", where)
