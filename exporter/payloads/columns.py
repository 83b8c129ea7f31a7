"""Columns of a request to a model, and of the answer to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from exporter.errors import MalformedError

OWN_FIELDS = ("id", "timestamp", "prediction", "score", "label", "latency_seconds")  # beside the features


@dataclass(frozen=True)
class RequestColumns:
    """Features of a request's `rows`, by column name: each (rows,) values as the body has them.

    `positional` is true where the body names no columns: names are `0`, `1`, ... then, as in
    `pd.DataFrame(ndarray)`.
    """

    rows: int
    features: dict[str, list[Any]]
    positional: bool = False

    def with_names(self, names: Sequence[str]) -> RequestColumns:
        """The columns with names where the body has none, if there is a name for each."""
        if not self.positional or len(names) != len(self.features):
            return self
        return RequestColumns(self.rows, dict(zip(names, self.features.values(), strict=True)))

    def split_off(self, name: str) -> tuple[RequestColumns, list[Any] | None]:
        """The columns without the one with ids, and its values; None if there is no such column.

        Ids are no feature: every value is new.
        """
        if not name or name not in self.features:
            return self, None
        kept = dict(self.features)
        return replace(self, features=kept), kept.pop(name)


@dataclass(frozen=True)
class AnswerColumns:
    """Predictions (rows,) and scores (rows,) of an answer, None without scores.

    A score is a number, a list in the order of the model's classes, or a dictionary by class.
    """

    prediction: list[Any]
    score: list[Any] | None = None


def row_ids(request_id: str, rows: int, given: Sequence[object] | None = None) -> list[Any]:
    """Id of each row: its own, or else the request's, with `/<row>` behind it if there are several rows."""
    if not request_id:
        made: list[Any] = [None] * rows
    else:
        made = [request_id] if rows == 1 else [f"{request_id}/{row}" for row in range(rows)]
    if given is None:
        return made
    return [other if own is None else own for own, other in zip(given, made, strict=True)]


def rows_of_records(records: Sequence[Any]) -> dict[str, list[Any]]:
    """Columns of dictionaries, in the order of their appearance; None where one lacks a key."""
    names = dict.fromkeys(name for record in records for name in record)
    return {name: [record.get(name) for record in records] for name in names}


def check_same_length(columns: Sequence[Sequence[object]], where: str) -> None:
    """
    Raises:
        MalformedError: the columns differ in length.
    """
    lengths = sorted(set(map(len, columns)))
    if len(lengths) > 1:
        raise MalformedError(f"columns differ in length: {', '.join(map(str, lengths))}", where)
