from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from exporter.demo.stack import choose_addresses, clean_environment, find_programs


def test_well_known_ports_are_taken_where_they_are_free(free_port: int) -> None:
    assert choose_addresses({**ports(0), "exporter": free_port}).exporter == free_port


def test_where_somebody_listens_another_port_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = listener.getsockname()[1]
        assert choose_addresses({**ports(0), "exporter": taken}).exporter not in (taken, 0)


def test_all_ports_differ() -> None:
    addresses = choose_addresses(ports(0))
    numbers = {
        addresses.mlflow,
        addresses.exporter,
        addresses.prometheus,
        addresses.alertmanager,
        addresses.mail,
    }
    assert len(numbers) == 5


def test_settings_for_another_mlflow_are_not_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://mlflow.example.org")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "secret")
    monkeypatch.setenv("EXPORTER_API_TOKEN_FILE", "/run/secrets/token")
    addresses = choose_addresses(ports(0))
    environment = clean_environment(addresses)
    assert environment["MLFLOW_TRACKING_URI"] == f"http://127.0.0.1:{addresses.mlflow}"
    assert not {"MLFLOW_TRACKING_PASSWORD", "EXPORTER_API_TOKEN_FILE"} & set(environment)
    assert environment["PATH"] == os.environ["PATH"]


@pytest.mark.parametrize("name", ["alertmanager", "prometheus-alertmanager"])
def test_alertmanager_is_found_by_both_of_its_names(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for program in ("prometheus", name):
        (tmp_path / program).touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    programs = find_programs()
    assert programs.complete
    assert programs.alertmanager == str(tmp_path / name)


def test_both_are_needed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "prometheus").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not find_programs().complete


def ports(number: int) -> dict[str, int]:
    return dict.fromkeys(("mlflow", "exporter", "prometheus", "alertmanager"), number)
