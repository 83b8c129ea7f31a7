"""`mlflow-exporter push` to a running exporter: what it sends, and what it says."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from exporter.cli import main
from tests.support.api_server import Server
from tests.support.rig import eventually, make_table
from tests.support.scripted_exporter import Reply, scripted_exporter

NOW = time.time()


class Pushed:
    """Exit status, standard output and standard error of a push."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err

    def count(self, name: str) -> int:
        """Count of a line of the summary, 0 where it has none."""
        lines = [line.split() for line in self.out.splitlines() if line.startswith(f"  {name} ")]
        return int(lines[0][1].replace(",", "")) if lines else 0


Push = Callable[..., Pushed]


@pytest.fixture
def push(server: Server, capsys: pytest.CaptureFixture[str]) -> Push:
    def run(*arguments: str | Path, to: str = "--version=1", to_exporter: str = "") -> Pushed:
        address = to_exporter or f"--exporter={server.client.base_url}"
        target = ["--model=fraud", *([to] if to else []), address]
        with pytest.raises(SystemExit) as end:
            main(["push", *map(str, arguments), *target])
        said = capsys.readouterr()
        return Pushed(int(end.value.code or 0), said.out, said.err)

    return run


def make_predictions(rows: int, prefix: str = "", seed: int = 3) -> pa.Table:
    """Predictions of the last hour, with ids if there is a prefix."""
    table = make_table(rows, seed).append_column(
        "timestamp", pa.array([NOW - row / 10 for row in range(rows)])
    )
    return table.append_column("id", pa.array([f"{prefix}{row}" for row in range(rows)])) if prefix else table


def write(table: pa.Table, path: Path) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(table, path)
    elif path.suffix == ".csv":
        pyarrow.csv.write_csv(table, path)
    else:
        path.write_text("".join(f"{json.dumps(row)}\n" for row in table.to_pylist()))
    return path


def accepted(server: Server) -> int:
    return server.rows("accepted")


@pytest.mark.parametrize("form", ["parquet", "csv", "jsonl"])
def test_every_row_of_a_file_counts_once(server: Server, push: Push, tmp_path: Path, form: str) -> None:
    path = write(make_predictions(1200), tmp_path / f"batch.{form}")
    before = accepted(server)
    first, second = push(path), push(path)
    assert (first.status, first.count("accepted"), second.count("accepted")) == (0, 1200, 0)
    assert (second.status, second.count("duplicates")) == (0, 1200)
    assert accepted(server) - before == 1200
    assert not server.service.fleet.versions["fraud", "1"].unknown_columns


def test_columns_are_called_by_flags(server: Server, push: Push, tmp_path: Path) -> None:
    names = ["age", "country", "new", "answer", "p1", "asked_at", "order"]
    table = make_predictions(50, "flag-").rename_columns(names).append_column("note", pa.array(["x"] * 50))
    times = pa.array([int(1000 * second) for second in table["asked_at"].to_pylist()])
    path = write(table.set_column(5, "asked_at", times), tmp_path / "named.parquet")
    flags = ["--id=order", "--prediction=answer", "--score=p1", "--timestamp=asked_at", "--time-unit=ms"]
    assert push(path, *flags, "--leave-out=note").count("accepted") == 50
    labels = write(pa.table({"order": table["order"], "fraud": [1] * 50}), tmp_path / "labels.csv")
    taken = push(labels, "--labels", "--id=order", "--label=fraud", to="")
    assert (taken.status, taken.count("accepted")) == (0, 50)
    assert not server.service.fleet.versions["fraud", "1"].unknown_columns


def test_rows_that_are_refused_are_listed_and_the_others_count(push: Push, tmp_path: Path) -> None:
    rows = [{**row, "timestamp": NOW} for row in make_table(40, 5).to_pylist()]
    rows[3]["timestamp"], rows[7]["id"], rows[9]["latency_seconds"] = "yesterday", [1], "slow"
    lines = [json.dumps(row) for row in rows]
    lines[20], lines[21] = "{", "[1]"
    path = tmp_path / "some.jsonl"
    path.write_text("\n".join(lines))
    done = push(path)
    assert (done.status, done.count("accepted"), done.count("refused")) == (3, 35, 5)
    assert f"{path}, row 4: timestamp: a timestamp is an ISO 8601 text" in done.out
    assert f"{path}, row 8: id: an id is a text" in done.out
    assert f"{path}, row 10: latency_seconds: a latency is a number" in done.out
    assert f"{path}, row 21: no JSON" in done.out
    assert f"{path}, row 22: no JSON object" in done.out


def test_rows_of_csv_with_too_few_values_are_listed(push: Push, tmp_path: Path) -> None:
    path = write(make_predictions(30, "cut-"), tmp_path / "cut.csv")
    lines = path.read_text().splitlines()
    lines[12] = "1,2"
    path.write_text("\n".join(lines))
    done = push(path)
    assert (done.status, done.count("accepted"), done.count("refused")) == (3, 29, 1)
    assert f"{path}, row 13: 2 values for 7 columns" in done.out


def test_texts_among_numbers_of_csv_are_mismatches_and_codes_stay_texts(
    server: Server, push: Push, tmp_path: Path
) -> None:
    # Until its first evaluation a version does not show which of its columns are texts.
    eventually(lambda: server.client.get("/v1/models/fraud/versions/1").json()["columns"])
    path = tmp_path / "odd.csv"
    path.write_text(
        "id,age,country,new,prediction\nodd-1,41,DE,true,0\nodd-2,old,007,false,1\nodd-3,,FR,,1\n"
    )
    assert push(path).count("accepted") == 3
    again = [
        {"features": {"age": 41.0, "country": "DE", "new": "true"}, "prediction": 0.0, "id": "odd-1"},
        {"features": {"age": "old", "country": "007", "new": "false"}, "prediction": 1.0, "id": "odd-2"},
        {"features": {"age": None, "country": "FR", "new": None}, "prediction": 1.0, "id": "odd-3"},
    ]
    answer = server.client.post(
        "/v1/predictions", json={"model": "fraud", "version": "1", "predictions": again}
    ).json()
    assert answer == {"accepted": 0, "duplicates": 3, "conflicts": 0}  # the same values, by their hashes


def test_rows_that_are_too_old_are_dropped_and_said(push: Push, tmp_path: Path) -> None:
    table = make_predictions(20)
    times = [NOW - 400 * 86400] * 5 + [NOW - 2 * 86400] * 12 + [NOW + 86400] * 3
    path = write(table.set_column(5, "timestamp", pa.array(times)), tmp_path / "old.parquet")
    for flags in (["--dry-run"], []):
        done = push(path, *flags)
        assert (done.status, done.count("accepted")) == (3, 12)
        assert "too_old: older than the exporter keeps rows" in done.out
        assert "future: ahead of the exporter's clock" in done.out


def test_a_dry_run_sends_nothing_and_says_what_it_would(server: Server, push: Push, tmp_path: Path) -> None:
    table = (
        make_predictions(60, "dry-").drop_columns(["country"]).append_column("colour", pa.array(["red"] * 60))
    )
    path, before = write(table, tmp_path / "dry.parquet"), accepted(server)
    done = push(path, "--dry-run")
    assert (done.status, done.count("accepted"), accepted(server)) == (0, 60, before)
    assert "60 predictions of 1 files, would be sent" in done.out
    assert "not in the reference, and not monitored: colour" in done.out
    assert "columns of the reference that the files lack: country" in done.out


def test_a_batch_that_is_too_large_is_sent_in_parts(
    serve: Callable[..., Server], push: Push, tmp_path: Path
) -> None:
    address = f"--exporter={serve(max_rows_per_request=130).client.base_url}"
    path = write(make_predictions(1000), tmp_path / "large.parquet")
    assert push(path, to_exporter=address).count("accepted") == 1000
    assert push(path, to_exporter=address).count("duplicates") == 1000


def test_a_file_that_cannot_be_read_is_told_and_the_others_are_sent(push: Push, tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 no more")
    (tmp_path / "b.csv").write_bytes("id,age,prediction\n1,\xff,0\n".encode("latin-1"))
    (tmp_path / "c.jsonl").write_text('{"age": 1}\n')
    (tmp_path / "d.csv").write_text("")
    (tmp_path / "_SUCCESS").write_text("")
    write(make_predictions(10), tmp_path / "e.parquet")
    done = push(tmp_path)
    assert (done.status, done.count("accepted")) == (1, 10)
    assert f"{tmp_path}/a.parquet cannot be read as parquet: " in done.out
    assert f"{tmp_path}/b.csv cannot be read as csv: " in done.out
    assert (
        f"{tmp_path}/c.jsonl: no column is called `prediction`: name it by --prediction, of age" in done.out
    )
    assert f"{tmp_path}/d.csv cannot be read as csv: " in done.out


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["nowhere.parquet"], "nowhere.parquet cannot be read: it does not exist"),
        (["*.parquet"], "*.parquet: there are no files that end in .parquet"),
        (["strange://bucket/file.parquet"], "strange://bucket/file.parquet cannot be read: "),
        (["file.parquet", "--labels"], "labels are of a model, whatever its version"),
        (["file.parquet", "--score", "a=p,q"], "--score: name the class of every column, or of none"),
    ],
)
def test_what_cannot_be_done_is_told_before_anything_is_sent(
    push: Push, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], problem: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = push(*arguments)
    assert done.status == 2
    assert problem in done.err


def test_a_version_that_is_not_monitored_is_told(push: Push, tmp_path: Path) -> None:
    done = push(write(make_predictions(10), tmp_path / "other.parquet"), to="--version=7")
    assert done.status == 1
    assert "the exporter refused (404): version 7 of model 'fraud' is not monitored" in done.err


def test_an_exporter_that_is_away_is_told(push: Push, tmp_path: Path) -> None:
    path = write(make_predictions(10), tmp_path / "some.parquet")
    done = push(path, to_exporter="--exporter=http://127.0.0.1:9")
    assert (done.status, done.out) == (1, "")
    assert "the exporter at 127.0.0.1:9 cannot be reached: Connection refused" in done.err
    dry = push(path, "--dry-run", to_exporter="--exporter=http://127.0.0.1:9")
    assert (dry.status, dry.count("accepted")) == (0, 10)
    assert "the columns of the reference are unknown: the exporter at 127.0.0.1:9" in dry.out


def test_rows_that_the_exporter_produces_are_not_said_to_be_new(push: Push, tmp_path: Path) -> None:
    answer = {"accepted": 5, "duplicates": None, "conflicts": None}
    path = write(make_predictions(5), tmp_path / "a.csv")

    with scripted_exporter() as exporter:
        exporter.replies = [Reply(200, b'{"columns": []}'), Reply(body=json.dumps(answer).encode())]
        done = push(path, to_exporter=f"--exporter={exporter.url}")

    assert (done.status, done.count("accepted")) == (0, 5)
    assert "in Kafka; new rows are told from repeated ones when a worker takes them" in done.out
