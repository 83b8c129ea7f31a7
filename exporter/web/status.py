"""The status page: all versions, the worst first."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock

from exporter.aggregates.state import VersionCounts
from exporter.fleet import Fleet, Version
from exporter.formats.addresses import version_path
from exporter.web.history import History
from exporter.web.links import Links
from exporter.web.needs import Need, find_needs
from exporter.web.pictures import Figure, Pictures
from exporter.web.states import Level, State, describe


@dataclass(frozen=True)
class Entry:
    """A version on the page."""

    model: str
    version: str
    aliases: tuple[str, ...]
    state: State
    needs: tuple[Need, ...]
    traffic: Figure | None
    drift: Figure | None
    quality: Figure | None
    worst: tuple[Figure, ...]
    last_prediction: float | None
    path: str
    dashboard: str
    registered: str

    @property
    def urgency(self) -> tuple[object, ...]:
        """Key by which entries are sorted, the most urgent first: bad champions before bad others."""
        return (
            self.state.level,
            "champion" not in self.aliases,
            not self.aliases,
            -len(self.state.reasons),
            self.model,
            _number(self.version),
            self.version,
        )


@dataclass(frozen=True)
class _Known:
    """An entry, and what it was made of."""

    sources: tuple[object, ...]
    state: tuple[object, ...]
    counts: VersionCounts | None
    history: History | None
    entry: Entry


class StatusBoard:
    """Describes all versions. Each is described anew only after an evaluation, or if it changed otherwise."""

    def __init__(self, fleet: Fleet, links: Links) -> None:
        self._fleet = fleet
        self._links = links
        self._lock = Lock()  # so that two who look at once do not do the work twice
        self._known: dict[Version, _Known] = {}

    def entries(self, now: float) -> list[Entry]:
        """Return an entry for each version, the most urgent first.

        Args:
            now: in seconds since the epoch.
        """
        with self._lock:
            versions = self._fleet.versions.values()
            self._known = {version: self._describe(version, now) for version in versions}
            return sorted((known.entry for known in self._known.values()), key=lambda each: each.urgency)

    def _describe(self, version: Version, now: float) -> _Known:
        sources = (version.findings, version.facts, version.live.counts and version.live.counts.reference)
        state = (version.status, version.detail, version.aliases, version.failures, version.bad_since)
        known = self._known.get(version)
        if known is not None and version.findings is not None and known.state == state:
            same = [mine is its for mine, its in zip(known.sources, sources, strict=True)]
            if all(same):
                return known
        findings, counts, before = version.findings, version.counts, None
        if known is not None and counts is not None and known.counts is not None:
            before = known.history if known.counts.reference is counts.reference else None
        pictures = Pictures.of(findings, counts, now, before) if counts is not None else None
        history = pictures.history if pictures is not None else None
        return _Known(sources, state, counts, history, _entry(version, pictures, self._links))


def _entry(version: Version, pictures: Pictures | None, links: Links) -> Entry:
    state = describe(version)
    return Entry(
        model=version.model,
        version=version.version,
        aliases=version.aliases,
        state=state,
        needs=find_needs(version, links.exporter),
        traffic=pictures.traffic() if pictures is not None else None,
        drift=pictures.drift() if pictures is not None else None,
        quality=pictures.quality() if pictures is not None else None,
        worst=pictures.bad() if pictures is not None and state.level is Level.BAD else (),
        last_prediction=version.last_prediction,
        path=version_path(version.model, version.version),
        dashboard=links.dashboard(version.model, version.version),
        registered=links.registered(version.model, version.version),
    )


def _number(version: str) -> int:
    return -int(version) if version.isdecimal() else 0
