"""Changes of the configuration are in the audit trail, with what is in force for each version."""

from __future__ import annotations

from typing import Any

from exporter.model_config import ModelConfig, ModelsConfig
from tests.support.rig import Rig
from tests.support.trail import bodies


def of_version(rig: Rig) -> list[dict[str, Any]]:
    found = [body for body in bodies(rig.service.store) if body["kind"] == "config_changed"]
    return [body for body in found if body["model_version"] == "1"]


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
