"""Natural variation of quality, and the references from which it is learned."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from exporter.aggregates.outcomes import Outcomes
from exporter.evaluation.figures import QUALITY_METRICS
from exporter.evaluation.quality_variation import estimate_variation, quality_variation
from exporter.measures.cbpe import ESTIMATED_METRICS
from exporter.reference.profile import decode_reference
from exporter.typing import Floats
from tests.support.labelled import TASKS, fold_table, make_labelled_reference, make_layout, make_table
from tests.support.traffic import DAY, NOW, WEEK

ROWS = 500
LAYOUTS = {task: make_layout(task) for task in TASKS}


def days(task: str, flaws: Floats, rows: int = ROWS) -> pa.Table:
    """Days of so many rows each, of which such a share of the labels has nothing to do with the rows."""
    return pa.concat_tables([make_table(task, rows, seed, flaw) for seed, flaw in enumerate(flaws)])


def chunks(task: str, flaws: Floats, rows: int = ROWS) -> dict[int, Outcomes]:
    return fold_table(LAYOUTS[task], days(task, flaws, rows), np.repeat(np.arange(len(flaws)), rows))


def uneven(count: int) -> Floats:
    """Every fourth day is bad."""
    return np.where(np.arange(count) % 4, 0.0, 0.4)


@pytest.mark.parametrize("task", TASKS)
def test_days_that_are_alike_allow_next_to_nothing(task: str) -> None:
    found = quality_variation(LAYOUTS[task], chunks(task, np.zeros(40)))

    assert found.keys() == set(QUALITY_METRICS[task])
    assert sum(allowance == 0 for allowance in found.values()) >= len(found) - 1


@pytest.mark.parametrize(
    ("task", "metric"), [("binary", "roc_auc"), ("multiclass", "accuracy"), ("regression", "mae")]
)
def test_days_that_differ_allow_as_much_to_others(task: str, metric: str) -> None:
    found = quality_variation(LAYOUTS[task], chunks(task, uneven(40)))
    twice = quality_variation(LAYOUTS[task], chunks(task, 2 * uneven(40)))

    assert 0 < 1.5 * found[metric] < twice[metric]


@pytest.mark.parametrize("direction", [-1, 1])
def test_a_bias_varies_in_both_directions(direction: int) -> None:
    table = days("regression", np.zeros(30))
    shift = direction * np.repeat(np.where(np.arange(30) % 3, 0.0, 4.0), ROWS)
    biased = table.set_column(1, "prediction", pa.array(np.array(table["prediction"]) + shift))
    folded = fold_table(LAYOUTS["regression"], biased, np.repeat(np.arange(30), ROWS))

    assert quality_variation(LAYOUTS["regression"], folded)["bias"] > 2


@pytest.mark.parametrize(("count", "rows"), [(13, 500), (40, 90)], ids=["few days", "days of few labels"])
def test_too_little_teaches_nothing(count: int, rows: int) -> None:
    folded = chunks("binary", np.zeros(count), rows)

    assert quality_variation(LAYOUTS["binary"], folded) == {}
    assert estimate_variation(LAYOUTS["binary"], folded) == {}


def test_what_is_estimated_varies_with_the_scores_alone() -> None:
    found = estimate_variation(LAYOUTS["binary"], chunks("binary", uneven(40)))

    assert found.keys() == set(ESTIMATED_METRICS)
    assert max(found.values()) < 0.01
    assert estimate_variation(LAYOUTS["multiclass"], chunks("multiclass", uneven(40))).keys() == {"accuracy"}
    assert estimate_variation(LAYOUTS["regression"], chunks("regression", uneven(40))) == {}


def with_times(table: pa.Table) -> pa.Table:
    moments = (
        NOW + 86400 * np.repeat(np.arange(table.num_rows // ROWS), ROWS) + np.arange(table.num_rows) % ROWS
    )
    return table.append_column(
        "timestamp", pa.array((moments * 1e6).astype(np.int64)).cast(pa.timestamp("us", "UTC"))
    )


@pytest.mark.parametrize("task", TASKS)
def test_a_reference_with_times_and_labels_teaches_it_and_keeps_it(task: str) -> None:
    reference = make_labelled_reference(task, table=with_times(days(task, uneven(20))), windows=(DAY, WEEK))

    assert reference.quality_variation.keys() == {DAY.seconds}
    assert (reference.estimate_variation != {}) == (task != "regression")
    back = decode_reference(reference.encode())
    assert back.quality_variation == reference.quality_variation
    assert back.estimate_variation == reference.estimate_variation


def test_so_does_each_of_its_segments() -> None:
    table = with_times(days("binary", uneven(20), 2 * ROWS))
    sides = np.where(np.arange(table.num_rows) % 2, "left", "right")
    reference = make_labelled_reference(
        "binary", table=table.append_column("side", pa.array(sides)), windows=(DAY,), segments=("side",)
    )

    assert [set(part.reference.quality_variation) for part in reference.segments] == [{DAY.seconds}] * 2


@pytest.mark.parametrize("table", [days("binary", uneven(20)), with_times(days("binary", uneven(20)))])
def test_without_times_or_from_training_rows_nothing_is_learned(table: pa.Table) -> None:
    split = "train" if "timestamp" in table.column_names else "test"

    assert make_labelled_reference("binary", table=table, windows=(DAY,), split=split).quality_variation == {}
