"""Background thread of a monitor, and what it does when the process forks or ends."""

from __future__ import annotations

import atexit
import logging
import os
import sys
import time
from threading import Condition, RLock, Thread
from typing import TYPE_CHECKING
from weakref import WeakSet

from exporter.client.connection import Connection
from exporter.client.counts import Counts
from exporter.client.exposed_counts import show_counts
from exporter.client.outbox import Outbox
from exporter.client.process_reports import INTERVAL_SECONDS, ProcessReports
from exporter.client.sender import Sender

if TYPE_CHECKING:
    from exporter.client.monitor import Monitor

THREAD_NAME = "mlflow-exporter-client"
FAULT_SECONDS = 1.0  # after an error that should not be
FAULT_LOG_SECONDS = 60.0
logger = logging.getLogger("exporter.client")


class _NotOurs(logging.Filter):
    """Leaves out httpx's line for each request of ours, in the log of a service that logs its own."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.threadName != THREAD_NAME


class Worker:
    """Thread that sends what is in the outbox; it starts with the first row, and again after a fork.

    Args:
        reports: of the process, which it posts as well, also without traffic; None for none.
        exit_seconds: that it may take to send what is left when it is to end.
    """

    def __init__(
        self,
        outbox: Outbox,
        sender: Sender,
        counts: Counts,
        connection: Connection,
        reports: ProcessReports | None,
        exit_seconds: float,
    ) -> None:
        self._outbox = outbox
        self._sender = sender
        self._counts = counts
        self._connection = connection
        self._reports = reports
        self._report_at = 0.0
        self.exit_seconds = exit_seconds
        self._lock = RLock()
        self._progress = Condition()
        self._thread: Thread | None = None
        self._stopping = False
        self._fault_log_at = 0.0
        self.finish_at: float | None = None  # when the thread ends, on the monotonic clock

    @property
    def started(self) -> bool:
        return self._thread is not None

    def start(self) -> None:
        """Start the thread, unless it runs."""
        with self._lock:
            if self._thread is None:
                thread = Thread(target=self._run, name=THREAD_NAME, daemon=True)
                thread.start()
                self._thread = thread
                _end_with_process(self)

    def flush(self, timeout_seconds: float) -> bool:
        """Wait until all that is queued was sent or dropped; return false if that takes too long."""
        if self._thread is None:
            return True
        mark = self._sender.hurry()
        with self._progress:
            return self._progress.wait_for(
                lambda: self._stopping or self._sender.done >= mark, max(timeout_seconds, 0.0)
            )

    def finish(self) -> None:
        """Let the thread send what is queued, for `exit_seconds` at most, and end. It does not wait."""
        if self.finish_at is None:
            self.finish_at = time.monotonic() + self.exit_seconds
            self._sender.hurry()

    def close(self) -> None:
        """Send what is queued, for `exit_seconds` at most, drop the rest, and end the thread."""
        self.finish()
        thread = self._thread
        if thread is not None and self.finish_at is not None:
            thread.join(max(self.finish_at - time.monotonic(), 0.0))
        self._abandon()

    def _run(self) -> None:
        while not self._stopping:
            try:
                wait = self._step()
            except Exception:  # noqa: BLE001 - the service's predictions are not sent otherwise
                self._log_fault()
                wait = FAULT_SECONDS
            with self._progress:
                self._progress.notify_all()
            if self.finish_at is not None and (
                self._sender.done >= self._outbox.entered or time.monotonic() >= self.finish_at
            ):
                break
            if wait is None or wait > 0:
                self._outbox.wake.wait(wait)
                self._outbox.wake.clear()
        self._abandon()
        self._connection.close()

    def _log_fault(self) -> None:
        if (now := time.monotonic()) >= self._fault_log_at:
            self._fault_log_at = now + FAULT_LOG_SECONDS
            logger.warning("The client of the exporter goes on after an error", exc_info=True)

    def _abandon(self) -> None:
        """Drop all that is left, once: when the thread ends, or is not waited for any longer."""
        with self._progress:
            ended, self._stopping = self._stopping, True
            self._progress.notify_all()
        if not ended:
            self._sender.abandon("exit")
            self._counts.tell(time.monotonic(), last=True)

    def _step(self) -> float | None:
        now = time.monotonic()
        waits = [self._sender.step(), self._counts.tell(now)]
        show_counts()
        if self.finish_at is not None:
            waits.append(self.finish_at - now)
        elif self._reports is not None:
            if now >= self._report_at:
                self._report_at = now + INTERVAL_SECONDS
                try:
                    self._reports.post(self._connection)
                except Exception:
                    logger.debug("a report of the process was not sent", exc_info=True)
            waits.append(self._report_at - now)
        known = [wait for wait in waits if wait is not None]
        return max(min(known), 0.0) if known else None


_monitors: WeakSet[Monitor] = WeakSet()
_workers: WeakSet[Worker] = WeakSet()


def start_anew_after_fork(monitor: Monitor) -> None:
    """Have a monitor begin anew in each forked child."""
    _monitors.add(monitor)


def _end_with_process(worker: Worker) -> None:
    """Have a worker send what is queued when the process ends."""
    _workers.add(worker)
    # Children by `multiprocessing` leave out what `atexit` has.
    if (parents := sys.modules.get("multiprocessing.process")) and parents.parent_process() is not None:
        from multiprocessing.util import Finalize

        Finalize(None, _close_all, exitpriority=100)


def _close_all() -> None:
    workers = list(_workers)
    for worker in workers:
        worker.finish()
    for worker in workers:
        worker.close()


def _after_fork_in_child() -> None:
    _workers.clear()
    for monitor in list(_monitors):
        monitor.start_anew()


logging.getLogger("httpx").addFilter(_NotOurs())
atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
