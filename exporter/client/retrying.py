"""Sends a request again while the exporter cannot take it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection

from exporter.client.connection import Answer, refusal
from exporter.errors import ExporterError, UnreachableError

RETRY_SECONDS = 300.0  # for a request, where its caller says nothing else
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 30.0
_LATER = {408, 429, 500, 502, 503, 504}


def ask_until_answered(
    ask: Callable[[], Answer],
    final: Collection[int],
    wait: Callable[[ExporterError, float], None],
    retry_seconds: float,
) -> Answer:
    """Return the answer with one of the `final` statuses.

    Args:
        ask: sends the request.
        final: statuses that end it.
        wait: waits for some seconds, because of a problem; may raise.
        retry_seconds: longest time that it is tried for.

    Raises:
        UnreachableError, CallRefusedError: there is none, for longer than is waited, or never will be.
    """
    deadline, pause = time.monotonic() + retry_seconds, FIRST_PAUSE_SECONDS
    while True:
        wait_seconds = pause * random.uniform(0.5, 1.0)  # noqa: S311 - spreads clients, guards nothing
        try:
            answer = ask()
            if answer.status in final:
                return answer
            problem: ExporterError = refusal(answer)
            if answer.status not in _LATER:
                raise problem
            wait_seconds = max(wait_seconds, min(answer.retry_after_seconds, LONGEST_PAUSE_SECONDS))
        except UnreachableError as error:
            problem = error
        if time.monotonic() + wait_seconds > deadline:
            raise problem
        wait(problem, wait_seconds)
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
