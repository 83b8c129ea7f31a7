"""Counts what became of the rows that were to be sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

SHOWN_REFUSALS = 10


@dataclass(frozen=True)
class Refusal:
    """Rows of a file that the exporter, or a reader, does not take; `first` and `last` are their numbers."""

    file: str
    first: int
    last: int
    detail: str


@dataclass
class Outcome:
    """Counts of rows; threads add to it.

    `answers` are the exporter's counts, and `dropped` those by reason; `refused` were not taken, and
    `refusals` are the first of them; `unreadable` has files that could not be read, or not to their end.
    `unanswered` are rows without a prediction. `features` are the columns that were sent as such, `unsent`
    those that were not. `waits_for` is the problem while a batch is tried again. `produced`: the exporter
    answered that Kafka has the rows, and that it does not know yet which are new.
    """

    answers: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    refusals: list[Refusal] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    unanswered: int = 0
    naive_timestamps: int = 0
    without_id: int = 0
    features: dict[str, None] = field(default_factory=dict)
    unsent: dict[str, None] = field(default_factory=dict)
    waits_for: str = ""
    produced: bool = False
    _lock: Lock = field(default_factory=Lock, repr=False)

    @property
    def taken(self) -> int:
        """Rows that the exporter answered for, whatever it did with them."""
        return self.answers.total() + self.dropped.total()

    @property
    def rows(self) -> int:
        return self.taken + self.refused

    def add_answer(self, answer: Mapping[str, Any]) -> None:
        with self._lock:
            for name, count in answer.items():
                if name == "dropped":
                    self.dropped.update(count)
                elif count is None:  # the exporter produces to Kafka, and does not know yet
                    self.produced = True
                else:
                    self.answers[name] += int(count)

    def refuse(self, refusal: Refusal, rows: int) -> None:
        with self._lock:
            self.refused += rows
            if len(self.refusals) < SHOWN_REFUSALS:
                self.refusals.append(refusal)
