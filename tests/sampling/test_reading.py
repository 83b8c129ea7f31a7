"""A uniform sample of the rows of a window, with their labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import orjson
import pytest

from exporter.config.models import ModelConfig
from exporter.config.sampling import SampleConfig
from exporter.monitoring.rebaseline import Order
from exporter.sampling import reading, stored
from exporter.sampling.rows import Sample
from exporter.settings import DAY_SECONDS, HOUR_SECONDS, parse_window
from tests.support.rig import NOON, Rig, make_rows, over_a_day

WINDOW = 24 * HOUR_SECONDS
Start = Callable[..., Rig]


@pytest.fixture
def sampling_rig(start: Start) -> Rig:
    """One that keeps five rows of each block of five minutes."""
    rig = start()
    keep_rows(rig, 5)
    return rig


def keep_rows(rig: Rig, rows: int, **more: Any) -> None:
    """Configure the sample of version 1."""
    version = rig.version()
    config = ModelConfig(sample=SampleConfig(rows=rows), **more)
    version.facts = type(version.facts)(config=config)


def post(rig: Rig, count: int, at: float, prefix: str = "", seed: int = 1) -> None:
    rig.post_rows(make_rows(count, prefix=prefix, seed=seed, timestamp=at))


def load(rig: Rig, start: float = NOON - WINDOW, end: float = NOON, **options: Any) -> Sample:
    options = {"max_rows": 10_000} | options
    return rig.service.samples.load(rig.version().key, start, end, **options)


def labels(sample: Sample) -> list[str | None]:
    return [row.label for row in sample.rows]


def test_of_a_quiet_window_every_row_is_there(sampling_rig: Rig) -> None:
    post(sampling_rig, 3, NOON - 60, "a")
    post(sampling_rig, 4, NOON - 3600, "b", seed=2)
    sample = load(sampling_rig)
    assert (len(sample.rows), sample.counted, sample.covered) == (7, 7, 7)
    assert Counter(row.at for row in sample.rows) == {NOON - 60: 3, NOON - 3600: 4}
    ages = {orjson.loads(row.content)["features"]["age"] for row in sample.rows}
    sent = make_rows(3, seed=1) + make_rows(4, seed=2)
    assert ages == {row["features"]["age"] for row in sent}


def test_without_rows_it_is_empty(sampling_rig: Rig) -> None:
    assert load(sampling_rig) == Sample((), 0, 0)


def test_blocks_of_unequal_traffic_are_sampled_at_one_rate(start: Start) -> None:
    rig = start()
    keep_rows(rig, 200)
    sizes = {NOON - 300 * k - 60: 200 * k for k in range(1, 7)}
    for k, (at, count) in enumerate(sizes.items()):
        post(rig, count, at, f"{k}-", seed=k)
    sample = load(rig)
    found, rate = Counter(row.at for row in sample.rows), len(sample.rows) / sample.counted
    assert sample.counted == sum(sizes.values()) == 4200
    assert 0.1 < rate < 0.3  # the busiest block keeps 200 of 1,200
    for at, count in sizes.items():
        assert abs(found[at] - rate * count) < 4 * (rate * count) ** 0.5


def test_every_row_has_the_same_chance(start: Start) -> None:
    """Rows at the ends of the ranges are as frequent in the sample as in the window."""
    rig = start()
    keep_rows(rig, 300)
    for k in range(3):
        post(rig, 2000, NOON - 300 * k - 60, f"{k}-", seed=10 + k)
    rows = [orjson.loads(row.content)["features"] for row in load(rig).rows]
    sent = [row["features"] for k in range(3) for row in make_rows(2000, seed=10 + k)]
    for chosen in (lambda row: row["age"] < 30, lambda row: row["country"] == "AT"):
        expected = len(rows) * sum(map(chosen, sent)) / len(sent)
        assert abs(sum(map(chosen, rows)) - expected) < 4 * expected**0.5


def test_a_limit_takes_the_lowest_hashes(sampling_rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    for k in range(6):
        post(sampling_rig, 5, NOON - 300 * k - 60, f"{k}-", seed=k)
    whole = load(sampling_rig)
    few = load(sampling_rig, max_rows=8)
    assert len(whole.rows) == 30
    assert few.rows == whole.rows[:8]
    monkeypatch.setattr(reading, "MAX_BYTES", sum(len(row.content) for row in whole.rows[:3]))
    assert load(sampling_rig).rows == whole.rows[:3]


@pytest.mark.parametrize(
    ("start_at", "end_at", "minutes"),
    [
        (NOON - 3600, NOON - 3300, [60]),
        (NOON - 3601, NOON - 3300, [65, 60]),
        (NOON - 3600, NOON - 3299, [60, 55]),
        (NOON - 3450, NOON - 3449, [60]),
        (NOON - 7200, NOON - 3900, []),
    ],
)
def test_a_window_has_the_blocks_that_overlap_it(
    sampling_rig: Rig, start_at: float, end_at: float, minutes: Sequence[int]
) -> None:
    for minute in (65, 60, 55):
        post(sampling_rig, 1, NOON - 60 * minute + 100, f"{minute}-", seed=minute)
    sample = load(sampling_rig, start_at, end_at)
    assert sorted(row.at for row in sample.rows) == [NOON - 60 * minute + 100 for minute in minutes]
    assert sample.counted == len(minutes)


def test_blocks_of_different_lengths_are_one_window(sampling_rig: Rig) -> None:
    for hours in (1, 30, 31, 50):
        post(sampling_rig, 3, NOON - hours * HOUR_SECONDS, f"{hours}-", seed=hours)
    sample = load(sampling_rig, NOON - 31 * HOUR_SECONDS, NOON)
    assert Counter(round((NOON - row.at) / HOUR_SECONDS) for row in sample.rows) == {1: 3, 30: 3, 31: 3}
    assert sample.counted == sample.covered == 9


def test_what_was_counted_under_the_former_reference_is_there(start: Start) -> None:
    rig = start()
    rig.post_rows(over_a_day(make_rows(1000)))
    rig.service.rebaseliner.from_live(rig.version(), parse_window("24h"), Order("ada", "as it is"))
    post(rig, 50, NOON - 60, "b", seed=2)
    assert load(rig).counted == 1050


def test_rows_from_before_the_sample_are_counted_apart(sampling_rig: Rig) -> None:
    keep_rows(sampling_rig, 0)
    post(sampling_rig, 40, NOON - 5 * HOUR_SECONDS, "a")
    keep_rows(sampling_rig, 5)
    post(sampling_rig, 4, NOON - 60, "b")
    sample = load(sampling_rig)
    assert (len(sample.rows), sample.counted, sample.covered) == (4, 44, 4)


# -- labels -------------------------------------------------------------------------------------------------


def test_labels_are_those_of_the_moment(start: Start, store_uri: str) -> None:
    rig = start(store=store_uri)
    post(rig, 3, NOON - 60, "r")
    assert labels(load(rig)) == [None] * 3
    rig.post_labels({"r0": 1, "r1": 0})
    assert sorted(map(str, labels(load(rig)))) == ["0", "1", "None"]
    rig.post_labels({"r0": 0})
    assert sorted(map(str, labels(load(rig)))) == ["0", "0", "None"]


def test_a_label_may_come_first(sampling_rig: Rig) -> None:
    sampling_rig.post_labels({"r0": 1})
    post(sampling_rig, 1, NOON - 60, "r")
    assert labels(load(sampling_rig)) == ["1"]


def test_a_label_that_came_too_late_does_not_count(sampling_rig: Rig) -> None:
    post(sampling_rig, 1, NOON - 7200, "r")
    sampling_rig.post_labels({"r0": 1})
    assert labels(load(sampling_rig, maturation_seconds=3600.0)) == [None]
    assert labels(load(sampling_rig, maturation_seconds=7200.0)) == ["1"]


def test_rows_without_ids_have_the_labels_that_came_along(sampling_rig: Rig) -> None:
    sampling_rig.post_rows([{**row, "label": k} for k, row in enumerate(make_rows(2, timestamp=NOON - 60))])
    sampling_rig.post_rows(make_rows(1, seed=2, timestamp=NOON - 60))
    assert sorted(map(str, labels(load(sampling_rig)))) == ["0", "1", "None"]


def test_of_several_predictions_with_an_id_the_latest_has_the_label(sampling_rig: Rig) -> None:
    first, second = make_rows(2, timestamp=NOON - 60)
    sampling_rig.post_rows([{**first, "id": "a"}])
    sampling_rig.post_rows([{**second, "id": "a"}])
    sampling_rig.post_labels({"a": 1})
    found = {orjson.loads(row.content)["features"]["age"]: row.label for row in load(sampling_rig).rows}
    assert found == {first["features"]["age"]: None, second["features"]["age"]: "1"}


def test_the_label_of_an_id_is_that_of_its_last_day(sampling_rig: Rig) -> None:
    (row,) = make_rows(1)
    for days in (3, 1):
        sampling_rig.post_rows([{**row, "id": "a", "timestamp": NOON - days * DAY_SECONDS}])
    sampling_rig.post_labels({"a": 1})
    found = load(sampling_rig, NOON - 4 * DAY_SECONDS)
    assert {(NOON - row.at) / DAY_SECONDS: row.label for row in found.rows} == {3: None, 1: "1"}


def test_a_shadow_has_the_labels_of_its_own_predictions(start: Start) -> None:
    rig = start()
    rig.registry.register("fraud", rig.registry._models["fraud"].versions["1"].reference, alias="shadow")
    rig.poll()
    rows = make_rows(2, prefix="r", timestamp=NOON - 60)
    rig.post_rows(rows)
    rig.post_rows(rows[:1], version="2")
    rig.post_labels({"r0": 1, "r1": 0})
    shadow = rig.service.samples.load(rig.version("2").key, NOON - WINDOW, NOON, 100)
    assert [row.label for row in shadow.rows] == ["1"]


def test_many_labels_are_looked_up_in_parts(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "LABELS_AT_ONCE", 7)
    rig = start()
    post(rig, 50, NOON - 60, "r")
    rig.post_labels({f"r{k}": k % 2 for k in range(50)})
    assert Counter(labels(load(rig))) == {"0": 25, "1": 25}
