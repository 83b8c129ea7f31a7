"""Spark DataFrames, played by a frame with the few methods that are used."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from exporter.errors import ReferenceInvalidError
from exporter.training.frames import read_data


@dataclass(frozen=True)
class DataFrame:
    """As `pyspark.sql.DataFrame`: counts and samples itself, and makes an Arrow table of what is left."""

    table: pa.Table
    vectors: tuple[str, ...] = ()
    failure: str = ""

    @property
    def columns(self) -> list[str]:
        return [*self.table.column_names, *self.vectors]

    @property
    def schema(self) -> SimpleNamespace:
        def field(name: str) -> SimpleNamespace:
            kind = "vectorudt" if name in self.vectors else "double"
            return SimpleNamespace(name=name, dataType=SimpleNamespace(typeName=lambda: kind))

        return SimpleNamespace(fields=[field(name) for name in self.columns])

    def drop(self, *names: str) -> DataFrame:
        return replace(self, vectors=tuple(name for name in self.vectors if name not in names))

    def count(self) -> int:
        if self.failure:
            raise RuntimeError(self.failure)
        return int(self.table.num_rows)

    def sample(self, *, withReplacement: bool, fraction: float, seed: int) -> DataFrame:  # noqa: N803
        assert not withReplacement
        chosen = np.flatnonzero(np.random.default_rng(seed).uniform(size=self.table.num_rows) < fraction)
        return replace(self, table=self.table.take(pa.array(chosen)))

    def toArrow(self) -> pa.Table:  # noqa: N802
        assert not self.vectors
        assert self.table.num_rows < 10_000, "more is collected than is wanted"
        return self.table


DataFrame.__module__ = "pyspark.sql.classic.dataframe"
NUMBERS = pa.table({"x": np.arange(100_000.0), "late": np.arange(100_000) % 2})


def test_a_large_frame_is_sampled_where_it_is() -> None:
    found = read_data(DataFrame(NUMBERS), {"target": "late"}, 2000)
    numbers = found.table.column("x").to_numpy()
    assert len(numbers) == 2000
    assert numbers.mean() == pytest.approx(50_000, rel=0.05)
    assert (found.named, found.notes) == (
        {"target": "late"},
        ("a uniform sample of 2,000 of 100,000 rows is logged",),
    )


def test_a_small_frame_is_taken_whole_without_its_vectors() -> None:
    found = read_data(DataFrame(NUMBERS[:50], vectors=("features",)), {}, 2000)
    assert found.table.equals(NUMBERS[:50])
    assert found.notes == ("left out, for they are vectors of Spark ML: features",)


@pytest.mark.parametrize(
    ("frame", "target", "message"),
    [
        (DataFrame(NUMBERS[:5]), [0, 1, 0, 1, 0], "the target of a Spark DataFrame has to be the name"),
        (DataFrame(NUMBERS[:5]), "y", "the data has no column 'y'"),
        (DataFrame(NUMBERS[:0]), "late", "the data has no rows"),
        (
            DataFrame(NUMBERS, failure="[BOOM] no\n at java"),
            "late",
            r"Spark cannot make the table: \[BOOM\] no$",
        ),
    ],
    ids=["values", "no column", "no rows", "failure"],
)
def test_what_spark_cannot_make_is_told(frame: DataFrame, target: object, message: str) -> None:
    with pytest.raises(ReferenceInvalidError, match=message):
        read_data(frame, {"target": target}, 1000)
