"""What really happened, which is known only later: late flights soon, flights on time with the next reports.

As labels are: some never come, some come twice, and some were wrong at first.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from exporter.demo.flights import TARGET
from exporter.demo.pace import Pace
from exporter.demo.training import MODEL

# Days after departure. Passengers of late flights complain; of the others the carriers tell in their reports.
LATE_DAYS = (0.1, 1.0)
ON_TIME_DAYS = (1.0, 3.4)
# What is told again, or corrected, is within the maturation still.
AGAIN_DAYS = 0.4
FATES = {"once": 0.9, "never": 0.05, "twice": 0.03, "corrected": 0.02}
# A few days hold some thousands. Those that would be known last are forgotten, as if they never came.
MAX_PENDING = 50_000


def schedule_labels(flights: pd.DataFrame, pace: Pace, random: np.random.Generator) -> pd.DataFrame:
    """What is told about the flights, and when: `id`, `label` and `known`, in the order in which it is known.

    Args:
        flights: with `id`, `timestamp` and what came true.
        pace: of the replay.
        random: decides when each is known, and whether at all.
    """
    late = flights[TARGET].to_numpy()
    days = np.where(
        late == 1, random.uniform(*LATE_DAYS, len(flights)), random.uniform(*ON_TIME_DAYS, len(flights))
    )
    fate = random.choice(list(FATES), len(flights), p=list(FATES.values()))
    first = pd.DataFrame(
        {
            "id": flights["id"].to_numpy(),
            "label": np.where(fate == "corrected", 1 - late, late),
            "known": pd.to_datetime(flights["timestamp"], utc=True).reset_index(drop=True)
            + pd.to_timedelta(days * pace.seconds_per_day, unit="s"),
        }
    )
    again = first.assign(
        label=late, known=first["known"] + pd.Timedelta(seconds=AGAIN_DAYS * pace.seconds_per_day)
    )
    told = pd.concat([first[fate != "never"], again[(fate == "twice") | (fate == "corrected")]])
    ordered: pd.DataFrame = told.sort_values("known", kind="stable", ignore_index=True)
    return ordered


class PendingLabels:
    """Labels of flights that were scored, until they are known; at most MAX_PENDING."""

    def __init__(self, pace: Pace, random: np.random.Generator) -> None:
        self._pace = pace
        self._random = random
        self._pending: list[pd.DataFrame] = []

    def expect(self, flights: pd.DataFrame) -> None:
        """Wait for the labels of these flights."""
        self._pending.append(schedule_labels(flights, self._pace, self._random))

    def take(self, until: datetime) -> pd.DataFrame:
        """Those that are known by then; they are pending no more."""
        if not self._pending:
            return pd.DataFrame(columns=["id", "label", "known"])
        told = pd.concat(self._pending).sort_values("known", kind="stable", ignore_index=True)
        known = told["known"] <= until
        left = told[~known].head(MAX_PENDING)
        self._pending = [] if left.empty else [left]
        return told[known]


def encode_labels(told: pd.DataFrame) -> dict[str, Any]:
    """The body of `POST /v1/labels`, columnar."""
    return {
        "model": MODEL,
        "columns": {
            "id": told["id"].tolist(),
            "label": told["label"].tolist(),
            "timestamp": [moment.isoformat() for moment in told["known"]],
        },
    }
