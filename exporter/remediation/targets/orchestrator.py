"""Description of a kind of target: its requests, and how its answers are read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from exporter.errors import ExporterError
from exporter.remediation.targets.exchange import Answer, Call, Credentials
from exporter.remediation.targets.outcome import Job, Progress


class RefusedError(ExporterError):
    """An answer says that no run was started."""


class NotUnderstoodError(ExporterError):
    """An answer is not of the form that the target's documentation gives."""


@dataclass(frozen=True)
class Run:
    """A run as its target names it, and its page; the id is empty where the target gives none."""

    id: str
    url: str = ""


class Orchestrator(ABC):
    """A target that is reached by HTTP.

    Attributes:
        idempotent: the same request twice gives one run.
        exists: statuses that say that a run with this id is there already.
    """

    idempotent: ClassVar[bool] = True
    exists: ClassVar[frozenset[int]] = frozenset()

    def sign_in(self, credentials: Credentials) -> Call | None:
        """Request that exchanges the credentials for a token; None if they are sent as they are."""
        return None

    def signed_in(self, answer: Answer) -> str:
        """Token of an answer to `sign_in`."""
        raise NotUnderstoodError("it has no sign-in")

    @abstractmethod
    def create(self, job: Job, body: Any) -> Call:
        """Request that starts a run with a rendered body."""

    @abstractmethod
    def created(self, job: Job, answer: Answer) -> Run:
        """Run of a successful answer to `create`.

        Raises:
            RefusedError: no run was started.
            NotUnderstoodError: it says nothing of a run.
        """

    def look_up(self, job: Job) -> Call | None:
        """Request that finds a run by the action's id; None if the target has none."""
        return None

    def found(self, job: Job, answer: Answer) -> Run | None:
        """Run of a successful answer to `look_up`; None if it shows that there is none.

        Raises:
            NotUnderstoodError: it shows neither.
        """
        return self.created(job, answer)

    @abstractmethod
    def status(self, run: str) -> Call | None:
        """Request for the state of a run; None if the target does not tell."""

    @abstractmethod
    def progress(self, answer: Answer) -> Progress:
        """State in a successful answer to `status`."""

    def is_missing(self, answer: Answer) -> bool:
        """Return true if an answer says that there is no such run."""
        return answer.status == 404


def text_of(value: Mapping[str, Any], *keys: str) -> str:
    """Return a text or whole number within nested objects, as text.

    Raises:
        NotUnderstoodError: it is not there.

    >>> text_of({"run": {"id": 7}}, "run", "id")
    '7'
    """
    found: Any = value
    for key in keys:
        found = found.get(key) if isinstance(found, Mapping) else None
    if isinstance(found, bool) or not isinstance(found, str | int) or found == "":
        raise NotUnderstoodError(f"its answer has no {'.'.join(keys)}")
    return str(found)


def state_of(word: str, succeeded: Collection[str], failed: Collection[str], url: str = "") -> Progress:
    """Return the progress that a target's own word for it means; other words are of runs under way."""
    return Progress(
        "succeeded" if word in succeeded else "failed" if word in failed else "running", word, url
    )


def linked(value: Mapping[str, Any], key: str) -> str:
    """Return a page's URL in an answer; empty if it is none that may be shown as a link."""
    page = value.get(key)
    return (
        page
        if isinstance(page, str) and page.startswith(("https://", "http://")) and len(page) < 2048
        else ""
    )
