"""Keeps the monitored versions in step with MLflow's registry.

While MLflow is down, known versions stay monitored, also after a restart: the store has what is needed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import partial
from threading import Lock
from typing import Any

from exporter.audit.trail import append
from exporter.config.file import maturation_problem
from exporter.config.models import TAG_PREFIX, ModelsConfig
from exporter.errors import RegistryError, StoreError
from exporter.evaluation.context import Thresholds
from exporter.exposition.telemetry import Telemetry
from exporter.fleet import Facts, Fleet, Version
from exporter.ingest.activation import set_detail
from exporter.ingest.writer import Writer
from exporter.monitoring.config_digest import digest_of_config
from exporter.monitoring.config_journal import ConfigJournal
from exporter.monitoring.counting import Counting
from exporter.monitoring.entries import of_forgotten, of_monitored, of_moves
from exporter.monitoring.reference_loader import ReferenceLoader
from exporter.registry.models import Registered, RegisteredVersion
from exporter.registry.registry import Registry
from exporter.settings import Settings
from exporter.shard import Shard, shard_of
from exporter.storage.schema import AliasMove, StoredVersion
from exporter.storage.store import Store

log = logging.getLogger(__name__)


class Discovery:
    """Keeps the fleet in step with the registry. Only `configure` may be called from any thread.

    `error` is the reason why MLflow is not followed, empty while it is.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        fleet: Fleet,
        writer: Writer,
        counting: Counting,
        telemetry: Telemetry,
        registry: Registry,
        clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._store = store
        self._fleet = fleet
        self._writer = writer
        self._counting = counting
        self._telemetry = telemetry
        self._registry = registry
        self._clock = clock
        self.loader = ReferenceLoader(settings, store, writer, counting, telemetry, registry)
        self._config = ModelsConfig()
        self._config_journal = ConfigJournal(store, settings.windows, clock)
        self._facts_lock = Lock()
        self._misnamed: list[str] = []  # models of the configuration that are not monitored
        self._registered: dict[Version, RegisteredVersion] = {}
        self.error = "not asked yet"

    def configure(self, config: ModelsConfig, file_digest: str = "", cause: str = "reload") -> None:
        """Use another configuration from the next evaluation on. Any thread may call it.

        Args:
            config: what the file says of models.
            file_digest: of the whole file.
            cause: `start`, before `restore`, or `reload`.
        """
        with self._facts_lock:
            self._config = config
            self._config_journal.use(file_digest, cause)
            for version in self._fleet.versions.values():
                version.facts = self._read_facts(version, version.facts)
                self.loader.renew(version)
            if cause != "start":
                self._config_journal.record(self._fleet.versions.values())

    @property
    def config_digest(self) -> str:
        """Digest of the configuration file in use, empty without one."""
        return self._config_journal.file_digest

    def restore(self) -> None:
        """Load the versions in the store that are still to be monitored."""
        shard = self._settings.shard
        moves = [move for move in self._store.load_alias_moves() if shard.has(move.model)]
        self._fleet.record(moves)
        aliases = self._fleet.current_aliases()
        versions = self._store.load_versions()
        newest = {(stored.model, stored.version): stored for stored in versions}
        found = []
        for names, stored in newest.items():
            if not shard.has(stored.model):
                continue
            version = Version(stored)
            with self._facts_lock:
                version.facts = self._read_facts(version, Facts(stored.run_id, stored.team, stored.tags))
            version.aliases = tuple(sorted(a for (m, a), v in aliases.items() if (m, v) == names))
            if not version.aliases:
                version.unaliased_since = _last_alias_ended(moves, names)
            if not self._retired(version, self._clock(), stored.maturation_seconds or 0.0):
                found.append(version)
        found.sort(key=lambda version: not version.aliases)
        followed = found[: self._settings.max_versions]
        keys = {version.key for version in followed}
        counted = [stored.key for stored in versions if stored.maturation_seconds is not None]
        left = [stored for stored in newest.values() if stored.config_digest and stored.key not in keys]
        with self._store.begin() as transaction:
            transaction.forget_maturations([key for key in counted if key not in keys])
            for stored in left:
                transaction.forget_recorded(stored.key)
            entries = [of_forgotten(Version(stored), self._why_left(stored)) for stored in left]
            append(transaction.connection, entries, self._clock())
        for version in followed:
            self._add(version)
        with self._facts_lock:
            self._config_journal.record(followed)
        for version in followed:
            try:
                self.loader.load_stored(version)
            except Exception as error:
                told = None if isinstance(error, StoreError) else error
                log.error("%s version %s: %s", *version.names, error, exc_info=told)
                self._telemetry.count_evaluation_error(*version.names, "store")
                detail = f"what is stored of it cannot be read: {error}"
                self._writer.call(partial(set_detail, version, detail)).result()

    def _why_left(self, stored: StoredVersion) -> str:
        """Reason why a version that was monitored before the start is not any more."""
        shard = self._settings.shard
        if shard.has(stored.model):
            return "it ended while the exporter was off"
        owner = Shard(shard_of(stored.model, shard.shards), shard.shards)
        log.warning(
            "%s version %s is monitored by shard %s now, where it starts anew; what this shard, %s, has of "
            "it is kept until it expires",
            *(stored.model, stored.version, owner, shard),
        )
        return f"its model moved to shard {owner}"

    def poll(self) -> None:
        """Poll the registry once, and apply its answer."""
        asked_at = self._clock()
        try:
            registered = self._registry.poll(self._settings.shard)
        except RegistryError as error:
            if self._telemetry.mlflow_up is not False:
                log.warning("MLflow: %s", error)
            self._telemetry.mlflow_up, self.error = False, str(error)
            self._telemetry.count_poll_error("ask")
        else:
            self._telemetry.mlflow_up, self.error = True, ""
            try:
                self._follow(registered, asked_at, self._clock())
            except Exception as error:
                self.error = f"what MLflow says cannot be followed: {error}"
                self._telemetry.count_poll_error("follow")
                raise
            self._telemetry.mlflow_last_success = self._clock()
        for version, found in list(self._registered.items()):
            self.loader.follow(version, found, self._clock())

    def _follow(self, registered: Registered, asked_at: float, now: float) -> None:
        models = registered.models
        with self._facts_lock:
            self._config_journal.record(self._fleet.versions.values())
        self._record_moves(registered, now)
        self._check_names(models)
        known = {model.name: frozenset(model.versions) for model in models.values()}
        self._fleet.known = known
        aliased = {(model.name, number) for model in models.values() for number in model.aliases.values()}
        named = self._counting.take_wanted(known, asked_at)
        vanished = {version.model for version in self._registered} - models.keys() - registered.models_off
        for model in sorted(vanished):
            log.warning(
                "%s has no alias in MLflow any more: it was renamed or deleted, or its aliases were; a "
                "renamed model starts anew. Rows that name %s and a version are taken until none came "
                "for %.4g h",
                *(model, model, self._settings.retire_after_seconds / 3600),
            )
        self._make_room(aliased, now)
        monitored = self._fleet.versions.keys()
        for names in [*sorted(aliased - monitored), *sorted(named - aliased - monitored)]:
            if len(self._fleet.versions) >= self._settings.max_versions:
                limit = self._settings.max_versions
                log.warning("%s version %s is not monitored: %d versions are", *names, limit)
                break
            self._monitor(models[names[0]].versions[names[1]])
        for names, version in self._fleet.versions.items():
            found = models[names[0]].versions.get(names[1]) if names[0] in models else None
            if registered.is_off(*names):
                self._forget(version, "monitoring.enabled is false")
            elif found is not None and _created_ms(found) != version.created_ms:
                # The model was deleted and registered again: the same names for something else.
                self._forget(version, "the version was registered anew")
                self._update(self._monitor(found), found, now)
            else:
                self._update(version, found, now)
                if self._retired(version, now):
                    self._forget(version, "no alias, no rows and no labels due")
        self._telemetry.unmonitored_versions = len(aliased - self._fleet.versions.keys())

    def _make_room(self, aliased: set[tuple[str, str]], now: float) -> None:
        """Forget versions without an alias, the longest silent first, if those with one need their place."""
        versions = self._fleet.versions
        others = [version for names, version in versions.items() if names not in aliased]
        others.sort(key=lambda version: now if version.aliases else _last_sign(version))
        wanted = len(versions) + len(aliased - versions.keys()) - self._settings.max_versions
        for version in others[: max(wanted, 0)]:
            self._forget(version, "its place is needed for a version with an alias")

    def _monitor(self, found: RegisteredVersion) -> Version:
        with self._store.writing() as connection:
            names = (found.model, found.version, _created_ms(found))
            version = Version(self._store.ensure_version(*names, connection))
            append(connection, [of_monitored(version, found.run_id)], self._clock())
        self._add(version)
        log.info("%s version %s is monitored", *version.names)
        return version

    def _add(self, version: Version) -> None:
        self._telemetry.watch_version(*version.names)
        self._fleet.add(version)

    def _forget(self, version: Version, reason: str) -> None:
        entries = [of_forgotten(version, reason)]
        # Before it is gone, or labels between would be counted neither now nor then.
        self._writer.call(partial(self._counting.let_go, version, entries)).result()
        self._fleet.remove([version.names])
        self._telemetry.forget_version(*version.names)
        self._registered.pop(version, None)
        self.loader.forget(version)
        log.info("%s version %s is not monitored any more", *version.names)

    def _update(self, version: Version, found: RegisteredVersion | None, now: float) -> None:
        """Apply what the registry says of a version, None if it is gone."""
        version.aliases = tuple(sorted(found.aliases)) if found is not None else ()
        version.unaliased_since = None if version.aliases else min(version.unaliased_since or now, now)
        if found is None:
            self._registered.pop(version, None)
        elif self._registered.get(version) != found:
            tags = {**found.model_tags, **found.tags}
            tags = {name: value for name, value in tags.items() if name.startswith(TAG_PREFIX)}
            said: dict[str, Any] = {"run_id": found.run_id, "team": found.team, "tags": tags}
            known = {name: getattr(version.facts, name) for name in said}
            with self._facts_lock:
                facts = self._read_facts(version, Facts(**said))
                if said != known or not version.recorded_config:  # after a restart all of it is stored
                    self._config_journal.save(version, facts)
                version.facts = facts
            self._registered[version] = found
            self.loader.renew(version)

    def _read_facts(self, version: Version, said: Facts) -> Facts:
        """Facts with the configuration that follows from their tags and the file."""
        config, problems = self._config.resolve(version.model, said.tags)
        if problem := maturation_problem(config.maturation, self._settings):
            problems += (f"maturation: {problem}",)
        for problem in sorted(set(problems) - set(version.facts.problems)):
            log.warning("%s version %s: %s", *version.names, problem)
        drift = config.drift_threshold or self._settings.drift_threshold
        thresholds = Thresholds(drift, dict(config.drift_thresholds))
        digest = digest_of_config(config, thresholds, self._settings.windows)
        return replace(said, config=config, thresholds=thresholds, config_digest=digest, problems=problems)

    def _check_names(self, monitored: Collection[str]) -> None:
        own = filter(self._settings.shard.has, self._config.models)
        misnamed = sorted(set(own) - set(monitored))
        if misnamed and misnamed != self._misnamed:
            log.warning("the configuration speaks of what is not monitored: %s", ", ".join(misnamed))
        self._misnamed = misnamed

    def _record_moves(self, registered: Registered, now: float) -> None:
        before = self._fleet.current_aliases()
        after = {
            (model.name, alias): number
            for model in registered.models.values()
            for alias, number in model.aliases.items()
        }
        ahead = self._fleet.moved_after(now)  # before the clock was put back
        moves = [
            AliasMove(*key, number, now)
            for key, number in after.items()
            if before.get(key) != number or key in ahead
        ]
        moves += [AliasMove(*key, "", now) for key in (before.keys() | ahead) - after.keys()]
        if moves:
            with self._store.writing() as connection:
                self._store.add_alias_moves(moves, connection)
                append(connection, of_moves(moves, before), now)
            with self._store.applying():
                self._fleet.record(moves)

    def _retired(self, version: Version, now: float, maturation: float = 0.0) -> bool:
        """True if a version has had no alias, no row and no label due for long enough."""
        if version.aliases:
            return False
        kept = (self._settings.retire_after_seconds, version.facts.config.maturation, maturation)
        return now - _last_sign(version) > max(kept)


def _created_ms(found: RegisteredVersion) -> int:
    return round(found.created_at.timestamp() * 1000)


def _last_sign(version: Version) -> float:
    """Time at which a version lost its last alias or got its last row."""
    return max(version.unaliased_since or 0.0, version.last_prediction or 0.0)


def _last_alias_ended(moves: Sequence[AliasMove], names: tuple[str, str]) -> float:
    """Time at which a version lost its last alias, 0 if it never had one."""
    current: dict[str, str] = {}
    ended = 0.0
    for move in moves:
        if move.model == names[0]:
            if current.get(move.alias) == names[1]:
                ended = max(ended, move.since)
            current[move.alias] = move.version
    return ended
