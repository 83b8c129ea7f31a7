"""Upgrades the tables of an older store to the schema of this program, with Alembic.

A revision is a module in `versions`, named for the schema that it leads to. Which schema a store has is in
its `meta` table, written in the transaction of the migration.
"""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from types import ModuleType

import sqlalchemy as sa

from exporter.errors import StoreError
from exporter.storage import schema
from exporter.storage.schema import SCHEMA_VERSION, upsert

OLDEST = 3  # of the schemas that are upgraded
# A migration writes to the tables, to their indices and to the log.
WRITTEN_TIMES, SPARE_BYTES = 3, 16 * 2**20

log = logging.getLogger(__name__)


def migrate(connection: sa.Connection, directory: Path | None) -> None:
    """Create the tables of a new store, or upgrade those of an older one, in the connection's transaction.

    Args:
        connection: of a store that is locked.
        directory: where its files are, None where the database does not say.

    Raises:
        StoreError: it is newer than this program, too old, or there is no room; nothing has changed.
    """
    found = find_schema(connection)
    if found == SCHEMA_VERSION:
        return
    if found is None:
        schema.metadata.create_all(connection)
    elif found > SCHEMA_VERSION:
        raise StoreError(
            f"a newer mlflow-exporter wrote the store: it has schema {found}, this one knows "
            f"{SCHEMA_VERSION}; run the newer one, or restore a backup from before its first start"
        )
    elif found < OLDEST:
        raise StoreError(
            f"the store has schema {found}, which is not upgraded: this exporter needs {SCHEMA_VERSION}, "
            f"and upgrades from {OLDEST} on"
        )
    else:
        _upgrade(connection, found, directory)
    put = upsert(schema.meta, "value", connection.dialect.name)
    connection.execute(put, {"key": "schema_version", "value": str(SCHEMA_VERSION)})


def find_schema(connection: sa.Connection) -> int | None:
    """Schema of a store, None where it has none yet."""
    if not sa.inspect(connection).has_table(schema.meta.name):
        return None
    value = connection.scalar(sa.select(schema.meta.c.value).where(schema.meta.c.key == "schema_version"))
    return None if value is None else int(value)


def _upgrade(connection: sa.Connection, found: int, directory: Path | None) -> None:
    # Imported here: nearly every start has nothing to upgrade.
    from alembic.migration import MigrationContext
    from alembic.operations import Operations

    revisions = find_revisions(found)
    if directory is not None:
        rewritten = {name for revision in revisions for name in revision.rewrites}
        needed = SPARE_BYTES + WRITTEN_TIMES * sum(_count_bytes(connection, name) for name in rewritten)
        free = shutil.disk_usage(directory).free
        if free < needed:
            raise StoreError(
                f"an upgrade of the store needs {needed / 2**20:,.0f} MB in {directory}, "
                f"{free / 2**20:,.0f} MB are free"
            )
    log.info("the store is upgraded from schema %d to %d", found, SCHEMA_VERSION)
    with Operations.context(MigrationContext.configure(connection)):
        for revision in revisions:
            revision.upgrade()


def find_revisions(found: int) -> list[ModuleType]:
    """Migration modules from a schema to that of this program, in order."""
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(Path(__file__).parent))
    revisions = scripts.iterate_revisions(str(SCHEMA_VERSION), str(found))
    return [revision.module for revision in reversed(list(revisions))]


def _count_bytes(connection: sa.Connection, name: str) -> int:
    """Approximate size of the rows of a table."""
    table = sa.Table(name, sa.MetaData(), autoload_with=connection)
    sizes = [8 + sa.func.coalesce(sa.func.length(sa.cast(c, sa.LargeBinary)), 0) for c in table.columns]
    return int(connection.scalar(sa.select(sa.func.sum(sum(sizes, sa.literal(0))))) or 0)
