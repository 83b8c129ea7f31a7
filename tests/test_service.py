"""The service: its loops, and its configuration file at the start, on reload, and when it is broken."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import orjson
import pyarrow as pa
import pytest

from exporter.audit.checkpoint import checkpoints
from exporter.audit.read_only import reading
from exporter.audit.trail import read
from exporter.errors import ConfigError, RegistryUnreachableError
from exporter.service import Service
from exporter.settings import Settings
from tests.ingest.test_join import make_labelled_table
from tests.support.fakes import FakeRegistry
from tests.support.monitored import make_registry
from tests.support.rig import Rig, eventually, make_rows, make_table

Start = Callable[..., Rig]
SUCCESSFUL = "mlflow_exporter_config_last_reload_successful"
TIMESTAMP = "mlflow_exporter_config_last_reload_success_timestamp_seconds"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "exporter.yml"
    path.write_text("models: {fraud: {drift_threshold: 0.5}}\n")
    return path


def limit(rig: Rig, column: str = "age") -> float | None:
    """Return the drift limit of a column in a new evaluation."""
    rig.evaluate()
    labels = f'model="fraud",model_version="1",column="{column}",role="feature",window="24h"'
    return rig.sample(f"mlflow_model_drift_limit{{{labels}}}")


def test_thresholds_hold_from_the_start_and_change_at_the_next_evaluation_after_a_reload(
    start: Start, file: Path
) -> None:
    plain, rig = start(), start(config=str(file), store=f"sqlite:///{file.parent}/other.db")
    for each in (plain, rig):
        each.post_rows(make_rows(500))
    base = limit(plain)
    assert base is not None
    assert limit(rig) == pytest.approx(base + 0.4)
    file.write_text("models: {fraud: {drift_thresholds: {age: 0.3}}}\n")
    rig.service.reload()
    assert limit(rig) == pytest.approx(base + 0.2)
    assert limit(rig, "country") == limit(plain, "country")


def test_tags_win(start: Start, file: Path) -> None:
    rig = start(config=str(file))
    rig.registry.tag("fraud", drift_threshold="0.7")
    rig.poll()
    assert rig.version().facts.thresholds.drift == 0.7
    rig.service.reload()
    assert rig.version().facts.thresholds.drift == 0.7
    rig.registry.tag("fraud", drift_threshold="")
    rig.poll()
    assert rig.version().facts.thresholds.drift == 0.5


def test_it_holds_after_a_restart_while_mlflow_is_down(start: Start, file: Path) -> None:
    before = start()
    before.stop()
    before.registry.failure = RegistryUnreachableError("MLflow is down")
    after = start(config=str(file), registry=before.registry)
    assert after.version().facts.thresholds.drift == 0.5


def test_a_broken_file_is_refused_at_the_start(start: Start, file: Path) -> None:
    file.write_text("models: {fraud: {treshold: 1}}\n")
    with pytest.raises(ConfigError, match=r"exporter\.yml:1: models\.fraud\.treshold: unknown key"):
        start(config=str(file))


def test_a_broken_file_changes_nothing_later_and_is_seen(
    start: Start, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rig = start(config=str(file))
    read_at = rig.clock()
    assert (rig.sample(SUCCESSFUL), rig.sample(TIMESTAMP)) == (1, read_at)
    rig.clock.advance(60)
    file.write_text("models: {fraud: {drift_threshold: no}}\n")
    with pytest.raises(ConfigError):
        rig.service.reload()
    assert (rig.sample(SUCCESSFUL), rig.sample(TIMESTAMP)) == (0, read_at)
    assert "drift_threshold: has to be a number" in caplog.text
    assert rig.version().facts.thresholds.drift == 0.5
    file.write_text("")
    rig.service.reload()
    assert (rig.sample(SUCCESSFUL), rig.sample(TIMESTAMP)) == (1, read_at + 60)
    assert rig.version().facts.thresholds.drift == 0.1


def test_without_a_file_there_is_nothing_to_reload(rig: Rig) -> None:
    rig.service.reload()
    assert rig.sample(SUCCESSFUL) is None
    assert rig.sample(TIMESTAMP) is None


def test_a_reload_looks_again_for_a_reference_that_could_not_be_found(start: Start, file: Path) -> None:
    rig = start(config=str(file))
    rig.registry.register("spam", alias="champion")
    rig.poll()
    rig.registry.set_reference("spam", "1", make_table())
    rig.poll()
    assert rig.version(model="spam").counts is None
    rig.service.reload()
    rig.poll()
    assert rig.version(model="spam").counts is not None


def test_columns_that_are_left_out_are_not_profiled(start: Start, file: Path) -> None:
    file.write_text("models: {fraud: {task: regression, columns: {exclude: [age, nothing]}}}\n")
    rig = start(config=str(file))
    assert rig.version().counts is not None
    reference = rig.version().counts.reference
    assert [column.name for column in reference.columns] == ["country", "new", "prediction", "score"]
    assert "left out on demand: age" in reference.notes
    assert reference.task == "regression"


def test_live_rows_become_a_reference_by_the_same_configuration(start: Start, file: Path) -> None:
    file.write_text("models: {spam: {task: multiclass, columns: {include: [age]}}}\n")
    rig = start(config=str(file), reference_live_rows=20)
    rig.registry.register("spam", alias="champion")
    rig.poll()
    rig.post({"model": "spam", "version": "1", "predictions": make_rows(20)})
    rig.poll()
    counts = rig.version(model="spam").counts
    assert counts is not None
    assert [column.name for column in counts.reference.columns] == ["age", "prediction", "score"]
    assert (counts.reference.task, counts.reference.split) == ("multiclass", "live")


def test_a_model_that_is_not_monitored_is_told_once(
    start: Start, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file.write_text("models: {fruad: {drift_threshold: 0.5}, fraud: {}}\n")
    with caplog.at_level(logging.WARNING):
        rig = start(config=str(file))
        rig.poll()
    assert caplog.text.count("the configuration speaks of what is not monitored: fruad") == 1


@pytest.mark.parametrize(
    ("written", "positive"),
    [("1", "1"), ("1.0", "1"), ("true", "1"), ("'True'", "1"), ("0", "0"), ("0.00", "0"), ("false", "0")],
)
def test_a_positive_class_is_the_same_however_it_is_written(
    start: Start, file: Path, written: str, positive: str
) -> None:
    file.write_text(f"models: {{fraud: {{positive_class: {written}}}}}\n")
    registry = FakeRegistry()
    registry.register("fraud", make_labelled_table(), alias="champion")
    rig = start(config=str(file), registry=registry)

    rows = [{**row, "prediction": number % 4 == 0} for number, row in enumerate(make_rows(400, prefix="p"))]
    rig.post_rows(rows)
    rig.post_labels({f"p{number}": float(number % 4 == 0 or number % 2 == 0) for number in range(400)})

    # Half of the labels are 1; the 1s that are predicted all are, of the 0s that are predicted two thirds.
    counts = rig.version().counts
    assert counts is not None
    assert (counts.reference.classes, counts.reference.positive_class) == (("0", "1"), positive)
    assert rig.quality("precision") == pytest.approx({"1": 1.0, "0": 2 / 3}[positive])
    assert rig.quality("recall") == pytest.approx({"1": 0.5, "0": 1.0}[positive])


def test_a_positive_class_that_is_a_text_is_that_text(start: Start, file: Path) -> None:
    """A class that the data call "1.0" differs from 1."""
    file.write_text("models: {fraud: {positive_class: '1.0'}}\n")
    table = make_labelled_table()
    named = [{0: "1.0", 1: "2.0"}[label] for label in table["label"].to_pylist()]
    table = table.set_column(table.column_names.index("label"), "label", pa.array(named))
    predicted = [{0: "1.0", 1: "2.0"}[value] for value in table["prediction"].to_pylist()]
    table = table.set_column(table.column_names.index("prediction"), "prediction", pa.array(predicted))
    registry = FakeRegistry()
    registry.register("fraud", table, alias="champion")
    rig = start(config=str(file), registry=registry)

    counts = rig.version().counts
    assert counts is not None
    assert (counts.reference.classes, counts.reference.positive_class) == (("1.0", "2.0"), "1.0")


def test_its_loops_run_until_it_is_stopped(tmp_path: Path) -> None:
    registry = make_registry(make_table())
    quick = {"evaluation_interval_seconds": 0.02, "mlflow_poll_interval_seconds": 0.02}
    service = Service(Settings(store=f"sqlite:///{tmp_path}/exporter.db", **quick), registry)
    service.start()
    try:
        registry.register("spam", make_table(), alias="champion")
        eventually(lambda: ("spam", "1") in service.fleet.versions)
        spam = service.fleet.versions["spam", "1"]
        eventually(lambda: spam.evaluation is not None)
        registry.failure = ZeroDivisionError("a bug in a poll")
        assert spam.evaluation is not None
        seen = spam.evaluation.at
        eventually(lambda: spam.evaluation is not None and spam.evaluation.at > seen)
        registry.failure = None
        registry.register("ham", make_table(), alias="champion")
        eventually(lambda: ("ham", "1") in service.fleet.versions)
        assert service.fault() == ""
        registry.loading.clear()
        registry.register("slow", make_table(), alias="champion")
        eventually(lambda: not service.discovery.loader.idle())
    finally:
        service.stop()
        hanging = not service.discovery.loader.idle()
        registry.loading.set()
    assert hanging  # and it ended nevertheless


def test_the_trail_begins_with_the_start_and_ends_with_the_stop(tmp_path: Path) -> None:
    settings = Settings(store=f"sqlite:///{tmp_path}/exporter.db", runs=False)
    for _ in range(2):
        service = Service(settings, make_registry(make_table()))
        service.start()
        eventually(lambda: service.telemetry.remediation.checkpoint)  # noqa: B023
        # Its poll is recorded too, and would be recorded after the stop.
        eventually(lambda: any(each.counts for each in service.fleet.versions.values()))  # noqa: B023
        service.stop()
    with reading(settings.store) as connection:
        bodies = [orjson.loads(record.body or b"{}") for record in read(connection)]
        signed = [made.seq for made in checkpoints(connection)]
    kinds = [body["kind"] for body in bodies]
    assert (kinds[0], kinds[-1]) == ("started", "stopped")
    assert kinds.count("started") == kinds.count("stopped") == 2
    assert [body["data"]["clean"] for body in bodies if body["kind"] == "started"] == [True, True]
    assert signed[-1] == len(bodies), "the last checkpoint includes the stop"
