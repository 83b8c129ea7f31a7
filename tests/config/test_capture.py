"""The section `capture`."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.config.capture import CaptureConfig
from exporter.config.file import ConfigFile, load_config_file
from exporter.errors import ConfigError
from exporter.settings import Settings


def load(path: Path, text: str) -> ConfigFile:
    (path / "exporter.yml").write_text(text)
    return load_config_file(path / "exporter.yml", Settings())


def test_services_are_named_with_or_without_a_namespace(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        """
capture:
  wait: 2m
  services:
    fraud-detector: {model: fraud, alias: champion, endpoints: {canary: {alias: challenger}}}
    shop/ranking: {model: ranking, version: 7, id_column: session, columns: [a, b], score: p}
""",
    ).capture
    assert config.wait == 120
    assert config.services["fraud-detector"].endpoints["canary"].alias == "challenger"
    assert config.services["shop/ranking"].version == "7"
    assert config.services["shop/ranking"].columns == ("a", "b")


def test_without_the_section_there_are_defaults(tmp_path: Path) -> None:
    assert load(tmp_path, "capture:").capture == CaptureConfig() == load(tmp_path, "").capture
    assert CaptureConfig().wait == 60


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("wait: 0", "exporter.yml:1: capture.wait: has to be from 1s to 1h"),
        ("wait: 2h", "exporter.yml:1: capture.wait: has to be from 1s to 1h"),
        ("services: {a: {model: m}}", "capture.services.a: `version`, `alias` or `endpoints` is required"),
        (
            "services: {a: {model: m, version: 1, alias: b}}",
            "capture.services.a: `version` or `alias`, not both",
        ),
        (
            "services: {a: {model: m, endpoints: {canary: {model: n}}}}",
            "capture.services.a.endpoints.canary: `version` or `alias` is required, not both",
        ),
        ("services: {a: {version: 1}}", "capture.services.a.model: is missing"),
        ("services: {a: {model: m, version: 1, colums: [b]}}", "unknown key; did you mean columns?"),
        ("servces: {}", "capture.servces: unknown key; did you mean services?"),
    ],
)
def test_mistakes_are_told(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(ConfigError, match=r"exporter\.yml:1") as told:
        load(tmp_path, f"capture: {{{line}}}")
    assert said in str(told.value)


def test_the_tag_of_a_service_is_no_setting_of_the_model() -> None:
    _, problems = ConfigFile().resolve("fraud", {"monitoring.inference_service": "shop/fraud"})
    assert problems == ()
