"""Sums over partitions are the counts of one store that got the same rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from exporter.fleet import Status
from exporter.storage.store import Store
from tests.support.fakes import Clock
from tests.support.partitioned import Counter, Group, assert_same, make_reference
from tests.support.rig import NOON, make_rows

pytestmark = pytest.mark.needs("initdb", "pg_ctl")
REFERENCE = make_reference()
HOUR, DAY = 3600.0, 86400.0
Start = Callable[..., Group]


@pytest.fixture
def start_group(postgres_uri: str) -> Iterator[Start]:
    """`start_group(partitions=3)` is a group with a reference."""
    with ExitStack() as opened:

        def start_one(partitions: int = 3, clock: Clock | None = None, **options: Any) -> Group:
            group = Group(
                postgres_uri, partitions, clock or Clock(NOON), **{"reference": REFERENCE, **options}
            )
            opened.callback(group.close)
            return group

        yield start_one


@pytest.fixture
def one_counter(tmp_path: Any) -> Iterator[Counter]:
    """One process that has the same version and reference."""
    store = Store(f"sqlite:///{tmp_path}/one.db")
    store.ensure_version("fraud", "1", 0)
    with store.begin() as transaction:
        transaction.save_reference(1, REFERENCE, NOON)
    counter = Counter(store, Clock(NOON))
    counter.recount(0.0)
    yield counter
    store.close()


@dataclass
class Feed:
    """Gives the same rows to a group and to one process."""

    group: Group
    one: Counter
    random: np.random.Generator
    sent: int = 0

    @property
    def now(self) -> float:
        return self.group.clock()

    def advance(self, seconds: float) -> None:
        self.group.clock.advance(seconds)
        self.one.clock.advance(seconds)

    def predict(self) -> None:
        """New rows, some with an id that came before, with the same values or with others, some late."""
        count, random = int(self.random.integers(1, 40)), self.random
        rows = make_rows(count, prefix="r", seed=int(random.integers(1e9)))
        for row in rows:
            place = random.integers(0, self.sent + 1) if random.random() < 0.2 else self.sent
            row["id"] = f"r{place}"
            self.sent += 1
            age = random.exponential(2 * DAY) if random.random() < 0.3 else random.random() * HOUR
            row["timestamp"] = self.now - min(age, 29 * DAY)
            row["latency_seconds"] = float(random.exponential(0.05))
            if random.random() < 0.05:
                row["features"]["shoe"] = 44
        self._send("predictions", rows)

    def label(self) -> None:
        """Labels of ids that came, or will come, some for the second time."""
        places = self.random.integers(0, self.sent + 20, int(self.random.integers(1, 60)))
        values = self.random.integers(0, 2, len(places)).tolist()
        at = self.now - self.random.random(len(places)) * HOUR
        rows = [
            {"id": f"r{place}", "label": value, "timestamp": float(each)}
            for place, value, each in zip(places, values, at, strict=True)
        ]
        self._send("labels", list({row["id"]: row for row in rows}.values()))

    def _send(self, kind: str, rows: list[dict[str, Any]]) -> None:
        of = Counter.predict if kind == "predictions" else Counter.label
        self.one.counting.commit([of(self.one, rows)])
        for number, counter in self.group.counters.items():
            own = [row for row in rows if self.group.owner_of(row["id"]) == number]
            if own:
                counter.counting.commit([of(counter, own)], self.sent)

    def recount(self) -> None:
        self.group.maturation = maturation = float(self.random.choice([0, 600, 7200]))
        self.one.recount(maturation)
        for number in self.random.permutation(self.group.count).tolist():
            self.group.counters[number].recount(maturation)
            if self.random.random() < 0.3:
                self.group.refresh()

    def tidy(self) -> None:
        for number in self.random.permutation(self.group.count).tolist():
            self.group.counters[number].tidy()
            if self.random.random() < 0.3:
                self.group.refresh()
        self.one.tidy()

    def flush(self) -> None:
        number = int(self.random.integers(self.group.count))
        with self.group.counters[number].store.begin() as transaction:
            transaction.predictions.flush()
            transaction.labels.flush()

    def step(self) -> None:
        """Something that may happen."""
        number = int(self.random.integers(self.group.count))
        steps = {
            self.predict: 6,
            self.label: 4,
            self.group.refresh: 3,
            lambda: self.advance(float(self.random.exponential(HOUR))): 3,
            lambda: self.advance(float(self.random.exponential(2 * DAY))): 0.5,
            self.tidy: 1,
            self.flush: 1,
            self.recount: 0.5,
            self.group.read_anew: 0.5,
            lambda: self.group.take_over(number, closed=True): 0.5,
            lambda: self.group.take_over(number): 0.5,
        }
        weights = np.array(list(steps.values()), float)
        list(steps)[int(self.random.choice(len(steps), p=weights / weights.sum()))]()


@pytest.mark.parametrize(("partitions", "seed"), [(2, 2), (3, 3)])
def test_whatever_happens_the_sums_are_the_counts_of_one_store(
    start_group: Start, one_counter: Counter, partitions: int, seed: int
) -> None:
    feed = Feed(start_group(partitions), one_counter, np.random.default_rng(seed))
    for _ in range(5):
        for _ in range(10):
            feed.step()
        feed.tidy()
        assert_same(feed.group.refresh(), one_counter.version)
    feed.group.read_anew()
    assert_same(feed.group.refresh(), one_counter.version)
    assert feed.group.version.status is Status.READY
