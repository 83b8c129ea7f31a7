"""`mlflow-exporter audit`: verification, exports, reports and checkpoints of a store, beside its exporter."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import sqlalchemy as sa

from exporter.audit.checkpoint import make_checkpoint
from exporter.audit.key_file import load_key
from exporter.audit.record import Entry
from exporter.audit.segments import prune
from exporter.audit.trail import append
from exporter.cli import main
from exporter.settings import DAY_SECONDS
from exporter.storage.store import Store
from tests.audit.version_records import DAY, LATER
from tests.support.web_server import Answer, WebServer

PERIOD = ("--from", "2026-11-01", "--to", "2026-11-02T00:00:00Z")
SIGNED = len(DAY) + 1  # the record of the key is the last before the checkpoint


class Trail(NamedTuple):
    """A store in use, with a checkpoint of the last record but one."""

    path: Path
    note: str

    def change(self, statement: str) -> None:
        """Write to the database, as who can read its file could."""
        with closing(sqlite3.connect(self.path)) as connection:
            connection.execute(statement)
            connection.commit()


@pytest.fixture
def trail(tmp_path: Path, open_store: Callable[[str], Store], monkeypatch: pytest.MonkeyPatch) -> Trail:
    path = tmp_path / "exporter.db"
    store = open_store(f"sqlite:///{path}")
    key = load_key(tmp_path / "exporter.db.audit-key")
    with store.writing() as connection:
        for at, entry in DAY:
            append(connection, [entry], at)
        note = make_checkpoint(connection, key, LATER).note
        append(connection, [Entry("stopped", "system")], LATER)
    monkeypatch.setenv("EXPORTER_STORE", f"sqlite:///{path}")
    return Trail(path, note)


def run(*arguments: object) -> object:
    with pytest.raises(SystemExit) as end:
        main(["audit", *map(str, arguments)])
    return end.value.code


Said = pytest.CaptureFixture[str]


def result(capsys: Said, *arguments: object) -> tuple[object, dict[str, Any]]:
    status = run("verify", "--json", *arguments)
    return status, json.loads(capsys.readouterr().out)


# -- verify -------------------------------------------------------------------------------------------------


def test_a_store_is_verified_beside_its_exporter(trail: Trail, capsys: Said) -> None:
    assert run("verify") == 0
    said = capsys.readouterr().out.splitlines()
    assert said[:4] == [
        f"the store: intact, {SIGNED + 1} records from 1 to {SIGNED + 1}",
        "  anchored    none",
        f"  unanchored  1 to {SIGNED + 1}",
        f"  signed      1 to {SIGNED} by 1 checkpoint of known keys",
    ]
    assert "No witness was asked" in said[-1]


def test_a_checkpoint_that_was_kept_anchors_the_store(trail: Trail, tmp_path: Path, capsys: Said) -> None:
    kept = tmp_path / "kept.txt"
    kept.write_text(trail.note)
    status, found = result(capsys, "--checkpoint", kept)
    assert (status, found["intact"], found["keys_given"]) == (0, True, True)
    assert (found["anchored"], found["unanchored"]) == ([[1, SIGNED]], [[SIGNED + 1, SIGNED + 1]])
    assert found["witnesses"][0]["source"] == str(kept)


def test_the_tag_in_mlflow_anchors_the_store(trail: Trail, tmp_path: Path, capsys: Said) -> None:
    _, found = result(capsys)
    tag = tmp_path / "tag"
    tag.write_text(f"{found['last']} {found['digest']}\n")
    assert result(capsys, "--checkpoint", tag)[1]["unanchored"] == []


def test_a_store_without_any_record_that_is_remembered_is_not_proven(
    trail: Trail, tmp_path: Path, capsys: Said
) -> None:
    engine = sa.create_engine(f"sqlite:///{trail.path}")
    with engine.begin() as connection:
        prune(connection, LATER + DAY_SECONDS, LATER + DAY_SECONDS)
    engine.dispose()
    tag = tmp_path / "tag"
    tag.write_text(f"3 {'aa' * 32}")
    assert run("verify", "--checkpoint", tag) == 1
    said = capsys.readouterr().out
    assert said.startswith("the store: NOT PROVEN")
    assert f"not used    {tag}: record 3 was pruned" in said
    assert f"{SIGNED} pruned (the last of 2026-11-" in said
    status, found = result(capsys, "--checkpoint", tag)
    assert (status, found["intact"], found["proven"]) == (1, True, False)


@pytest.mark.parametrize("digest", ["", "bb" * 32])
def test_prometheus_is_a_witness(
    trail: Trail, web_server: Callable[[Answer], WebServer], capsys: Said, digest: str
) -> None:
    last = result(capsys)[1]
    labels = {"instance": "exporter:19464", "seq": str(last["last"]), "digest": digest or last["digest"]}
    server = web_server(Answer(200, json.dumps({"status": "success", "data": [labels]}).encode()))
    status, found = result(capsys, "--prometheus", server.uri)
    if digest:
        problem = (
            f"Prometheus (exporter:19464) remembers another record {last['last']}: the chain was rewritten"
        )
        assert (status, found["first_fault"]["problem"]) == (1, problem)
    else:
        assert (status, found["anchored"]) == (0, [[1, last["last"]]])


def test_a_change_is_named_with_status_1(trail: Trail, capsys: Said) -> None:
    trail.change("UPDATE audit_records SET body = x'7b7d' WHERE seq = 9")
    status, found = result(capsys)
    assert status == 1
    assert found["first_fault"]["seq"] == 9
    assert run("verify") == 1
    assert "record 9: its content is not the one that was recorded" in capsys.readouterr().out


def test_a_truncated_trail_is_found_by_a_witness(trail: Trail, tmp_path: Path, capsys: Said) -> None:
    (tmp_path / "kept").write_text(trail.note)
    trail.change("DELETE FROM audit_records WHERE seq > 20")
    trail.change("DELETE FROM audit_checkpoints")
    trail.change("UPDATE audit_head SET seq = 20, digest = (SELECT digest FROM audit_records WHERE seq = 20)")
    assert result(capsys)[0] == 0
    status, found = result(capsys, "--checkpoint", tmp_path / "kept")
    assert (status, found["first_fault"]["seq"]) == (1, 21)


def test_a_checkpoint_of_another_trail_is_refused(trail: Trail, tmp_path: Path, capsys: Said) -> None:
    key = load_key(tmp_path / "other")
    (tmp_path / "kept").write_text(key.sign(f"{key.name}\n1\n{'A' * 43}=\n"))
    assert run("verify", "--checkpoint", tmp_path / "kept") == 1
    assert "is not signed by a known key" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("verify", "--store", "sqlite:///nowhere.db"), 2, "there is no store"),
        (("verify", "nowhere.jsonl"), 2, "nowhere.jsonl cannot be read: No such file"),
        (("verify", "--checkpoint", "nowhere"), 2, "nowhere cannot be read"),
        (("verify", "--key", "nowhere"), 2, "nowhere cannot be read"),
        (("verify", "--prometheus", "http://127.0.0.1:9"), 1, "Prometheus at http://127.0.0.1:9 cannot be"),
        (("export", "--version", "3"), 2, "--version needs --model"),
        (("export", "--from", "2027-01-01"), 1, "there are no records of this period"),
        (("export", "--output", "nowhere/export.csv"), 2, "nowhere/export.csv cannot be written"),
    ],
)
def test_what_cannot_be_done_is_said(
    trail: Trail, capsys: Said, arguments: tuple[str, ...], status: int, message: str
) -> None:
    assert run(*arguments) == status
    assert message in capsys.readouterr().err


def test_a_time_that_is_none_is_refused(capsys: Said) -> None:
    assert run("export", "--from", "yesterday") == 2
    assert "'yesterday' is no time such as 2026-11-01T12:00" in capsys.readouterr().err


# -- export -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["evidence.jsonl", "evidence.csv", "evidence.parquet"])
def test_an_export_is_verified_by_itself(trail: Trail, tmp_path: Path, capsys: Said, name: str) -> None:
    path, kept = tmp_path / name, tmp_path / "kept"
    kept.write_text(trail.note)
    assert run("export", "--model", "fraud", "--version", "3", *PERIOD, "--output", path) == 0
    assert sorted(tmp_path.glob("evidence*")) == [path]
    status, found = result(capsys, path, "--checkpoint", kept, "--key", f"{trail.path}.audit-key.pub")
    assert (status, found["intact"], found["unanchored"]) == (0, True, [])
    assert (found["anchored"], found["signed"]) == ([[3, SIGNED]], [[3, SIGNED]])
    assert (found["with_content"], found["export"]["model"]) == (23, "fraud")


def test_an_export_goes_to_standard_output(trail: Trail, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert run("export") == 0
    lines = capfdbinary.readouterr().out.splitlines()
    assert json.loads(lines[0])["type"] == "export"
    assert len(lines) == 2 + SIGNED + 1


def test_an_export_that_fails_leaves_no_file(trail: Trail, tmp_path: Path) -> None:
    trail.change("DELETE FROM audit_records WHERE seq = 9")
    assert run("export", "--output", tmp_path / "evidence.csv") == 1
    assert list(tmp_path.glob("evidence*")) == []


def test_a_changed_export_is_named(trail: Trail, tmp_path: Path, capsys: Said) -> None:
    path = tmp_path / "evidence.jsonl"
    assert run("export", "--model", "fraud", "--output", path) == 0
    path.write_text(path.read_text().replace('"rows":1000', '"rows":1001', 1))
    assert run("verify", path) == 1
    assert "record 3: its content is not the one that was recorded" in capsys.readouterr().out


# -- report, checkpoint -------------------------------------------------------------------------------------


def test_a_report_of_a_store_is_written(trail: Trail, tmp_path: Path) -> None:
    path = tmp_path / "evidence.html"
    arguments = ("--store", f"sqlite:///{trail.path}", "--output", path)
    assert run("report", "fraud", "3", *PERIOD, *arguments) == 0
    assert "is intact, and a signed checkpoint covers " in path.read_text()


def test_the_newest_checkpoint_is_printed(trail: Trail, capsys: Said) -> None:
    assert run("checkpoint") == 0
    assert capsys.readouterr().out == trail.note


def test_a_trail_without_a_checkpoint_says_so(trail: Trail, capsys: Said) -> None:
    trail.change("DELETE FROM audit_checkpoints")
    assert run("checkpoint") == 1
    assert "the trail has no signed checkpoint yet" in capsys.readouterr().err


def test_both_databases_are_read(
    store_uri: str, open_store: Callable[[str], Store], tmp_path: Path, capsys: Said
) -> None:
    with open_store(store_uri).writing() as connection:
        for at, entry in DAY:
            append(connection, [entry], at)
        make_checkpoint(connection, load_key(tmp_path / "key"), LATER)
    path = tmp_path / "evidence.csv"
    assert run("export", "--model", "fraud", "--version", "3", "--store", store_uri, "--output", path) == 0
    assert run("report", "fraud", "3", *PERIOD, "--store", store_uri, "--output", tmp_path / "r.md") == 0
    assert "| Hours observed | 24, and 0 missing |" in (tmp_path / "r.md").read_text()
    for what in (("--store", store_uri), (path,)):
        status, found = result(capsys, *what, "--key", tmp_path / "key.pub")
        assert (status, found["records"], found["signed"]) == (0, SIGNED, [[1, SIGNED]])
