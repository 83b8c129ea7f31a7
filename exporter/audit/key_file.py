"""The file of the key that signs checkpoints, and the public keys beside it."""

from __future__ import annotations

import logging
import os
import tempfile
from pathlib import Path

import sqlalchemy as sa

from exporter.audit.checkpoint import SigningKey, VerifierKey
from exporter.errors import AuditError, ConfigError
from exporter.settings import Settings

SUFFIX = ".audit-key"  # beside a SQLite store
PUBLIC_SUFFIX = ".pub"
MAX_BYTES = 64 * 2**10

log = logging.getLogger(__name__)


def key_path(settings: Settings) -> Path | None:
    """Path of the key's file; None for a store in PostgreSQL, unless the setting names one."""
    if settings.audit_key_file:
        return Path(settings.audit_key_file)
    url = sa.make_url(settings.store)
    if url.get_backend_name() != "sqlite" or not url.database:
        return None
    return Path(f"{url.database}{SUFFIX}")


def load_signing_key(settings: Settings) -> SigningKey | None:
    """Read the key that signs checkpoints, or make one; None where there is no place for it.

    Raises:
        ConfigError: the file cannot be read or written, or holds no key.
    """
    path = key_path(settings)
    if path is None:
        log.warning("checkpoints of the audit trail are not signed: EXPORTER_AUDIT_KEY_FILE is not set")
        return None
    return load_key(path)


def load_key(path: Path) -> SigningKey:
    """Read a key, or make one with mode 0600; its public key is added to `<path>.pub`.

    Raises:
        ConfigError: the file cannot be read or written, or holds no key.
    """
    try:
        if path.exists():
            key = SigningKey.parse(_read(path))
            if path.stat().st_mode & 0o077:
                log.warning("%s, which signs the audit trail, can be read by others", path)
        else:
            key = SigningKey.generate()
            _write(path, f"{key.encode()}\n", 0o600)
            log.info("a key for the audit trail was made: %s", path)
        public = path.with_name(path.name + PUBLIC_SUFFIX)
        known = _read(public).splitlines() if public.exists() else []
        if key.vkey not in known:
            _write(public, "".join(f"{line}\n" for line in (*known, key.vkey)), 0o644)
    except OSError as error:
        raise ConfigError(f"the audit trail's key {error.filename}: {error.strerror}") from error
    except (AuditError, ValueError) as error:
        raise ConfigError(f"the audit trail's key {path}: {error}") from None
    return key


def read_public_keys(path: Path) -> list[str]:
    """Verifier keys in a file, one a line.

    Raises:
        ConfigError: it cannot be read, or a line is no key.
    """
    try:
        return [str(VerifierKey.parse(line)) for line in _read(path).splitlines() if line.strip()]
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except (AuditError, ValueError) as error:
        raise ConfigError(f"{path}: {error}") from None


def _read(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(MAX_BYTES).decode("utf-8")


def _write(path: Path, text: str, mode: int) -> None:
    """Write a file that is there as a whole or not at all."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # with mode 0600
    try:
        with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 - a descriptor
            os.fchmod(descriptor, mode)
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        os.replace(name, path)  # noqa: PTH105
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
