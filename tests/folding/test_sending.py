"""Parts are sent to a running exporter, by hand and by `mlflow-exporter fold`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from exporter.client.connection import Connection
from exporter.folding.fold import Folder
from exporter.folding.sending import fetch_reference, send_parts
from tests.cli.commands import run_command
from tests.support.api_server import Server, answers, assert_problem, serving
from tests.support.folded import counted_rows, make_live_table, make_registry

DAY = 86400.0
NOW = time.time()
Fold = Callable[..., tuple[object, str]]
PATH = "/v1/models/fraud/versions/1/reference"


@pytest.fixture(scope="module")
def labelled_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory) as serve:
        server = serve(make_registry("binary"))
        server.await_ready()
        yield server


@pytest.fixture
def connection(labelled_server: Server) -> Iterator[Connection]:
    with Connection(str(labelled_server.client.base_url)) as opened:
        yield opened


def rows_of(server: Server) -> int:
    return counted_rows(server.service.fleet.versions["fraud", "1"].counts)


def last_day(rows: int = 500, seed: int = 1) -> pa.Table:
    return make_live_table("binary", rows, seed, end=NOW - 60)


def test_the_reference_has_its_digest_as_the_etag(labelled_server: Server) -> None:
    client = labelled_server.client
    answer = client.get(PATH)
    digest = answer.json()["digest"]
    assert answer.headers["etag"] == f'"{digest}"'
    again = client.get(PATH, headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert client.get(PATH, headers={"If-None-Match": '"other"'}).status_code == 200


def test_a_version_that_is_not_monitored_has_no_reference(labelled_server: Server) -> None:
    answer = labelled_server.client.get(PATH.replace("/1/", "/9/"))
    assert_problem(answer, 404, "Not monitored", "version 9 of model 'fraud' is not monitored")


def test_parts_are_sent_once(labelled_server: Server, connection: Connection) -> None:
    reference, before = fetch_reference(connection, "fraud", "1"), rows_of(labelled_server)
    folder = Folder(reference)
    folder.add_rows(last_day())
    first = send_parts(connection, reference, folder.parts, "parts", 1)
    second = send_parts(connection, reference, folder.parts, "parts", 1)
    assert (first.accepted, first.duplicates) == (500, 0)
    assert (second.accepted, second.duplicates) == (0, 500)
    assert rows_of(labelled_server) == before + 500


def test_parts_of_several_bodies_are_each_sent_once(
    labelled_server: Server, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporter.folding.bodies.MAX_BODY_PARTS", 100)
    reference = fetch_reference(connection, "fraud", "1")
    folder = Folder(reference)
    folder.add_rows(last_day(2000))
    assert len(folder.parts) > 200
    send_parts(connection, reference, folder.parts[:150], "several", 1)  # as if it was broken off
    sent = send_parts(connection, reference, folder.parts[:250], "another", 1)
    again = send_parts(connection, reference, folder.parts[:250], "another", 1)
    assert sent.accepted == again.duplicates == sum(part.rows for part in folder.parts[:250])


def test_another_reference_is_told_by_the_status_and_the_digest(
    labelled_server: Server, connection: Connection
) -> None:
    reference = fetch_reference(connection, "fraud", "1")
    document = {"model": "fraud", "version": "1", "digest": "0" * 64, "block_seconds": 300}
    folder = Folder(reference)
    folder.add_rows(last_day(10))
    parts = [part.to_json(reference) for part in folder.parts]
    document |= {"source": "stale", "sequence": 1, "parts": parts}
    answer = labelled_server.client.post("/v1/aggregates", content=orjson.dumps(document))
    assert_problem(answer, 409, "Conflict", "fold the rows again", "digest")
    assert answer.json()["digest"] == reference.digest
    assert answers(labelled_server, "aggregate")["409"] == 1


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (b"[]", ""),
        (b"{", ""),
        (b'{"model": "fraud"}', "version"),
        (b'{"parts": [{"start": "1"}]}', "model"),
    ],
    ids=["list", "no JSON", "lacking", "of another type"],
)
def test_what_is_no_body_of_aggregates_is_refused(labelled_server: Server, body: bytes, where: str) -> None:
    answer = labelled_server.client.post("/v1/aggregates", content=body)
    assert answer.status_code == 422
    assert answer.json().get("where", "") == where


def test_aggregates_need_the_scope_of_ingestion(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("tokens") / "tokens"
    path.write_text(f"reader: {'r' * 24}\njob: {'j' * 24} ingest\n")
    with serving(tmp_path_factory) as serve:
        server = serve(make_registry("binary"), api_tokens_file=str(path))
        server.await_ready()
        assert server.client.get(PATH).status_code == 401
        assert server.client.post("/v1/aggregates", content=b"{}").status_code == 401
        reader, job = ({"Authorization": f"Bearer {letter * 24}"} for letter in "rj")
        assert server.client.get(PATH, headers=reader).status_code == 200
        assert server.client.post("/v1/aggregates", content=b"{}", headers=reader).status_code == 403
        assert server.client.post("/v1/aggregates", content=b"{}", headers=job).status_code == 422


# -- `mlflow-exporter fold` ---------------------------------------------------------------------------------


@pytest.fixture
def fold(labelled_server: Server, capsys: pytest.CaptureFixture[str]) -> Fold:
    def run(*arguments: str | Path) -> tuple[object, str]:
        known = ["--model=fraud", "--version=1", f"--exporter={labelled_server.client.base_url}"]
        return run_command(capsys, "fold", *map(str, arguments), *known)

    return run


def test_files_of_a_directory_are_folded_once(fold: Fold, tmp_path: Path) -> None:
    """Two columns have other names, and one is the partition's."""
    table = last_day(3000, seed=5)
    for number in range(3):
        part = table.slice(1000 * number, 1000).rename_columns(
            [{"timestamp": "at", "prediction": "y_pred"}.get(name, name) for name in table.schema.names]
        )
        directory = tmp_path / f"rows/day={number}"
        directory.mkdir(parents=True)
        pq.write_table(part, directory / "part.parquet", row_group_size=300)
    status, out = fold(
        tmp_path / "rows", "--source=files", "--sequence=1", "--timestamp=at", "--prediction=y_pred"
    )
    assert (status, "3,000 rows in" in out, "accepted             3,000" in out) == (0, True, True)
    status, out = fold(
        tmp_path / "rows", "--source=files", "--sequence=1", "--timestamp=at", "--prediction=y_pred"
    )
    assert (status, "duplicates           3,000" in out) == (0, True)


def test_rows_that_are_too_old_are_told(fold: Fold, tmp_path: Path) -> None:
    pq.write_table(
        make_live_table("binary", 10, span_seconds=60, end=NOW - 40 * DAY), tmp_path / "old.parquet"
    )
    status, out = fold(tmp_path / "old.parquet", "--source=old", "--sequence=1", "--hourly")
    assert status == 3
    assert "dropped                 10  too_old" in out


@pytest.mark.parametrize(("inside", "kind"), [("_delta_log", "Delta"), ("metadata", "Iceberg")])
def test_the_files_of_a_table_with_versions_are_refused(
    fold: Fold, tmp_path: Path, inside: str, kind: str
) -> None:
    pq.write_table(last_day(10), tmp_path / "part.parquet")
    (tmp_path / inside).mkdir()
    (tmp_path / inside / "v1.metadata.json").touch()
    status, out = fold(tmp_path, "--source=table", "--sequence=1")
    assert (status, f"a table of {kind}" in out) == (2, True)


def test_a_column_that_is_not_there_is_named(fold: Fold, tmp_path: Path) -> None:
    pq.write_table(last_day(10), tmp_path / "part.parquet")
    status, out = fold(tmp_path, "--source=x", "--sequence=1", "--label=truth")
    assert (status, "no column 'truth'" in out) == (2, True)
