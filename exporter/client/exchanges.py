"""Requests to a service and its answers -> columns of predictions, on the monitor's thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from exporter.client.bodies import Body
from exporter.client.columns import Columns
from exporter.client.counts import describe
from exporter.client.monitor import Monitor
from exporter.client.snapshot import CopiedRows, copy_features, own_columns, rows_by_name
from exporter.errors import MalformedError, RequestError, UnsupportedError
from exporter.payloads import inference_v1, inference_v2, invocations
from exporter.payloads.answers import read_answer
from exporter.payloads.columns import OWN_FIELDS, AnswerColumns, RequestColumns, row_ids
from exporter.payloads.documents import parse_json
from exporter.settings import Settings

# `read(request, answer)` returns the arguments of `Monitor.predictions` by name: `features`, `prediction`, if
# there are any `score`, `id`, `timestamp` and `label`; of one row or of many. None: it is no prediction. Both
# arguments are values of JSON, or bytes of another content type. Where a request failed, the answer is an
# empty dictionary that has None for every key.
Read: TypeAlias = Callable[[Any, Any], Mapping[str, Any] | None]
# Of answers that say that the request's rows were read and not predicted; others, such as 401, do not.
MODEL_REFUSALS = (400, 422)
_LIMITS = Settings()
_NOTHING = Columns(0, {}, {})
_MAX_INFLATION = 8  # of a compressed body, as a multiple of the largest one


class NoAnswer(dict[str, None]):
    """Answer to a request that failed."""

    def __missing__(self, key: str) -> None:
        return None


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and its answer, None where it failed, with the status, 0 for an exception: an item of a
    monitor's queue.

    How many rows it has is not known before it is read: it counts as one until then.
    """

    reader: Reader
    request: Body
    answer: Body | None
    status: int
    id: str
    latency_seconds: float
    rows: int = 1

    @property
    def size_bytes(self) -> int:
        return self.request.size_bytes + (self.answer.size_bytes if self.answer is not None else 0)

    @property
    def unpacked_bytes(self) -> int:
        """Upper bound of the size of the bodies when they are read."""
        bodies = [self.request] if self.answer is None else [self.request, self.answer]
        return sum(min(body.unpacked_bytes, _MAX_INFLATION * self.reader.max_body_bytes) for body in bodies)

    def columns(self) -> Columns:
        return self.reader.columns(self)


@dataclass(frozen=True)
class Reader:
    """Reads exchanges; the fields are those of `MonitoringMiddleware`."""

    monitor: Monitor
    read: Read | None
    id_column: str
    classes: tuple[str, ...]
    max_body_bytes: int

    def columns(self, exchange: Exchange) -> Columns:
        """Columns of an exchange; none, and a dropped row, if it cannot be read.

        A request that cannot be read and that the service refused is not counted: there was nothing to
        predict.
        """
        try:
            return self._by_function(exchange) if self.read is not None else self._by_form(exchange)
        except Exception as error:  # noqa: BLE001 - whatever the bodies are, or the service's own function is
            if exchange.status not in MODEL_REFUSALS:
                detail = error.located if isinstance(error, RequestError) else describe(error)
                self.monitor.drop("unreadable", 1, detail)
            return _NOTHING

    # -- bodies in known forms ------------------------------------------------------------------------------

    def _by_form(self, exchange: Exchange) -> Columns:
        request, answer = self._read_forms(exchange)
        request = request.with_names(self.monitor.feature_names)
        request, ids = request.split_off(self.id_column)
        own: dict[str, list[Any]] = {
            "id": row_ids(exchange.id, request.rows, ids),
            "prediction": answer.prediction,
            "latency_seconds": [exchange.latency_seconds] * request.rows,
        }
        if answer.score is not None:
            own["score"] = answer.score
        return Columns(request.rows, own, request.features)

    def _read_forms(self, exchange: Exchange) -> tuple[RequestColumns, AnswerColumns]:
        content = self._content(exchange.request)
        length = exchange.request.header_length
        protocol = "V1"
        if exchange.request.media_type == "text/csv":
            request = invocations.read_csv(content, _LIMITS)
        elif exchange.request.is_json or length:
            head, binary = _split_binary(content, length)
            document = parse_json(head)
            if not isinstance(document, dict):
                raise MalformedError("the body must be a JSON object")
            if inference_v2.is_v2(document):
                protocol = "V2"
                request = inference_v2.read_request(document, binary, _LIMITS)
            else:
                request = inference_v1.read_request(document, _LIMITS)
        else:
            raise UnsupportedError(f"requests of the type {exchange.request.media_type[:80]!r} are not read")
        return request, self._read_answer(exchange.answer, protocol, request.rows)

    def _read_answer(self, answer: Body | None, protocol: str, rows: int) -> AnswerColumns:
        if answer is None:
            return AnswerColumns([None] * rows)
        head, binary = _split_binary(self._content(answer), answer.header_length)
        document = parse_json(head)
        if protocol == "V2":
            return inference_v2.read_response(document, binary, rows, classes=self.classes)
        if isinstance(document, dict) and "predictions" not in document and "outputs" in document:
            return inference_v1.read_response(document, rows, classes=self.classes)
        return read_answer(document, rows, self.classes)

    # -- bodies that the service's own function reads -------------------------------------------------------

    def _by_function(self, exchange: Exchange) -> Columns:
        assert self.read is not None
        failed = exchange.answer is None
        answer = NoAnswer() if exchange.answer is None else self._value(exchange.answer)
        found = self.read(self._value(exchange.request), answer)
        if found is None:
            return _NOTHING
        unknown = found.keys() - {"features", *OWN_FIELDS}
        if unknown or "features" not in found:
            raise TypeError(f"`read` has to return `features`, {', '.join(OWN_FIELDS)}, not {sorted(found)}")
        given = {"prediction": None, "latency_seconds": exchange.latency_seconds, **found}
        if failed:
            given |= {"prediction": None, "score": None}
        columns = _columns(self.monitor.feature_names, **given)
        ids, features = columns.own.get("id"), dict(columns.features)
        if self.id_column in features:
            ids = features.pop(self.id_column)
        own = {**columns.own, "id": row_ids(exchange.id, columns.rows, ids)}
        return replace(columns, own=own, features=features)

    def _value(self, body: Body) -> Any:
        content = self._content(body)
        return parse_json(content) if body.is_json else content

    def _content(self, body: Body) -> bytes:
        return body.content(_MAX_INFLATION * self.max_body_bytes)


def _split_binary(content: bytes, header_length: str) -> tuple[bytes, bytes]:
    """JSON of a body, and the binary tensors of V2 behind it, of which a header tells where they begin."""
    if not header_length:
        return content, b""
    return inference_v2.split_binary(content, int(header_length) if header_length.isdigit() else None)


def _columns(names: Sequence[str], features: Any, **own: Any) -> Columns:
    """Columns of the arguments of `Monitor.predictions`."""
    copied = copy_features(features, names)
    if copied.single:
        values = {name: [value] for name, value in own.items() if value is not None or name == "prediction"}
        return Columns(1, values, rows_by_name([copied.content], names))
    return CopiedRows(copied, own_columns(copied.rows, **own), names).columns()
