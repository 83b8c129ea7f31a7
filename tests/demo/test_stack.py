from __future__ import annotations

import os
import socket
from dataclasses import astuple
from pathlib import Path

import pytest

from exporter.demo.stack import Addresses, claim_addresses, clean_environment, find_programs


def test_well_known_ports_are_taken_where_they_are_free() -> None:
    def takes_a_free_one() -> bool:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            free = listener.getsockname()[1]
        with claim_addresses({**ports(0), "exporter": free}) as addresses:
            return addresses.exporter == free

    assert any(takes_a_free_one() for _ in range(10))  # another program may be quicker


def test_where_somebody_listens_another_port_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = listener.getsockname()[1]
        with claim_addresses({**ports(0), "exporter": taken}) as addresses:
            assert addresses.exporter not in (taken, 0)


def test_all_ports_differ() -> None:
    with claim_addresses(ports(0)) as addresses:
        assert len(numbers(addresses)) == 5


def test_a_demo_that_starts_at_the_same_time_has_other_ports() -> None:
    with claim_addresses(ports(0)) as one:
        wanted = {name: getattr(one, name) for name in ports(0)}
        with claim_addresses(wanted) as other:
            assert not numbers(one) & numbers(other)


def test_claims_end_with_the_block() -> None:
    def claims_again() -> bool:
        with claim_addresses(ports(0)) as one:
            wanted = {name: getattr(one, name) for name in ports(0)}
        with claim_addresses(wanted) as later:
            return {name: getattr(later, name) for name in wanted} == wanted

    assert any(claims_again() for _ in range(10))  # another program may be quicker


def test_the_claim_on_a_port_is_in_no_servers_way() -> None:
    with claim_addresses(ports(0)) as addresses, socket.create_server(("127.0.0.1", addresses.exporter)):
        pass


def test_settings_for_another_mlflow_are_not_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://mlflow.example.org")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "secret")
    monkeypatch.setenv("EXPORTER_API_TOKEN_FILE", "/run/secrets/token")
    with claim_addresses(ports(0)) as addresses:
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


def numbers(addresses: Addresses) -> set[int]:
    return set(astuple(addresses))
