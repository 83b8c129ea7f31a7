"""A store is read beside its exporter, without its lock."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from exporter.audit.read_only import reading
from exporter.audit.verification import verify_store
from exporter.errors import ConfigError, StoreError
from exporter.storage import schema
from exporter.storage.store import Store
from tests.support.trail import append_entries


def test_one_state_is_seen_while_the_exporter_goes_on(store_uri: str, store: Store) -> None:
    with store.writing() as connection:
        append_entries(connection, 2)
    with reading(store_uri) as connection:
        assert verify_store(connection).chain.records == 2
        with store.writing() as writing:
            append_entries(writing, 1)
        assert verify_store(connection).chain.records == 2
    with reading(store_uri) as connection:
        assert verify_store(connection).chain.records == 3


def test_nothing_can_be_written(store_uri: str, store: Store) -> None:
    write = schema.meta.insert().values(key="a", value="b")
    with pytest.raises(StoreError, match=r"read-?only"), reading(store_uri) as connection:
        connection.execute(write)


def test_a_store_is_read_after_its_exporter_has_ended(store_uri: str) -> None:
    Store(store_uri).close()
    with reading(store_uri) as connection:
        assert verify_store(connection).intact
    Store(store_uri).close()


def test_any_name_of_a_file_is_read(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/a b#%20.db"
    Store(uri).close()
    with reading(uri) as connection:
        assert verify_store(connection).intact


def test_a_store_of_another_schema_is_refused(store_uri: str) -> None:
    store = Store(store_uri)
    with store.writing() as connection:
        chosen = schema.meta.c.key == "schema_version"
        connection.execute(sa.update(schema.meta).where(chosen).values(value="5"))
    store.close()
    with (
        pytest.raises(StoreError, match="the store has schema 5, and this program reads"),
        reading(store_uri),
    ):
        pass


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("exporter.db", "is no URI such as"),
        ("mysql://ada:secret@host/db", "taken are sqlite and postgresql"),
        ("sqlite://", "taken are sqlite and postgresql"),
        ("sqlite:////nowhere/exporter.db", "there is no store /nowhere/exporter.db"),
    ],
)
def test_a_uri_that_cannot_be_used_is_refused_without_its_password(uri: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as error, reading(uri):
        pass
    assert "secret" not in str(error.value)


def test_a_file_that_is_no_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "exporter.db").write_text("something else" * 2000)
    with pytest.raises(StoreError, match="cannot be read"), reading(f"sqlite:///{tmp_path}/exporter.db"):
        pass
    (tmp_path / "empty.db").touch()
    with pytest.raises(StoreError, match="has schema None"), reading(f"sqlite:///{tmp_path}/empty.db"):
        pass
