"""A reference is made of a table: which columns, with which roles, and how much the table itself varies."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from exporter.aggregates.outcome_layout import outcome_layout
from exporter.errors import ReferenceInvalidError
from exporter.profiling.build import build_reference
from exporter.profiling.data import ReferenceData
from exporter.reference.profile import Reference
from tests.profiling.built import AGES, DAY, ROWS, START, WEEK, build, named

DRAW = np.random.default_rng(1)


def counts_of(reference: Reference, name: str) -> dict[str, int]:
    """The reference's own rows by cell, those that there are."""
    index = [column.name for column in reference.columns].index(name)
    counts = reference.counts[reference.offsets[index] : reference.offsets[index + 1]]
    names = reference.columns[index].cell_names
    return {cell[3:]: int(count) for cell, count in zip(names, counts, strict=True) if count}


# -- columns ------------------------------------------------------------------------------------------------


def test_columns_have_roles_by_their_name_and_kinds_by_their_type() -> None:
    reference = build(
        {
            "age": AGES,
            "count": pa.array(np.arange(ROWS) % 7, pa.uint8()),
            "price": pa.array([Decimal(k % 9) for k in range(ROWS)]),
            "country": ["DE", "FR", None] * 1000,
            "new": [True, False] * 1500,
            "born": pa.array([date(1980 + k % 40, 1, 1) for k in range(ROWS)]),
            "seen": pa.array(1000 * DRAW.integers(0, 10**6, ROWS), pa.timestamp("ms", "Europe/Berlin")),
            "account": pa.array(2**60 + np.arange(ROWS) % 5),
            "plan": pa.array(["a", "b", "c"] * 1000).dictionary_encode(),
            "prediction": DRAW.integers(0, 2, ROWS),
            "score": DRAW.random(ROWS),
            "label": DRAW.integers(0, 2, ROWS),
        }
    )

    assert [(c.name, c.role, c.kind) for c in reference.columns] == [
        ("age", "feature", "number"),
        ("count", "feature", "number"),
        ("price", "feature", "number"),
        ("country", "feature", "category"),
        ("new", "feature", "boolean"),
        ("born", "feature", "time"),
        ("seen", "feature", "time"),
        ("account", "feature", "category"),
        ("plan", "feature", "category"),
        ("prediction", "prediction", "category"),
        ("score", "score", "number"),
    ]
    assert (reference.rows, reference.target, reference.task) == (ROWS, "label", "binary")
    assert counts_of(reference, "country") == {"DE": 1000, "FR": 1000, "(missing)": 1000}
    assert counts_of(reference, "new") == {"true": 1500, "false": 1500}
    assert len(counts_of(reference, "account")) == 5


def test_every_column_counts_every_row() -> None:
    reference = build({"age": [*AGES[:-3], None, np.inf, np.nan], "country": ["DE", None] * 1500})

    assert np.add.reduceat(reference.counts, reference.offsets[:-1]).tolist() == [ROWS, ROWS]
    assert counts_of(reference, "age")["(missing)"] == 2


def test_nested_columns_are_left_out_with_a_note() -> None:
    reference = build(
        {"age": AGES, "tags": [["a"]] * ROWS, "raw": [b"x"] * ROWS, "prediction": [[0.1, 0.9]] * ROWS}
    )

    assert [column.name for column in reference.columns] == ["age"]
    assert "column tags is not monitored: its type is list<item: string>" in reference.notes
    assert any(note.startswith("column raw is not monitored") for note in reference.notes)
    assert any(note.startswith("column prediction is not monitored") for note in reference.notes)


def test_fields_of_a_row_are_no_features() -> None:
    reference = build({"age": AGES, "id": np.arange(ROWS), "latency_seconds": AGES})

    assert [column.name for column in reference.columns] == ["age"]
    assert "column id is no feature: in samples it is the row's own" in reference.notes


def test_too_many_columns_are_left_out_but_never_the_prediction() -> None:
    features = {f"x{k}": [1.0, 2.0] for k in range(6)}
    reference = build({**features, "prediction": [0, 1], "score": [0.5, 0.6]}, max_columns=4)

    assert [column.name for column in reference.columns] == ["x0", "x1", "x2", "x3", "prediction", "score"]
    note = "left out, for at most 4 columns are monitored (EXPORTER_MAX_COLUMNS): x4, x5"
    assert note in reference.notes


def test_an_all_null_column_is_shown_and_not_judged() -> None:
    reference = build({"age": AGES, "empty": pa.nulls(ROWS), "nothing": pa.nulls(ROWS, pa.float64())})

    for name in ("empty", "nothing"):
        assert named(reference)[name].unjudged == "the reference has no value in it"
        assert counts_of(reference, name) == {"(missing)": ROWS}


def test_a_constant_column_has_one_bin_and_is_judged() -> None:
    reference = build({"age": [7.0] * ROWS, "country": ["DE"] * ROWS})

    assert [column.unjudged for column in reference.columns] == ["", ""]
    assert list(counts_of(reference, "age").values()) == [ROWS]
    assert counts_of(reference, "country") == {"DE": ROWS}


def test_a_single_row_is_a_reference() -> None:
    reference = build({"age": [41.0], "country": ["DE"], "prediction": [1], "timestamp": [1.7e9]})

    assert reference.rows == 1
    assert reference.variation == {}
    assert counts_of(reference, "country") == {"DE": 1}


def test_a_category_column_of_a_million_values_stays_small() -> None:
    texts = pa.array(np.arange(200_000)).cast(pa.string())
    reference = build({"id_like": pa.concat_arrays([texts] * 5), "age": np.arange(1_000_000) % 10})

    assert reference.cells < 100
    assert named(reference)["id_like"].unjudged == ""  # each comes five times
    assert not named(reference)["id_like"].known_complete
    assert len(reference.encode()) < 20_000


def test_nothing_to_profile_is_an_error() -> None:
    with pytest.raises(ReferenceInvalidError, match="no rows"):
        build({"age": pa.array([], pa.float64()), "timestamp": pa.array([], pa.float64())})
    with pytest.raises(ReferenceInvalidError, match="no feature columns"):
        build({"prediction": [1], "score": [0.5], "timestamp": [1], "label": [1], "id": [7]})
    with pytest.raises(ReferenceInvalidError, match="no feature columns"):
        build({"tags": [["a"]]})


def test_a_data_frame_as_pandas_writes_it_is_a_reference() -> None:
    frame = pd.DataFrame(
        {
            "age": pd.array([41, None, 27], "Int64"),
            "plan": pd.Categorical(["a", None, "b"], categories=["a", "b", "never"]),
            "seen": pd.to_datetime(["2026-01-01", None, "2026-01-02"]),
        }
    )
    reference = build_reference(ReferenceData(pa.Table.from_pandas(frame), "tests"), (DAY,), 100)

    assert named(reference)["plan"].categories == ("a", "b")
    assert counts_of(reference, "age")["(missing)"] == 1
    assert counts_of(reference, "seen") == {"(any)": 2, "(missing)": 1}


# -- task and target ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prediction", "task"),
    [
        ([0, 1] * 10, "binary"),
        ([True, False] * 10, "binary"),
        (["yes", "no"] * 10, "binary"),
        (["yes"] * 20, "binary"),
        ([0.0, 1.0, None, 2.0] * 5, "multiclass"),
        (["a", "b", "c", None] * 5, "multiclass"),
        (list(range(30)), "multiclass"),
        (list(range(31)), "regression"),
        ([0.5, 1.0] * 10, "regression"),
        ([0.1 * k for k in range(20)], "regression"),
        ([2**60 + k for k in range(20)], "multiclass"),
        (pa.nulls(20, pa.float64()), ""),
        ([[0.1, 0.9]] * 20, ""),
    ],
)
def test_the_task_is_inferred_from_the_predictions(prediction: list[Any], task: str) -> None:
    reference = build({"age": [1.0] * len(prediction), "prediction": prediction})

    assert reference.task == task
    assert task == "" or named(reference)["prediction"].kind == (
        "number" if task == "regression" else "category"
    )


def test_without_predictions_there_is_no_task() -> None:
    assert build({"age": AGES}).task == ""


def test_a_task_that_its_owner_names_wins_if_there_is_such_a_one() -> None:
    columns = {"age": [1.0, 2.0], "prediction": [0, 1]}

    assert build(columns, task="regression").task == "regression"
    odd = build(columns, task="forecast")
    assert odd.task == "binary"
    assert "task 'forecast' is none of binary, multiclass, regression: inferred" in odd.notes


def test_the_target_is_no_feature() -> None:
    columns = {"age": [1.0, 2.0], "late": [0, 1], "prediction": [0, 1]}

    assert "late" in named(build(columns))
    assert "late" not in named(build(columns, target="late"))
    assert "label" not in named(build({**columns, "label": [1, 0]}))
    assert "target" not in named(build({**columns, "target": [1, 0]}))


def test_scores_of_classes_say_that_it_is_a_classification() -> None:
    """25 integer classes: without the scores they could be counts of something."""
    classes = np.arange(ROWS) % 25
    scores = np.full((ROWS, 25), 0.01)
    scores[np.arange(ROWS), classes] = 0.76
    reference = build(
        {"age": AGES, "prediction": classes, "score": scores.tolist(), "label": (classes + 1) % 25}
    )

    assert (reference.task, len(reference.classes)) == ("multiclass", 25)
    assert outcome_layout(reference) is not None
    two_of_three = {"prediction": [0, 1] * 10, "score": [[0.5, 0.3, 0.2]] * 20}
    assert build({"age": [1.0] * 20, **two_of_three}).task == "multiclass"
    forty = {"prediction": np.arange(4000) % 40, "score": [[0.5, 0.5]] * 4000}
    assert build({"age": [1.0] * 4000, **forty}).task == "multiclass"


def test_a_model_of_several_outputs_is_not_called_binary() -> None:
    for prediction in ([[0.1, 0.9]] * ROWS, [{"a": 1, "b": 2}] * ROWS):
        reference = build({"age": AGES, "prediction": prediction})
        assert reference.task == ""
        assert any(note.startswith("column prediction is not monitored") for note in reference.notes)


def test_why_there_is_no_quality_is_said() -> None:
    one = build({"age": AGES, "prediction": ["ham"] * ROWS, "label": ["ham"] * ROWS})
    assert any(note.startswith("no quality: of the two classes") and "(ham)" in note for note in one.notes)
    lists = build({"age": AGES, "prediction": [[0.1, 0.9]] * ROWS, "label": ["ham"] * ROWS})
    assert "no quality: the reference has no usable predictions" in lists.notes
    told = build({"age": AGES, "prediction": ["ham"] * ROWS, "label": ["ham"] * ROWS}, positive_class="spam")
    assert told.classes == ("ham", "spam")
    assert told.notes == ()
    assert build({"age": AGES, "prediction": [0] * ROWS, "label": [0] * ROWS}).notes == ()


def test_names_that_are_too_long_are_left_out_and_named() -> None:
    reference = build({"age": AGES, "x" * 257: AGES})

    assert [column.name for column in reference.columns] == ["age"]
    assert reference.notes == (f"left out, for their names are longer than 256 characters: {'x' * 60}…",)


# -- time ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "timestamps",
    [
        pa.array(START + np.arange(ROWS) * 3600, pa.timestamp("s")),
        pa.array((START + np.arange(ROWS) * 3600) * 10**9 + 1, pa.timestamp("ns", "UTC")),
        pa.array(START + np.arange(ROWS) * 3600),
        pa.array(START + np.arange(ROWS) * 3600.0),
        pd.to_datetime(START + np.arange(ROWS) * 3600, unit="s").strftime("%Y-%m-%dT%H:%M:%SZ").tolist(),
        pa.array(
            pd.to_datetime(START + np.arange(ROWS) * 3600, unit="s").strftime("%Y-%m-%d %H:%M")
        ).dictionary_encode(),
    ],
    ids=["timestamp", "nanoseconds", "epoch", "float epoch", "text", "naive text"],
)
def test_times_of_any_notation_give_the_natural_variation(timestamps: Any) -> None:
    reference = build({"age": AGES, "timestamp": timestamps})

    assert not reference.provisional
    # an hour has one row, and a day 24: they tell of the seasons, not of single hours and days
    chunks = {seconds: variation.chunks for seconds, variation in reference.variation.items()}
    assert chunks == {3600: 0, 86400: 0, WEEK.seconds: 18}
    assert [column.name for column in reference.columns] == ["age"]


@pytest.mark.parametrize(
    ("timestamps", "problem"),
    [
        ([*range(ROWS - 1), None], "has gaps"),
        ([*map(float, range(ROWS - 1)), np.inf], "has gaps"),
        (["soon"] * ROWS, "holds no times"),
        ([["2026"]] * ROWS, "holds no times"),
        ((START + np.arange(ROWS) * 3600) * 1000, "is not in seconds"),
        (pa.nulls(ROWS), "has gaps"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_times_that_cannot_be_used_make_the_verdict_provisional(timestamps: Any, problem: str) -> None:
    reference = build({"age": AGES, "timestamp": timestamps})

    assert reference.provisional
    assert f"column timestamp {problem}: no natural variation, verdicts are provisional" in reference.notes


def test_times_over_too_short_a_time_make_the_verdict_provisional() -> None:
    reference = build({"age": AGES, "timestamp": START + np.arange(ROWS) * 10})
    assert reference.provisional
    assert reference.notes == ("its times span 0.3 days, with too few rows in windows of any length",)


def test_each_window_has_its_own_variation_where_the_reference_is_long_enough() -> None:
    rows = 90 * 24 * 40
    times = START + np.arange(rows) * 90
    reference = build({"age": DRAW.normal(size=rows), "timestamp": times})

    assert {seconds: v.chunks for seconds, v in reference.variation.items()} == {3600: 2000, 86400: 90}
    assert reference.variation[86400].drift[0] < 0.1  # it does not vary
    assert reference.variation[3600].drift[0] == 1.0  # of which forty rows an hour do not tell much


def test_a_shorter_window_may_vary_at_least_as_much_as_a_longer_one() -> None:
    days = np.repeat(np.arange(60), 24 * 110)
    level = 0.3 * np.random.default_rng(1).normal(size=60)[days]
    values = level + np.random.default_rng(2).normal(size=len(days))
    reference = build({"age": values, "timestamp": START + np.arange(len(days)) * 3600 / 110})

    assert reference.variation[3600].drift[0] >= reference.variation[86400].drift[0] > 0.1


def test_a_reference_that_changes_from_day_to_day_varies() -> None:
    days = np.repeat(np.arange(60), 500)
    level = np.random.default_rng(1).normal(size=60)[days]
    values = level + np.random.default_rng(2).normal(size=len(days))
    reference = build({"age": values, "steady": values - level, "timestamp": START + days * 86400})

    drift = dict(zip(named(reference), reference.variation[DAY.seconds].drift, strict=True))
    assert drift["age"] > 0.3 or np.isnan(drift["age"])
    assert drift["steady"] < 0.1


def test_the_order_of_rows_says_nothing() -> None:
    order = np.random.default_rng(3).permutation(ROWS)
    values = np.random.default_rng(4).normal(size=ROWS)
    times = START + np.arange(ROWS) * 1200
    one = build({"age": values, "timestamp": times})
    other = build({"age": values[order], "timestamp": times[order]})

    np.testing.assert_array_equal(one.variation[DAY.seconds].drift, other.variation[DAY.seconds].drift)
    np.testing.assert_array_equal(one.counts, other.counts)


def test_dates_are_counted_by_their_age_at_the_time_of_the_row() -> None:
    times = START + np.arange(ROWS) * 3600
    ages = np.random.default_rng(5).uniform(0, 1e6, ROWS)
    reference = build({"seen": pa.array((times - ages).astype(int), pa.timestamp("s")), "timestamp": times})

    column = named(reference)["seen"]
    assert column.unjudged == ""
    assert -1 < column.edges[0] < 1e5
    assert column.edges[-1] < 1.1e6
    assert "(missing)" not in counts_of(reference, "seen")


def test_dates_without_times_of_the_rows_are_there_all_the_same() -> None:
    seen = pa.array([START, None] * 1500, pa.timestamp("s"))
    reference = build({"seen": seen, "age": AGES})

    assert counts_of(reference, "seen") == {"(any)": 1500, "(missing)": 1500}
    assert np.isfinite(reference.moments).all()


def test_categories_of_one_row_say_how_many_unseen_ones_to_expect() -> None:
    texts = [f"c{k}" for k in np.random.default_rng(6).zipf(1.5, ROWS)]
    once = sum(texts.count(text) == 1 for text in set(texts))
    reference = build({"city": texts})
    column = named(reference)["city"]

    assert counts_of(reference, "city")["(unseen)"] == once > 100
    assert len(column.known) + len(column.categories) == len(set(texts))  # live rows of theirs are seen


# -- size ---------------------------------------------------------------------------------------------------


def test_a_large_table_is_counted_in_slices_that_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = {
        "age": AGES,
        "country": ["DE", "FR", None] * 1000,
        "account": pa.array(2**60 + np.arange(ROWS) % 5),
        "seen": pa.array(START - np.arange(ROWS) % 777, pa.timestamp("s")),
        "timestamp": START + np.arange(ROWS) * 1200,
    }
    whole = build(columns)
    monkeypatch.setattr("exporter.profiling.counts.SLICE_VALUES", 400)
    sliced = build(columns)

    np.testing.assert_array_equal(sliced.counts, whole.counts)
    np.testing.assert_allclose(sliced.moments, whole.moments, atol=1e-9)
    assert sliced.variation.keys() == whole.variation.keys() != set()
    for seconds, variation in whole.variation.items():
        np.testing.assert_array_equal(sliced.variation[seconds].drift, variation.drift)
        np.testing.assert_array_equal(sliced.variation[seconds].missing, variation.missing)


def test_chunks_are_bounded_and_evenly_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exporter.profiling.counts.MAX_CHUNKS", 20)
    reference = build({"age": AGES, "timestamp": START + np.arange(ROWS) * 864})

    assert reference.variation[DAY.seconds].chunks == 20
