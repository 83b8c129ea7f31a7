"""Damage in a store is reported as damage, and affects nothing else."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from exporter.errors import RegistryUnreachableError, StoreDamagedError, UnavailableError
from exporter.storage.lsm import tree
from exporter.storage.store import Store
from tests.support.fakes import FakeRegistry
from tests.support.rig import Rig, make_rows, make_table

Start = Callable[..., Rig]
DAMAGED = 'mlflow_exporter_store_errors_total{reason="damaged"}'


def change(uri: str, statement: str) -> None:
    """Change a store that nobody uses, or behind its exporter's back."""
    engine = sa.create_engine(uri.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        assert connection.execute(sa.text(statement)).rowcount
    engine.dispose()


def make_store(start: Start, uri: str) -> Rig:
    """A stopped rig, whose store has rows with ids of two models, and labels."""
    registry = FakeRegistry()
    for model in ("fraud", "churn"):
        registry.register(model, make_table(), alias="champion")
    rig = start(store=uri, registry=registry)
    for model in ("fraud", "churn"):
        rig.post_rows(make_rows(300, prefix="r"), model=model, version="1")
        rig.post_labels({f"r{number}": number % 2 for number in range(200)}, model=model)
    rig.stop()
    registry.failure = RegistryUnreachableError("what is in the store has to do")
    return rig


def flip_bits(path: Path, seed: int, share: float) -> None:
    """Damage a file beyond its first page."""
    data = np.fromfile(path, np.uint8)
    places = np.random.default_rng(seed).integers(4096, len(data), int(len(data) * share))
    data[places] ^= 0xFF
    data.tofile(path)


def test_a_store_with_damaged_pages_is_not_opened(start: Start, tmp_path: Path) -> None:
    rig = make_store(start, f"sqlite:///{tmp_path}/exporter.db")
    shutil.copy(tmp_path / "exporter.db", tmp_path / "backup.db")
    flip_bits(tmp_path / "exporter.db", 1, 0.01)
    with pytest.raises(StoreDamagedError, match=r"the store is damaged \(.*\): put a backup in its place"):
        Store(rig.settings.store)
    shutil.copy(tmp_path / "backup.db", tmp_path / "exporter.db")
    assert start(store=rig.settings.store, registry=rig.registry).window_rows() == 300


def test_the_check_can_be_switched_off(start: Start, tmp_path: Path) -> None:
    rig = make_store(start, f"sqlite:///{tmp_path}/exporter.db")
    with sqlite3.connect(tmp_path / "exporter.db") as connection:  # a table in another's pages
        connection.execute("PRAGMA writable_schema=1")
        connection.execute("UPDATE sqlite_master SET rootpage=2 WHERE name='audit_records'")
    connection.close()
    with pytest.raises(StoreDamagedError):
        Store(rig.settings.store)
    again = start(store=rig.settings.store, registry=rig.registry, store_check=False)
    assert again.window_rows() == 300


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("aggregates", "payload", "substr(payload, 1, 40)"),
        ("aggregates", "payload", "substr(payload, 1, 1)"),
        ("outcomes", "payload", "substr(payload, 1, 20)"),
        ("reference_profiles", "payload", "substr(payload, 1, 500)"),
    ],
)
def test_damage_to_one_version_leaves_the_others(
    start: Start, store_uri: str, table: str, column: str, value: str
) -> None:
    rig = make_store(start, store_uri)
    (churn,) = (each for each in rig.service.fleet.versions.values() if each.model == "churn")
    counts = churn.counts
    assert counts is not None
    key = "id" if table == "reference_profiles" else "reference_id"
    change(store_uri, f"UPDATE {table} SET {column} = {value} WHERE {key} = {counts.reference_id}")
    again = start(store=store_uri, registry=rig.registry, clock=rig.clock)
    assert again.window_rows() == 300
    assert again.shown_rows(model="churn") is None
    assert "damaged" in again.version(model="churn").detail
    assert again.sample(DAMAGED) == 1
    # The counts of its rows are not started anew: the damage may be mended.
    again.post_rows(make_rows(20, prefix="n"), model="churn", version="1")
    assert again.version(model="churn").waiting_rows == 20
    assert again.post_rows(make_rows(20, prefix="n")).accepted == 20


@pytest.mark.parametrize("value", ["substr(numbers, 1, 5)", "substr(numbers, 1, length(numbers) - 1)"])
def test_ids_that_cannot_be_read_refuse_the_request_and_no_other(
    start: Start, store_uri: str, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setattr(tree, "MEMTABLE_ROWS", 100)
    rig = start(store=store_uri)
    rig.post_rows(make_rows(150, prefix="r"))
    rig.post_rows(make_rows(1, prefix="flushes"))
    (table,) = (
        each for day in rig.service.store._predictions._sstables.values() for each in day if each.rows == 150
    )
    change(store_uri, f"UPDATE {table.name} SET numbers = {value}")
    with pytest.raises(UnavailableError, match="is damaged"):
        rig.post_rows(make_rows(150, prefix="r"))
    assert (rig.sample(DAMAGED) or 0) >= 1
    assert rig.post_rows(make_rows(10, prefix="n")).accepted == 10
    assert not rig.service.store.lost


def test_tables_that_lack_rows_are_not_merged(
    start: Start, store_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tree, "MEMTABLE_ROWS", 100)
    rig = start(store=store_uri)
    rig.post_rows(make_rows(150, prefix="r"))
    rig.post_rows(make_rows(120, prefix="flushes"))
    (table,) = (each for day in rig.service.store._predictions._sstables.values() for each in day)
    change(store_uri, f"DELETE FROM {table.name} WHERE n < 3")
    with pytest.raises(UnavailableError, match=r"has \d+ of 150 rows"):
        rig.post_rows(make_rows(120, prefix="merges"))


@pytest.mark.parametrize("kept", [0.99, 0.6, 0.3, 0.0])
def test_a_torn_log_loses_what_was_committed_last_and_nothing_else(
    start: Start, tmp_path: Path, kept: float
) -> None:
    registry = FakeRegistry()
    registry.register("fraud", make_table(), alias="champion")
    rig = start(registry=registry)
    for number in range(10):
        rig.post_rows(make_rows(10, prefix=f"{number}-"))
    torn = tmp_path / "torn"
    torn.mkdir()
    for name in ("exporter.db", "exporter.db-wal"):  # as a power cut leaves them, on a disk that lies
        shutil.copy(tmp_path / name, torn / name)
    log = torn / "exporter.db-wal"
    with log.open("r+b") as file:
        file.truncate(int(log.stat().st_size * kept))
    registry.failure = RegistryUnreachableError("what is in the store has to do")
    again = start(store=f"sqlite:///{torn}/exporter.db", registry=registry, clock=rig.clock)
    rows = int(again.window_rows() or 0) if again.service.fleet.versions else 0
    assert rows % 10 == 0
    assert rows < 100
    if rows:
        posted = [again.post_rows(make_rows(10, prefix=f"{number}-")) for number in range(10)]
        assert sum(answer.duplicates for answer in posted) == rows, "ids and counts are lost together"
        assert again.window_rows() == 100


def test_a_backup_that_was_made_meanwhile_can_be_restored(rig: Rig, start: Start, tmp_path: Path) -> None:
    rig.post_rows(make_rows(30, prefix="r"))
    with sqlite3.connect(tmp_path / "exporter.db") as own, sqlite3.connect(tmp_path / "copy.db") as copy:
        own.backup(copy)  # what `.backup` does
    own.close()
    copy.close()
    rig.post_rows(make_rows(5, prefix="later"))
    assert not rig.service.store.fault()
    again = start(store=f"sqlite:///{tmp_path}/copy.db", registry=rig.registry, clock=rig.clock)
    assert again.window_rows() == 30
    assert again.post_rows(make_rows(5, prefix="later")).accepted == 5


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="Linux only")
def test_a_deleted_store_can_be_copied_out_of_its_process(rig: Rig, start: Start, tmp_path: Path) -> None:
    rig.post_rows(make_rows(30, prefix="r"))
    (tmp_path / "exporter.db").unlink()
    rescued = tmp_path / "rescued"
    rescued.mkdir()
    deleted = f"{tmp_path}/exporter.db (deleted)"
    descriptor = next(path for path in Path("/proc/self/fd").iterdir() if links_to(path, deleted))
    shutil.copy(descriptor, rescued / "exporter.db")
    shutil.copy(tmp_path / "exporter.db-wal", rescued / "exporter.db-wal")
    again = start(store=f"sqlite:///{rescued}/exporter.db", registry=rig.registry, clock=rig.clock)
    assert again.window_rows() == 30


def links_to(path: Path, target: str) -> bool:
    try:
        return str(path.readlink()) == target
    except FileNotFoundError:
        return False
