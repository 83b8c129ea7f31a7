"""Monitor of a model in the process that serves it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar, overload
from weakref import finalize

from exporter.client import exposed_counts, watching
from exporter.client.counts import Counts, describe
from exporter.client.in_flight import InFlight
from exporter.client.options import Options
from exporter.client.outbox import Entry, Kind, Outbox
from exporter.client.process_reports import ProcessReports
from exporter.client.sender import Sender
from exporter.client.snapshot import (
    CopiedRows,
    Features,
    copy_features,
    copy_value,
    copy_values,
    own_columns,
)
from exporter.client.uploads import Item, Packer, Row, is_sampled
from exporter.client.values import id_text
from exporter.client.worker import Worker, start_anew_after_fork

EXIT_SECONDS = 5.0
_ID_BYTES = 100
_Function = TypeVar("_Function", bound=Callable[..., Any])


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
        leave_out: Iterable[str] = (),
        hashed: Iterable[str] = (),
        hash_key: str | bytes = b"",
        feature_names: Iterable[str] = (),
        queue_rows: int = 100_000,
        queue_bytes: int = 64 * 2**20,
        batch_rows: int = 500,
        batch_seconds: float = 1.0,
        max_age_seconds: float = 3600.0,
        timeout_seconds: float = 10.0,
        exit_seconds: float = EXIT_SECONDS,
        on_drop: Callable[[str, int], object] | None = None,
        resources: bool = True,
    ) -> None:
        arguments = locals()
        self._options = Options(**{name: arguments[name] for name in Options.__dataclass_fields__})
        self.feature_names = self._options.names
        self.target = self._options.target
        self.exit_seconds = exit_seconds
        self._sample = float(sample)
        self._closed = False
        self.start_anew()
        start_anew_after_fork(self)
        exposed_counts.count(self)

    def start_anew(self) -> None:
        """Begin with an empty queue, counts of zero, and a thread and a connection of its own."""
        options = self._options
        self._counts = Counts(options.on_drop)
        self._outbox = Outbox(options.queue_rows, options.queue_bytes, options.batch_rows)
        connection = options.connect()
        packer = Packer(
            *(options.target, options.rules, self._counts),
            sample=options.sample,
            feature_names=options.names,
            batch_rows=options.batch_rows,
        )
        sender = Sender(
            *(self._outbox, packer, connection, self._counts),
            batch_rows=options.batch_rows,
            batch_seconds=options.batch_seconds,
            max_age_seconds=options.max_age_seconds,
            now=time.monotonic,
        )
        self.in_flight = InFlight()
        reports = ProcessReports(options.target, self._counts, self.in_flight)
        self._worker = Worker(
            *(self._outbox, sender, self._counts, connection),
            reports if options.resources else None,
            options.exit_seconds,
        )
        if former := vars(self).get("_finalizer"):  # of the parent process, whose locks may be held forever
            former.detach()
        self._finalizer = finalize(self, self._worker.finish)
        self._finalizer.atexit = False

    def __reduce__(self) -> tuple[partial[Monitor], tuple[()]]:
        return partial(Monitor, **vars(self._options)), ()

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

    @property
    def queued_rows(self) -> int:
        return self._outbox.rows

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
        except Exception as error:  # noqa: BLE001 - nothing may reach the service
            self._invalid(error)
        else:
            self.copied(copied, prediction, score, id, timestamp, label, latency_seconds)

    def labels(self, id: Any, label: Any, *, timestamp: Any = None) -> None:  # noqa: A002 - as above
        """Send the truth about one prediction, or about many: by its id, and when it became known."""
        try:
            if isinstance(id, str | int | float) or not hasattr(id, "__len__"):
                if self._sample >= 1 or is_sampled(id_text(id), self._sample):
                    row = Row(None, None, None, id, timestamp, copy_value(label), None)
                    self._put("label", 1, _ID_BYTES, row)
                return
            ids = copy_values(id)
            own = {"id": ids, **own_columns(len(ids), label=label, timestamp=timestamp)}
            copied = CopiedRows(Features(None, len(ids), _ID_BYTES * len(ids), False), own, ())
            self._put("label", copied.rows, copied.size_bytes, copied)
        except Exception as error:  # noqa: BLE001 - as above
            self._invalid(error)

    def submit(self, item: Item) -> None:
        """Send the predictions of an item, whose columns are made on the background thread."""
        try:
            self._put("prediction", item.rows, item.size_bytes, item)
        except Exception as error:  # noqa: BLE001 - as above
            self._invalid(error)

    @overload
    def watch(self, function: _Function) -> _Function: ...
    @overload
    def watch(
        self,
        *,
        features: str = "",
        id: str = "",
        prediction: Callable[[Any], Any] | None = None,
        score: Callable[[Any], Any] | None = None,
    ) -> Callable[[_Function], _Function]: ...
    def watch(
        self,
        function: Callable[..., Any] | None = None,
        *,
        features: str = "",
        id: str = "",  # noqa: A002 - as above
        prediction: Callable[[Any], Any] | None = None,
        score: Callable[[Any], Any] | None = None,
    ) -> Any:
        """Decorate a function that predicts: what it takes, returns and how long it takes is sent.

        An error of the function is raised as ever; its rows count as predictions that were not made.

        Args:
            features: name of its argument with features, by default the first, `self` aside.
            id: name of its argument with ids.
            prediction, score: functions of what it returns, by default the whole is the prediction.

        Raises:
            ConfigError: it has no such argument, or is a generator.
        """

        def decorate(watched: Callable[..., Any]) -> Callable[..., Any]:
            return watching.watch(self, watched, features, id, prediction, score)

        return decorate if function is None else decorate(function)

    def drop(self, reason: str, rows: int, detail: str = "") -> None:
        """Count rows as lost, for who sends by this monitor and could not read them."""
        if self._counts.drop(reason, rows, detail):
            self._try_to_start()
            self._outbox.wake.set()

    def flush(self, timeout_seconds: float = EXIT_SECONDS) -> bool:
        """Wait until all that is queued was sent or dropped; return false if that takes too long."""
        return self._worker.flush(timeout_seconds)

    def close(self) -> None:
        """Send what is queued, for `exit_seconds` at most, and drop what comes later."""
        self._closed = True
        self._worker.close()

    def copied(
        self,
        features: Features,
        prediction: Any,
        score: Any = None,
        id: Any = None,  # noqa: A002 - as above
        timestamp: Any = None,
        label: Any = None,
        latency_seconds: Any = None,
    ) -> None:
        """Send predictions for features that were copied before: as `predictions`."""
        try:
            if features.single:
                if self._sample < 1 and not is_sampled(id_text(id), self._sample):
                    return
                row = Row(
                    features.content,
                    copy_value(prediction),
                    copy_value(score),
                    id,
                    timestamp,
                    copy_value(label),
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
                copied = CopiedRows(features, own, self.feature_names)
                self._put("prediction", copied.rows, copied.size_bytes, copied)
        except Exception as error:  # noqa: BLE001 - as above
            self._invalid(error, features.rows)

    def _put(self, kind: Kind, rows: int, size_bytes: int, content: Any) -> None:
        if self._closed:
            self._counts.drop("closed", rows)
        elif not self._outbox.put(Entry(kind, rows, size_bytes, time.monotonic(), time.time(), content)):
            self.drop("queue_full", rows)
        elif not self._worker.started:
            self._try_to_start()

    def _try_to_start(self) -> None:
        try:
            self._worker.start()
        except Exception:  # noqa: BLE001 - no thread can be started now, but perhaps by the next row
            return

    def _invalid(self, error: Exception, rows: int = 1) -> None:
        self.drop("invalid", rows, describe(error))
