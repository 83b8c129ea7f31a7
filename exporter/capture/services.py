"""Inference services -> the versions that they serve.

In this order: annotations of the pod that the logger forwards, the configuration file, the tag
`monitoring.inference_service` of a version or model, and a registered model of the service's name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from exporter.capture.events import ANNOTATIONS, Event
from exporter.config.capture import CaptureConfig, ServiceConfig
from exporter.fleet import Fleet, Version
from exporter.payloads.outputs import OutputNames
from exporter.payloads.target import Target

TAG = "monitoring.inference_service"
DEFAULT_ALIAS = "champion"
DEFAULT_COMPONENT = "predictor"
CACHE_SECONDS = 5.0
MAX_CACHED = 10_000


@dataclass(frozen=True)
class Route:
    """Version that answered, and how its payloads are read.

    `columns` are names of inputs without names, `id_column` is the input with ids; both are empty unless they
    are configured.
    """

    target: Target
    columns: tuple[str, ...] = ()
    id_column: str = ""
    outputs: OutputNames = field(default_factory=OutputNames)


@dataclass(frozen=True)
class NoRoute:
    """An event is of no monitored version; `ignored` if that is intended, else `detail` says why."""

    detail: str
    ignored: bool = False


class Services:
    """Finds the version of an event. Methods may be called from any thread."""

    def __init__(self, fleet: Fleet, monotonic: Callable[[], float]) -> None:
        self._fleet = fleet
        self._monotonic = monotonic
        self._config = CaptureConfig()
        self._cached: dict[tuple[str, str, str, str], tuple[float, Route | NoRoute]] = {}

    def use(self, config: CaptureConfig) -> None:
        """Use another configuration from now on."""
        self._config = config
        self._cached = {}

    def route(self, event: Event) -> Route | NoRoute:
        """Return the version and how payloads are read; what MLflow says may be some seconds old."""
        if event.annotations:
            service = self._service(event)
            annotated = _annotated(event)
            if annotated is not None and event.component in ("", _component(service)):
                return _route(annotated, service)
        key = (event.namespace, event.service, event.endpoint, event.component)
        now, cached = self._monotonic(), self._cached
        at, found = cached.get(key, (None, None))
        if at is None or found is None or now - at > CACHE_SECONDS:
            if len(cached) >= MAX_CACHED:
                cached.clear()
            found = self._find(event)
            cached[key] = (now, found)
        return found

    def _service(self, event: Event) -> ServiceConfig | None:
        services = self._config.services
        return services.get(f"{event.namespace}/{event.service}") or services.get(event.service)

    def _find(self, event: Event) -> Route | NoRoute:
        service = self._service(event)
        if event.component not in ("", _component(service)):
            return NoRoute(f"the component {event.component} is not monitored", ignored=True)
        if service is not None:
            endpoint = service.endpoints.get(event.endpoint)
            chosen = endpoint or service
            if chosen.version is None and chosen.alias is None:
                return NoRoute(f"the endpoint {event.endpoint!r} is not configured")
            model = (endpoint.model if endpoint is not None else None) or service.model
            return _route(Target(model, chosen.version or "", chosen.alias or ""), service)
        tagged = self._tagged(event)
        found = tagged or [each for each in self._fleet.versions.values() if each.model == event.service]
        if not found:
            return NoRoute(f"no version has it: neither by `capture`, nor a tag {TAG}, nor its model's name")
        version = _serving(found)
        if version is None:
            names = ", ".join(sorted(f"{each.model} {each.version}" for each in found)[:10])
            return NoRoute(f"several versions may be meant: {names}")
        return Route(Target(version.model, version.version))

    def _tagged(self, event: Event) -> list[Version]:
        """Versions whose tag names the service, those that name endpoint and namespace before others."""
        best, found = (False, False), list[Version]()
        for version in self._fleet.versions.values():
            for text in version.facts.tags.get(TAG, "").split(","):
                named, _, endpoint = text.strip().partition("@")
                namespace, _, service = named.rpartition("/")
                fits = namespace in ("", event.namespace) and endpoint in ("", event.endpoint)
                if not service or service != event.service or not fits:
                    continue
                rank = (endpoint != "", namespace != "")
                if rank > best:
                    best, found = rank, []
                if rank == best:
                    found.append(version)
        return found


def _serving(versions: Iterable[Version]) -> Version | None:
    """The version that is meant: the only one, the champion, or the only one with an alias."""
    found = list(versions)
    aliased = [each for each in found if each.aliases]
    champions = [each for each in aliased if DEFAULT_ALIAS in each.aliases]
    return next((each[0] for each in (found, champions, aliased) if len(each) == 1), None)


def _annotated(event: Event) -> Target | None:
    model, version, alias = (event.annotations.get(name, "") for name in ANNOTATIONS)
    if not model or bool(version) == bool(alias):
        return None
    return Target(model, version, alias)


def _component(service: ServiceConfig | None) -> str:
    return DEFAULT_COMPONENT if service is None else service.component


def _route(target: Target, service: ServiceConfig | None) -> Route:
    if service is None:
        return Route(target)
    names = OutputNames(service.prediction or "", service.score or "")
    return Route(target, service.columns, service.id_column or "", names)
