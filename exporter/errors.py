"""The exception tree.

ExporterError
├── ConfigError                 a setting that cannot be used; the message names it
├── ListenError                 the address to listen on is in use or unusable
├── DemoError                   the demo cannot go on; the message says why
├── StoreError                  the durable store failed; nothing of the batch was acknowledged
│   ├── StoreDamagedError       stored bytes cannot be read
│   └── StoreMissingError       its files were deleted or replaced while they were in use
├── KafkaError                  the brokers did not answer, or did not take a message
├── AuditError                  the audit trail, or what is to prove it, cannot be used as asked
├── RegistryError               MLflow did not answer as it should
│   ├── RegistryUnreachableError
│   └── RegistryAuthError
├── ReferenceError              a version's reference cannot be used
│   ├── ReferenceNotFoundError  none in any of its possible places
│   ├── ReferenceExistsError    another one is found first
│   └── ReferenceInvalidError   it is broken, empty or unusable
├── ReportError                 a report cannot be made; the message is a sentence for its readers
├── ImportanceError             the importance of a model's columns cannot be read or measured
├── SendingError                MLflow or Evidently's UI did not take a report
├── CallError                   a call of a running exporter failed
│   ├── UnreachableError        it gave no answer, or none that an exporter gives
│   └── CallRefusedError        it refused; carries the status and the detail of its answer
├── IsolationError              a call in a child process failed
│   ├── MemoryExceededError
│   ├── TimeExceededError
│   └── CrashedError
└── RequestError                a request is refused; carries the HTTP status of the answer
    ├── UnauthorizedError 401
    ├── ForbiddenError    403
    ├── UnknownModelError 404
    ├── UnknownActionError 404
    ├── UnknownAlertError 404
    ├── UnknownReportError 404
    ├── TooSlowError      408
    ├── ConflictError     409
    │   └── StaleReferenceError
    ├── TooLargeError     413
    ├── UnsupportedError  415
    ├── MisdirectedError  421
    ├── MalformedError    422
    ├── OverloadedError   429
    └── UnavailableError  503
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Literal

# Of a `StoreError`. failed: the disk is full, another process holds a lock, PostgreSQL is away; damaged: it
# cannot be read; missing: its files were deleted or replaced; lost: memory may differ from it.
StoreFault = Literal["failed", "damaged", "missing", "lost"]


class ExporterError(Exception):
    """Base of all errors that this package raises itself."""


class ConfigError(ExporterError):
    """A setting that cannot be used."""


class ListenError(ExporterError):
    """The address to listen on is in use, forbidden or unknown."""


class DemoError(ExporterError):
    """The demo cannot go on; the message says why, for the person who started it."""


class StoreError(ExporterError):
    """The durable store failed."""


class StoreDamagedError(StoreError):
    """Stored bytes cannot be read."""


class StoreMissingError(StoreError):
    """The files of the store were deleted or replaced while they were in use."""


class KafkaError(ExporterError):
    """The brokers did not answer as they should, or did not take a message."""


class AuditError(ExporterError):
    """The audit trail, or what is to prove it, cannot be used as asked."""


class RegistryError(ExporterError):
    """MLflow did not answer as it should."""


class RegistryUnreachableError(RegistryError):
    """MLflow is down, too slow or answers with a server error."""


class RegistryAuthError(RegistryError):
    """MLflow refuses our credentials."""


class ReferenceError(ExporterError):  # noqa: A001 - the field's word; the builtin concerns weakrefs only
    """A version's reference cannot be used."""


class ReferenceNotFoundError(ReferenceError):
    """No reference in any of its possible places."""


class ReferenceExistsError(ReferenceError):
    """A reference cannot be logged: another one is there, or is looked for first."""


class ReferenceInvalidError(ReferenceError):
    """A reference is there and cannot be used."""


class ReportError(ExporterError):
    """A report cannot be made; another attempt may help if `retry` is true."""

    def __init__(self, problem: str, *, retry: bool = False) -> None:
        super().__init__(problem)
        self.retry = retry


class ImportanceError(ExporterError):
    """The importance of a model's columns cannot be read or measured; the message says why."""


class SendingError(ExporterError):
    """MLflow or Evidently's UI did not take a report. If it is `down`, none of the others would be taken."""

    def __init__(self, problem: str, *, down: bool) -> None:
        super().__init__(problem)
        self.down = down


class CallError(ExporterError):
    """A call of a running exporter failed."""


class UnreachableError(CallError):
    """A running exporter gave no answer, or none that an exporter gives."""


class CallRefusedError(CallError):
    """A running exporter refused a call.

    `status` is that of its answer, `detail` says why, and `where` is the place in the body, such as
    `predictions[3].id`.
    """

    def __init__(self, message: str, status: int, detail: str, where: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.detail = detail
        self.where = where


class IsolationError(ExporterError):
    """A call in a child process failed. The message is about the file that was read: "it takes ..."."""


class MemoryExceededError(IsolationError):
    """The call takes more memory than it may."""


class TimeExceededError(IsolationError):
    """The call takes longer than it may."""


class CrashedError(IsolationError):
    """The child ended, or raised an error of another kind than `ExporterError`."""


class RequestError(ExporterError):
    """A request is refused.

    `detail` says what is wrong for the person who reads the answer; `where` is the place in the body
    (`predictions[3].features`), empty where the whole request is meant. `members` are what the answer has
    besides, for programs.
    """

    status = 400
    title = "Bad request"
    members: Mapping[str, object] = MappingProxyType({})

    def __init__(self, detail: str, where: str = "", *, retry_after_seconds: int | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.where = where
        self.retry_after_seconds = retry_after_seconds

    @property
    def located(self) -> str:
        """Detail with its place, on one line."""
        return f"{self.where}: {self.detail}" if self.where else self.detail


class UnauthorizedError(RequestError):
    status = 401
    title = "Unauthorized"


class ForbiddenError(RequestError):
    status = 403
    title = "Forbidden"


class UnknownModelError(RequestError):
    status = 404
    title = "Not monitored"


class UnknownActionError(RequestError):
    status = 404
    title = "Unknown action"


class UnknownAlertError(RequestError):
    status = 404
    title = "Unknown alert"


class UnknownReportError(RequestError):
    status = 404
    title = "Unknown report"


class TooSlowError(RequestError):
    status = 408
    title = "Too slow"


class ConflictError(RequestError):
    status = 409
    title = "Conflict"


class StaleReferenceError(ConflictError):
    """Rows were counted in the bins of another reference than the current one, which `digest` names."""

    def __init__(self, detail: str, digest: str) -> None:
        super().__init__(detail, "digest")
        self.members = {"digest": digest}


class TooLargeError(RequestError):
    status = 413
    title = "Too large"


class UnsupportedError(RequestError):
    status = 415
    title = "Unsupported media type"


class MisdirectedError(RequestError):
    """A model is another shard's, which `members` name, or the exporter counts no samples itself."""

    status = 421
    title = "Misdirected"

    def __init__(self, detail: str, members: Mapping[str, object] = MappingProxyType({})) -> None:
        super().__init__(detail)
        self.members = members


class MalformedError(RequestError):
    status = 422
    title = "Malformed"


class OverloadedError(RequestError):
    status = 429
    title = "Overloaded"


class UnavailableError(RequestError):
    status = 503
    title = "Unavailable"


@contextmanager
def decoding(what: str) -> Iterator[None]:
    """Context that decodes stored bytes; the error names `what` they are.

    Raises:
        StoreDamagedError: a decoder failed in the block.
    """
    try:
        yield
    except (struct.error, zlib.error, ValueError, TypeError, LookupError, OverflowError) as error:
        raise StoreDamagedError(f"{what} cannot be read: it is damaged ({error})") from error
