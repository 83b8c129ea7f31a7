"""`check-reference`: files of this machine, and references of a real MLflow server."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from tests.cli.commands import run_command
from tests.support.mlflow_server import MlflowServer
from tests.support.mlflow_world import World
from tests.support.wire import to_parquet

CSV = "amount,country,answer,late\n" + "".join(
    f"{k}.5,{'DE' if k % 3 else 'FR'},{k % 2},{k % 2}\n" for k in range(60)
)


def test_a_file_is_reviewed_with_what_is_said_of_it(
    mlflow_environment: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "r.csv"
    path.write_text(CSV)
    (tmp_path / "exporter.yml").write_text(
        "models:\n  fraud: {target: country, columns: {exclude: [amount]}}\n"
    )
    file, config = str(path), str(tmp_path / "exporter.yml")
    status, said = run_command(
        capsys,
        "check-reference",
        file,
        "--config",
        config,
        "--model",
        "fraud",
        "--target",
        "late",
        "--prediction",
        "answer",
        "--windows",
        "1h",
    )
    assert status == 0
    assert "Reference of fraud: 60 rows, binary, target late, positive class 1" in said
    assert "Monitored: 1 features, prediction, label" in said
    assert "accuracy" in said
    assert "left out on demand: amount" in said


def test_the_reference_of_a_version_is_found_as_the_exporter_finds_it(
    mlflow_server: MlflowServer,
    world: World,
    mlflow_environment: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server.uri)
    reference = to_parquet(pa.table({"x": [1.0, 2.0], "late": [0, 1]}))
    run_id = world.add_run({"monitoring/reference.parquet": reference})
    model = world.log_version(run_id=run_id, tags={"monitoring.target": "late", "monitoring.windows": "1h"})
    for given, name in (
        (f"models:/{model}/1", f"{model} version 1"),
        (f"models:/{model}@champion", f"{model} version 1"),
    ):
        status, said = run_command(capsys, "check-reference", given)
        assert status == 0
        assert f"Reference of {name}: 2 rows, no task, target late\n  {given}, run_artifact\n" in said
        assert "tag monitoring.windows is '1h': unknown key" in said
    assert run_command(capsys, "check-reference", f"runs:/{run_id}")[0] == 0
    status, said = run_command(
        capsys, "check-reference", f"runs:/{run_id}/monitoring/reference.parquet", "--target", "x"
    )
    assert (status, "target x" in said) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("nowhere.parquet",), 1, "nowhere.parquet cannot be read: No such file or directory"),
        (("r.txt",), 1, "'r.txt' does not end in .parquet, .csv, .json, .jsonl"),
        (("broken.parquet",), 1, "'broken.parquet' cannot be read as parquet"),
        (("r.csv", "--task", "multi"), 2, "task is 'multi': has to be 'binary'"),
        (("r.csv", "--windows", "1 hour"), 2, "'1 hour' is not a duration"),
        (("runs:/" + "0" * 32,), 1, "has no run 0000"),
        (("models:/fraud",), 1, "'models:/fraud' is not models:/name/3"),
        (("MODEL",), 1, "no reference found, looked at: "),
    ],
    ids=str,
)
def test_what_would_be_broken_gives_a_status(
    mlflow_server: MlflowServer,
    world: World,
    mlflow_environment: None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    status: int,
    message: str,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server.uri)
    monkeypatch.chdir(tmp_path)
    Path("broken.parquet").write_bytes(b"PAR1 no")
    Path("r.csv").write_text(CSV)
    if arguments == ("MODEL",):
        arguments = (f"models:/{world.log_version()}/1",)
    found, said = run_command(capsys, "check-reference", *arguments)
    assert found == status
    assert message in said
