"""Files of a SQLite store: locked by one process, and checked for removal."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO

from exporter.errors import StoreError, StoreMissingError

SUFFIXES = ("", "-wal", "-shm")


class StoreFiles:
    """A database and the files that SQLite keeps beside it while it is open.

    The lock is on the write-ahead log: SQLite itself locks the other two, and finds it by the database's real
    path, so that no link leads past the lock, and no lock file can be deleted.
    """

    def __init__(self, path: Path) -> None:
        self._path = Path(os.path.abspath(path)).resolve()  # noqa: PTH100 - `..` as SQLAlchemy takes it
        self._lock: IO[bytes] | None = None
        self._known: dict[Path, tuple[int, int]] = {}

    @property
    def directory(self) -> Path:
        return self._path.parent

    def hold(self) -> None:
        """Hold the files for this process, in which a connection to the database is open and stays open.

        The lock ends with the process, however it ends.

        Raises:
            StoreError: another process holds them.
        """
        self._lock = Path(f"{self._path}-wal").open("r+b")  # noqa: SIM115 - held as long as the store
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(f"another exporter uses {self._path}") from None
        self._known = {
            path: _identify(path) for suffix in SUFFIXES for path in [Path(f"{self._path}{suffix}")]
        }

    def check(self) -> None:
        """
        Raises:
            StoreMissingError: a file was deleted, moved or replaced. What is written now would be gone with
                the process.
        """
        for path, known in self._known.items():
            try:
                found = _identify(path)
            except OSError as error:
                raise StoreMissingError(f"{path} is gone while it is in use ({error.strerror})") from error
            if found != known:
                raise StoreMissingError(f"{path} was replaced while it is in use")

    def release(self) -> None:
        """Let another process have the files; after the last connection was closed."""
        self._known = {}
        if self._lock is not None:
            self._lock.close()


def _identify(path: Path) -> tuple[int, int]:
    found = os.stat(path)  # noqa: PTH116 - at every commit
    return found.st_dev, found.st_ino
