"""Models in simulated worlds: rows of a reference, then blocks of live traffic from the same laws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from scipy.special import expit, logit

from exporter.aggregates.block import LATENCY_BOUNDS, Block
from exporter.profiling.build import build_reference
from exporter.profiling.data import ReferenceData
from exporter.reference.profile import Reference
from exporter.settings import Settings
from exporter.typing import Floats, Ints
from tests.study.laws import ALL, SCORE, Law, flag

SETTINGS = Settings()
START = 1_700_438_400  # a Monday, 00:00 UTC: live traffic starts here, the reference ends
HOURS_PER_DAY = 24
BLOCKS_PER_HOUR = 3600 // SETTINGS.block_seconds


@dataclass(frozen=True)
class World:
    """A model and its traffic.

    `season` are the largest shifts of a column's latent mean, in standard deviations: through the day, at
    weekends, and by the day's weather, which is as it was yesterday by `persistence`. Each column gets a part
    of them. `heavy` weather is Student's t with three degrees of freedom. `year` is the largest shift of a
    slow season, `regime` that of states that begin, and end, once a week on average.
    `bursts` are shares of the rows that come as so many alike ones. `missing_season` moves the log-odds of a
    null through the day.
    """

    columns: int = 20
    rows_per_day: float = 5000
    laws: tuple[Law, ...] = ALL
    reference_rows: int = 50_000
    reference_days: int = 60
    timestamps: bool = True
    season: tuple[float, float, float] = (0.0, 0.0, 0.0)
    persistence: float = 0.5
    heavy: bool = False
    year: float = 0.0
    regime: float = 0.0
    traffic: tuple[float, float] = (0.0, 0.0)  # how much of it goes at night, and at weekends
    bursts: tuple[tuple[float, int], ...] = ((1.0, 1),)
    missing: float = 0.02
    missing_season: float = 0.0
    replicas: int = 1
    batch_hour: int | None = None  # all rows of a day in one block

    def draw(self, days: int, seed: tuple[int, ...], changes: Sequence[Change] = ()) -> Model:
        """A model of this world with so many days of live traffic."""
        draw = np.random.default_rng(seed)
        laws = dict(zip(self._names(), self._laws(), strict=True))
        hours = np.arange(-self.reference_days * HOURS_PER_DAY, days * HOURS_PER_DAY)
        shifts = self._shifts(hours, len(laws), draw)
        rates = self._rates(hours)
        nulls = self._nulls(hours, len(laws), draw)
        past, live = hours < 0, hours >= 0
        reference = self._reference(laws, shifts[past], rates[past], nulls[past], draw)
        shares = _cell_shares(reference, laws, shifts[live], nulls[live])
        for change in changes:
            change.apply(reference, laws, shares, shifts[live], nulls[live])
        return Model(reference, *self._traffic(reference, shares, rates[live], draw))

    def _names(self) -> list[str]:
        return [*(f"feature{k:02d}" for k in range(self.columns - 2)), "prediction", "score"]

    def _laws(self) -> list[Law]:
        features = [self.laws[k % len(self.laws)] for k in range(self.columns - 2)]
        return [*features, flag(0.15), SCORE]

    def _shifts(self, hours: Ints, columns: int, draw: np.random.Generator) -> Floats:
        """(hours, columns)"""
        daily, weekly, weather = (amount * draw.uniform(size=columns) for amount in self.season)
        phase = draw.uniform(0, 2 * np.pi, columns)
        day = hours // HOURS_PER_DAY
        shape = (len(np.unique(day)), columns)
        skies = np.zeros(shape)
        fresh = draw.standard_t(3, shape) / np.sqrt(3) if self.heavy else draw.standard_normal(shape)
        for k, new in enumerate(fresh):
            rest = np.sqrt(1 - self.persistence**2)
            skies[k] = self.persistence * skies[k - 1] + rest * new if k else new
        slow = self._slow(shape, draw) if self.year or self.regime else np.zeros(shape)
        return (
            daily * np.sin(2 * np.pi * hours[:, None] / HOURS_PER_DAY + phase)
            + weekly * (day % 7 >= 5)[:, None]
            + (weather * skies + slow)[day - day[0]]
        )

    def _slow(self, shape: tuple[int, int], draw: np.random.Generator) -> Floats:
        """(days, columns) shifts by the season of the year, and by states that last."""
        days, columns = shape
        phase = draw.uniform(0, 2 * np.pi, columns)
        season = np.sin(2 * np.pi * np.arange(days)[:, None] / 365.25 + phase)
        states = np.cumsum(draw.random(shape) < 1 / 7, axis=0) % 2
        year, regime = (amount * draw.uniform(size=columns) for amount in (self.year, self.regime))
        shifts: Floats = year * season + regime * states
        return shifts

    def _rates(self, hours: Ints) -> Floats:
        """(hours,) rows expected."""
        if self.batch_hour is not None:
            return np.where(hours % HOURS_PER_DAY == self.batch_hour, self.rows_per_day, 0.0)
        night, weekend = self.traffic
        rates = (1 - night * np.cos(2 * np.pi * hours / HOURS_PER_DAY)) * (
            1 - weekend * (hours // HOURS_PER_DAY % 7 >= 5)
        )
        return self.rows_per_day / HOURS_PER_DAY * rates

    def _nulls(self, hours: Ints, columns: int, draw: np.random.Generator) -> Floats:
        """(hours, columns) shares: a third of the columns have them, predictions and scores have not."""
        if not self.missing:
            return np.zeros((len(hours), columns))
        phase = draw.uniform(0, 2 * np.pi, columns)
        wave = np.sin(2 * np.pi * hours[:, None] / HOURS_PER_DAY + phase)
        shares = expit(logit(self.missing) + self.missing_season * wave)
        return np.where((np.arange(columns) % 3 == 0) & (np.arange(columns) < columns - 2), shares, 0.0)

    def _reference(
        self, laws: Mapping[str, Law], shifts: Floats, rates: Floats, nulls: Floats, draw: np.random.Generator
    ) -> Reference:
        rows = self.reference_rows
        hour = np.sort(draw.choice(len(rates), rows, p=rates / rates.sum()))
        columns = {}
        for place, (name, law) in enumerate(laws.items()):
            values = law.values(draw.standard_normal(rows) + shifts[hour, place])
            lost = draw.uniform(size=rows) < nulls[hour, place]
            columns[name] = pa.array(values, mask=lost if lost.any() else None)
        if self.timestamps:
            seconds = START + 3600.0 * (hour - len(rates)) + draw.uniform(0, 3600, rows)
            columns["timestamp"] = pa.array((seconds * 1000).astype(np.int64), pa.timestamp("ms", "UTC"))
        table = pa.table(columns).take(draw.permutation(rows))
        return build_reference(ReferenceData(table, source="study"), SETTINGS.windows, max_columns=500)

    def _traffic(
        self, reference: Reference, shares: list[Floats], rates: Floats, draw: np.random.Generator
    ) -> tuple[dict[int, Block], Ints]:
        """Blocks by their start, and (replicas, days, cells) what each replica saw."""
        blocks: dict[int, Block] = {}
        days = np.zeros((self.replicas, len(rates) // HOURS_PER_DAY, reference.cells), np.int64)
        for replica in range(self.replicas):
            counts = self._counts(shares, rates / self.replicas, draw)
            days[replica] = counts.reshape(days.shape[1], -1, reference.cells).sum(axis=1)
            starts = START + SETTINGS.block_seconds * np.arange(len(counts))
            rows = counts[:, : reference.offsets[1]].sum(axis=1)
            for start, count, n in zip(starts.tolist(), counts, rows.tolist(), strict=True):
                if n:
                    block = aggregate_of(count, n, len(reference.columns))
                    blocks[start] = blocks[start] + block if start in blocks else block
        return dict(sorted(blocks.items())), days

    def _counts(self, shares: list[Floats], rates: Floats, draw: np.random.Generator) -> Ints:
        """(blocks, cells) of one replica."""
        expected = np.repeat(rates / BLOCKS_PER_HOUR, BLOCKS_PER_HOUR)
        if self.batch_hour is not None:
            expected = np.zeros_like(expected)
            expected[self.batch_hour * BLOCKS_PER_HOUR :: HOURS_PER_DAY * BLOCKS_PER_HOUR] = rates.max()
        total = np.zeros((len(expected), sum(share.shape[1] for share in shares)), np.uint32)
        for part, size in self.bursts:
            alike = draw.poisson(part * expected / size).reshape(-1, BLOCKS_PER_HOUR)
            columns = [draw.multinomial(alike, share[:, None, :]) for share in shares]
            total += (size * np.concatenate(columns, axis=2).reshape(total.shape)).astype(np.uint32)
        return total


@dataclass(frozen=True)
class Change:
    """A change of one feature from some hour of the live traffic on: of its law, its mean or its nulls."""

    hour: int
    feature: str = "feature00"
    shift: float = 0.0
    stretch: float = 1.0  # values are multiplied by it
    lost: str = ""  # a category that is not there any more
    nulls: float = 0.0

    def apply(
        self,
        reference: Reference,
        laws: Mapping[str, Law],
        shares: list[Floats],
        shifts: Floats,
        nulls: Floats,
    ) -> None:
        """Replace the shares of the feature's cells, in place."""
        place = next(k for k, column in enumerate(reference.columns) if column.name == self.feature)
        column, law, after = reference.columns[place], laws[self.feature], slice(self.hour, None)
        if self.stretch != 1.0:
            assert law.below is not None
            edges = law.below(column.edges / self.stretch)
            law = Law(law.name, law.values, lambda _: edges)
        bins = law.shares(column, shifts[after, place] + self.shift)
        if self.lost:
            bins[:, column.categories.index(self.lost)] = 0
            bins /= bins.sum(axis=1, keepdims=True)
        missing = np.maximum(nulls[after, place], self.nulls)
        shares[place][after] = _with_nulls(bins, missing)


@dataclass(frozen=True)
class Model:
    """One model: its reference, live blocks by their start, (replicas, days, cells) what each replica saw."""

    reference: Reference
    blocks: dict[int, Block] = field(repr=False)
    days: Ints = field(repr=False)


def aggregate_of(counts: Ints, rows: int, columns: int) -> Block:
    """Moments and latencies are left out: no verdict uses them."""
    latency = np.zeros(len(LATENCY_BOUNDS) + 1, np.int64)
    return Block(rows, counts, np.zeros((columns, 3)), latency, 0.0)


def _cell_shares(
    reference: Reference, laws: Mapping[str, Law], shifts: Floats, nulls: Floats
) -> list[Floats]:
    """Per column (hours, cells)."""
    return [
        _with_nulls(laws[column.name].shares(column, shifts[:, place]), nulls[:, place])
        for place, column in enumerate(reference.columns)
    ]


def _with_nulls(bins: Floats, nulls: Floats) -> Floats:
    known = np.maximum(bins, 0.0) * (1 - nulls[:, None])
    return np.column_stack([known, nulls, np.zeros(len(nulls))])
