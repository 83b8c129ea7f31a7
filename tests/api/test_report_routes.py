"""Reports over HTTP, for programs and for people, and the command."""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import httpx
import pytest

import exporter.cli.report as command
from exporter.cli import main
from exporter.errors import ReportError
from exporter.reports.contents import ReportInput, ReportResult
from exporter.storage.reports import ReportState, StoredReport, add_report, change_report
from tests.support.api_server import Server, assert_problem
from tests.support.fakes import FakeRegistry
from tests.support.made_reports import HTML, RESULT, fake
from tests.support.rig import eventually, make_table

Serve = Callable[..., Server]
REPORTS = "/v1/models/fraud/versions/1/reports"
PAGES = "/models/fraud/versions/1/reports"
AT = round(time.time() - 3 * 86400.0)  # not expired


@pytest.fixture(scope="module")
def server(serve_module: Serve) -> Server:
    """An exporter whose reports are made by a fake. Of four versions the first has a reference."""
    registry = FakeRegistry()
    registry.register("fraud", make_table(), alias="champion")
    for _ in range(3):  # for tests that put reports of their own there
        registry.register("fraud", alias=f"other-{_}")
    server = serve_module(registry)
    server.await_ready()
    eventually(lambda: len(server.service.fleet.versions) == 4)
    fake(server)
    return server


def ask(server: Server, **query: str) -> dict[str, Any]:
    answer = server.client.post(REPORTS, params=query)
    assert answer.status_code == 202, answer.text
    found: dict[str, Any] = answer.json()
    return found


def done(server: Server, **query: str) -> dict[str, Any]:
    """A report that was asked for, once it is done."""
    found = ask(server, **query)
    eventually(lambda: server.client.get(f"{REPORTS}/{found['id']}").json()["state"] == "done")
    detail: dict[str, Any] = server.client.get(f"{REPORTS}/{found['id']}").json()
    return detail


def put(
    server: Server, name: str, at: float, state: ReportState, model: str = "fraud", version: str = "1"
) -> StoredReport:
    """Store a report for a verdict of a time, with HTML if it is done."""
    key = server.service.fleet.versions["fraud", version].key
    report = StoredReport(name, key, model, version, "24h", at - 86400, at, "verdict", at)
    with server.service.store.writing() as connection:
        add_report(connection, report)
        problem = "Evidently is not installed" if state is ReportState.FAILED else ""
        files = {"html": RESULT.html} if state is ReportState.DONE else {}
        change_report(connection, report, replace(report, state=state, problem=problem), [], files)  # type: ignore[arg-type]
    return report


def test_a_report_is_asked_for_and_made(server: Server) -> None:
    answer = server.client.post(REPORTS, params={"window": "2h", "reason": "to see", "by": "ada"})
    assert answer.status_code == 202
    found = answer.json()
    assert answer.headers["location"] == f"{REPORTS}/{found['id']}"
    assert (found["state"], found["window"], found["trigger"]) == ("waiting", "2h", "request")
    assert (found["actor"], found["reason"], found["page"]) == ("anonymous@127.0.0.1 (ada)", "to see", "")
    eventually(lambda: server.client.get(answer.headers["location"]).json()["state"] == "done")
    detail = server.client.get(answer.headers["location"]).json()
    assert (detail["rows"], detail["counted"], detail["notes"]) == (7, 70, list(RESULT.notes))
    assert detail["page"] == f"{PAGES}/{found['id']}"
    assert detail["values"] == [
        {"metric": "ValueDrift", "column": "age", "part": "", "value": 0.3, "named": True}
    ]
    listed = server.client.get(REPORTS).json()["reports"]
    assert found["id"] in [each["id"] for each in listed]
    (entry,) = server.client.get("/v1/audit?kind=report_requested&limit=1").json()["entries"]
    assert (entry["actor"], entry["data"]["report"]) == ("anonymous@127.0.0.1 (ada)", found["id"])


def test_the_html_runs_in_a_sandbox_without_the_network(server: Server) -> None:
    page = server.client.get(done(server)["page"])
    assert page.content == HTML
    assert page.headers["content-security-policy"] == (
        "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
        "img-src data: blob:; font-src data:; connect-src 'none'; base-uri 'none'; form-action 'none'"
    )
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["content-type"] == "text/html; charset=utf-8"


def test_files_are_passed_on_as_they_are_stored(server: Server) -> None:
    page = done(server)["page"]
    with server.client.stream("GET", page, headers={"accept-encoding": "gzip"}) as answer:
        assert answer.headers["content-encoding"] == "gzip"
        assert b"".join(answer.iter_raw()) == RESULT.html
    with server.client.stream("GET", page, headers={"accept-encoding": "identity"}) as answer:
        assert "content-encoding" not in answer.headers
        assert b"".join(answer.iter_raw()) == gzip.decompress(RESULT.html)
        assert answer.headers["vary"] == "Accept-Encoding"


def test_the_json_is_there_for_programs(server: Server) -> None:
    found = done(server)
    answer = server.client.get(f"{REPORTS}/{found['id']}/json")
    assert answer.json() == {"metrics": []}
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("query", "where", "detail"),
    [
        ("window=a day", "query.window", "'a day' is not a duration"),
        ("window=9999999w", "query.window", "more than 60 days"),
        ("window=" + "9" * 99, "query.window", "at most 16 characters"),
        ("windw=1h", "query.windw", "window"),
        ("reason=" + "a" * 501, "query.reason", "at most 500 characters"),
    ],
    ids=lambda text: text[:10],
)
def test_a_request_that_cannot_be_is_refused(server: Server, query: str, where: str, detail: str) -> None:
    assert_problem(server.client.post(f"{REPORTS}?{query}"), 422, "Malformed", detail, where)


@pytest.mark.parametrize(
    "report_id",
    [
        "../../../../../etc/passwd",
        "<script>alert(1)</script>",
        "' or 1=1 --",
        "a\0b",
        "é" * 2000,
        "latest%2F..",
        "%",
        "snapshot",
    ],
    ids=lambda text: ascii(text)[:12],
)
@pytest.mark.parametrize("base", [REPORTS, PAGES])
def test_hostile_ids_are_no_reports(server: Server, base: str, report_id: str) -> None:
    answer = server.client.get(f"{base}/{quote(report_id, safe='')}")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_report_is_found_under_its_own_version_only(server: Server) -> None:
    found = done(server)
    for path in (
        f"/models/fraud/versions/2/reports/{found['id']}",
        f"/models/spam/versions/1/reports/{found['id']}",
    ):
        assert_problem(server.client.get(path), 404, "Unknown report", "there is no report")
        assert server.client.get(f"/v1{path}/json").status_code == 404
    assert server.client.get("/v1/models/spam/versions/1/reports").json() == {"reports": []}


def test_a_model_with_slashes_and_markup_in_its_name_has_reports(server: Server) -> None:
    model = "team/fraud <b>/versions/1/reports"
    report = put(server, "c" * 32, AT, ReportState.DONE, model)
    page = server.client.get(f"/models/{quote(model, safe='')}/versions/1/reports/{report.id}")
    assert page.content == HTML
    missing = server.client.get(f"/models/{quote(model, safe='')}/versions/1/reports/latest")
    assert missing.status_code == 404, "it is of another model's version in the store"
    assert "team/fraud &lt;b&gt;" in missing.text
    assert "<b>" not in missing.text


def test_a_version_that_is_not_monitored_gets_no_report(server: Server) -> None:
    answer = server.client.post("/v1/models/fraud/versions/9/reports")
    assert_problem(answer, 404, "Not monitored", "its versions are 1, 2, 3, 4")


# -- for people ---------------------------------------------------------------------------------------------


def latest(server: Server, version: str, at: float | None = None) -> httpx.Response:
    query = {"at": at} if at is not None else {}
    return server.client.get(f"/models/fraud/versions/{version}/reports/latest", params=query)


def test_a_link_of_an_alert_leads_to_the_report_of_the_incident(server: Server) -> None:
    put(server, "a" * 32, AT - 600, ReportState.DONE, version="2")
    put(server, "b" * 32, AT + 86400, ReportState.DONE, version="2")
    answer = latest(server, "2", AT)
    assert (answer.status_code, answer.headers["location"]) == (302, "a" * 32)
    assert answer.headers["cache-control"] == "no-store"
    followed = server.client.get(answer.url.join(answer.headers["location"]))
    assert (followed.content, followed.url.path) == (HTML, f"/models/fraud/versions/2/reports/{'a' * 32}")
    assert latest(server, "2").headers["location"] == "b" * 32


def test_while_it_is_made_a_page_says_so_and_loads_itself_again(server: Server) -> None:
    with server.service.store.writing() as connection:  # which the worker waits for
        key = server.service.fleet.versions["fraud", "3"].key
        add_report(connection, StoredReport("d" * 32, key, "fraud", "3", "24h", 0, AT, "verdict", AT))
        connection.commit()
        for answer in (
            latest(server, "3", AT),
            server.client.get(f"/models/fraud/versions/3/reports/{'d' * 32}"),
        ):
            assert answer.status_code == 200
            assert "The report is being made" in answer.text
            assert '<meta http-equiv="refresh" content="5">' in answer.text
            assert "script" not in answer.headers["content-security-policy"]


def test_a_failed_report_says_why(server: Server) -> None:
    put(server, "e" * 32, AT, ReportState.FAILED, version="4")
    page = server.client.get(f"/models/fraud/versions/4/reports/{'e' * 32}")
    for answer in (latest(server, "4", AT), page):
        assert answer.status_code == 404
        assert "There is no report" in answer.text
        assert "Evidently is not installed" in answer.text
        assert "refresh" not in answer.text


def test_without_a_report_of_that_time_a_page_says_why(server: Server) -> None:
    answer = latest(server, "4", 1e9)
    assert answer.status_code == 404
    assert "Reports are kept for 30 days" in answer.text


@pytest.mark.parametrize("at", ["soon", "nan", "inf", "-1", "1e300"])
def test_a_time_that_is_none_is_refused(server: Server, at: str) -> None:
    answer = server.client.get(f"{PAGES}/latest?at={at}")
    assert answer.status_code == 422
    assert answer.json()["where"] == "query.at"


# -- access -------------------------------------------------------------------------------------------------

TOKENS = """
ada: ada-s3cret-s3cret
ci: ci-s3cret-s3cret reports
ingest: ingest-s3cret-s3cret ingest,alerts,approve,audit
root: root-s3cret-s3cret admin
"""


def test_tokens_need_the_scope_to_ask_and_none_to_read(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text(TOKENS)
    url = "https://ml.example.org/exporter"
    server = serve(api_tokens_file=str(tmp_path / "tokens"), external_url=url)
    fake(server)
    report = put(server, "a" * 32, AT, ReportState.DONE)

    def statuses(method: str, path: str) -> dict[str, int]:
        return {
            name: server.client.request(
                method, path, headers={"Authorization": f"Bearer {name}-s3cret-s3cret"}
            ).status_code
            for name in ("ada", "ci", "ingest", "root")
        }

    assert statuses("POST", REPORTS) == {"ada": 403, "ci": 202, "ingest": 403, "root": 202}
    for path in (f"{PAGES}/{report.id}", REPORTS, f"{REPORTS}/{report.id}"):
        assert set(statuses("GET", path).values()) == {200}
        assert server.client.get(path).status_code == 401
    assert set(statuses("GET", f"{PAGES}/latest?at={AT}").values()) == {302}
    assert server.client.get(f"{PAGES}/latest").status_code == 401
    assert server.client.post(REPORTS).status_code == 401


def test_pages_of_other_sites_ask_for_nothing(server: Server) -> None:
    answer = server.client.post(REPORTS, headers={"Origin": "https://evil.example"})
    assert_problem(answer, 403, "Forbidden", "pages of other sites")
    answer = server.client.get(f"{PAGES}/latest", headers={"Host": "evil.example"})
    assert_problem(answer, 403, "Forbidden", "host name 'evil.example'")


# -- bounds -------------------------------------------------------------------------------------------------


def test_a_full_queue_and_a_full_store_refuse(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exporter.reports.queue.MAX_REQUESTED", 0)
    answer = server.client.post(REPORTS)
    assert_problem(answer, 429, "Overloaded", "too many reports are waiting")
    assert answer.headers["retry-after"] == "30"
    monkeypatch.setattr(server.service, "writer", SimpleNamespace(full=True))
    assert_problem(server.client.post(REPORTS), 503, "Unavailable", "the store has reached its limit")


# -- the command --------------------------------------------------------------------------------------------


def run(server: Server, *arguments: str) -> object:
    with pytest.raises(SystemExit) as end:
        main(["report", "fraud", "1", *arguments, "--exporter", str(server.client.base_url)])
    return end.value.code


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "POLL_SECONDS", 0.02)


def test_the_command_prints_where_the_report_is(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(server, "--window", "3h", "--reason", "why", "--by", "ada") == 0
    first, *others = capsys.readouterr().out.splitlines()
    assert server.client.get(first).content == HTML
    assert "7 of 70 rows" in others[0]
    assert others[1].strip() == RESULT.notes[0]


def test_the_command_fails_with_the_reason(
    server: Server, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server.service.reports.worker, "make", failing)
    assert run(server) == 1
    assert "there is no report: Evidently is not installed" in capsys.readouterr().err
    assert run(server, "--window", "day") == 1
    assert "the exporter refused (422)" in capsys.readouterr().err


def failing(_: ReportInput) -> ReportResult:
    raise ReportError("Evidently is not installed")


def test_the_command_need_not_wait(
    server: Server, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = Event()
    monkeypatch.setattr(server.service.reports.worker, "make", lambda _: go_on.wait() and RESULT)
    try:
        assert run(server, "--wait", "0") == 0
        assert "is waiting" in capsys.readouterr().out
        assert run(server, "--wait", "0.1") == 1
    finally:
        go_on.set()
