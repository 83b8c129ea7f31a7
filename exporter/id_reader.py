"""After a start: read which ids the store has, in the background, since ten million take a while."""

from __future__ import annotations

import logging
import threading

from exporter.errors import StoreError
from exporter.id_filters import IdDays
from exporter.schema import LABELS, PREDICTIONS
from exporter.store import Store

log = logging.getLogger(__name__)


class IdReader:
    """Fills the filters of the days that an earlier process wrote. Until then these days are looked into for
    every id, which is slower and not wrong."""

    def __init__(self, store: Store, predictions: IdDays, labels: IdDays) -> None:
        self._store = store
        self._kinds = {PREDICTIONS: predictions, LABELS: labels}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._read, name="ids", daemon=True)

    def start(self) -> None:
        """Take over the days at once, and read them later."""
        for prefix, days in self._kinds.items():
            days.open(self._store.load_days(prefix))
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def _read(self) -> None:
        for prefix, days in self._kinds.items():
            for day in days.unread():
                try:
                    for hashes in self._store.load_ids(prefix, day):
                        if self._stopping.is_set():
                            return
                        days.add(day, hashes)
                except StoreError as error:
                    log.error("the ids of day %d could not be read: %s", day, error)
                    return
                days.finish(day)
