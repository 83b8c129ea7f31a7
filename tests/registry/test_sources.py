"""Search for a version's reference: the places, their order and the errors, on a real MLflow server."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

import exporter.profiling.files
from exporter.config.models import ModelConfig, ModelsConfig
from exporter.errors import ReferenceInvalidError, ReferenceNotFoundError, RegistryUnreachableError
from exporter.formats.categories import match_class
from exporter.profiling.build import build_reference
from exporter.profiling.data import ReferenceData
from exporter.profiling.files import read_reference
from exporter.registry.registry import Registry
from exporter.settings import Settings
from tests.support.mlflow_server import MlflowServer
from tests.support.mlflow_world import NOWHERE, World
from tests.support.web_server import Answer, WebServer

README = (Path(__file__).parents[2] / "README.md").read_text()


def parquet(**columns: list[object]) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def reference(mark: str) -> bytes:
    """A file that can be told from the others."""
    return parquet(mark=[mark], x=[1.5])


def load(registry: Registry, model: str, **said: Any) -> ReferenceData:
    """The reference of version 1, with what is `said` of the model in the exporter's file."""
    version = registry.poll().models[model].versions["1"]
    file = ModelsConfig(models={model: ModelConfig(**said)})
    config, _ = file.resolve(model, {**version.model_tags, **version.tags})
    return registry.load_reference(version, config, lambda file: read_reference(file, 1_000_000))


def mark(data: ReferenceData) -> str:
    return str(data.table.column("mark")[0])


TABLE = json.dumps({"columns": ["mark", "x"], "data": [["table", 1.5]]}).encode()


# -- the order ----------------------------------------------------------------------------------------------


def test_the_first_place_with_a_reference_wins(registry: Registry, world: World) -> None:
    """Every place has one; taken away one by one, each shows which is next."""
    shared = world.add_run(
        {
            "shared/r.parquet": reference("tag"),
            "tagged.csv": b"mark,x\ndataset,1.5\n",
            "train.csv": b"mark,x\ntraining,1.5\n",
        }
    )
    in_model = {
        "extra_files/reference.parquet": reference("extra_files"),
        "reference.parquet": reference("model"),
    }
    in_run = {"monitoring/reference.parquet": reference("run_artifact"), "reference_table.json": TABLE}

    def add(model: Mapping[str, bytes], run: Mapping[str, bytes], datasets: int, tag: bool) -> str:
        run_id = world.add_run(run)
        if datasets > 0:
            source = json.dumps({"uri": f"runs:/{shared}/train.csv"})
            world.add_dataset(run_id, source, {"mlflow.data.context": "training"})
        if datasets > 1:
            source = json.dumps({"uri": f"runs:/{shared}/tagged.csv"})
            world.add_dataset(run_id, source, {"monitoring.reference": "true"}, name="tagged")
        tags = {"monitoring.reference_uri": f"runs:/{shared}/shared/r.parquet"} if tag else {}
        return world.log_version(model, run_id=run_id, tags=tags)

    at_root = {"reference.parquet": in_model["reference.parquet"]}
    only_table = {"reference_table.json": TABLE}
    models = [
        add(in_model, in_run, 2, True),
        add(in_model, in_run, 2, False),
        add(at_root, in_run, 2, False),
        add({}, in_run, 2, False),
        add({}, only_table, 2, False),
        add({}, only_table, 1, False),
        add({}, only_table, 0, False),
    ]
    found = [load(registry, model) for model in models]
    order = ["tag", "extra_files", "model", "run_artifact", "dataset", "dataset", "table"]
    assert [data.source for data in found] == order
    assert [mark(data) for data in found] == [*order[:5], "training", "table"]


def test_without_any_the_places_are_named(registry: Registry, world: World) -> None:
    run_id = world.add_run({"other.txt": b"x"})
    with pytest.raises(ReferenceNotFoundError) as none:
        load(registry, world.log_version({"input_example.json": TABLE}, run_id=run_id))
    assert str(none.value) == (
        "no reference found, looked at: extra_files/reference.parquet of the model, "
        "reference.parquet of the model, monitoring/reference.parquet of the run, "
        "reference_table.json of the run"
    )


def test_a_version_without_a_run(registry: Registry, world: World) -> None:
    with pytest.raises(ReferenceNotFoundError, match=r"of the model \(the version has no source run\)$"):
        load(registry, world.log_version())


def test_a_deleted_run_still_has_its_artifacts(registry: Registry, world: World) -> None:
    run_id = world.add_run({"monitoring/reference.parquet": reference("run_artifact")})
    model = world.log_version(run_id=run_id)
    world.client.delete_run(run_id)
    assert load(registry, model).source == "run_artifact"


@pytest.mark.parametrize("as_uri", [False, True])
def test_the_configuration_may_name_a_file_of_this_machine(
    registry: Registry, world: World, tmp_path: Path, as_uri: bool
) -> None:
    path = tmp_path / "a #1?.csv"
    path.write_text("mark,x\nlocal,1.5\n")
    tags = {"monitoring.reference_uri": "runs:/nothing/r.csv"}
    model = world.log_version({"reference.parquet": reference("model")}, tags=tags)
    data = load(registry, model, reference_uri=path.as_uri() if as_uri else str(path))
    assert (mark(data), data.source) == ("local", "config")


def test_the_configuration_may_name_what_a_tag_may(registry: Registry, world: World) -> None:
    run_id = world.add_run({"shared/r.parquet": reference("shared")})
    data = load(registry, world.log_version(), reference_uri=f"runs:/{run_id}/shared/r.parquet")
    assert (mark(data), data.source) == ("shared", "config")


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("/nowhere/r.csv", "it cannot be read: No such file or directory"),
        ("/etc", "'etc' does not end in .parquet, .csv, .json, .jsonl"),
        ("ftp://host/r.csv", "ftp://host/r.csv is not read"),
        ("runs:/0123/r.csv", "there is no such file"),
    ],
)
def test_what_the_configuration_names_has_to_be_there(
    registry: Registry, world: World, uri: str, message: str
) -> None:
    model = world.log_version({"reference.parquet": reference("model")})
    with pytest.raises(ReferenceInvalidError, match=f"^reference_uri of the configuration, {uri}: {message}"):
        load(registry, model, reference_uri=uri)


def test_a_run_that_leads_to_this_machine_is_not_read(
    registry: Registry, world: World, tmp_path: Path
) -> None:
    """Users that may create an experiment choose where its artifacts are."""
    (tmp_path / "r.csv").write_text("mark,x\nlocal,1.5\n")
    experiment_id = world.client.create_experiment(tmp_path.name, artifact_location=tmp_path.as_uri())
    run_id = world.client.create_run(experiment_id).info.run_id
    with pytest.raises(ReferenceInvalidError):
        load(registry, world.log_version(), reference_uri=f"runs:/{run_id}/r.csv")


# -- what is said of the reference --------------------------------------------------------------------------


MLMODEL = b"metadata: {monitoring: {target: late, task: binary, reference_split: test}}\n"


def test_the_models_metadata_tells_target_task_and_split(registry: Registry, world: World) -> None:
    model = world.log_version({"reference.parquet": reference("model"), "MLmodel": MLMODEL})
    data = load(registry, model)
    assert (data.target, data.task, data.split) == ("late", "binary", "test")


def test_tags_win_over_metadata(registry: Registry, world: World) -> None:
    tags = {"monitoring.target": "delay", "monitoring.task": "regression"}
    model = world.log_version({"reference.parquet": reference("model"), "MLmodel": MLMODEL}, tags=tags)
    data = load(registry, model)
    assert (data.target, data.task, data.split) == ("delay", "regression", "test")


def test_the_configuration_wins_over_metadata(registry: Registry, world: World) -> None:
    model = world.log_version({"reference.parquet": reference("model"), "MLmodel": MLMODEL})
    data = load(registry, model, target="delay", task="regression", columns={"exclude": ["x"]})
    assert (data.target, data.task, data.split) == ("delay", "regression", "test")
    assert not data.columns.select("x")


@pytest.mark.parametrize("value", ["0", '"0"', "0.0"])
def test_a_positive_class_may_be_zero(registry: Registry, world: World, value: str) -> None:
    metadata = f"metadata: {{monitoring: {{positive_class: {value}}}}}".encode()
    model = world.log_version({"reference.parquet": reference("model"), "MLmodel": metadata})
    assert match_class(load(registry, model).positive_class, ["0", "1"]) == "0"


@pytest.mark.parametrize("mlmodel", [b"", b"[]", b"metadata: 3", b"metadata: {monitoring: [target]}"])
def test_without_metadata_nothing_is_known(registry: Registry, world: World, mlmodel: bytes) -> None:
    data = load(registry, world.log_version({"reference.parquet": reference("model"), "MLmodel": mlmodel}))
    assert (data.target, data.task, data.split) == ("", "", "")


@pytest.mark.parametrize(
    "mlmodel",
    [b"a: [b", b"a: 2026-02-30", b"a: !!timestamp x", b"a: " + b"1" * 5000, b"[" * 5000, b"\xff"],
    ids=lambda mlmodel: repr(mlmodel[:9]),
)
def test_metadata_that_cannot_be_read_is_an_error(registry: Registry, world: World, mlmodel: bytes) -> None:
    """The bins are frozen: better none than with the target among the features."""
    model = world.log_version({"reference.parquet": reference("model"), "MLmodel": mlmodel})
    with pytest.raises(ReferenceInvalidError, match="the model's MLmodel cannot be read"):
        load(registry, model)


def test_metadata_that_repeats_itself_does_not_grow(registry: Registry, world: World) -> None:
    """Each level of lists is ten times the one below, were it written out."""
    lists = ["a0: &a0 [x, x]", *(f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 10)}]" for k in range(1, 9))]
    mlmodel = "metadata: {monitoring: {target: *a8, task: binary}}"
    files = {"reference.parquet": reference("model"), "MLmodel": "\n".join([*lists, mlmodel]).encode()}
    data = load(registry, world.log_version(files))
    assert (data.target, data.task) == ("", "binary")


def test_metadata_that_merges_itself_is_not_read(registry: Registry, world: World) -> None:
    merges = [
        "a0: &a0 {x: 1}",
        *(f"a{k}: &a{k} {{<<: [{', '.join([f'*a{k - 1}'] * 10)}]}}" for k in range(1, 5)),
    ]
    files = {"reference.parquet": reference("model"), "MLmodel": "\n".join(merges).encode()}
    with pytest.raises(ReferenceInvalidError, match="the model's MLmodel cannot be read"):
        load(registry, world.log_version(files))


INPUTS = [
    {"name": "zip", "type": "string", "required": True},
    {"name": "score", "type": "double", "required": True},
    {"name": "tags", "type": "array", "items": {"type": "string"}, "required": False},
]


def signed(inputs: object) -> bytes:
    """An MLmodel with a signature as MLflow writes it."""
    return yaml.safe_dump(
        {"flavors": {}, "signature": {"inputs": json.dumps(inputs), "outputs": None}}
    ).encode()


def test_the_signature_tells_the_features(registry: Registry, world: World) -> None:
    files = {"reference.parquet": reference("model"), "MLmodel": signed(INPUTS)}
    assert load(registry, world.log_version(files)).inputs == {
        "zip": "string",
        "score": "double",
        "tags": "array",
    }


@pytest.mark.parametrize(
    "inputs",
    [[{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 4]}}], {"zip": 1}, [1], "x", None],
    ids=str,
)
def test_a_signature_without_names_tells_nothing(registry: Registry, world: World, inputs: object) -> None:
    files = {"reference.parquet": reference("model"), "MLmodel": signed(inputs)}
    assert load(registry, world.log_version(files)).inputs == {}


def test_the_signature_tells_the_types_of_csv(registry: Registry, world: World) -> None:
    run_id = world.add_run({"reference.csv": b"zip,score\n12345,640\n54321,580\n"})
    tags = {"monitoring.reference_uri": f"runs:/{run_id}/reference.csv"}
    data = load(registry, world.log_version({"MLmodel": signed(INPUTS)}, tags=tags))
    assert data.table.to_pydict() == {"zip": ["12345", "54321"], "score": [640.0, 580.0]}
    assert data.notes == ("text by the model's signature: zip",)


def test_the_rows_own_columns_can_be_named(registry: Registry, world: World) -> None:
    mlmodel = b"metadata: {monitoring: {score: p1, prediction: answer, timestamp: at}}"
    files = {"reference.parquet": reference("model"), "MLmodel": mlmodel}
    model = world.log_version(files, tags={"monitoring.score": "p2"})
    data = load(registry, model, timestamp="moment")
    assert (data.score, data.prediction, data.timestamp) == ("p2", "answer", "moment")


def test_a_training_dataset_is_known_to_be_training_data(registry: Registry, world: World) -> None:
    run_id = world.add_run({"train.csv": b"x\n1\n"})
    source = json.dumps({"uri": f"runs:/{run_id}/train.csv"})
    world.add_dataset(run_id, source, {"mlflow.data.context": "training"})
    assert load(registry, world.log_version(run_id=run_id)).split == "train"


@pytest.mark.filterwarnings("ignore")  # MLflow's own, on logging a model
def test_a_model_logged_with_mlflow(
    registry: Registry, mlflow_server: MlflowServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import mlflow
    from sklearn.dummy import DummyClassifier

    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server.uri)
    pq.write_table(pa.table({"x": [1.5, 2.5], "late": [0, 1]}), tmp_path / "reference.parquet")
    with mlflow.start_run():
        mlflow.sklearn.log_model(
            DummyClassifier().fit([[0], [1]], [0, 1]),
            name="model",
            extra_files=[str(tmp_path / "reference.parquet")],
            metadata={"monitoring": {"target": "late", "task": "binary", "reference_split": "test"}},
            serialization_format="cloudpickle",
            pip_requirements=["scikit-learn"],
            registered_model_name="logged-with-mlflow",
            signature=mlflow.models.ModelSignature(
                mlflow.types.Schema(
                    [mlflow.types.ColSpec("double", "x"), mlflow.types.ColSpec("string", "zip")]
                )
            ),
        )
        mlflow.log_table({"x": [1]}, "reference_table.json")
    mlflow.MlflowClient().set_registered_model_alias("logged-with-mlflow", "champion", "1")
    data = load(registry, "logged-with-mlflow")
    assert (data.source, data.target, data.task, data.split) == ("extra_files", "late", "binary", "test")
    assert data.table.to_pydict() == {"x": [1.5, 2.5], "late": [0, 1]}
    assert data.inputs == {"x": "double", "zip": "string"}


@pytest.mark.filterwarnings("ignore")  # MLflow's own, on logging a model
def test_the_readmes_example_logs_a_model_with_its_reference(
    registry: Registry,
    mlflow_server: MlflowServer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    import numpy as np
    import pandas as pd
    from sklearn.ensemble import RandomForestClassifier

    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server.uri)
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    held_out = pd.DataFrame({"age": random.normal(40, 12, 500), "amount": random.exponential(80, 500)})
    labels = (held_out["amount"] > 150).astype(int).rename("is_fraud")
    times = pd.date_range("2026-10-01", periods=500, freq="h")
    model = RandomForestClassifier(max_depth=3).fit(held_out, labels)
    [example] = re.findall(r"```python\n(import mlflow\n.+?)```", README, re.S)
    exec(example, {"held_out": held_out, "labels": labels, "times": times, "model": model})
    data = load(registry, "fraud")
    assert (data.source, data.target, data.split) == ("model", "is_fraud", "test")
    assert set(data.table.column_names) == {
        "age", "amount", "is_fraud", "timestamp", "prediction", "score"
    }  # fmt: skip
    reference = build_reference(data, Settings().windows, 500)
    assert (reference.rows, reference.task) == (500, "binary")
    assert [column.name for column in reference.columns] == ["age", "amount", "prediction", "score"]


# -- what is broken -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"not parquet", "cannot be read as parquet"),
        (parquet(x=[]), "has no rows"),
        (parquet(), "has no columns"),
    ],
)
def test_a_broken_reference_is_an_error_and_not_passed_over(
    registry: Registry, world: World, content: bytes, message: str
) -> None:
    run_id = world.add_run({"reference_table.json": TABLE})
    model = world.log_version({"extra_files/reference.parquet": content}, run_id=run_id)
    with pytest.raises(
        ReferenceInvalidError, match=rf"^extra_files/reference.parquet of the model: .*{message}"
    ):
        load(registry, model)


def test_one_row_is_read(registry: Registry, world: World) -> None:
    assert load(registry, world.log_version({"reference.parquet": reference("model")})).table.num_rows == 1


def test_more_rows_than_wanted_are_sampled(
    mlflow_environment: None, mlflow_server: MlflowServer, world: World
) -> None:
    registry = Registry(mlflow_server.uri, None, 20)
    model = world.log_version({"reference.parquet": parquet(x=list(range(100)))})
    version = registry.poll().models[model].versions["1"]
    data = registry.load_reference(version, ModelConfig(), lambda file: read_reference(file, 10))
    assert data.table.num_rows == 10
    assert data.notes == ("a uniform sample of 10 of 100 rows",)


def test_a_huge_file_is_not_downloaded(
    registry: Registry, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(exporter.profiling.files.MAX_BYTES, ".parquet", 100)
    model = world.log_version({"reference.parquet": reference("model")})
    monkeypatch.setattr(registry._mlflow, "download", lambda *_: pytest.fail("downloaded"))
    with pytest.raises(ReferenceInvalidError, match="are not read; a sample of the rows"):
        load(registry, model)


def test_nothing_stays_on_disk(
    registry: Registry, world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    good = world.log_version({"reference.parquet": reference("model"), "MLmodel": MLMODEL})
    broken = world.log_version({"reference.parquet": b"not parquet"})
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    load(registry, good)
    with pytest.raises(ReferenceInvalidError):
        load(registry, broken)
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_cannot_be_read_is_named(registry: Registry, world: World) -> None:
    model = world.add_model()
    world.client.set_registered_model_alias(model, "champion", "1")
    with pytest.raises(ReferenceInvalidError, match=rf"{NOWHERE}/extra_files cannot be read"):
        load(registry, model)


def test_mlflow_going_down_is_not_taken_for_a_missing_reference(
    registry: Registry, world: World, free_port: int
) -> None:
    model = world.log_version()
    version = registry.poll().models[model].versions["1"]
    stopped = Registry(f"http://127.0.0.1:{free_port}", None, 2)
    with pytest.raises(RegistryUnreachableError):
        stopped.load_reference(version, ModelConfig(), lambda file: file)


# -- places that a person named -----------------------------------------------------------------------------


def test_a_tag_may_name_a_file_of_another_version(registry: Registry, world: World) -> None:
    shared = world.log_version({"extra_files/reference.parquet": reference("shared")})
    uri = f"models:/{shared}/1/extra_files/reference.parquet"
    assert mark(load(registry, world.log_version(tags={"monitoring.reference_uri": uri}))) == "shared"


def test_a_url_of_the_web_is_not_fetched(
    registry: Registry, world: World, web_server: Callable[[Answer], WebServer]
) -> None:
    web = web_server(Answer(200, reference("web")))
    uri = f"{web.uri}/r.parquet?signature=abc"
    message = (
        rf"{web.uri}/r.parquet is not read, only mlflow-artifacts, s3, gs, wasbs are: log the file to MLflow$"
    )
    for model, said in (
        (world.log_version(tags={"monitoring.reference_uri": uri}), {}),
        (world.log_version(), {"reference_uri": uri}),
    ):
        with pytest.raises(ReferenceInvalidError, match=message):
            load(registry, model, **said)
    assert web.paths == []


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("/etc/reference.csv", "is not read, only mlflow-artifacts, s3"),
        ("file:///etc/reference.csv", "is not read, only mlflow-artifacts, s3"),
        ("runs:/0123456789abcdef0123456789abcdef/r.csv", "there is no such file"),
        ("runs:/no run/r.csv", "refuses the request .*Invalid value"),
        ("models:/no-such-model/1/r.csv", "there is no such file"),
        ("mlflow-artifacts:/../../etc/r.csv", "Invalid path"),
        ("mlflow-artifacts:/r.csv", "there is no such file"),
        ("models:/name@champion/r.csv", "has to be as models:/name/1/file"),
        ("mlflow-artifacts:/none/r.csv", "there is no such file"),
        ("https://example.invalid/r.csv?secret=1", r"https://example.invalid/r.csv is not read"),
        ("s3://bucket/r.xlsx", "does not end in .parquet"),
        ("ftp://host/r.csv", "is not read"),
        ("http://[::1/r.csv", "http://.::1/r.csv is no URL"),
        ("s3://[bucket/r.csv", "s3://.bucket/r.csv is no URL"),
        ("http://ada:secret\u2100@host/r.csv", r"http://\*\*\*@host/r.csv is no URL"),
        ("http://ada:secret/word@host/r.csv", r"http://\*\*\*@host/r.csv is no URL"),
        ("http://host:99999/r.csv", "http://host:99999/r.csv is no URL"),
        ("http://:80/r.csv", "is not read"),
        ("runs:/0123456789abcdef0123456789abcdef/../../r.csv", "cannot be followed"),
        ("models:/name/1/%2e%2e/r.csv", "cannot be followed"),
    ],
)
def test_a_tag_that_leads_nowhere_is_an_error(
    registry: Registry, world: World, uri: str, message: str
) -> None:
    model = world.log_version(
        {"reference.parquet": reference("model")}, tags={"monitoring.reference_uri": uri}
    )
    with pytest.raises(ReferenceInvalidError, match=rf"^tag monitoring.reference_uri, .*{message}") as error:
        load(registry, model)
    assert "secret" not in str(error.value)


def test_mlflows_credentials_go_to_no_other_host(
    registry: Registry, world: World, web_server: Callable[[Answer], WebServer]
) -> None:
    other = web_server(Answer(200, b'{"files": []}'))
    uri = f"{other.uri.replace('http', 'mlflow-artifacts')}/r.parquet"
    with pytest.raises(ReferenceInvalidError, match="is on another host than MLflow"):
        load(registry, world.log_version(tags={"monitoring.reference_uri": uri}))
    assert other.paths == []


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ('{"tags": {"mlflow.source.type": "LOCAL"}}', "it does not say which file it came from"),
        ("no json", "it does not say which file it came from"),
        ('{"uri": "/home/ada/train.csv"}', "/home/ada/train.csv is not read, only mlflow-artifacts, s3"),
        ('{"url": "https://example.invalid/train.csv"}', "https://example.invalid/train.csv is not read"),
        ('{"url": "http://[::1/train.csv"}', "http://.::1/train.csv is no URL"),
    ],
)
def test_a_training_dataset_that_cannot_be_read_is_passed_over(
    registry: Registry, world: World, source: str, reason: str
) -> None:
    run_id = world.add_run()
    world.add_dataset(run_id, source, {"mlflow.data.context": "training"})
    with pytest.raises(ReferenceNotFoundError, match=rf"training dataset 'flights' \({reason}"):
        load(registry, world.log_version(run_id=run_id))


def test_a_dataset_tagged_as_the_reference_has_to_be_readable(registry: Registry, world: World) -> None:
    run_id = world.add_run({"reference_table.json": TABLE})
    world.add_dataset(run_id, '{"uri": "/home/ada/train.csv"}', {"monitoring.reference": "true"})
    with pytest.raises(
        ReferenceInvalidError, match=r"^dataset 'flights' tagged monitoring.reference: .* is not read"
    ):
        load(registry, world.log_version(run_id=run_id))


def test_a_dataset_for_evaluation_is_none(registry: Registry, world: World) -> None:
    run_id = world.add_run()
    world.add_dataset(run_id, '{"uri": "/x.csv"}', {"mlflow.data.context": "evaluation"})
    with pytest.raises(ReferenceNotFoundError, match=r"^((?!dataset).)*$"):
        load(registry, world.log_version(run_id=run_id))
