"""Futures of another thread complete in the event loop."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future

import pytest

from exporter.api.answers import Answers
from exporter.errors import UnavailableError
from tests.support.fakes import TIMEOUT_SECONDS


def test_each_coroutine_gets_its_own_result_or_error() -> None:
    futures: list[Future[int]] = [Future() for _ in range(200)]

    def complete() -> None:
        for number, future in enumerate(futures):
            if number % 3:
                future.set_result(number)
            else:
                future.set_exception(UnavailableError(str(number), retry_after_seconds=1))

    async def wait() -> list[object]:
        answers = Answers[int]()
        waits = [asyncio.ensure_future(answers.wait(future)) for future in futures]
        thread = threading.Thread(target=complete)
        thread.start()
        async with asyncio.timeout(TIMEOUT_SECONDS):
            found = await asyncio.gather(*waits, return_exceptions=True)
        thread.join()
        return list(found)

    for number, found in enumerate(asyncio.run(wait())):
        assert (found == number) if number % 3 else isinstance(found, UnavailableError)


def test_who_stops_waiting_cancels_the_future() -> None:
    async def wait() -> bool:
        future: Future[int] = Future()
        waiting = asyncio.ensure_future(Answers[int]().wait(future))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        return future.cancelled()

    assert asyncio.run(wait())
