"""An evaluator shows what partitions have counted, and they follow what it writes."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from exporter.config.models import ModelsConfig
from exporter.errors import MisdirectedError
from exporter.fleet import Status, Version
from exporter.ingest.commit import PredictionAnswer
from exporter.monitoring.rebaseline import Order
from exporter.settings import HOUR_SECONDS, parse_window
from exporter.storage.wanted_versions import add_wanted
from exporter.views.versions import version_detail
from exporter.worker.partition import WaitingError
from tests.support.evaluated_group import EvaluatedGroup
from tests.support.fakes import FakeRegistry
from tests.support.partitioned import assert_same
from tests.support.rig import NOON, Rig, eventually, make_rows, make_table, over_a_day
from tests.support.trail import bodies

pytestmark = pytest.mark.needs("initdb", "pg_ctl")
ORDER = Order("ada", "prices are in cents now")
MISSING = 'mlflow_model_missing_partitions{model="fraud",model_version="1"}'
PREDICTIONS = 'mlflow_model_predictions_total{model="fraud",model_version="1"}'
StartGroup = Callable[..., EvaluatedGroup]
Start = Callable[..., Rig]


@pytest.fixture
def labelled_registry() -> FakeRegistry:
    """MLflow with version 1 of `fraud`, whose reference has labels."""
    table, random = make_table(2000), np.random.default_rng(0)
    label = np.where(random.random(2000) < 0.1, 1, 0) ^ table["prediction"].to_numpy()
    registry = FakeRegistry()
    registry.register("fraud", table.append_column("label", pa.array(label)), alias="champion")
    registry.tag("fraud", target="label", task="binary")
    return registry


@pytest.fixture
def start_group(postgres_uri: str, labelled_registry: FakeRegistry) -> Iterator[StartGroup]:
    """`start_group(count=3)` is an evaluator whose partitions have followed it once."""
    with ExitStack() as opened:

        def start_one(registry: FakeRegistry = labelled_registry, **options: Any) -> EvaluatedGroup:
            group = EvaluatedGroup(postgres_uri, registry, **options)
            opened.callback(group.close)
            return group

        yield start_one


@pytest.fixture
def group(start_group: StartGroup) -> EvaluatedGroup:
    group = start_group()
    group.follow()
    group.evaluate()
    return group


def labels_of(rows: list[dict[str, Any]]) -> dict[str, int]:
    return {row["id"]: int(number % 3 == 0) for number, row in enumerate(rows)}


def figures(version: Version) -> list[float]:
    """Drift scores and metrics in all windows."""
    findings = version.findings
    assert findings is not None
    quality = [metric.figure.value for window in findings.quality for metric in window.metrics]
    return [*quality, *(score for each in findings.evaluation.windows for score in each.drift_score)]


def test_figures_are_those_of_one_process_also_after_a_fail_over(
    group: EvaluatedGroup, start: Start, labelled_registry: FakeRegistry
) -> None:
    one = start(registry=labelled_registry)
    one.poll()
    rows = over_a_day(make_rows(600, prefix="r"))
    for some in (rows[:300], rows[250:]):  # some come twice
        group.post_rows(some)
        one.post_rows(some)
    group.post_labels(labels_of(rows[::2]))
    one.post_labels(labels_of(rows[::2]))
    group.evaluate()
    one.service.evaluator.evaluate_all()
    version = group.rig.version()
    assert version.live.totals.predictions == 600
    assert_same(version, one.version())
    assert figures(version) == pytest.approx(figures(one.version()), rel=1e-9)

    group.fail_over()
    assert_same(group.rig.version(), one.version())  # before it evaluates
    group.evaluate()
    assert figures(group.rig.version()) == pytest.approx(figures(one.version()), rel=1e-9)


def test_an_hour_has_its_own_rows_alone_after_a_fail_over(group: EvaluatedGroup) -> None:
    group.post_rows(make_rows(50, prefix="a"))
    group.evaluate()
    group.fail_over()
    group.evaluate()
    group.post_rows(make_rows(30, prefix="b"))
    group.evaluate()
    group.clock.advance(HOUR_SECONDS)
    group.evaluate()
    summaries = [body for body in bodies(group.rig.service.store) if body["kind"] == "summary"]
    assert [summary["data"]["rows"] for summary in summaries] == [30]


def test_a_first_reference_is_shown_when_every_partition_has_taken_it(start_group: StartGroup) -> None:
    group = start_group()
    group.follow(0, 1)
    group.evaluate()
    version = group.rig.version()
    assert (version.counts, version.status, version.missing_partitions) == (None, Status.PENDING, (2,))
    detail = version_detail(version)
    assert "2" in detail.detail
    assert detail.problems[-1:] == ["partitions 2 of the Kafka group have not taken its newest reference yet"]
    assert group.rig.sample(MISSING) == 1

    group.follow()
    group.evaluate()
    assert (version.status, version.detail, version.missing_partitions) == (Status.READY, "", ())


def test_rows_wait_in_their_partitions_for_a_first_reference(
    start_group: StartGroup, start: Start, labelled_registry: FakeRegistry
) -> None:
    labelled_registry.loading.clear()
    group = start_group(settle=False)
    group.follow()
    rows = over_a_day(make_rows(90, prefix="w"))
    group.post_rows(rows)
    group.evaluate()
    version = group.rig.version()
    assert (version.status, version.waiting_rows) == (Status.PENDING, 90)

    labelled_registry.loading.set()
    group.rig.settle()
    group.follow()
    group.evaluate()
    one = start(registry=labelled_registry)
    one.poll()
    one.post_rows(rows)
    assert_same(version, one.version())


def test_without_a_reference_the_partitions_keep_no_rows(start_group: StartGroup) -> None:
    registry = FakeRegistry()
    registry.register("fraud", alias="champion")
    group = start_group(registry)
    group.follow()
    group.post_rows(make_rows(40, prefix="n"))
    group.evaluate()
    version = group.rig.version()
    assert (version.status, version.waiting_rows) == (Status.NO_REFERENCE, 0)
    assert version.live.totals.predictions == 40


def test_the_first_live_rows_of_all_partitions_become_the_reference(start_group: StartGroup) -> None:
    registry = FakeRegistry()
    registry.register("fraud", alias="champion")
    group = start_group(registry, reference_live_rows=120)
    group.follow()
    group.post_rows(over_a_day(make_rows(150, prefix="l")))
    group.evaluate()
    version = group.rig.version()
    assert (version.status, version.waiting_rows) == (Status.COLLECTING, 150)

    group.rig.poll()
    group.rig.poll()  # while partitions have not taken it, no second one is made
    group.follow()
    group.evaluate()
    assert version.counts is not None
    assert (version.counts.reference.source, version.counts.reference.rows) == ("live", 120)
    assert sum(block.rows for _, _, block in version.counts.timeline.blocks()) == 150
    kinds = [body["kind"] for body in bodies(group.rig.service.store)]
    assert kinds.count("reference_built") == 1


def test_a_reference_of_live_rows_replaces_the_former_when_all_partitions_have_it(
    group: EvaluatedGroup,
) -> None:
    rows = over_a_day(make_rows(1500, prefix="s"))
    group.post_rows(rows)
    group.post_labels(labels_of(rows))
    group.evaluate()
    version = group.rig.version()
    former = version.counts
    assert former is not None

    _, made = group.rig.service.rebaseliner.from_live(version, parse_window("24h"), ORDER)
    assert made.rows == 1500
    group.follow(0)
    group.post_rows(make_rows(60, prefix="t"))
    group.evaluate()
    assert version.missing_partitions == (1, 2)
    assert version.counts is not None
    assert version.counts.reference_id == former.reference_id
    assert version.findings is not None

    group.follow()
    group.evaluate()
    assert version.counts.reference.digest == made.digest
    assert version.missing_partitions == ()
    group.post_rows(make_rows(60, prefix="u"))
    group.evaluate()
    assert version.live.totals.predictions == 1620


def test_a_reference_of_a_file_is_taken_by_partitions_without_rows(group: EvaluatedGroup) -> None:
    sink = io.BytesIO()
    pq.write_table(make_table(1200, seed=5), sink)
    version = group.rig.version()
    _, made = group.rig.service.rebaseliner.from_file(version, sink.getvalue(), ORDER)
    group.fail_over()
    version = group.rig.version()
    assert version.counts is not None
    assert version.counts.reference.digest != made.digest  # the partitions have the former one
    group.follow()
    group.evaluate()
    assert version.counts.reference.digest == made.digest


def test_outcomes_of_another_maturation_are_shown_when_all_partitions_have_counted_again(
    group: EvaluatedGroup,
) -> None:
    rows = over_a_day(make_rows(120, prefix="m"))
    group.post_rows(rows)
    group.post_labels(labels_of(rows))
    group.evaluate()
    version = group.rig.version()

    def labelled() -> int:
        assert version.counts is not None
        assert version.counts.layout is not None
        end = version.counts.layout.traffic_start
        return sum(int(each.counts[:end].sum()) for each in version.counts.outcomes.values())

    counted = labelled()
    assert counted > 0
    group.configure(ModelsConfig.model_validate({"defaults": {"maturation": "1h"}}))
    group.follow(0, 1)
    group.evaluate()
    assert labelled() == counted
    group.follow()
    group.evaluate()
    assert 0 < labelled() < counted
    assert version.counts is not None
    assert version.counts.maturation_seconds == HOUR_SECONDS


def test_a_version_that_a_partition_has_rows_of_is_monitored(
    group: EvaluatedGroup, labelled_registry: FakeRegistry
) -> None:
    labelled_registry.register("fraud", make_table())
    partition = group.partitions[1]
    with partition.store.writing() as connection:
        add_wanted(connection, [("fraud", "2"), ("fraud", "9")], NOON)
    group.rig.poll()
    assert group.rig.service.fleet.versions.keys() == {("fraud", "1"), ("fraud", "2")}
    group.follow()
    group.post_rows(make_rows(9, prefix="v"), version="2")
    group.evaluate()
    assert group.rig.version("2").live.totals.predictions == 9


def test_rows_from_while_an_alias_pointed_to_a_deleted_version_are_dropped_as_by_one_process(
    start_group: StartGroup, start: Start, labelled_registry: FakeRegistry
) -> None:
    group = start_group(count=2, retire_after_seconds=600.0)
    one = start(registry=labelled_registry, clock=group.clock, retire_after_seconds=600.0)
    former = group.clock() + 60
    labelled_registry.register("fraud", make_table(2000))
    group.clock.advance(300)
    labelled_registry.set_alias("fraud", "champion", "2")
    for rig in (group.rig, one):
        rig.poll()
    labelled_registry.delete_version("fraud", "1")
    group.clock.advance(3600)
    for rig in (group.rig, one):
        rig.poll()
        assert ("fraud", "1") not in rig.service.fleet.versions
    group.follow()
    rows = [
        {**row, "timestamp": former if number % 2 else group.clock() - 60}
        for number, row in enumerate(make_rows(20, prefix="d"))
    ]
    assert one.post_rows(rows, alias="champion") == PredictionAnswer(10, 0, 0, {"no_version": 10})

    with pytest.raises(WaitingError):
        group.post_rows(rows, alias="champion")
    for partition in group.partitions.values():
        partition.name_wanted()
    group.clock.advance(1)
    group.rig.poll()
    group.follow()
    group.post_rows(rows, alias="champion")

    group.evaluate()
    assert group.rig.version("2").live.totals.predictions == 10
    assert_same(group.rig.version("2"), one.version("2"))


def test_a_version_that_is_forgotten_loses_its_waiting_rows(start_group: StartGroup) -> None:
    registry = FakeRegistry()
    registry.register("fraud", alias="champion")
    group = start_group(registry, reference_live_rows=100)
    group.follow()
    group.post_rows(make_rows(20, prefix="f"))
    registry.tag("fraud", enabled="false")
    group.rig.poll()
    assert not group.rig.service.fleet.versions
    group.follow()
    for partition in group.partitions.values():
        assert [stored.waiting_rows for stored in partition.store.load_versions()] == [0]


def test_labels_and_rows_of_all_partitions_are_in_a_sample(
    group: EvaluatedGroup, start: Start, labelled_registry: FakeRegistry
) -> None:
    one = start(registry=labelled_registry)
    rows = over_a_day(make_rows(300, prefix="p"))
    for each in (group, one):
        each.post_rows(rows)
        each.post_labels(labels_of(rows[:200]))
    found = group.rig.service.samples.load(group.rig.version().key, NOON - 86_400, NOON, 1000)
    expected = one.service.samples.load(one.version().key, NOON - 86_400, NOON, 1000)
    assert (found.counted, found.covered) == (expected.counted, expected.covered) == (300, 300)
    assert found.rows == expected.rows
    few = group.rig.service.samples.load(group.rig.version().key, NOON - 86_400, NOON, 40)
    assert few.rows == expected.rows[:40]

    def sampled() -> int:
        group.evaluate()
        sizes = group.rig.service.fleet.sample_sizes
        return sizes[group.rig.version().key].rows if sizes else 0

    eventually(lambda: sampled() == 300)


def test_arrivals_of_all_partitions_are_added_up(group: EvaluatedGroup) -> None:
    group.post_rows(make_rows(80, prefix="h"))
    group.tidy()
    group.clock.advance(600)
    group.post_rows(make_rows(40, prefix="i"))
    group.tidy()
    group.evaluate()
    arrivals = group.rig.service.counting.arrivals
    (hour,) = arrivals.hours(group.clock())["fraud", "1"]
    assert (hour["predictions"], hour["last_prediction"]) == (120, NOON + 600)
    (up,) = arrivals.uptime(group.clock())
    assert up["stretches"] == 0b111

    group.clock.advance(600)
    group.partitions[0].tidy()  # the others have no worker
    group.evaluate()
    (up,) = arrivals.uptime(group.clock())
    assert up["stretches"] == 0b111


def test_an_evaluator_takes_no_rows_itself(group: EvaluatedGroup) -> None:
    with pytest.raises(MisdirectedError, match="EXPORTER_INGEST=kafka"):
        group.rig.post_rows(make_rows(3))
    assert group.rig.service.telemetry.queue_rows == 0


def test_without_partitions_an_evaluator_shows_no_figures(start_group: StartGroup) -> None:
    group = start_group()
    group.evaluate()
    version = group.rig.version()
    assert (version.counts, version.status, version.last_prediction) == (None, Status.PENDING, None)
    assert version.detail
    assert group.rig.sample(PREDICTIONS) == 0
