"""Limit on the time that a partition waits for rows that cannot be counted yet."""

from __future__ import annotations

MAX_MODELS = 1000  # that are remembered
FORGET_SECONDS = 600.0  # after which a model that was waited for in vain is waited for again


class Patience:
    """Time for which the messages of a model may keep a partition waiting.

    They wait for a version that is not monitored yet, or for a reference that takes long. Other models of the
    partition wait meanwhile. So a model that was waited for in vain is not waited for again for ten minutes,
    and rows of versions that do not exist cannot stop the partition.

    Args:
        seconds: time in which the evaluator finds a version.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: dict[str, float] = {}

    def waits(self, model: str, now: float) -> bool:
        """Return true while a model is to be waited for; `now` is monotonic."""
        since = self._since.get(model)
        if since is None or now - since > FORGET_SECONDS:
            if len(self._since) >= MAX_MODELS:
                self._since.pop(next(iter(self._since)))
            self._since[model] = since = now
        return now - since < self._seconds

    def end(self, model: str) -> None:
        """Note that rows of a model were taken."""
        self._since.pop(model, None)

    def __bool__(self) -> bool:
        return bool(self._since)
