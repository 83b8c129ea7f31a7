"""Distributions of columns. Each is a monotone map of a normal variable, whose mean shifts with the seasons.

So the same law gives values for a reference, which is built from rows as any is, and the exact share of every
bin for live traffic: drawing a block's counts from those shares is the same as drawing its rows and folding
them, at a cost that does not depend on how many they are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit, ndtr, ndtri

from exporter.formats.columns import encode_texts
from exporter.reference.binning import category_cells
from exporter.reference.bins import Column
from exporter.typing import Floats


@dataclass(frozen=True)
class Law:
    """`values` makes values of latent normal numbers, `below(edge)` is the latent number at which values
    reach an edge. Of categories, `texts` are in the order of `bounds`, latent numbers between them."""

    name: str
    values: Callable[[Floats], npt.NDArray[Any]]
    below: Callable[[Floats], Floats] | None = None
    texts: tuple[str, ...] = ()
    bounds: Floats = field(default_factory=lambda: np.empty(0))

    def shares(self, column: Column, shift: Floats) -> Floats:
        """(times, bins) of the frozen bins of a column, with the latent mean shifted so much at each time."""
        if column.numeric:
            assert self.below is not None
            return np.diff(ndtr(self.below(column.edges) - shift[:, None]), axis=1, prepend=0.0, append=1.0)
        parts = np.diff(ndtr(self.bounds - shift[:, None]), axis=1, prepend=0.0, append=1.0)
        cells = category_cells(column, encode_texts(list(self.texts)))
        return parts @ (cells[:, None] == np.arange(column.bins))


def _log(values: Floats) -> Floats:
    return np.log(values, out=np.full(np.shape(values), -np.inf), where=values > 0)


def zero_inflated(zeros: float) -> Law:
    edge = float(ndtri(zeros))
    return Law(
        f"{zeros:.0%} zeros",
        lambda z: np.where(z > edge, np.expm1(np.maximum(z - edge, 0.0)), 0.0),
        lambda edges: np.where(edges > 0, edge + np.log1p(np.maximum(edges, 0.0)), -np.inf),
    )


def price_points(shares: Floats) -> Law:
    bounds = ndtri(np.cumsum(shares)[:-1] / np.sum(shares))
    prices = 0.99 + np.arange(len(shares)) ** 1.5
    return Law(
        "prices",
        lambda z: prices[np.searchsorted(bounds, z, side="right")],
        lambda edges: np.concatenate([[-np.inf], bounds, [np.inf]])[np.searchsorted(prices, edges)],
    )


def categories(count: int, exponent: float = 1.1) -> Law:
    shares = 1 / np.arange(1, count + 1) ** exponent
    bounds = ndtri(np.cumsum(shares)[:-1] / shares.sum())
    texts = np.array([f"c{k}" for k in range(count)])
    return Law(
        f"{count} categories",
        lambda z: texts[np.searchsorted(bounds, z, side="right")],
        texts=tuple(texts.tolist()),
        bounds=bounds,
    )


def flag(share: float) -> Law:
    edge = float(ndtri(1 - share))
    return Law(f"flag {share:.0%}", lambda z: z > edge, texts=("0", "1"), bounds=np.array([edge]))


NORMAL = Law("normal", lambda z: z, lambda edges: edges)
SKEWED = Law("lognormal", np.exp, _log)
COUNT = Law(
    "count",
    lambda z: np.floor(np.exp(0.8 * z + 1)),
    lambda edges: (_log(np.ceil(edges)) - 1) / 0.8,
)
SCORE = Law("score", lambda z: expit(1.5 * z - 2), lambda edges: (_logit(edges) + 2) / 1.5)
PRICES = price_points(np.array([1.0, 8, 20, 3, 5, 1, 9, 2, 0.5, 6, 3, 1, 0.2]))

CONTINUOUS = (NORMAL, SKEWED)
DISCRETE = (COUNT, PRICES, categories(6), flag(0.03), flag(0.4))
ZEROS = (zero_inflated(0.6), zero_inflated(0.97), zero_inflated(0.9))
MANY = (categories(300), categories(5000, 0.9), categories(60, 1.6))
ALL = (*CONTINUOUS, zero_inflated(0.8), COUNT, PRICES, categories(12), categories(800), flag(0.1))


def _logit(edges: Floats) -> Floats:
    return logit(np.clip(edges, 0.0, 1.0))
