"""Upgrades keep what is stored."""

from __future__ import annotations

import json
import re
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from exporter.audit.record import format_time
from exporter.audit.verification import verify_store
from exporter.errors import RegistryUnreachableError, StoreError
from exporter.formats.raw import ARROW_TYPE, JSON_TYPE
from exporter.ingest.commit import PredictionAnswer
from exporter.ingest.join import LabelAnswer
from exporter.storage import migrations, schema
from exporter.storage.migrations import OLDEST, find_revisions, find_schema
from exporter.storage.schema import SCHEMA_VERSION
from exporter.storage.store import Store
from tests.stores import restore
from tests.stores.write import LABELS, NEWER, ROWS, WAITING
from tests.support.fakes import Clock, FakeRegistry
from tests.support.rig import NOON, Rig, make_rows, make_table
from tests.support.trail import bodies

Start = Callable[..., Rig]
EVERY = range(OLDEST, SCHEMA_VERSION)


def engine_of(uri: str) -> sa.Engine:
    return sa.create_engine(uri.replace("postgresql:", "postgresql+psycopg:"))


def schema_of(uri: str) -> int | None:
    engine = engine_of(uri)
    with engine.connect() as connection:
        found = find_schema(connection)
    engine.dispose()
    return found


def set_schema(uri: str, number: int) -> None:
    engine = engine_of(uri)
    with engine.begin() as connection:
        connection.execute(sa.update(schema.meta).filter_by(key="schema_version").values(value=str(number)))
    engine.dispose()


def unreachable() -> FakeRegistry:
    registry = FakeRegistry()
    registry.failure = RegistryUnreachableError("what is stored has to do")
    return registry


@pytest.mark.parametrize("number", EVERY)
def test_a_store_of_an_older_schema_keeps_all_that_is_in_it(
    start: Start, store_uri: str, number: int
) -> None:
    restore(number, store_uri)
    rig = start(store=store_uri, registry=unreachable(), clock=Clock(NOON + 60))
    assert schema_of(store_uri) == SCHEMA_VERSION
    aliases = rig.service.fleet.current_aliases()
    assert aliases == {(model, "champion"): "1" for model in ("churn", "fraud", "late", "slow")}
    assert rig.window_rows() == ROWS
    assert (rig.quality("accuracy") or 0) > 0
    assert rig.shown_rows(model="slow") == NEWER
    assert rig.version(model="late").waiting_rows == WAITING
    counts = rig.version(model="churn").counts
    assert counts is not None
    assert counts.reference.source == "live"
    facts = rig.version(model="churn").facts
    said = ("run-churn-1", "growth", 7200.0) if number > 3 else ("run-churn-1", "", 0.0)
    assert (facts.run_id, facts.team, facts.config.maturation) == said
    assert counts.maturation_seconds == said[2]
    replaced = next(each for each in bodies(rig.service.store) if each["kind"] == "reference_replaced")
    assert number > 5 or replaced["seq"] == 1, "a table of its own became the chain"
    assert (replaced["actor"], replaced["model"]) == ("ada", "churn")
    assert replaced["data"]["reason"] == "prices are in cents now"
    assert replaced["at"].startswith(format_time(NOON)[:16])
    with rig.service.store.reading() as connection:
        found = verify_store(connection)
    assert found.intact, found.faults
    # Ids of rows, labels and keys are known as before.
    rows = make_rows(ROWS, prefix="r")
    assert rig.post_rows(rows) == PredictionAnswer(0, ROWS, 0, {})
    labels = {f"r{place}": place % 2 for place in range(LABELS + 1)}
    assert rig.post_labels(labels) == LabelAnswer(1, 0, 0, LABELS)
    rig.post_rows(make_rows(5, prefix="new"))
    assert rig.window_rows() == ROWS + 5


@pytest.mark.parametrize("number", EVERY)
def test_rows_that_waited_are_counted_once_their_reference_is_there(
    start: Start, store_uri: str, number: int
) -> None:
    restore(number, store_uri)
    engine = engine_of(store_uri)
    with engine.connect() as connection:
        created = connection.scalar(sa.text("SELECT created_ms FROM versions WHERE model = 'late'"))
    engine.dispose()
    registry = FakeRegistry()
    registry.register("late", make_table(), alias="champion")
    registry.set_creation("late", "1", created)
    rig = start(store=store_uri, registry=registry, clock=Clock(NOON + 60))
    assert rig.window_rows(model="late") == WAITING


def _arrow(**further: Any) -> bytes:
    table = make_table(7).select(["age", "country", "new"])
    features = pa.StructArray.from_arrays(table.to_batches()[0].columns, table.schema.names)
    nested = {"features": features, "prediction": [1] * 7, **further}
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, pa.table(nested).schema) as writer:
        writer.write_table(pa.table(nested))
    return bytes(sink.getvalue())


_ROWS = [{key: row[key] for key in ("features", "prediction")} for row in make_rows(7)]
_COLUMNS = {"features": {"age": [40.0] * 7, "country": ["DE"] * 7}, "prediction": [1] * 7}
_SPLIT = {"columns": ["age", "country"], "data": [[40.0, "DE"]] * 7}
_TARGET = {"model": "late", "version": "1"}


@pytest.mark.parametrize(
    ("body", "query"),
    [
        ({"predictions": _ROWS, "comment": "from the nightly job"}, {}),
        ({"predictions": _ROWS, "latency_seconds": [0.1]}, {}),
        ({"predictions": _ROWS}, {"trace": "7"}),
        ({"columns": _COLUMNS, "comment": None, "index": [0]}, {}),
        ({"dataframe_split": _SPLIT | {"dtypes": []}, "predictions": [1] * 7, "params": {}}, {}),
        ({"dataframe_split": _SPLIT | {"index": [1]}, "predictions": [1] * 7, "instances": []}, {}),
        (_arrow(), _TARGET | {"trace": "7"}),
        (_arrow(comment=["a"] * 7), _TARGET),
    ],
)
def test_rows_that_were_taken_by_a_version_that_refused_less_are_counted(
    start: Start, tmp_path: Path, body: dict[str, Any] | bytes, query: dict[str, str]
) -> None:
    uri = f"sqlite:///{tmp_path}/exporter.db"
    restore(OLDEST, uri)
    content_type = ARROW_TYPE if isinstance(body, bytes) else JSON_TYPE
    engine = engine_of(uri)
    with engine.begin() as connection:
        key, created = connection.execute(
            sa.text("SELECT id, created_ms FROM versions WHERE model = 'late'")
        ).one()
        connection.execute(
            schema.spool.insert(),
            {
                "version_id": key,
                "content_type": content_type,
                "query": json.dumps(query),
                "body": zlib.compress(body if isinstance(body, bytes) else orjson.dumps(_TARGET | body)),
                "rows": 7,
                "row_numbers": np.arange(7).astype("<i8").tobytes(),
                "times": np.full(7, NOON).astype("<f8").tobytes(),
            },
        )
    engine.dispose()
    registry = FakeRegistry()
    registry.register("late", make_table(), alias="champion")
    registry.set_creation("late", "1", created)
    clock = Clock(NOON + 60)
    rig = start(store=uri, registry=registry, clock=clock, max_rows_per_request=5, max_body_bytes=100)
    assert rig.window_rows(model="late") == WAITING + 7


@pytest.mark.parametrize("number", EVERY)
def test_an_upgraded_store_has_the_tables_of_a_new_one(
    store_uri: str, open_store: Callable[[str], Store], number: int
) -> None:
    restore(number, store_uri)
    store = open_store(store_uri)
    with store.begin() as transaction:
        context = MigrationContext.configure(transaction.connection)
        different = [each for each in compare_metadata(context, schema.metadata) if not is_of_a_day(each)]
    assert not different


def is_of_a_day(difference: Any) -> bool:
    """True for a table of ids, of which each day has its own."""
    return difference[0] == "remove_table" and bool(re.fullmatch(r"\w+_\d+(_\d+)?", difference[1].name))


def test_an_upgrade_that_fails_leaves_the_store_as_it_was(
    start: Start, store_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    restore(OLDEST, store_uri)
    with monkeypatch.context() as broken:
        revisions = find_revisions(OLDEST)

        def fail() -> None:
            raise MemoryError

        broken.setattr(
            migrations, "find_revisions", lambda _: [*revisions, SimpleNamespace(rewrites=(), upgrade=fail)]
        )
        with pytest.raises(MemoryError):
            Store(store_uri)
    assert schema_of(store_uri) == OLDEST
    rig = start(store=store_uri, registry=unreachable(), clock=Clock(NOON + 60))
    assert rig.window_rows() == ROWS


def test_an_upgrade_without_room_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = f"sqlite:///{tmp_path}/exporter.db"
    restore(OLDEST, uri)
    with monkeypatch.context() as full:
        full.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10 * 2**20))
        with pytest.raises(StoreError, match=r"needs 16 MB in .*, 10 MB are free"):
            Store(uri)
    assert schema_of(uri) == OLDEST
    Store(uri).close()
    assert schema_of(uri) == SCHEMA_VERSION


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (SCHEMA_VERSION + 1, f"newer mlflow-exporter wrote the store: it has schema {SCHEMA_VERSION + 1}"),
        (99, "run the newer one, or restore a backup"),
        (OLDEST - 1, f"schema {OLDEST - 1}, which is not upgraded"),
    ],
)
def test_a_store_that_is_newer_or_too_old_is_refused_and_left_alone(
    store_uri: str, number: int, message: str
) -> None:
    Store(store_uri).close()
    set_schema(store_uri, number)
    with pytest.raises(StoreError, match=message):
        Store(store_uri)
    assert schema_of(store_uri) == number
    set_schema(store_uri, SCHEMA_VERSION)
    Store(store_uri).close()


def test_every_schema_has_its_revision_and_its_store() -> None:
    scripts = ScriptDirectory(str(Path(migrations.__file__).parent))
    numbers = [int(revision.revision) for revision in scripts.walk_revisions()]
    assert numbers == list(range(SCHEMA_VERSION, OLDEST - 1, -1))
    stored = {path.name for path in (Path(__file__).parents[1] / "stores").glob("schema_*")}
    assert stored >= {
        f"schema_{number}.{database}.sql.gz" for number in EVERY for database in ("sqlite", "postgresql")
    }


@pytest.mark.parametrize("number", EVERY)
def test_facts_and_maturations_become_columns(
    store_uri: str, open_store: Callable[[str], Store], number: int
) -> None:
    restore(number, store_uri)
    store = open_store(store_uri)
    with store.begin() as transaction:
        keys = set(transaction.connection.scalars(sa.select(schema.meta.c.key)))
        found = [transaction.find_maturation(key) for key in range(1, 6)]
    assert keys == {"schema_version", "owner"}
    assert sorted(each for each in found if each is not None) == [0.0, 0.0, 7200.0 if number > 3 else 0.0]
    stored = {version.key: version for version in store.load_versions()}
    assert stored[2].run_id == "run-fraud-1"
    tags = {"monitoring.team": "growth", "monitoring.maturation": "2h"}
    assert (stored[1].team, stored[1].tags) == (("growth", tags) if number > 3 else ("", {}))
    assert stored[3].maturation_seconds is None, "it is not followed any more"
