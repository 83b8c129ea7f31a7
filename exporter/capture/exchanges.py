"""Bodies of a request and its response -> rows, as a document that `POST /v1/predictions` would take."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import orjson

from exporter.capture.events import Event
from exporter.capture.services import Route
from exporter.capture.waiting import Exchange
from exporter.errors import MalformedError, UnavailableError
from exporter.fleet import Status, Version
from exporter.formats.json_forms import parse_json
from exporter.formats.predictions import read_rows
from exporter.formats.raw import JSON_TYPE, RawRequest
from exporter.ingest.batching import PredictionRequest
from exporter.payloads import inference_v1, inference_v2
from exporter.payloads.columns import AnswerColumns, RequestColumns, row_ids
from exporter.payloads.documents import uncompressed
from exporter.reference.profile import Reference
from exporter.settings import Settings

# Names that servers give to tensors without one; the columns' order is that of the model then.
_GENERIC = re.compile(r"(?i)(?:inputs?|instances|x|tensor|args?|features?)?[-_.:]{0,2}\d{0,5}")
_MAGIC = {b"\x1f\x8b": "gzip", b"\x78\x01": "deflate", b"\x78\x9c": "deflate", b"\x78\xda": "deflate"}
# Last byte of JSON; a body with another one has tensors behind it.
_ENDS = (b"}", b"]", b"\n", b" ", b"\r", b"\t")
DECISION_SCORE = 0.5  # from which a single probability is the positive class


def read_exchange(
    exchange: Exchange, route: Route, version: Version | None, settings: Settings, received_at: float
) -> PredictionRequest:
    """Rows of a request and its response.

    Args:
        exchange: both halves.
        route: version and names.
        version: the monitored one, whose reference names columns and classes; None if it is not known.
        settings: limits.
        received_at: clock's time, of rows whose event has none, in seconds since the epoch.

    Raises:
        MalformedError: a body cannot be read, or they do not belong together.
        TooLargeError: too many rows or values.
        UnavailableError: columns have no names, and the version's reference is not loaded yet.
    """
    columns, ids = _read_request(exchange.request, route, version, settings)
    document, binary = _parse(exchange.response.body, settings)
    reference = _reference(version)
    classes = reference.classes if reference is not None else ()
    if inference_v2.is_v2(document):
        answer = inference_v2.read_response(document, binary, columns.rows, route.outputs, classes)
    else:
        answer = inference_v1.read_response(document, columns.rows, route.outputs, classes)
    answer = _decide(answer, reference)
    own: dict[str, list[Any]] = {"id": ids, "prediction": answer.prediction}
    if answer.score is not None:
        own["score"] = answer.score
    request, response = exchange.request, exchange.response
    at = request.at if request.at is not None else response.at
    if request.measured and response.measured and request.at is not None and response.at is not None:
        own["latency_seconds"] = [max(response.at - request.at, 0.0)] * columns.rows
    return _rows(own, columns, at, route, settings, received_at)


def read_unanswered(
    event: Event, route: Route, version: Version | None, settings: Settings, received_at: float
) -> PredictionRequest:
    """Rows of a request without a response: no predictions; arguments and errors as of `read_exchange`."""
    columns, ids = _read_request(event, route, version, settings)
    own: dict[str, list[Any]] = {"id": ids, "prediction": [None] * columns.rows}
    return _rows(own, columns, event.at, route, settings, received_at)


def _rows(
    own: dict[str, list[Any]],
    columns: RequestColumns,
    at: float | None,
    route: Route,
    settings: Settings,
    received_at: float,
) -> PredictionRequest:
    if at is not None:
        own["timestamp"] = [at] * columns.rows
    document = {**route.target.to_json(), "columns": {**own, "features": columns.features}}
    decoded = read_rows(document, settings)
    try:
        body = orjson.dumps(document)
    except (TypeError, ValueError):
        raise MalformedError("a value is no text in Unicode, or an integer of more than 64 bits") from None
    return PredictionRequest(RawRequest(JSON_TYPE, {}, body), decoded, received_at)


def _parse(body: bytes, settings: Settings) -> tuple[dict[str, Any], bytes]:
    """JSON object of a body, which may be compressed, and the binary tensors behind it."""
    encoding = _MAGIC.get(body[:2])
    if encoding is not None:  # loggers do not forward the header that says so
        body = uncompressed(body, encoding, settings.max_body_bytes)
    try:
        document, binary = parse_json(body) if body[-1:] in _ENDS else None, b""
    except MalformedError:  # a tensor's last byte
        document = None
    if document is None:
        head, binary = inference_v2.split_binary(body)
        document = parse_json(head)
    if not isinstance(document, dict):
        raise MalformedError("the body must be a JSON object")
    return document, binary


def _read_request(
    event: Event, route: Route, version: Version | None, settings: Settings
) -> tuple[RequestColumns, list[Any]]:
    """Named features and ids (rows,) of a request."""
    document, binary = _parse(event.body, settings)
    if inference_v2.is_v2(document):
        columns = inference_v2.read_request(document, binary, settings)
    else:
        columns = inference_v1.read_request(document, settings)
    columns, values = _name_columns(columns, route, version).split_off(route.id_column)
    return columns, row_ids(event.id, columns.rows, values)


def _name_columns(columns: RequestColumns, route: Route, version: Version | None) -> RequestColumns:
    """The columns, by the names of the configuration or of the reference where the body has none.

    Raises:
        MalformedError: there are more or fewer columns.
        UnavailableError: the reference that has the names is not loaded yet.
    """
    if not columns.positional and not all(map(_GENERIC.fullmatch, columns.features)):
        return columns
    names = route.columns or _features(_reference(version))
    if not names and version is not None and version.status is Status.PENDING:
        detail = f"columns have no names, and the reference of version {version.version} is not loaded yet"
        raise UnavailableError(detail, retry_after_seconds=10)
    if not names or any(name in names for name in columns.features):
        return columns
    if len(names) != len(columns.features):
        source = "configured are" if route.columns else "the reference has"
        raise MalformedError(
            f"{len(columns.features)} columns without names, {source} {len(names)}: list them as `columns` "
            "of the service",
            "inputs",
        )
    return RequestColumns(columns.rows, dict(zip(names, columns.features.values(), strict=True)))


def _reference(version: Version | None) -> Reference | None:
    counts = version.counts if version is not None else None
    return counts.reference if counts is not None else None


def _features(reference: Reference | None) -> Sequence[str]:
    if reference is None:
        return ()
    return [column.name for column in reference.columns if column.role == "feature"]


def _decide(answer: AnswerColumns, reference: Reference | None) -> AnswerColumns:
    """The answer with a class as prediction, where it has scores alone.

    Raises:
        MalformedError: a prediction is a list that is no scores of the classes.
    """
    prediction = answer.prediction
    if answer.score is prediction and reference is not None and reference.task == "binary":
        negative = next((name for name in reference.classes if name != reference.positive_class), "")
        chosen = {True: reference.positive_class, False: negative}
        decided = [chosen[value >= DECISION_SCORE] if _is_number(value) else None for value in prediction]
        return AnswerColumns(decided, answer.score)
    if not any(type(value) is list for value in prediction):
        return answer
    classes = reference.classes if reference is not None else ()
    if not classes or not all(type(value) is list and len(value) == len(classes) for value in prediction):
        raise MalformedError(
            "each prediction is a list; name the outputs as `prediction` and `score`", "outputs"
        )
    most = [_highest(value) for value in prediction]
    return AnswerColumns([None if place is None else classes[place] for place in most], answer.score)


def _highest(values: Sequence[Any]) -> int | None:
    """Place of the highest number; None if some are missing."""
    return values.index(max(values)) if all(map(_is_number, values)) else None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and value == value
