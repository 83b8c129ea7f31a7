"""Reads the tables that the evaluator writes and all partitions follow."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import sqlalchemy as sa

from exporter.config.models import ModelConfig, ModelsConfig
from exporter.errors import decoding
from exporter.reference.profile import Reference, decode_reference
from exporter.storage import schema
from exporter.storage.schema import AliasMove
from exporter.storage.store import Store
from exporter.storage.wanted_versions import load_absent


@dataclass(frozen=True)
class SharedVersion:
    """A monitored version: `status` is that of its reference, `reference_id` that of the current one."""

    key: int
    model: str
    version: str
    status: str
    reference_id: int | None
    config: ModelConfig

    @property
    def names(self) -> tuple[str, str]:
        """Model and version."""
        return self.model, self.version


@dataclass(frozen=True, eq=False)
class Shared:
    """State of the shared tables.

    `versions` are the monitored ones, by model and version; `moves` all moves of aliases, in order;
    `references` the current ones by id. `absent` are versions, by model and version, that rows were for and
    that MLflow does not have.
    """

    versions: Mapping[tuple[str, str], SharedVersion] = field(default_factory=dict)
    moves: tuple[AliasMove, ...] = ()
    references: Mapping[int, Reference] = field(default_factory=dict)
    absent: frozenset[tuple[str, str]] = frozenset()


class SharedReader:
    """Reads the shared tables again and again. One thread uses it, but `configure` any may call.

    `latest` is what was read last; the same object while nothing has changed.
    """

    def __init__(self) -> None:
        self.latest = Shared()
        # The configuration, and what it says by model and tags; replaced together.
        self._config: tuple[ModelsConfig, dict[tuple[str, str], ModelConfig]] = (ModelsConfig(), {})

    def configure(self, config: ModelsConfig) -> None:
        """Use another configuration from the next `read` on."""
        self._config = (config, {})

    def read(self, store: Store) -> None:
        """Read through the store of any partition.

        Raises:
            StoreError: it cannot be read.
        """
        before, (config, resolved) = self.latest, self._config
        versions, references = schema.versions.c, schema.references.c
        current = sa.select(sa.func.max(references.id)).where(references.version_id == versions.id)
        query = sa.select(
            versions.id,
            versions.model,
            versions.version,
            versions.status,
            versions.tags,
            versions.config_digest,
            current.scalar_subquery().label("reference_id"),
        ).order_by(versions.followed, versions.id)
        found: dict[tuple[str, str], SharedVersion] = {}
        with store.reading() as connection, decoding("a version"):
            newest = {(row.model, row.version): row for row in connection.execute(query)}
            for names, row in newest.items():
                if not row.config_digest:  # not monitored any more, see `Transaction.forget_recorded`
                    continue
                key = (row.model, row.tags)
                if key not in resolved:
                    resolved[key] = config.resolve(row.model, json.loads(row.tags))[0]
                found[names] = SharedVersion(row.id, *names, row.status, row.reference_id, resolved[key])
            wanted = {each.reference_id for each in found.values() if each.reference_id is not None}
            kept = {number: before.references[number] for number in wanted & before.references.keys()}
            missing = sorted(wanted - kept.keys())
            payloads = sa.select(references.id, references.payload).where(references.id.in_(missing))
            for number, payload in connection.execute(payloads).all() if missing else ():
                kept[number] = decode_reference(bytes(payload))
            later = sa.select(schema.aliases).order_by(schema.aliases.c.id).offset(len(before.moves))
            moves = [
                AliasMove(row.model, row.alias, row.version, row.since) for row in connection.execute(later)
            ]
            absent = load_absent(connection)
        if found != before.versions or moves or absent != before.absent:
            self.latest = Shared(found, (*before.moves, *moves), kept, absent)
