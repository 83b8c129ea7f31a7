from __future__ import annotations

from datetime import datetime

import pandas as pd
import pytest

from exporter.demo import releases as releases_module
from exporter.demo.client import Client
from exporter.demo.flights import split_flights
from exporter.demo.releases import Releases
from exporter.demo.scenario import Pace
from exporter.demo.training import TrainedModel
from tests.demo.conftest import PACE


class World(Client):
    """A registry and an exporter that sees each alias as soon as it is asked."""

    def __init__(self) -> None:
        super().__init__("http://nowhere.invalid")
        self.models: list[TrainedModel] = []
        self.aliases: dict[str, str] = {}
        self.seen: list[tuple[str, str]] = []  # champions that the exporter has seen

    def register(self, model: TrainedModel, _: Pace) -> str:
        self.models.append(model)
        return str(len(self.models))

    def point(self, alias: str, version: str) -> None:
        self.aliases[alias] = version

    def monitors(self, model: str, version: str) -> bool:
        self.seen.append((model, version))
        return version in self.aliases.values()


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()
    monkeypatch.setattr(releases_module, "register", world.register)
    monkeypatch.setattr(releases_module, "point", world.point)
    monkeypatch.setattr(releases_module, "allow_rollback", lambda: None)
    monkeypatch.setattr(releases_module, "now", lambda: datetime(2026, 1, 1).astimezone())
    return world


@pytest.fixture
def releases(world: World, flights: pd.DataFrame) -> Releases:
    training, held_out, _ = (part.head(2000) for part in split_flights(flights))
    return Releases(training, held_out, PACE, world)


def test_the_trees_replace_the_splines_once_the_exporter_has_seen_these(
    world: World, releases: Releases
) -> None:
    releases.release_two()
    assert world.seen == [("flight-delays", "1")]
    assert world.aliases == {"champion": "2", "challenger": "1"}
    assert [model.candidate.name for model in world.models] == ["splines", "gradient boosting"]


def test_the_prepared_release_has_learned_from_kilometres(world: World, releases: Releases) -> None:
    releases.release_one_and_prepare_another()
    assert world.aliases == {"champion": "1"}
    miles, kilometres = (model.reference["distance"].mean() for model in world.models)
    assert kilometres == pytest.approx(1.609344 * miles)
    releases.release_prepared()
    assert world.aliases == {"champion": "2"}
