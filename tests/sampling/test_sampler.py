"""The sample of raw rows as it is taken with what is counted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from exporter.config.sampling import SampleConfig
from exporter.errors import UnavailableError
from exporter.sampling import sampler
from exporter.settings import Settings
from exporter.storage.labels import LabelTables
from exporter.storage.sampled_rows import (
    SampledBlock,
    SampleSize,
    StoredRow,
    load_sample_sizes,
    load_sampled_blocks,
    load_sampled_rows,
)
from tests.support.fakes import Clock, FakeRegistry
from tests.support.rig import NOON, Rig, make_rows, make_table

Start = Callable[..., Rig]
HOUR, DAY = 3600.0, 86400.0
EVER = 2**40
PARTS = ("features", "prediction", "score")


def blocks_of(rig: Rig, version: str = "1") -> list[SampledBlock]:
    with rig.service.store.reading() as connection:
        return load_sampled_blocks(connection, rig.version(version).key, 0, EVER)


def rows_of(rig: Rig, version: str = "1", model: str = "fraud") -> list[StoredRow]:
    with rig.service.store.reading() as connection:
        key = rig.version(version, model).key
        return load_sampled_rows(connection, key, 0, EVER, limit=10**6, max_bytes=10**9)


def contents(rows: list[StoredRow]) -> list[dict[str, Any]]:
    return [orjson.loads(row.content) for row in rows]


def configured(tmp_path: Path, text: str) -> dict[str, Any]:
    path = tmp_path / "exporter.yml"
    path.write_text(f"models: {{fraud: {{sample: {{{text}}}}}}}\n")
    return {"config": str(path)}


def new_store(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/another.db"


def check_sizes(rig: Rig) -> None:
    """Hold the sizes in memory and on the page against the store."""
    with rig.service.store.reading() as connection:
        stored = load_sample_sizes(connection)
    assert rig.service.fleet.sample_sizes == stored
    key = rig.version().key
    size = stored.get(key, SampleSize())
    for name, value in (("rows", size.rows), ("bytes", size.bytes)):
        series = rig.series(f"mlflow_model_sample_{name}")
        assert sum(series.values()) == value


def test_rows_of_a_quiet_block_are_all_in_the_sample(rig: Rig) -> None:
    rig.evaluate()
    rows = make_rows(30, prefix="a")
    rig.post_rows(rows)
    expected = [{name: row[name] for name in PARTS} for row in rows]
    assert sorted(contents(rows_of(rig)), key=str) == sorted(expected, key=str)
    assert blocks_of(rig) == [SampledBlock(int(NOON), 30, None)]
    check_sizes(rig)


def test_the_sample_is_the_same_in_whatever_order_and_how_often_rows_come(
    start: Start, tmp_path: Path
) -> None:
    rows = make_rows(400, prefix="a")
    found = []
    for seed in range(2):
        rig = start(store=f"sqlite:///{tmp_path}/{seed}.db", **configured(tmp_path, "rows: 25"))
        rig.evaluate()
        order = np.random.default_rng(seed).permutation(400)
        for some in np.array_split(order, 9):
            posted = [rows[place] for place in some.tolist()]
            rig.post_rows(posted)
            rig.post_rows([*reversed(posted)])
            check_sizes(rig)
        found.append((rows_of(rig), blocks_of(rig)))
    assert found[0] == found[1]
    (block,) = found[0][1]
    assert block.rows == 25
    assert block.threshold is not None
    assert block.threshold > max(row.priority for row in found[0][0])


def test_requests_of_one_commit_share_a_block(rig: Rig) -> None:
    rows = make_rows(300, prefix="a")
    documents = [{"model": "fraud", "version": "1", "predictions": rows[k::5]} for k in range(5)]
    documents[3]["columns"] = {
        "id": [row["id"] for row in rows[3::5]],
        "features": {name: [row["features"][name] for row in rows[3::5]] for name in rows[0]["features"]},
        "prediction": [row["prediction"] for row in rows[3::5]],
    }
    del documents[3]["predictions"]
    for future in rig.together(documents):
        future.result(60)
    (block,) = blocks_of(rig)
    assert block.rows == 100
    priorities = [row.priority for row in rows_of(rig)]
    assert priorities == sorted(set(priorities))


def test_a_restart_goes_on_where_it_was(start: Start, store_uri: str, tmp_path: Path) -> None:
    registry = FakeRegistry()
    registry.register("fraud", make_table(), alias="champion")
    rows = make_rows(600, prefix="a", timestamp=NOON)
    rig = start(store=store_uri, registry=registry)
    for part in range(3):
        rig.post_rows(rows[part * 200 : part * 200 + 200])
        rig.stop()
        rig = start(store=store_uri, registry=registry, clock=Clock(NOON + part))
        rig.evaluate()
        check_sizes(rig)
    whole = start(store=new_store(tmp_path), registry=registry)
    whole.post_rows(rows)
    assert rows_of(rig) == rows_of(whole)
    assert blocks_of(rig) == blocks_of(whole)


def test_memory_has_few_blocks_and_reads_the_others_from_the_store(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampler, "MAX_KNOWN_BLOCKS", 3)
    rows = [row | {"timestamp": NOON - 300 * (n % 8)} for n, row in enumerate(make_rows(1600, prefix="a"))]
    for some in (rows[:400], rows[400:900], rows[900:]):
        rig.post_rows(some)
    assert len(rig.service.counting.sampler._blocks) == 3
    assert [block.rows for block in blocks_of(rig)] == [100] * 8
    by_block: dict[float, list[int]] = {}
    for row in rows_of(rig):
        by_block.setdefault(row.at, []).append(row.priority)
    thresholds = {block.start: block.threshold or 0 for block in blocks_of(rig)}
    assert all(max(found) < thresholds[int(at)] for at, found in by_block.items())


def test_a_conflict_is_a_further_row_and_each_content_is_there_once(rig: Rig) -> None:
    first, second = make_rows(2)
    for row in (first, second, first, second, second):
        rig.post_rows([row | {"id": "a"}])
    assert sorted(contents(rows_of(rig)), key=str) == sorted(
        ({name: row[name] for name in PARTS} for row in (first, second)), key=str
    )


def test_labels_stay_with_rows_without_an_id_only(rig: Rig) -> None:
    rig.post_rows([*make_rows(3, label=1), *make_rows(2, prefix="a", label=0), *make_rows(1)])
    rows = rows_of(rig)
    assert sorted(str(row.label) for row in rows if row.id_hash is None) == ["1", "1", "1", "None"]
    named = [row for row in rows if row.id_hash is not None]
    assert [row.label for row in named] == [None, None]
    with rig.service.store.begin() as transaction:
        labels = LabelTables(transaction).find_labels([row.id_hash or b"" for row in named])
    assert [each.row.label for each in labels.values()] == ["0", "0"]


def test_rows_that_waited_for_the_reference_are_sampled_when_they_are_counted(
    start: Start, tmp_path: Path
) -> None:
    registry = FakeRegistry()
    registry.register("fraud", make_table(), alias="champion")
    rows = make_rows(300, prefix="a")
    registry.loading.clear()
    waited = start(registry=registry, settle=False)
    for some in (rows[:100], rows[100:200], rows[150:]):
        waited.post_rows(some)
    assert rows_of(waited) == []
    registry.loading.set()
    waited.settle()
    at_once = start(store=new_store(tmp_path), registry=registry)
    at_once.post_rows(rows)
    assert rows_of(waited) == rows_of(at_once)
    assert blocks_of(waited)[0].rows == 100


def test_rows_of_each_version_are_a_sample_of_their_own(rig: Rig) -> None:
    rig.registry.register("fraud", make_table(), alias="challenger")
    rig.poll()
    rows = make_rows(50, prefix="a")
    rig.post_rows(rows, version="1")
    rig.post_rows(rows[:20], version="2")
    assert (len(rows_of(rig, "1")), len(rows_of(rig, "2"))) == (50, 20)


def test_columns_are_left_out_and_hashed_as_the_file_says(start: Start, tmp_path: Path) -> None:
    rig = start(**configured(tmp_path, "leave_out: [age], hash: [country]"))
    rig.post_rows(make_rows(200, prefix="a"))
    found = [row["features"] for row in contents(rows_of(rig))]
    assert {name for row in found for name in row} == {"country", "new"}
    assert {len(row["country"]) for row in found} == {16}
    assert len({row["country"] for row in found}) == 3


# -- ageing -------------------------------------------------------------------------------------------------


def test_fine_blocks_become_coarse_ones_with_the_lowest_of_all_their_rows(
    start: Start, store_uri: str, tmp_path: Path
) -> None:
    rows = make_rows(1200, prefix="a")
    timed = [row | {"timestamp": NOON + 300 * (n % 12) + 0.5} for n, row in enumerate(rows)]
    options = configured(tmp_path, "rows: 50")
    rig = start(store=store_uri, clock=Clock(NOON + HOUR), **options)
    rig.post_rows([row for n, row in enumerate(timed) if n % 5])
    rig.evaluate()
    assert len(blocks_of(rig)) == 12
    rig.clock.advance(27 * HOUR)
    rig.post_rows(timed[::5])  # late: some are in the coarse block already, before the fine ones are
    rig.evaluate()
    check_sizes(rig)
    (block,) = blocks_of(rig)
    assert (block.start, block.rows) == (NOON, 50)
    whole = start(store=new_store(tmp_path), clock=Clock(NOON + 28 * HOUR), **options)
    whole.post_rows(timed)
    assert rows_of(rig) == rows_of(whole)
    assert blocks_of(rig) == blocks_of(whole)
    rig.post_rows([{**row, "id": f"b{n}", "timestamp": NOON + 1} for n, row in enumerate(make_rows(500))])
    check_sizes(rig)
    assert len(rows_of(rig)) == 50


def test_rows_expire_with_their_retention_and_none_is_taken_that_would_have(
    start: Start, tmp_path: Path
) -> None:
    rig = start(**configured(tmp_path, "retention: 3d"))
    rig.post_rows(make_rows(20, prefix="a"))
    for _ in range(80):
        rig.clock.advance(HOUR)
    rig.post_rows([row | {"timestamp": NOON} for row in make_rows(20, prefix="b")])
    rig.post_rows(make_rows(7, prefix="c"))
    rig.evaluate()
    assert len(rows_of(rig)) == 7
    check_sizes(rig)


def test_rows_are_not_kept_for_longer_than_the_ids_by_which_labels_are_found(
    start: Start, tmp_path: Path
) -> None:
    rig = start(prediction_retention_days=2, **configured(tmp_path, "retention: 20d"))
    rig.post_rows(make_rows(20, prefix="a"))
    rig.clock.advance(2 * DAY + 2 * HOUR)
    rig.evaluate()
    assert rows_of(rig) == []


def test_switched_off_nothing_is_taken_and_what_is_there_is_deleted(start: Start, tmp_path: Path) -> None:
    rig = start(**configured(tmp_path, "rows: 10"))
    rig.post_rows(make_rows(50, prefix="a"))
    assert len(rows_of(rig)) == 10
    configured(tmp_path, "rows: 0")
    rig.service.reload()
    rig.evaluate()
    rig.post_rows(make_rows(50, prefix="b"))
    assert (rows_of(rig), blocks_of(rig)) == ([], [])
    check_sizes(rig)
    configured(tmp_path, "rows: 20")
    rig.service.reload()
    rig.post_rows(make_rows(50, prefix="c"))
    assert len(rows_of(rig)) == 20


def test_rows_of_a_version_that_is_not_monitored_any_more_expire(rig: Rig) -> None:
    rig.post_rows(make_rows(20, prefix="a"))
    rig.evaluate()
    rig.registry.delete("fraud")
    rig.registry.register("churn", make_table(), alias="champion")
    rig.poll()
    rig.clock.advance(2 * DAY)
    rig.poll()
    assert ("fraud", "1") not in rig.service.fleet.versions
    with rig.service.store.reading() as connection:
        assert list(load_sample_sizes(connection).values()) == [SampleSize(20, pytest.approx(1600, rel=0.3))]
    rig.clock.advance(28 * DAY)
    rig.evaluate()
    with rig.service.store.reading() as connection:
        assert load_sample_sizes(connection) == {}


def test_a_store_near_its_limit_begins_no_sample_and_goes_on_counting(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    rig = start()
    rig.post_rows(make_rows(40, prefix="a"))
    rig.evaluate()
    size = rig.service.store.size_bytes()
    rig.stop()
    tight = start(registry=rig.registry, store_limit_bytes=int(size * 1.2), clock=Clock(NOON + 300))
    tight.evaluate()
    assert "no further rows are sampled" in caplog.text
    assert tight.post_rows(make_rows(60, prefix="b")).accepted == 60
    assert tight.window_rows() == 100
    assert [block.start for block in blocks_of(tight)] == [NOON]
    tight.post_rows([row | {"timestamp": NOON} for row in make_rows(10, prefix="c")])
    assert [block.rows for block in blocks_of(tight)] == [50], "a sample that began stays one of all rows"


def test_a_commit_that_fails_leaves_the_sample_as_it_was(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.evaluate()
    rig.post_rows(make_rows(150, prefix="a"))
    before = rows_of(rig), blocks_of(rig)
    with monkeypatch.context() as broken:

        def fail(*_: object) -> None:
            raise MemoryError

        broken.setattr("exporter.sampling.sampler.insert_rows", fail)
        with pytest.raises(UnavailableError, match="MemoryError"):
            rig.post_rows(make_rows(500, prefix="b"))
    assert (rows_of(rig), blocks_of(rig)) == before
    check_sizes(rig)
    rig.post_rows(make_rows(500, prefix="b"))
    assert len(rows_of(rig)) == 100
    check_sizes(rig)


@pytest.mark.parametrize("partitions", [1, 4, 64])
def test_partitions_together_keep_as_many_rows_as_one_process(partitions: int) -> None:
    random, rows, blocks = np.random.default_rng(partitions), 20_000, 24
    limit = sampler.Sampler(Settings(), random, partitions).limit(SampleConfig())
    assert partitions * limit <= 7 * SampleConfig().rows
    lowest = min(float(np.sort(random.random(rows // partitions))[limit]) for _ in range(blocks * partitions))
    assert lowest * rows > 0.7 * SampleConfig().rows, "rows of a block below the lowest threshold of all"
