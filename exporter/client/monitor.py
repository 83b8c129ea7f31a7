"""Monitor of a model in the process that serves it."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from types import TracebackType
from typing import Any, Self
from weakref import finalize

from exporter.client.columns import ColumnRules
from exporter.client.connection import Connection
from exporter.client.counts import Counts
from exporter.client.in_flight import InFlight
from exporter.client.outbox import Entry, Kind, Outbox
from exporter.client.process_reports import INTERVAL_SECONDS, ProcessReports
from exporter.client.sender import Sender
from exporter.client.snapshot import (
    Features,
    Given,
    copy_features,
    copy_scalar,
    copy_score,
    copy_values,
    own_columns,
)
from exporter.client.uploads import Item, Packer, Row, Target, is_sampled
from exporter.client.values import id_text
from exporter.client.worker import Periodic, Worker, start_anew_after_fork
from exporter.errors import ConfigError

DEFAULT_EXIT_SECONDS = 5.0
_ID_BYTES = 100


class Monitor:
    """Sends predictions and labels of one model version to an exporter, from a thread in the background.

    No call waits for the network or raises an error: what cannot be sent is dropped and counted, with a
    log line a minute. It may be made before the process forks, and pickled: the queue, the thread and the
    connection are each process's own.

    Args:
        url: address of the exporter.
        model: name of the registered model.
        version: that is served; or an `alias`, which the exporter resolves at each row's time.
        token: with the scope `ingest`, where the exporter asks for one.
        sample: fraction of the rows that is sent. Rows with an id are chosen by its hash, the same ones by
            all replicas; labels of the others are not sent either.
        leave_out: features that are not sent.
        hashed: features of which `hash_value` by `hash_key` is sent.
        feature_names: names of the columns of arrays and lists.
        queue_rows, queue_bytes: that may wait in memory.
        batch_rows, batch_seconds: a request is sent with so many rows, or when its oldest has waited so long.
        max_age_seconds: rows that the exporter did not take for so long are dropped.
        timeout_seconds: longest wait for an answer.
        exit_seconds: that `close` and the end of the process wait at most until all is sent.
        on_drop: is called in the background with a reason and a number of rows.
        resources: report every 15 seconds what the process takes of the machine.

    `in_flight` counts the requests that the process is answering: `with monitor.in_flight.request(): ...`.

    Raises:
        ConfigError: an argument cannot be used.
    """

    def __init__(
        self,
        url: str,
        *,
        model: str,
        version: str | int = "",
        alias: str = "",
        token: str = "",
        sample: float = 1.0,
        leave_out: Collection[str] = (),
        hashed: Collection[str] = (),
        hash_key: str | bytes = b"",
        feature_names: Iterable[str] = (),
        queue_rows: int = 100_000,
        queue_bytes: int = 64 * 2**20,
        batch_rows: int = 500,
        batch_seconds: float = 1.0,
        max_age_seconds: float = 3600.0,
        timeout_seconds: float = 10.0,
        exit_seconds: float = DEFAULT_EXIT_SECONDS,
        on_drop: Callable[[str, int], object] | None = None,
        resources: bool = True,
    ) -> None:
        arguments = locals()
        self._arguments = {name: value for name, value in arguments.items() if name not in ("self", "url")}
        self._url = url
        if not isinstance(model, str) or not model:
            raise ConfigError("`model` is the registered model's name")
        if bool(version) == bool(alias):
            raise ConfigError("`version` or `alias` is needed, not both")
        self._target = Target(model, str(version), alias)
        self._rules = _rules(leave_out, hashed, hash_key)
        self.feature_names = _texts("feature_names", feature_names)
        if not 0 < sample <= 1:
            raise ConfigError(f"`sample` is {sample}, it must be above 0 and at most 1")
        positive = {
            "queue_rows": queue_rows,
            "queue_bytes": queue_bytes,
            "batch_rows": batch_rows,
            "batch_seconds": batch_seconds,
            "max_age_seconds": max_age_seconds,
            "timeout_seconds": timeout_seconds,
            "exit_seconds": exit_seconds,
        }
        for name, value in positive.items():
            if not value >= 0 or (value == 0 and not name.endswith("_seconds")):
                raise ConfigError(f"`{name}` is {value}, it must be positive")
        self._sample = sample
        self._token = token
        self._queue_rows, self._queue_bytes = queue_rows, queue_bytes
        self._batch_rows, self._batch_seconds = batch_rows, batch_seconds
        self._max_age_seconds = max_age_seconds
        self._timeout_seconds, self.exit_seconds = timeout_seconds, exit_seconds
        self._on_drop = on_drop
        self._resources = resources
        self._closed = False
        self.start_anew()
        start_anew_after_fork(self)

    def start_anew(self) -> None:
        """Begin with an empty queue, counts of zero, and a thread and a connection of its own."""
        self._counts = Counts(self._on_drop)
        self._outbox = Outbox(self._queue_rows, self._queue_bytes, self._batch_rows)
        packer = Packer(
            self._target,
            self._rules,
            self._counts,
            sample=self._sample,
            feature_names=self.feature_names,
            batch_rows=self._batch_rows,
        )
        connection = Connection(self._url, self._token, timeout_seconds=self._timeout_seconds)
        self._sender = Sender(
            self._outbox,
            packer,
            connection,
            self._counts,
            batch_rows=self._batch_rows,
            batch_seconds=self._batch_seconds,
            max_age_seconds=self._max_age_seconds,
            now=time.monotonic,
        )
        self.in_flight = InFlight()
        reports = ProcessReports(self._target, self._counts, self.in_flight)
        periodic = [Periodic(INTERVAL_SECONDS, reports.post)] if self._resources else []
        self._worker = Worker(
            self._outbox, self._sender, self._counts, connection, periodic, self.exit_seconds
        )
        finalize(self, self._worker.finish).atexit = False

    def __reduce__(self) -> tuple[Callable[..., Monitor], tuple[str, dict[str, Any]]]:
        return _make, (self._url, self._arguments)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def sent(self) -> dict[str, int]:
        """Rows that the exporter took, by kind: `prediction` and `label`."""
        return self._counts.sent

    @property
    def dropped(self) -> dict[str, int]:
        """Rows that were lost, by reason."""
        return self._counts.dropped

    @property
    def unsendable_values(self) -> int:
        """Number of values that were sent as missing, for they are neither numbers, texts nor times."""
        return self._counts.unsendable

    def start(self) -> None:
        """Start the background thread, which the first row does otherwise."""
        self._worker.start()

    def predictions(
        self,
        features: Any,
        prediction: Any,
        *,
        score: Any = None,
        id: Any = None,  # noqa: A002 - the field's name everywhere else
        timestamp: Any = None,
        label: Any = None,
        latency_seconds: Any = None,
    ) -> None:
        """Send one prediction, or those of many rows; a prediction of None is one that was not made.

        Args:
            features: a dictionary, 1-d array or list of values (one row); or a list of rows, a 2-d array, a
                DataFrame of pandas or polars, a Table or RecordBatch of pyarrow.
            prediction, score, id, label: of the row, or a list or column with those of all rows. A score is a
                number, or of several classes a list or an object by class.
            timestamp: of the prediction, now by default; of all rows or of each.
            latency_seconds: of all rows or of each.
        """
        try:
            copied = copy_features(features, self.feature_names)
            self.add(copied, prediction, score, id, timestamp, label, latency_seconds)
        except Exception as error:  # noqa: BLE001 - nothing may reach the service
            self._invalid(error)

    def labels(self, id: Any, label: Any, *, timestamp: Any = None) -> None:  # noqa: A002 - as above
        """Send the truth about one prediction, or about many: by its id, and when it became known."""
        try:
            if isinstance(id, str | int | float) or not hasattr(id, "__len__"):
                if self._sample >= 1 or is_sampled(id_text(id), self._sample):
                    row = Row(None, None, None, id, timestamp, copy_scalar(label), None)
                    self._put("label", 1, _ID_BYTES, row)
                return
            ids = copy_values(id)
            own = {"id": ids, **own_columns(len(ids), label=label, timestamp=timestamp)}
            given = Given(Features(None, len(ids), _ID_BYTES * len(ids), False), own, ())
            self._put("label", given.rows, given.size_bytes, given)
        except Exception as error:  # noqa: BLE001 - as above
            self._invalid(error)

    def submit(self, item: Item) -> None:
        """Send the predictions of an item, whose columns are made on the background thread."""
        try:
            self._put("prediction", item.rows, item.size_bytes, item)
        except Exception as error:  # noqa: BLE001 - as above
            self._invalid(error)

    def drop(self, reason: str, rows: int, detail: str = "") -> None:
        """Count rows as lost, for who sends by this monitor and could not read them."""
        if self._counts.drop(reason, rows, detail):
            self._worker.start()
            self._outbox.wake.set()

    def flush(self, timeout_seconds: float = DEFAULT_EXIT_SECONDS) -> bool:
        """Wait until all that is queued was sent or dropped; return false if that takes too long."""
        return self._worker.flush(timeout_seconds)

    def close(self) -> None:
        """Send what is queued, for `exit_seconds` at most, and drop what comes later."""
        self._closed = True
        self._worker.close()

    def add(
        self,
        features: Features,
        prediction: Any,
        score: Any,
        id: Any,  # noqa: A002 - as above
        timestamp: Any,
        label: Any,
        latency_seconds: Any,
    ) -> None:
        """Queue predictions for features that were copied before.

        Raises:
            TypeError, ValueError: the arguments do not fit each other.
        """
        if features.single:
            if self._sample < 1 and not is_sampled(id_text(id), self._sample):
                return
            row = Row(
                features.content,
                copy_scalar(prediction),
                copy_score(score),
                id,
                timestamp,
                copy_scalar(label),
                latency_seconds,
            )
            self._put("prediction", 1, features.size_bytes, row)
        elif features.rows:
            own = own_columns(
                features.rows,
                prediction=prediction,
                score=score,
                id=id,
                timestamp=timestamp,
                label=label,
                latency_seconds=latency_seconds,
            )
            given = Given(features, own, self.feature_names)
            self._put("prediction", given.rows, given.size_bytes, given)

    def _put(self, kind: Kind, rows: int, size_bytes: int, content: Any) -> None:
        if self._closed:
            self._counts.drop("closed", rows)
            return
        entry = Entry(kind, rows, size_bytes, time.monotonic(), time.time(), content)
        if not self._outbox.put(entry):
            self.drop("queue_full", rows)
        elif not self._worker.started:
            self._worker.start()

    def _invalid(self, error: Exception) -> None:
        try:
            self.drop("invalid", 1, f"{type(error).__name__}: {error}")
        except Exception:  # noqa: BLE001 - a text of a foreign error, or no thread can be started
            self._counts.drop("invalid", 0)


def _make(url: str, arguments: dict[str, Any]) -> Monitor:
    return Monitor(url, **arguments)


def _rules(leave_out: Collection[str], hashed: Collection[str], hash_key: str | bytes) -> ColumnRules:
    names = frozenset(_texts("leave_out", leave_out)), frozenset(_texts("hashed", hashed))
    key = hash_key.encode() if isinstance(hash_key, str) else hash_key
    if names[1] and not key:
        raise ConfigError("`hashed` needs a `hash_key`, the one by which the reference is hashed")
    if len(key) > 64:
        raise ConfigError("`hash_key` has at most 64 bytes")
    return ColumnRules(*names, key)


def _texts(name: str, values: Iterable[str]) -> tuple[str, ...]:
    texts = tuple(values)
    if isinstance(values, str) or not all(isinstance(text, str) for text in texts):
        raise ConfigError(f"`{name}` is a list of names")
    return texts
