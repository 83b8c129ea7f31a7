"""Prepare requests together whose bodies became complete together.

Numpy takes as long for 500 rows as it takes to be called; with many clients at once this is half of the time
of a request. Nobody waits for it: what has come by the time the event loop is through with what is ready, is
taken.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

from exporter.errors import RequestError
from exporter.formats.predictions import Batch
from exporter.formats.raw import RawRequest
from exporter.ingest.batches import likeness, merge
from exporter.ingest.commit import Answer, split_answer
from exporter.ingest.prepare import Prepared, Source, prepare
from exporter.service import Service

MAX_ROWS = 20_000  # together: beyond, the first wait longer than merging saves


def prepare_counted(service: Service, source: Source, batch: Batch, key: str = "") -> Prepared:
    """As `prepare`; rows that it refuses are counted."""
    try:
        return prepare(source, batch, service.fleet, service.settings, service.clock(), key)
    except RequestError:
        service.telemetry.count_rows("prediction", "rejected", batch.rows)
        raise


@dataclass(frozen=True)
class _Waiting:
    request: RawRequest
    batch: Batch
    answer: asyncio.Future[Answer]


class Gathering:
    """Takes decoded requests without a key, from coroutines of one event loop."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._waiting: dict[Hashable, list[_Waiting]] = defaultdict(list)

    async def take(self, request: RawRequest, batch: Batch) -> Answer:
        """Prepare and commit; others may share in both.

        Raises:
            RequestError: as from `prepare` and from the writer.
        """
        loop = asyncio.get_running_loop()
        waiting = _Waiting(request, batch, loop.create_future())
        kind = likeness(batch)
        if kind is None:
            self._submit([waiting])
        else:
            if not self._waiting:
                loop.call_soon(self._submit_all)
            self._waiting[kind].append(waiting)
        return await waiting.answer

    def _submit_all(self) -> None:
        alike, self._waiting = self._waiting, defaultdict(list)
        for group in alike.values():
            for part in _split(group):
                self._submit(part)

    def _submit(self, group: Sequence[_Waiting]) -> None:
        try:
            prepared = self._prepare(group)
        except Exception as error:  # noqa: BLE001 - it is the callers', who wait for it
            if len(group) == 1:
                _fail(group, error)
                return
            for each in group:  # the one at fault must not take the others down
                self._submit([each])
            return
        if len(group) > 1 and "no_version" in prepared.lost:
            for each in group:  # whether an alias that is gone is an error depends on all rows of a request
                self._submit([each])
            return
        try:
            committed = asyncio.wrap_future(self._service.writer.submit(prepared))
        except Exception as error:  # noqa: BLE001
            _fail(group, error)
            return
        committed.add_done_callback(lambda done: _answer(group, prepared, done))

    def _prepare(self, group: Sequence[_Waiting]) -> Prepared:
        service = self._service
        batch = merge([each.batch for each in group])
        source = Source.of([each.request for each in group], [each.batch.rows for each in group])
        if len(group) == 1:
            return prepare_counted(service, source, batch)
        return prepare(source, batch, service.fleet, service.settings, service.clock())


def _split(group: Sequence[_Waiting]) -> Iterator[list[_Waiting]]:
    part, rows = list[_Waiting](), 0
    for each in group:
        if part and rows + each.batch.rows > MAX_ROWS:
            yield part
            part, rows = [], 0
        part.append(each)
        rows += each.batch.rows
    yield part


def _answer(group: Sequence[_Waiting], prepared: Prepared, done: asyncio.Future[Answer]) -> None:
    error = done.exception()
    if error is not None:
        _fail(group, error)
        return
    answers = [done.result()] if len(group) == 1 else split_answer(prepared)
    for waiting, answer in zip(group, answers, strict=True):
        if not waiting.answer.done():  # its client may have hung up
            waiting.answer.set_result(answer)


def _fail(group: Sequence[_Waiting], error: BaseException) -> None:
    for waiting in group:
        if not waiting.answer.done():
            waiting.answer.set_exception(error)
