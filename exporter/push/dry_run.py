"""Answers requests in place of the exporter, by its own decoders, without taking anything."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import orjson

from exporter.client.connection import Answer
from exporter.errors import RequestError
from exporter.formats.labels import decode_labels
from exporter.formats.predictions import read_predictions
from exporter.push.batches import Destination, Request
from exporter.push.outcome import Outcome
from exporter.push.sending import Post
from exporter.settings import Settings


def dry_poster(target: Destination, outcome: Outcome, now: Callable[[], float] = time.time) -> Post:
    """Function that answers a request as an exporter with the default settings that knows no row yet."""
    settings = Settings()

    def post(request: Request) -> Answer:
        try:
            if target.labels:
                labels = decode_labels(request.body, request.content_type, request.query, settings)
                outcome.naive_timestamps += labels.naive_timestamps
                return _answer(202, {"accepted": labels.rows})
            decoded = read_predictions(request.body, request.content_type, request.query, settings).typed()
        except RequestError as error:
            return _answer(error.status, {"detail": error.detail, "where": error.where})
        outcome.naive_timestamps += decoded.naive_timestamps
        times = np.asarray(decoded.timestamps if decoded.timestamps is not None else [], np.float64)
        old = int((times < now() - settings.max_age_seconds).sum())
        future = int((times > now() + settings.max_future_seconds).sum())
        dropped = {name: count for name, count in (("too_old", old), ("future", future)) if count}
        return _answer(202, {"accepted": decoded.rows - old - future, "dropped": dropped})

    return post


def _answer(status: int, document: object) -> Answer:
    return Answer(status, {}, orjson.dumps(document))
