"""Passes answers from the writer's thread to the coroutines that wait for them."""

from __future__ import annotations

import asyncio
from collections import deque
from concurrent.futures import Future
from typing import Generic, TypeVar

_T = TypeVar("_T")


class Answers(Generic[_T]):
    """Waits for futures of another thread in one event loop.

    `asyncio.wrap_future` wakes the loop for each future; a commit completes many at once.
    """

    def __init__(self) -> None:
        self._done = deque[tuple[asyncio.Future[_T], Future[_T]]]()
        self._is_awake = False  # a call of `_deliver` is due

    async def wait(self, future: Future[_T]) -> _T:
        """Return the future's result, or raise its error; cancel the future when cancelled."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[_T] = loop.create_future()

        def note(done: Future[_T]) -> None:
            self._done.append((answer, done))
            if not self._is_awake:
                self._is_awake = True
                loop.call_soon_threadsafe(self._deliver)

        future.add_done_callback(note)
        try:
            return await answer
        except asyncio.CancelledError:
            future.cancel()
            raise

    def _deliver(self) -> None:
        self._is_awake = False  # first: a future that is done from here on schedules another call
        while self._done:
            answer, future = self._done.popleft()
            if answer.done() or future.cancelled():
                continue
            error = future.exception()
            if error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(future.result())
