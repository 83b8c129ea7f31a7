"""Changes in MLflow and of the configuration are in the audit trail, in the transaction that stores them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import exporter.monitoring.config_journal
import exporter.monitoring.discovery
from exporter.config.models import ModelConfig, ModelsConfig
from exporter.errors import StoreError
from exporter.monitoring.config_digest import digest_of_file, digest_of_settings
from exporter.service import load_config_file
from exporter.settings import Settings
from tests.support.fakes import Clock
from tests.support.monitored import make_registry
from tests.support.rig import NOON, Rig, make_rows, make_table
from tests.support.trail import bodies

Start = Callable[..., Rig]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "exporter.yml"
    path.write_text("models: {fraud: {drift_threshold: 0.5}}\n")
    return path


def entries(rig: Rig, kind: str, model: str | None = None) -> list[dict[str, Any]]:
    found = [body for body in bodies(rig.service.store) if body["kind"] == kind]
    return [body for body in found if model is None or body["model"] == model]


def files(rig: Rig) -> list[dict[str, Any]]:
    """Data of the records about the configuration file, oldest first."""
    return [body["data"] for body in entries(rig, "config_changed", model="")]


def of_version(rig: Rig) -> list[dict[str, Any]]:
    found = [body for body in bodies(rig.service.store) if body["kind"] == "config_changed"]
    return [body for body in found if body["model_version"] == "1"]


# -- the configuration --------------------------------------------------------------------------------------


def test_a_reload_records_which_versions_it_concerns(start: Start, file: Path) -> None:
    registry = make_registry(make_table())
    registry.register("spam", make_table(50), alias="champion")
    rig = start(config=str(file), registry=registry)
    fraud = rig.version().facts.config_digest
    before = digest_of_file(load_config_file(file))
    assert files(rig)[-1]["file_after"] == before
    file.write_text("models: {fraud: {drift_threshold: 0.3}}\n")
    rig.service.reload()
    changed = files(rig)[-1]
    after = digest_of_file(load_config_file(file))
    assert (changed["cause"], changed["file_before"], changed["file_after"]) == ("reload", before, after)
    assert changed["versions"] == [
        {"model": "fraud", "model_version": "1", "before": fraud, "after": rig.version().facts.config_digest}
    ]
    recorded = len(files(rig))
    file.write_text("# the same, in other words\nmodels:\n  fraud:\n    drift_threshold: 0.30\n")
    rig.service.reload()
    rig.poll()
    assert len(files(rig)) == recorded


def test_a_file_that_changed_while_the_exporter_was_off_is_recorded_at_its_start(
    start: Start, file: Path
) -> None:
    rig = start(config=str(file))
    digest = rig.version().facts.config_digest
    recorded = len(files(rig))
    rig.stop()
    file.write_text("models: {fraud: {drift_threshold: 0.3}}\n")
    again = start(config=str(file), registry=rig.registry)
    changed = files(again)[recorded:]
    assert [(c["cause"], [v["before"] for v in c["versions"]]) for c in changed] == [("start", [digest])]
    again.stop()
    assert len(files(start(config=str(file), registry=rig.registry))) == recorded + 1, "nothing has changed"


def test_a_reload_that_cannot_be_recorded_is_in_force_and_recorded_later(
    start: Start, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise StoreError("the disk is full")

    rig = start(config=str(file))
    recorded = len(files(rig))
    file.write_text("models: {fraud: {drift_threshold: 0.3}}\n")
    with monkeypatch.context() as failing:
        failing.setattr(exporter.monitoring.config_journal, "append", fail)
        rig.service.reload()
    assert rig.version().facts.thresholds.drift == 0.3
    assert len(files(rig)) == recorded
    rig.poll()
    assert [len(changed["versions"]) for changed in files(rig)[recorded:]] == [1]


def test_the_digest_of_settings_does_not_tell_passwords_apart() -> None:
    one, other = (Settings(store=f"postgresql://ada:{word}@db/exporter") for word in ("secret", "hidden"))
    assert digest_of_settings(one) == digest_of_settings(other) != digest_of_settings(Settings())


def test_the_configuration_is_recorded_with_a_version_from_the_start(rig: Rig) -> None:
    (body,) = of_version(rig)
    facts = rig.version().facts
    assert (body["actor"], body["model"], body["config_digest"]) == ("system", "fraud", facts.config_digest)
    assert (body["data"]["before"], body["data"]["after"]) == ("", facts.config_digest)
    in_force = body["data"]["config"]
    assert in_force["windows"] == ["1h", "24h", "7d"]
    assert in_force["drift_threshold"] == 0.1
    assert in_force["minimums"]["labels"] == 200
    assert "target" not in in_force


def test_a_change_by_a_tag_is_recorded_with_both_digests(rig: Rig) -> None:
    rig.registry.tag("fraud", "1", **{"drift_threshold.age": "0.5"})
    rig.poll()
    before, after = of_version(rig)
    assert after["data"]["before"] == before["data"]["after"]
    assert after["data"]["config"]["drift_thresholds"] == {"age": 0.5}
    rig.registry.tag("fraud", "1", team="risk")  # which decides on nothing
    rig.poll()
    assert len(of_version(rig)) == 2


def test_a_change_by_the_file_is_recorded(rig: Rig) -> None:
    rig.service.discovery.configure(ModelsConfig(models={"fraud": ModelConfig(drift_threshold=0.3)}))
    rig.poll()
    assert of_version(rig)[-1]["data"]["config"]["drift_threshold"] == 0.3


def test_secrets_are_not_recorded(rig: Rig) -> None:
    config = ModelConfig(reference_uri="s3://ada:s3cret@bucket/reference.parquet?token=s3cret")
    rig.service.discovery.configure(ModelsConfig(models={"fraud": config}))
    rig.poll()
    assert of_version(rig)[-1]["data"]["config"]["reference_uri"].startswith("s3://***@bucket/")
    assert "s3cret" not in str(bodies(rig.service.store))


# -- MLflow -------------------------------------------------------------------------------------------------


def test_changed_tags_are_recorded_before_and_after_and_without_secrets(rig: Rig) -> None:
    assert entries(rig, "tags_changed") == []
    rig.registry.tag("fraud", drift_threshold="0.3", reference_uri="s3://key:secret@bucket/reference.parquet")
    rig.poll()
    rig.registry.tag("fraud", drift_threshold="0.4")
    rig.poll()
    rig.poll()
    first, second = entries(rig, "tags_changed")
    assert first["data"] == {
        "before": {},
        "after": {
            "monitoring.drift_threshold": "0.3",
            "monitoring.reference_uri": "s3://***@bucket/reference.parquet",
        },
    }
    threshold = "monitoring.drift_threshold"
    assert second["data"] == {"before": {threshold: "0.3"}, "after": {threshold: "0.4"}}
    assert (second["actor"], second["model_version"]) == ("mlflow", "1")
    assert second["config_digest"] == rig.version().facts.config_digest != first["config_digest"]
    assert all(not changed["versions"] for changed in files(rig)), "the tags' own record says it"


def test_moves_of_aliases_are_recorded_with_the_version_before(rig: Rig) -> None:
    rig.registry.register("fraud", make_table(), alias="champion")
    rig.poll()
    rig.registry.delete_alias("fraud", "champion")
    rig.poll()
    moves = [(body["subject"], body["model_version"], body["data"]) for body in entries(rig, "alias_moved")]
    assert moves == [
        ("champion", "1", {"before": "", "after": "1"}),
        ("champion", "2", {"before": "1", "after": "2"}),
        ("champion", "", {"before": "2", "after": ""}),
    ]


def test_a_move_that_cannot_be_recorded_is_not_stored(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise StoreError("the disk is full")

    rig.registry.register("fraud", make_table(), alias="champion")
    with monkeypatch.context() as failing:
        failing.setattr(exporter.monitoring.discovery, "append", fail)
        with pytest.raises(StoreError):
            rig.poll()
    assert [move.version for move in rig.service.store.load_alias_moves()] == ["1"]
    rig.poll()
    assert [move.version for move in rig.service.store.load_alias_moves()] == ["1", "2"]
    assert len(entries(rig, "alias_moved")) == 2


def test_versions_that_come_and_go_are_recorded(start: Start) -> None:
    rig = start(retire_after_seconds=3600.0)
    rig.registry.register("spam", make_table(50), alias="champion")
    rig.poll()
    rig.registry.delete("spam")
    rig.poll()
    rig.clock.advance(3601)
    rig.poll()
    rig.registry.tag("fraud", enabled="false")
    rig.poll()
    come = [(body["model"], body["model_version"]) for body in entries(rig, "version_monitored")]
    gone = [(body["model"], body["data"]["reason"]) for body in entries(rig, "version_forgotten")]
    assert come == [("fraud", "1"), ("spam", "1")]
    assert gone == [
        ("spam", "no alias, no rows and no labels due"),
        ("fraud", "monitoring.enabled is false"),
    ]


def test_a_version_that_ended_while_the_exporter_was_off_is_recorded_at_its_start(
    start: Start, store_uri: str
) -> None:
    clock = Clock(NOON)
    rig = start(store=store_uri, clock=clock, retire_after_seconds=3600.0)
    rig.registry.delete_alias("fraud", "champion")
    rig.poll()
    rig.stop()
    clock.advance(7200)
    for _ in range(2):
        again = start(store=store_uri, registry=rig.registry, clock=clock, retire_after_seconds=3600.0)
        gone = [body["data"]["reason"] for body in entries(again, "version_forgotten")]
        assert gone == ["it ended while the exporter was off"]
        again.stop()


def test_references_are_recorded_where_they_come_from_and_where_there_is_none(start: Start) -> None:
    rig = start(registry=make_registry(None))
    (missing,) = entries(rig, "reference_missing")
    assert missing["data"]["status"] == "no reference"
    assert missing["data"]["detail"].startswith("no reference found")
    rig.post_rows(make_rows(5))
    rig.registry.set_reference("fraud", "1", make_table())
    rig.registry.tag("fraud", drift_threshold="0.2")  # which has it looked for again
    rig.poll()
    rig.poll()
    (built,) = entries(rig, "reference_built")
    counts = rig.version().counts
    assert counts is not None
    digest = counts.reference.digest
    assert (built["actor"], built["reference_digest"]) == ("monitor", digest)
    assert built["data"] == {
        "old_digest": "",
        "new_digest": digest,
        "source": "extra_files",
        "rows": 1000,
        "columns": 5,
        "provisional": True,
    }
