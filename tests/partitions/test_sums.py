"""Sums over partitions are the counts of one store that got the same rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from exporter.errors import StoreError
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


def post(group: Group, *names: str, prefix: str = "", seed: int = 1) -> None:
    """Send rows with ids to the partitions that own them."""
    rows = make_rows(len(names), seed=seed)
    for name, row in zip(names, rows, strict=True):
        counter = group.counters[group.owner_of(name)]
        counter.counting.commit([counter.predict([{**row, "id": prefix + name}])])


def rows_of(group: Group) -> int:
    counts = group.refresh().counts
    return 0 if counts is None else sum(block.rows for _, _, block in counts.timeline.blocks())


def names(count: int) -> list[str]:
    return [f"r{number}" for number in range(count)]


def test_a_reference_is_shown_once_all_partitions_have_taken_it(start_group: Start) -> None:
    group = start_group()
    post(group, *names(20))
    before = group.refresh()
    former, totals = before.counts, before.live.totals
    assert former is not None
    group.save_reference(make_reference(seed=7))
    group.expect()
    for number in (2, 0):
        group.take_over(number, closed=True)
        post(group, *names(20), prefix=f"{number}-")
        assert rows_of(group) < 20 * (2 + (number == 0)), "some are counted for the new one already"
        counts = group.version.counts
        assert counts is not None
        assert counts.reference_id == former.reference_id
        assert group.version.live.totals.values.tolist() == totals.values.tolist()
        missing = ", ".join(map(str, group.sums.missing(group.version)))
        assert group.version.detail.endswith(f"partitions to take it: {missing}")
    assert group.version.live.totals.predictions == 60, "what is counted without bins goes on"
    group.take_over(1, closed=True)
    assert (group.refresh().detail, group.sums.missing(group.version)) == ("", ())
    counts = group.version.counts
    assert counts is not None
    assert counts.reference_id == group.sums.expected(group.version) == former.reference_id + 1
    assert counts.reference.digest == make_reference(seed=7).digest


def test_an_evaluator_that_starts_in_between_shows_the_former_reference(start_group: Start) -> None:
    group = start_group()
    post(group, *names(20))
    group.save_reference(make_reference(seed=7))
    group.take_over(1, closed=True)
    group.read_anew()
    assert rows_of(group) == 20
    assert group.version.counts is not None
    assert group.version.counts.reference.digest == REFERENCE.digest
    assert not len(group.version.live.totals.values), "no sum rather than one that goes back"
    assert group.sums.missing(group.version) == (0, 2)


def test_nothing_is_shown_while_a_partition_has_no_store(start_group: Start) -> None:
    group = start_group()
    with group.shared.writing() as connection:
        connection.exec_driver_sql("DROP SCHEMA partition_1 CASCADE")
    group.read_anew()
    version = group.refresh()
    assert (version.counts, version.status, group.sums.missing(version)) == (None, Status.PENDING, (1,))
    group.take_over(1)
    post(group, *names(20))
    assert rows_of(group) == 20


def test_a_reader_that_missed_tombstones_reads_anew(start_group: Start) -> None:
    group = start_group()
    post(group, *names(20))
    assert rows_of(group) == 20
    for _ in range(40):  # two days: fine blocks become coarse ones, and what they left behind goes
        group.clock.advance(1.2 * HOUR)
        for counter in group.counters.values():
            counter.tidy()
    with group.shared.reading() as connection:
        found = [
            connection.exec_driver_sql(
                f"SELECT count(*) FROM partition_{number}.aggregates WHERE payload = ''"
            ).scalar_one()
            for number in group.counters
        ]
    assert found == [0, 0, 0]
    assert rows_of(group) == 20
    counts = group.version.counts
    assert counts is not None
    assert not counts.timeline.fine


def test_outcomes_wait_until_all_partitions_count_by_the_same_maturation(start_group: Start) -> None:
    group = start_group()
    post(group, *names(20))
    for number, counter in group.counters.items():
        rows = [{"id": name, "label": 1} for name in names(20) if group.owner_of(name) == number]
        counter.counting.commit([counter.label(rows)])

    def shown() -> tuple[float | None, int]:
        counts = group.refresh().counts
        assert counts is not None
        return counts.maturation_seconds, len([each for each in counts.outcomes.values() if each])

    before = shown()
    group.counters[0].recount(60.0)
    assert shown() == (None, before[1])
    for number in (1, 2):
        group.counters[number].recount(60.0)
    assert shown() == (60.0, before[1])


def test_totals_survive_their_writers_and_readers(start_group: Start) -> None:
    group = start_group()
    post(group, *names(20))
    before = group.refresh().live.totals
    for number in range(3):
        group.take_over(number)
    group.read_anew()
    after = group.refresh().live.totals
    assert (after.predictions, after.values.tolist()) == (20, before.values.tolist())
    post(group, "another")
    assert group.refresh().live.totals.predictions == 21


def test_a_version_is_still_known_to_have_had_rows_after_a_start(start_group: Start) -> None:
    group = start_group()
    post(group, *names(3))
    group.refresh()
    assert group.shared.load_versions()[0].last_prediction == NOON


def test_damaged_counts_of_a_partition_leave_those_before(
    start_group: Start, caplog: pytest.LogCaptureFixture
) -> None:
    group = start_group()
    post(group, *names(20))
    assert rows_of(group) == 20
    post(group, *names(20), prefix="more-")
    fine = "family = 0"  # there is one
    with group.shared.writing() as connection:
        kept = connection.exec_driver_sql(
            f"SELECT payload FROM partition_1.aggregates WHERE {fine}"
        ).scalar_one()
        change = f"UPDATE partition_1.aggregates SET payload = %s WHERE {fine}"
        connection.exec_driver_sql(change, (b"\x01\x05",))
    assert rows_of(group) == 20
    assert "fraud version 1: a stored aggregate cannot be read" in caplog.text
    with group.shared.writing() as connection:
        connection.exec_driver_sql(change, (kept,))
    assert rows_of(group) == 40


def test_rows_that_wait_are_counted_once_their_reference_is_there(start_group: Start) -> None:
    group = start_group(reference=None)
    post(group, *names(20))
    assert (group.refresh().waiting_rows, group.version.live.totals.predictions) == (20, 20)
    group.save_reference(REFERENCE)
    group.expect()
    for number in range(3):
        group.take_over(number, closed=True)
    assert (rows_of(group), group.version.waiting_rows) == (20, 0)
    assert group.version.live.totals.predictions == 20
    assert group.version.live.totals.values.sum() == 20 * 5


def test_a_former_writer_stores_nothing_more(start_group: Start) -> None:
    group = start_group()
    post(group, *names(20))
    former = group.take_over(group.owner_of("late"))
    with pytest.raises(StoreError, match="took over"):
        former.counting.commit([former.predict([{**make_rows(1)[0], "id": "late"}])], 99)
    assert rows_of(group) == 20
    assert group.counters[group.owner_of("late")].store.load_offset() is None
    post(group, "late")
    assert rows_of(group) == 21


def test_statements_of_a_refresh_are_neither_compiled_nor_shared_between_processes(
    start_group: Start, one_counter: Counter
) -> None:
    feed = Feed(start_group(4), one_counter, np.random.default_rng(0))
    feed.predict()
    plans: dict[str, str] = {}

    def explain(_: Any, cursor: Any, statement: str, given: Any, *__: Any) -> None:
        if "version_states" in statement or "aggregates" in statement:
            cursor.execute(f"EXPLAIN {statement}", given)
            plans[statement] = "\n".join(line for (line,) in cursor.fetchall())

    sa.event.listen(sa.Engine, "before_cursor_execute", explain)
    try:
        feed.group.refresh()
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", explain)

    assert len(plans) >= 2
    assert [plan for plan in plans.values() if "JIT" in plan or "Gather" in plan] == []
