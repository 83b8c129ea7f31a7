"""A version's reference is replaced on purpose."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from exporter.audit.record import Entry
from exporter.errors import MalformedError, RegistryUnreachableError
from exporter.evaluation.context import QualityRules
from exporter.evaluation.quality_reference import quality_reference
from exporter.fleet import Status
from exporter.monitoring import rebaseline
from exporter.monitoring.rebaseline import Order
from exporter.monitoring.reference_loader import REFERENCE_RETRY_SECONDS
from exporter.profiling.from_sampled_rows import LiveSample
from exporter.reference.profile import Reference
from exporter.settings import parse_window
from exporter.storage import schema
from exporter.storage.reference_rows import load_reference_rows
from tests.support.fakes import BROKEN, FakeRegistry
from tests.support.rig import NOON, Rig, make_rows, make_table, over_a_day
from tests.support.trail import bodies

ORDER = Order("ada", "prices are in cents now")
DRIFT = 'mlflow_model_drift_score{model="fraud",model_version="1",column="age",role="feature",window="24h"}'
DAY = parse_window("24h")
Start = Callable[..., Rig]


@pytest.fixture
def rig(start: Callable[..., Rig], store_uri: str) -> Rig:
    """One with version 1 of `fraud`, on each of the databases."""
    return start(store=store_uri)


def parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def older(rows: int = 2000, prefix: str = "") -> list[dict[str, Any]]:
    """Predictions for people who are ten years older than those of the reference."""
    found = over_a_day(make_rows(rows, prefix=prefix))
    for row in found:
        row["features"]["age"] += 10
    return found


def reference_of(rig: Rig) -> Reference:
    counts = rig.version().counts
    assert counts is not None
    return counts.reference


def from_live(rig: Rig) -> Entry:
    return rig.service.rebaseliner.from_live(rig.version(), DAY, ORDER)[0]


def from_file(rig: Rig, table: pa.Table) -> Entry:
    return rig.service.rebaseliner.from_file(rig.version(), parquet(table), ORDER)[0]


def start_with(start: Start, directory: Path, settings: str) -> Rig:
    """A rig with settings of the model in its configuration file."""
    path = directory / "exporter.yml"
    path.write_text(f"models: {{fraud: {{{settings}}}}}")
    return start(config=str(path))


def rows_of(rig: Rig) -> pa.Table:
    """Rows of the reference as they are kept."""
    counts = rig.version().counts
    assert counts is not None
    with rig.service.store.reading() as connection:
        content = load_reference_rows(connection, counts.reference_id)
    return pq.read_table(io.BytesIO(content))


def quality_of(rig: Rig) -> dict[str, float]:
    """Baselines of quality that the reference gives."""
    found = quality_reference(reference_of(rig), QualityRules(), {})
    assert found is not None
    return {name: baseline.figure.value for name, baseline in found.baselines.items()}


def replacements(rig: Rig) -> list[dict[str, Any]]:
    """Data of the records about replaced references."""
    return [body["data"] for body in bodies(rig.service.store) if body["kind"] == "reference_replaced"]


def test_what_is_live_becomes_normal(rig: Rig) -> None:
    rig.post_rows(older())
    rig.evaluate()
    assert (rig.sample(DRIFT) or 0) > 0.3
    from_live(rig)
    rig.post_rows(older())
    rig.evaluate()
    assert (rig.sample(DRIFT) or 0) < 0.1


def test_live_rows_bring_bins_and_baselines_of_their_own(rig: Rig) -> None:
    rows = older(prefix="r")
    for row in rows:
        row["features"]["age"] *= 100
    rig.post_rows(rows)
    rig.post_labels(
        {row["id"]: row["prediction"] if k % 4 else 1 - row["prediction"] for k, row in enumerate(rows)}
    )
    before = reference_of(rig)
    from_live(rig)
    after = reference_of(rig)
    assert after.columns[0].edges[0] > before.columns[0].edges[-1]
    assert [c.name for c in after.columns] == [c.name for c in before.columns]
    assert (after.rows, after.split, after.target) == (2000, "live", "label")
    assert after.notes[0] == (
        "a uniform sample of 2,000 of the 2,000 live rows of the last 24h: what was wrong with them is taken "
        "as normal"
    )
    counts = rig.version().counts
    assert counts is not None
    assert counts.layout is not None
    assert quality_of(rig)["accuracy"] == pytest.approx(0.75)


def test_labels_of_rows_that_are_too_young_give_no_baselines(start: Start, store_uri: str) -> None:
    """The ones that came at once need not be like those that are still to come."""
    rig = start(store=store_uri)
    rig.registry.tag("fraud", maturation="7d")
    rig.poll()
    rows = older(prefix="r")
    rig.post_rows(rows)
    rig.post_labels({row["id"]: row["prediction"] for row in rows})
    from_live(rig)
    assert reference_of(rig).labels is None


def test_a_sample_that_is_off_is_said(start: Start, tmp_path: Path) -> None:
    rig = start_with(start, tmp_path, "sample: {rows: 0}")
    rig.post_rows(older())
    with pytest.raises(MalformedError, match="no live rows are kept"):
        from_live(rig)
    assert not replacements(rig)


def test_a_sample_that_is_too_small_is_said(rig: Rig) -> None:
    rig.post_rows(make_rows(2000, timestamp=NOON - 60))
    message = r"the sample has 100 of the 2,000 rows of the last 24h, a reference needs 1,000: take a longer"
    with pytest.raises(MalformedError, match=message):
        from_live(rig)
    assert not replacements(rig)


def test_columns_that_are_not_in_the_sample_stay_as_they_were(start: Start, tmp_path: Path) -> None:
    rig = start_with(start, tmp_path, "sample: {leave_out: [age], hash: [country]}")
    rig.post_rows(older())
    before = reference_of(rig)
    from_live(rig)
    after = reference_of(rig)
    assert {c.name for c in after.columns} == {c.name for c in before.columns}
    assert rig.post_rows(older(30)).accepted == 30
    rig.evaluate()
    evaluation = rig.version().evaluation
    assert evaluation is not None
    assert not rig.version().unknown_columns
    assert rows_of(rig).column_names == [
        "features.new",
        "features.country",
        "prediction",
        "score",
        "timestamp",
    ]
    assert all(len(text) == 16 for text in rows_of(rig)["features.country"].to_pylist())


def test_a_file_that_came_meanwhile_is_not_lost(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each replacement is on record with what it replaced, in the order in which they took effect."""
    rig.post_rows(older())
    run = rebaseline.profile

    def profile(data: Any, *others: Any) -> Any:
        if isinstance(data, LiveSample):
            from_file(rig, make_table(1500, seed=6))
        return run(data, *others)

    monkeypatch.setattr(rebaseline, "profile", profile)
    from_live(rig)
    file, live = replacements(rig)
    assert (file["source"], live["source"]) == ("file", "live")
    assert live["old_digest"] == file["new_digest"]
    assert reference_of(rig).source == "live"


def test_its_rows_are_kept_in_place_of_those_before(rig: Rig) -> None:
    assert rows_of(rig).num_rows == 1000
    from_file(rig, make_table(1500, seed=6))
    assert rows_of(rig)["features.age"].to_pylist() == make_table(1500, seed=6)["age"].to_pylist()
    rig.post_rows(older())
    from_live(rig)
    assert rows_of(rig).num_rows == 2000
    with rig.service.store.reading() as connection:
        assert len(connection.execute(sa.select(schema.reference_rows)).all()) == 1


def test_windows_start_anew(rig: Rig) -> None:
    rig.post_rows(older())
    from_live(rig)
    assert not rig.window_rows()
    rig.post_rows(older(30))
    assert rig.window_rows() == 30


def test_a_file_brings_bins_of_its_own(rig: Rig) -> None:
    before = reference_of(rig)
    table = make_table(3000, seed=5)
    moved = table.set_column(0, "age", pa.array(np.asarray(table["age"]) * 100))
    from_file(rig, moved)
    after = reference_of(rig)
    assert after.rows == 3000
    assert after.columns[0].edges[0] > before.columns[0].edges[-1]
    assert after.task == before.task


def test_it_is_on_record_who_did_it_and_why(rig: Rig) -> None:
    rig.post_rows(older())
    before = reference_of(rig).digest
    first = from_live(rig)
    second = from_file(rig, make_table(1500, seed=6))
    new, newest = first.reference_digest, reference_of(rig).digest
    described = {"source": "live", "rows": 2000, "columns": 5, "provisional": True}
    assert first == Entry(
        "reference_replaced",
        "ada",
        "fraud",
        "1",
        data={"old_digest": before, "new_digest": new, "reason": "prices are in cents now"} | described,
        reference_digest=new,
        config_digest=rig.version().facts.config_digest,
    )
    assert (second.data["old_digest"], second.data["new_digest"]) == (new, newest)
    assert replacements(rig) == [first.data, second.data]


def test_what_no_database_takes_is_left_out_of_the_record(rig: Rig) -> None:
    order = Order("a\0da", "be\0cause \ud800")
    entry, _ = rig.service.rebaseliner.from_file(rig.version(), parquet(make_table(1500, seed=6)), order)
    stored = bodies(rig.service.store)[-1]
    assert (stored["actor"], stored["data"]["reason"]) == ("ada", "because ?")
    assert stored["reference_digest"] == entry.reference_digest


def test_a_restart_keeps_it_whatever_mlflow_has(start: Callable[..., Rig], store_uri: str) -> None:
    registry = FakeRegistry()
    registry.register("fraud", make_table(), alias="champion")
    rig = start(store=store_uri, registry=registry)
    entry = from_file(rig, make_table(1500, seed=6))
    rig.stop()
    again = start(store=store_uri, registry=registry)
    again.poll()
    assert reference_of(again).digest == entry.reference_digest
    assert replacements(again) == [entry.data]


def test_counts_in_the_bins_of_before_stay_stored(rig: Rig) -> None:
    rig.post_rows(older())
    from_file(rig, make_table(1500, seed=6))
    rig.post_rows(older(30))
    with rig.service.store.begin() as transaction:
        query = sa.select(schema.aggregates.c.reference_id).distinct()
        assert sorted(transaction.connection.scalars(query)) == [1, 2]


def test_labels_are_counted_anew_in_its_classes(rig: Rig) -> None:
    rows = older(400, prefix="r")
    rig.post_rows(rows)
    rig.post_labels({str(row["id"]): row["prediction"] for row in rows})
    before = rig.quality("accuracy")
    from_file(rig, make_table(1500, seed=6))
    assert before is not None
    assert rig.service.fleet.versions["fraud", "1"].counts.outcomes  # type: ignore[union-attr]
    assert rig.quality("accuracy") == before


def test_a_reference_without_predictions_ends_the_figures_of_quality(rig: Rig) -> None:
    rows = make_rows(400, prefix="a", timestamp=NOON - 60)
    rig.post_rows(rows)
    rig.post_labels({row["id"]: row["prediction"] for row in rows})
    from_file(rig, make_table(1000).append_column("label", make_table(1000)["prediction"]))
    rig.poll()
    assert rig.quality("accuracy") == 1
    from_file(rig, make_table(1000).select(["age", "country", "new"]))
    assert rig.quality("accuracy") is None
    assert not rig.series("mlflow_model_window_labels", "mlflow_model_label_maturation_seconds")


def test_rows_that_were_on_their_way_are_counted_in_its_bins(rig: Rig) -> None:
    request = rig.request({"model": "fraud", "version": "1", "predictions": older(50)})
    from_file(rig, make_table(1500, seed=6))
    rig.service.writer.submit(request).result()
    assert rig.window_rows() == 50


def test_segments_are_those_of_the_live_rows(start: Callable[..., Rig], store_uri: str) -> None:
    registry = FakeRegistry()
    registry.register("fraud", make_table(), alias="champion")
    registry.tag("fraud", segments="country")
    rig = start(store=store_uri, registry=registry)
    rows = older()
    rig.post_rows([row for row in rows if row["features"]["country"] != "AT"])
    from_live(rig)
    found = reference_of(rig)
    assert [segment.name for segment in found.segments] == ["country=DE", "country=FR"]
    assert sum(segment.reference.rows for segment in found.segments) == found.rows
    rig.post_rows(older(30))
    assert rig.window_rows() == 30


def test_too_few_live_rows_change_nothing(rig: Rig) -> None:
    before = reference_of(rig).digest
    rig.post_rows(older(10))
    with pytest.raises(MalformedError, match="10 rows came in the last 24h"):
        from_live(rig)
    assert reference_of(rig).digest == before
    assert not replacements(rig)


@pytest.mark.parametrize("body", [b"", b"PAR1", b"{}"])
def test_a_file_that_cannot_be_read_changes_nothing(rig: Rig, body: bytes) -> None:
    before = reference_of(rig).digest
    with pytest.raises(MalformedError):
        rig.service.rebaseliner.from_file(rig.version(), body, ORDER)
    assert reference_of(rig).digest == before


def test_a_version_without_a_reference_gets_one_from_a_file_alone(start: Callable[..., Rig]) -> None:
    registry = FakeRegistry()
    registry.register("fraud", None, alias="champion")
    rig = start(registry=registry)
    assert rig.version().status is Status.NO_REFERENCE
    with pytest.raises(MalformedError, match="send a file"):
        from_live(rig)
    entry = from_file(rig, make_table())
    assert entry.data["old_digest"] == ""
    assert rig.version().status is Status.READY


@pytest.mark.parametrize(
    "found",
    [make_table(500, seed=7), None, BROKEN, RegistryUnreachableError("MLflow is down")],
    ids=["another", "none", "broken", "MLflow down"],
)
def test_what_is_found_meanwhile_in_mlflow_changes_nothing(
    start: Callable[..., Rig], found: pa.Table | Exception | None
) -> None:
    registry = FakeRegistry()
    registry.register("fraud", BROKEN, alias="champion")
    rig = start(registry=registry)
    registry.set_reference("fraud", "1", found)
    registry.loading.clear()
    rig.clock.advance(REFERENCE_RETRY_SECONDS)
    rig.service.discovery.poll()  # it looks again, which takes long
    from_file(rig, make_table(1500, seed=6))
    rig.post_rows(older(50))
    registry.loading.set()
    rig.settle()

    assert (reference_of(rig).source, reference_of(rig).rows) == ("file", 1500)
    assert (rig.version().status, rig.version().detail) == (Status.READY, "")
    assert rig.window_rows() == 50
    assert replacements(rig)[-1]["new_digest"] == reference_of(rig).digest


def test_columns_that_were_told_from_features_stay_what_they_are(rig: Rig) -> None:
    """The next file has the same columns, whatever became of the tag; a feature called `score` stays one."""
    table = make_table(1500)
    table = table.append_column("p1", pa.array(np.linspace(0, 1, 1500)))
    if "score" in table.column_names:
        table = table.drop_columns(["score"])
    table = table.append_column("score", pa.array(np.linspace(300, 850, 1500)))
    rig.registry.tag("fraud", "1", score="p1")
    rig.poll()
    from_file(rig, table)
    first = [(column.name, column.role) for column in reference_of(rig).columns]
    assert ("score", "feature") in first
    assert ("score", "score") in first
    rig.registry.tag("fraud", "1", score="")
    rig.poll()
    from_file(rig, table)
    assert [(column.name, column.role) for column in reference_of(rig).columns] == first
