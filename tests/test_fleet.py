"""Resolution of the version of a row."""

from __future__ import annotations

import numpy as np
import pytest

from exporter.errors import UnavailableError, UnknownModelError
from exporter.fleet import Fleet, Status, Version
from exporter.payloads.target import Target
from exporter.settings import Settings
from exporter.storage.schema import AliasMove, StoredVersion


def make_version(version: str, model: str = "fraud", status: str = "") -> Version:
    return Version(StoredVersion(int(version), model, version, 0, None, status, 0))


def make_fleet(*versions: str, known: tuple[str, ...] = ("1", "2", "3"), **settings: int) -> Fleet:
    fleet = Fleet(Settings(**settings))
    for version in versions:
        fleet.add(make_version(version))
    fleet.known = {"fraud": frozenset(known)}
    return fleet


def resolve(fleet: Fleet, times: list[float], model: str = "fraud", **target: str) -> dict[str, list[int]]:
    found = fleet.resolve(Target(model, **target), np.array(times, np.float64))
    return {version.version: rows.tolist() for version, rows in found.items()}


def test_a_version_takes_all_rows() -> None:
    assert resolve(make_fleet("1", "2"), [5.0, 1.0], version="2") == {"2": [0, 1]}


def test_an_alias_is_resolved_at_each_rows_own_time() -> None:
    fleet = make_fleet("1", "2")
    fleet.record([AliasMove("fraud", "champion", "1", 100.0), AliasMove("fraud", "champion", "2", 200.0)])
    assert resolve(fleet, [150.0, 250.0, 199.9, 200.0], alias="champion") == {"1": [0, 2], "2": [1, 3]}
    assert resolve(fleet, [300.0, 200.0], alias="champion") == {"2": [0, 1]}


def test_rows_from_before_an_alias_first_move_go_to_its_first_version() -> None:
    fleet = make_fleet("1")
    fleet.record([AliasMove("fraud", "champion", "1", 100.0)])
    assert resolve(fleet, [99.0], alias="champion") == {"1": [0]}


def test_an_alias_that_was_removed_takes_no_rows_but_those_from_before() -> None:
    fleet = make_fleet("1")
    fleet.record([AliasMove("fraud", "champion", "1", 100.0), AliasMove("fraud", "champion", "", 200.0)])
    assert resolve(fleet, [150.0], alias="champion") == {"1": [0]}
    with pytest.raises(UnknownModelError, match="its aliases none"):
        resolve(fleet, [250.0], alias="champion")
    assert fleet.current_aliases() == {}


def test_rows_from_while_an_alias_pointed_to_nothing_are_for_no_version() -> None:
    fleet = make_fleet("1", "2")
    moves = [("1", 100.0), ("", 200.0), ("2", 300.0)]
    fleet.record(AliasMove("fraud", "champion", version, since) for version, since in moves)
    assert resolve(fleet, [150.0, 250.0, 350.0], alias="champion") == {"1": [0], "2": [2]}
    assert resolve(fleet, [250.0], alias="champion") == {}
    fleet.record([AliasMove("fraud", "champion", "", 400.0)])
    assert resolve(fleet, [450.0, 350.0], alias="champion") == {"2": [1]}
    with pytest.raises(UnknownModelError, match="alias 'champion' of model 'fraud' is not monitored"):
        resolve(fleet, [450.0, 250.0], alias="champion")


def test_so_are_rows_whose_version_was_deleted_since() -> None:
    fleet = make_fleet("2", known=("2",))
    fleet.record([AliasMove("fraud", "champion", "1", 100.0), AliasMove("fraud", "champion", "2", 200.0)])
    assert resolve(fleet, [150.0, 250.0], alias="champion") == {"2": [1]}
    assert resolve(fleet, [150.0], alias="champion") == {}
    fleet.known = None  # only the registry can say that it was deleted
    with pytest.raises(UnavailableError, match="MLflow has not answered since the start"):
        resolve(fleet, [150.0, 250.0], alias="champion")


def test_what_is_not_monitored_is_answered_with_what_is() -> None:
    fleet = make_fleet("1", "2")
    fleet.record([AliasMove("fraud", "champion", "1", 100.0)])
    with pytest.raises(UnknownModelError, match="model 'spam' is not monitored; monitored are: fraud"):
        resolve(fleet, [1.0], model="spam", version="1")
    with pytest.raises(
        UnknownModelError, match=r"version '9' .*; its versions are 1, 2, its aliases champion"
    ):
        resolve(fleet, [1.0], version="9")
    with pytest.raises(UnknownModelError, match="alias 'challenger' of model 'fraud' is not monitored"):
        resolve(fleet, [1.0], alias="challenger")


def test_before_the_registry_was_asked_nobody_is_told_that_a_model_is_unknown() -> None:
    fleet = Fleet(Settings(mlflow_poll_interval_seconds=12.5))
    with pytest.raises(UnavailableError, match="MLflow has not answered since the start") as error:
        resolve(fleet, [1.0], version="1")
    assert error.value.retry_after_seconds == 13


def test_a_version_of_a_monitored_model_is_wanted_once_traffic_names_it() -> None:
    fleet = make_fleet("1")
    with pytest.raises(UnavailableError, match="version 3 of 'fraud' was not monitored yet and will be"):
        resolve(fleet, [1.0], version="3")
    assert fleet.take_wanted() == {("fraud", "3")}
    assert fleet.take_wanted() == frozenset()


def test_so_is_the_retired_one_that_an_alias_pointed_to_at_a_rows_time() -> None:
    fleet = make_fleet("2")
    fleet.record([AliasMove("fraud", "champion", "1", 100.0), AliasMove("fraud", "champion", "2", 200.0)])
    with pytest.raises(UnavailableError):
        resolve(fleet, [150.0, 250.0], alias="champion")
    assert fleet.take_wanted() == {("fraud", "1")}


def test_traffic_cannot_want_more_versions_than_are_monitored_at_most() -> None:
    fleet = make_fleet("1", known=("1", "2", "3", "4"), max_versions=3)
    for version in ("2", "3", "4"):
        with pytest.raises(UnavailableError):
            resolve(fleet, [1.0], version=version)
    assert fleet.take_wanted() == {("fraud", "2"), ("fraud", "3")}


def test_a_version_that_was_removed_takes_no_rows() -> None:
    fleet = make_fleet("1", "2", known=("2",))
    fleet.remove([("fraud", "1")])
    with pytest.raises(UnknownModelError):
        resolve(fleet, [1.0], version="1")


def test_a_version_knows_from_the_store_why_it_has_no_reference() -> None:
    assert make_version("1").status is Status.PENDING
    assert make_version("1", status=Status.NO_REFERENCE).status is Status.NO_REFERENCE
