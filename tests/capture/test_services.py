"""Inference services and the versions that they serve."""

from __future__ import annotations

from typing import Any

import pytest

from exporter.capture import services as services_module
from exporter.capture.events import Event
from exporter.capture.services import TAG, NoRoute, Route, Services
from exporter.config.capture import CaptureConfig
from exporter.fleet import Facts, Fleet, Version
from exporter.payloads.outputs import OutputNames
from exporter.payloads.target import Target
from exporter.settings import Settings
from exporter.storage.schema import StoredVersion
from tests.support.fakes import Clock


def event(service: str = "fraud", **attributes: Any) -> Event:
    return Event("request", "7", service, **{"namespace": "shop", "component": "predictor", **attributes})


class World:
    """Versions 1 (champion) and 2 (challenger) of `fraud`, version 1 (prod) of `ranking`, and a clock."""

    def __init__(self) -> None:
        self.fleet = Fleet(Settings())
        self.clock = Clock(0.0)
        self.services = Services(self.fleet, self.clock.monotonic)
        for names, alias in (
            (("fraud", "1"), "champion"),
            (("fraud", "2"), "challenger"),
            (("ranking", "1"), "prod"),
        ):
            version = Version(StoredVersion(len(self.fleet.versions), *names, 0, None, "", 0))
            self.fleet.add(version)
            self.set_alias(*names, alias)

    def set_alias(self, model: str, version: str, *aliases: str) -> None:
        self.fleet.versions[model, version].aliases = aliases

    def tag(self, model: str, version: str, services: str) -> None:
        self.fleet.versions[model, version].facts = Facts(tags={TAG: services})

    def find(self, wanted: Event, **config: Any) -> Target | str:
        """The target of an event under a configuration, or why there is none."""
        self.services.use(CaptureConfig.model_validate(config))
        route = self.services.route(wanted)
        return route.target if isinstance(route, Route) else route.detail


@pytest.fixture
def world() -> World:
    return World()


def test_a_model_of_the_services_name_has_a_champion_or_one_alias(world: World) -> None:
    assert world.find(event()) == Target("fraud", "1")
    assert world.find(event("ranking")) == Target("ranking", "1")
    world.set_alias("fraud", "1", "prod")
    assert world.find(event()) == "several versions may be meant: fraud 1, fraud 2"
    assert "no version has it" in str(world.find(event("unknown")))


def test_a_tag_names_the_service_of_a_version(world: World) -> None:
    world.tag("fraud", "1", "checkout")
    world.tag("fraud", "2", "other, checkout@canary")
    world.tag("ranking", "1", "staging/checkout")
    assert world.find(event("checkout")) == Target("fraud", "1")
    assert world.find(event("checkout", endpoint="canary")) == Target("fraud", "2")
    assert world.find(event("checkout", namespace="staging")) == Target("ranking", "1")
    assert world.find(event("other")) == Target("fraud", "2")


def test_a_tag_of_a_model_means_its_champion(world: World) -> None:
    for version in ("1", "2"):  # has the tags of its model
        world.tag("fraud", version, "checkout")
    assert world.find(event("checkout")) == Target("fraud", "1")


def test_the_configuration_wins_over_tags(world: World) -> None:
    world.tag("ranking", "1", "fraud")
    service = {"model": "fraud", "alias": "prod", "endpoints": {"canary": {"version": "2"}}}
    assert world.find(event(), services={"fraud": service}) == Target("fraud", alias="prod")
    assert world.find(event(endpoint="canary"), services={"fraud": service}) == Target("fraud", "2")
    assert world.find(event(endpoint="default"), services={"fraud": service}) == Target("fraud", alias="prod")
    assert world.find(event()) == Target("ranking", "1")


def test_a_service_of_a_namespace_comes_before_one_of_any(world: World) -> None:
    services = {"fraud": {"model": "fraud", "version": 1}, "shop/fraud": {"model": "fraud", "version": 2}}
    texts = {name: {key: str(value) for key, value in each.items()} for name, each in services.items()}
    assert world.find(event(), services=texts) == Target("fraud", "2")
    assert world.find(event(namespace="other"), services=texts) == Target("fraud", "1")


def test_endpoints_may_be_of_other_models_and_the_only_ones(world: World) -> None:
    service = {"model": "fraud", "endpoints": {"canary": {"model": "ranking", "alias": "prod"}}}
    assert world.find(event(endpoint="canary"), services={"fraud": service}) == Target(
        "ranking", alias="prod"
    )
    assert world.find(event(), services={"fraud": service}) == "the endpoint '' is not configured"


@pytest.mark.parametrize(
    ("annotations", "expected"),
    [
        ({"model": "ranking", "version": "1"}, Target("ranking", "1")),
        ({"model": "ranking", "alias": "prod"}, Target("ranking", alias="prod")),
        ({"model": "ranking"}, Target("fraud", "1")),
        ({"model": "ranking", "version": "1", "alias": "prod"}, Target("fraud", "1")),
    ],
)
def test_annotations_of_the_pod_win_over_all(
    world: World, annotations: dict[str, str], expected: Target
) -> None:
    named = {f"monitoring/{name}": value for name, value in annotations.items()}
    assert world.find(event(annotations=named)) == expected


def test_how_payloads_are_read_is_configured(world: World) -> None:
    service = {"model": "fraud", "version": "1", "id_column": "order", "columns": ["a", "b"]}
    outputs = {"prediction": "label", "score": "p"}
    world.services.use(CaptureConfig.model_validate({"services": {"fraud": {**service, **outputs}}}))
    expected = Route(Target("fraud", "1"), ("a", "b"), "order", OutputNames("label", "p"))
    assert world.services.route(event()) == expected


@pytest.mark.parametrize("annotations", [{}, {"monitoring/model": "fraud", "monitoring/version": "1"}])
def test_other_components_are_ignored(world: World, annotations: dict[str, str]) -> None:
    services = world.services
    found = services.route(event(component="transformer", annotations=annotations))
    assert isinstance(found, NoRoute)
    assert found.ignored
    configured = {"model": "fraud", "version": "1", "component": "transformer"}
    services.use(CaptureConfig.model_validate({"services": {"fraud": configured}}))
    assert isinstance(services.route(event(component="transformer", annotations=annotations)), Route)
    assert isinstance(services.route(event(annotations=annotations)), NoRoute)


def test_what_was_found_is_looked_up_again_after_a_while(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = world.services
    assert isinstance(services.route(event("checkout")), NoRoute)
    world.tag("fraud", "1", "checkout")
    assert isinstance(services.route(event("checkout")), NoRoute)
    world.clock.advance(services_module.CACHE_SECONDS + 1)
    assert services.route(event("checkout")) == Route(Target("fraud", "1"))
    monkeypatch.setattr(services_module, "MAX_CACHED", 3)
    for number in range(10):
        services.route(event(str(number)))
    assert len(services._cached) <= 3
