"""Records changes of the configuration, by its file and by tags, in the audit trail."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence

import sqlalchemy as sa

from exporter.audit.trail import append
from exporter.errors import StoreError
from exporter.fleet import Facts, Version
from exporter.monitoring.entries import of_config, of_tags, of_version_config
from exporter.settings import Window
from exporter.storage import schema
from exporter.storage.schema import upsert
from exporter.storage.store import Store

FILE_KEY = "config_file"  # in `meta`: the digest of the file that the trail has last

log = logging.getLogger(__name__)


class ConfigJournal:
    """Compares the configuration in force with the one in the audit trail, also that of before a restart.

    Calls are made under the discovery's lock.
    """

    def __init__(self, store: Store, windows: Sequence[Window], clock: Callable[[], float]) -> None:
        self._store = store
        self._windows = windows
        self._clock = clock
        self.file_digest = ""
        self._recorded_file: str | None = None
        self._cause = "start"

    def use(self, file_digest: str, cause: str) -> None:
        """Take note of the file that is in use, and of what caused it to be read: `start` or `reload`."""
        self.file_digest, self._cause = file_digest, cause

    def record(self, versions: Collection[Version]) -> None:
        """Record what differs from the trail, if anything does; after a failure the next call retries."""
        changed = [
            (version, version.recorded_config)
            for version in versions
            if version.recorded_config != version.facts.config_digest
        ]
        try:
            before = self._load_recorded_file()
            if changed or self.file_digest != before:
                self._write(before, changed)
        except StoreError as error:
            log.error("a change of the configuration is not recorded yet: %s", error)

    def save(self, version: Version, facts: Facts) -> None:
        """Store and record what the registry says of a version, before the version takes it over.

        Raises:
            StoreError: it could not be stored.
        """
        tags = of_tags(version, facts.tags, facts.config_digest)
        entries = [tags] if tags is not None else []
        if version.recorded_config != facts.config_digest:
            entries.append(of_version_config(facts, version, self._windows))
        with self._store.writing() as connection:
            self._store.save_facts(
                version.key, facts.run_id, facts.team, facts.tags, facts.config_digest, connection
            )
            append(connection, entries, self._clock())
        version.recorded_config = facts.config_digest

    def _load_recorded_file(self) -> str:
        if self._recorded_file is None:
            query = sa.select(schema.meta.c.value).where(schema.meta.c.key == FILE_KEY)
            with self._store.reading() as connection:
                self._recorded_file = connection.scalar(query) or ""
        return self._recorded_file

    def _write(self, before: str, changed: Collection[tuple[Version, str]]) -> None:
        versions = schema.versions
        entries = [of_config(self._cause, before, self.file_digest, changed)]
        entries += [of_version_config(version.facts, version, self._windows) for version, _ in changed]
        with self._store.writing() as connection:
            append(connection, entries, self._clock())
            put = upsert(schema.meta, "value", connection.dialect.name)
            connection.execute(put, {"key": FILE_KEY, "value": self.file_digest})
            for version, _ in changed:
                digest = version.facts.config_digest
                connection.execute(
                    sa.update(versions).where(versions.c.id == version.key).values(config_digest=digest)
                )
        self._recorded_file = self.file_digest
        for version, _ in changed:
            version.recorded_config = version.facts.config_digest
