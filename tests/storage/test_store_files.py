"""A SQLite store belongs to one process, which notices when it is taken away."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.errors import StoreError, StoreMissingError, UnavailableError
from exporter.storage.store import Store
from tests.support.rig import Rig, make_rows

Start = Callable[..., Rig]
FILES = ["exporter.db", "exporter.db-wal", "exporter.db-shm"]
ERRORS = "mlflow_exporter_store_errors_total"


def delete(path: Path) -> None:
    path.unlink()


def move_away(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))


def replace(path: Path) -> None:
    copy = path.with_name("copy")
    shutil.copy(path, copy)
    copy.rename(path)


def errors(rig: Rig) -> dict[str, float]:
    return {reason: rig.sample(f'{ERRORS}{{reason="{reason}"}}') or 0 for reason in ("failed", "missing")}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("take_away", [delete, move_away, replace])
def test_a_store_that_is_taken_away_while_it_is_in_use_takes_nothing_more(
    rig: Rig, tmp_path: Path, name: str, take_away: Callable[[Path], None]
) -> None:
    assert rig.post_rows(make_rows(3)).accepted == 3
    assert not rig.service.store.fault()
    take_away(tmp_path / name)
    with pytest.raises(UnavailableError, match=rf"{name} (is gone|was replaced)"):
        rig.post_rows(make_rows(4))
    assert name in rig.service.store.fault()
    assert not rig.service.store.lost, "the process goes on, since its files can still be copied"
    rig.evaluate()
    assert errors(rig)["missing"] >= 2
    assert errors(rig)["failed"] == 0


def test_nothing_is_acknowledged_that_was_on_its_way_when_the_store_was_deleted(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from exporter.storage.transaction import Transaction

    put = Transaction.put_aggregates

    def put_and_delete(self: Transaction, *arguments: object) -> None:
        put(self, *arguments)  # type: ignore[arg-type]
        delete(tmp_path / FILES[0])

    monkeypatch.setattr(Transaction, "put_aggregates", put_and_delete)
    with pytest.raises(UnavailableError, match="is gone while it is in use"):
        rig.post_rows(make_rows(3))


def test_a_store_that_is_put_back_goes_on(rig: Rig, tmp_path: Path) -> None:
    rig.post_rows(make_rows(3))
    (tmp_path / FILES[0]).rename(tmp_path / "elsewhere")
    with pytest.raises(UnavailableError):
        rig.post_rows(make_rows(4))
    (tmp_path / "elsewhere").rename(tmp_path / FILES[0])
    assert rig.post_rows(make_rows(5)).accepted == 5
    assert not rig.service.store.fault()
    assert rig.window_rows() == 8


def test_what_was_acknowledged_before_the_log_was_deleted_is_there_after_an_orderly_end(
    rig: Rig, start: Start, tmp_path: Path
) -> None:
    assert rig.post_rows(make_rows(30, prefix="r")).accepted == 30
    (tmp_path / "exporter.db-wal").unlink()
    with pytest.raises(UnavailableError):
        rig.post_rows(make_rows(4))
    rig.stop()
    again = start(registry=rig.registry, clock=rig.clock)
    assert again.window_rows() == 30
    assert again.post_rows(make_rows(30, prefix="r")).duplicates == 30


def test_a_second_exporter_is_refused_by_whatever_path_it_comes(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "link.db").symlink_to(tmp_path / "exporter.db")
    (tmp_path / "folder").symlink_to(tmp_path, target_is_directory=True)
    for path in ("exporter.db", "link.db", "folder/exporter.db", "folder/../exporter.db"):
        with pytest.raises(StoreError, match="another exporter uses"):
            Store(f"sqlite:///{tmp_path}/{path}")
    assert rig.post_rows(make_rows(3)).accepted == 3


def test_no_file_can_be_deleted_to_get_past_the_lock(rig: Rig, tmp_path: Path) -> None:
    for path in tmp_path.iterdir():
        if path.name not in FILES:
            path.unlink()
    with pytest.raises(StoreError, match="another exporter uses"):
        Store(rig.settings.store)
    assert rig.post_rows(make_rows(3)).accepted == 3


def test_a_link_to_a_store_leads_to_the_same_one(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link.db").symlink_to(tmp_path / "real" / "exporter.db")
    store = Store(f"sqlite:///{tmp_path}/link.db")
    store.ensure_version("fraud", "1", 0)
    store.close()
    again = Store(f"sqlite:///{tmp_path}/real/exporter.db")
    assert [version.model for version in again.load_versions()] == ["fraud"]
    again.close()


def test_reading_a_store_that_was_taken_away_fails_too(rig: Rig, tmp_path: Path) -> None:
    delete(tmp_path / FILES[0])
    with pytest.raises(StoreMissingError):
        rig.service.store.load_alias_moves()
