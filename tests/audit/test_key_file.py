"""The key of the checkpoints is made once, for its owner alone."""

from __future__ import annotations

import logging
import stat
from pathlib import Path

import pytest

from exporter.audit.key_file import key_path, load_key, load_signing_key, read_public_keys
from exporter.errors import ConfigError
from exporter.settings import Settings
from tests.support.trail import KEY


def test_a_key_is_made_at_the_first_start_and_read_at_the_next(tmp_path: Path) -> None:
    path = tmp_path / "audit-key"
    key = load_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_key(path).vkey == key.vkey
    public = tmp_path / "audit-key.pub"
    assert read_public_keys(public) == [key.vkey]
    assert stat.S_IMODE(public.stat().st_mode) == 0o644
    assert sorted(each.name for each in tmp_path.iterdir()) == ["audit-key", "audit-key.pub"]


def test_earlier_public_keys_stay_when_the_key_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "audit-key"
    first = load_key(path)
    path.unlink()
    second = load_key(path)
    path.write_text(KEY.encode())
    assert load_key(path).vkey == KEY.vkey
    assert read_public_keys(tmp_path / "audit-key.pub") == [first.vkey, second.vkey, KEY.vkey]


def test_a_key_that_others_can_read_is_warned_about(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "audit-key"
    load_key(path)
    path.chmod(0o640)
    load_key(path)
    assert "can be read by others" in caplog.text


@pytest.mark.parametrize(
    "content", [b"", b"nonsense", KEY.vkey.encode(), b"\xff", KEY.encode()[:-8].encode()]
)
def test_a_file_that_is_no_key_is_refused_and_kept(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "audit-key"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="the audit trail's key"):
        load_key(path)
    assert path.read_bytes() == content


def test_a_place_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file or directory"):
        load_key(tmp_path / "nowhere" / "audit-key")


def test_the_key_is_beside_a_sqlite_store_or_where_the_setting_says(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings(store=f"sqlite:///{tmp_path}/exporter.db")
    assert key_path(settings) == tmp_path / "exporter.db.audit-key"
    other = Settings(store="postgresql://a@b/c", audit_key_file=str(tmp_path / "key"))
    made = load_signing_key(other)
    assert made is not None
    assert read_public_keys(tmp_path / "key.pub") == [made.vkey]
    with caplog.at_level(logging.WARNING):
        assert load_signing_key(Settings(store="postgresql://a@b/c")) is None
    assert "not signed: EXPORTER_AUDIT_KEY_FILE is not set" in caplog.text


@pytest.mark.parametrize("content", ["nonsense\n", KEY.vkey[:-4]])
def test_a_file_without_public_keys_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "audit-key.pub"
    path.write_text(content)
    with pytest.raises(ConfigError, match=r"audit-key\.pub"):
        read_public_keys(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_public_keys(tmp_path / "none")
