"""Columns of a version in one window for its page, ranked: bad ones first, then by importance. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import nan

import numpy as np
from markupsafe import Markup

from exporter.evaluation.change import ChangeEvaluation
from exporter.evaluation.data_quality import QualityCheck
from exporter.evaluation.drift import Evaluation, WindowEvaluation
from exporter.formats.texts import printable
from exporter.measures.importance import excess_drift
from exporter.monitoring.verdicts import Subject
from exporter.reference.bins import Column
from exporter.typing import Ints
from exporter.views.versions import or_none, verdict_name
from exporter.web.distributions import Distribution, draw, find_distribution
from exporter.web.history import History
from exporter.web.pictures import drift_trend

MAX_PICTURES = 30  # columns with a distribution, on one page
LEAST_SHOWN = 6  # columns that are not folded away, where none is bad


@dataclass(frozen=True)
class Judged:
    """A score against its limit, None where there is none; `why` says why there is no verdict.

    `verdict` is `drifted`, `changed`, `stable` or `undecided`. `since` is in seconds since the epoch, None
    unless the verdict is bad.
    """

    verdict: str
    score: float | None
    limit: float | None
    why: str
    since: float | None

    @property
    def bad(self) -> bool:
        return self.verdict in ("drifted", "changed")

    @property
    def excess(self) -> float:
        """Part of the score that is beyond the limit, see `excess_drift`; 0 if either is unknown."""
        score, limit = (nan if each is None else each for each in (self.score, self.limit))
        return float(np.nan_to_num(excess_drift(np.array(score), np.array(limit))))

    @property
    def ratio(self) -> float:
        """Score in units of the limit, -1 if it is unknown."""
        if self.score is None:
            return -1.0
        return self.score / self.limit if self.limit else 0.0


@dataclass(frozen=True)
class CheckView:
    """Share of a column's rows that fails a check of data quality in `window`."""

    name: str
    ratio: float
    reference_ratio: float | None
    degraded: bool | None
    window: str
    why: str
    since: float | None


@dataclass(frozen=True)
class ColumnView:
    """A column in the window that is shown.

    `rows` have a value. `elsewhere` are the verdicts on drift in the other windows. `importance` is its share
    in the model's answers, None if it is unknown. `distribution`, and `trend`, the drift over time, are None
    unless the column has pictures; `trend` also where it is not known.
    """

    name: str
    role: str
    kind: str
    rows: int
    drift: Judged
    elsewhere: tuple[tuple[str, str], ...]
    change: Judged | None
    checks: tuple[CheckView, ...]
    importance: float | None
    distribution: Distribution | None = None
    trend: Markup | None = None

    @property
    def bad(self) -> bool:
        """True if it is bad in this window, or in the window of a check."""
        changed = self.change is not None and self.change.bad
        return self.drift.bad or changed or any(check.degraded for check in self.checks)

    @property
    def failed(self) -> tuple[CheckView, ...]:
        return tuple(check for check in self.checks if check.degraded)

    @property
    def picture(self) -> Markup:
        if self.distribution is None:
            return Markup("")
        return draw(self.distribution, f"Distribution of {printable(self.name)}")

    @property
    def bad_elsewhere(self) -> bool:
        return any(verdict == "drifted" for _, verdict in self.elsewhere)


@dataclass(frozen=True)
class ColumnList:
    """Columns as the page shows them: with pictures, folded with pictures, and in a table without them."""

    shown: tuple[ColumnView, ...]
    folded: tuple[ColumnView, ...]
    listed: tuple[ColumnView, ...]

    @property
    def all(self) -> tuple[ColumnView, ...]:
        return (*self.shown, *self.folded, *self.listed)


def rank_columns(
    evaluation: Evaluation,
    window: str,
    live: Ints | None,
    history: History | None,
    since: Mapping[tuple[str, str, str, str], float],
    *,
    importance: Mapping[str, float],
    first: str = "",
    named: bool = True,
) -> ColumnList:
    """Columns of a version, the ones to look at first.

    Those that are bad come first, then those that are bad in another window. Within these the order is by
    importance times the excess drift where importance is known, then by the score in units of the
    limit.

    Args:
        evaluation: of the version.
        window: name of the window that is shown.
        live: (cells,) counts of the window; None if they are not in the layout of the evaluation.
        history: of the version's columns; None likewise.
        since: time by bad subject, as `fleet.Version.bad_since`.
        importance: share by column.
        first: name of a column that is shown before all others.
        named: False to show indices of bins instead of their content.
    """
    views = _Views(evaluation, window, since, importance)
    columns = evaluation.reference.columns
    judged = [views.view(place, column) for place, column in enumerate(columns)]

    def rank(place: int) -> tuple[bool, bool, bool, float, float, int]:
        view = judged[place]
        weight = (view.importance or 0.0) * view.drift.excess
        return (view.name != first, not view.bad, not view.bad_elsewhere, -weight, -view.drift.ratio, place)

    order = sorted(range(len(judged)), key=rank)
    pictured, rest = order[:MAX_PICTURES], order[MAX_PICTURES:]
    cells = evaluation.reference.offsets

    def with_picture(place: int) -> ColumnView:
        view, column = judged[place], columns[place]
        if live is not None:
            own = slice(int(cells[place]), int(cells[place + 1]))
            counts = evaluation.reference.counts[own], live[own]
            view = replace(view, distribution=find_distribution(column, *counts, named=named))
        if history is not None and np.isfinite(history.drift[:, place]).any():
            limit = view.drift.limit if view.drift.limit is not None else nan
            view = replace(view, trend=drift_trend(history, place, printable(column.name), limit))
        return view

    pictures = [with_picture(place) for place in pictured]
    open_ones = sum(view.bad or view.bad_elsewhere or view.name == first for view in pictures)
    shown = open_ones or LEAST_SHOWN
    return ColumnList(
        tuple(pictures[:shown]), tuple(pictures[shown:]), tuple(judged[place] for place in rest)
    )


class _Views:
    """Makes the views of an evaluation's columns."""

    def __init__(
        self,
        evaluation: Evaluation,
        window: str,
        since: Mapping[tuple[str, str, str, str], float],
        importance: Mapping[str, float],
    ) -> None:
        self._windows = evaluation.windows
        self._found = next((each for each in evaluation.windows if each.window.name == window), None)
        self._changed = next((each for each in evaluation.changes if each.window.name == window), None)
        self._since, self._importance = since, importance
        self._checks: dict[int, list[QualityCheck]] = defaultdict(list)
        for check in evaluation.checks:
            self._checks[check.column].append(check)

    def view(self, place: int, column: Column) -> ColumnView:
        found, changed = self._found, self._changed
        return ColumnView(
            name=column.name,
            role=column.role,
            kind=column.kind,
            rows=int(found.rows_by_column[place]) if found is not None else 0,
            drift=self._drift(found, place, column),
            elsewhere=tuple(
                (each.window.name, verdict_name(each.verdict[place]))
                for each in self._windows
                if each is not found
            ),
            change=self._change(changed, place, column) if changed is not None else None,
            checks=tuple(self._check(check, column) for check in self._checks[place]),
            importance=self._importance.get(column.name) if column.role == "feature" else None,
        )

    def _drift(self, found: WindowEvaluation | None, place: int, column: Column) -> Judged:
        if found is None:
            return Judged("undecided", None, None, "it was not evaluated over this window yet", None)
        return Judged(
            verdict=verdict_name(found.verdict[place]),
            score=or_none(found.drift_score[place]),
            limit=or_none(found.drift_limit[place]),
            why=found.undecided[place],
            since=self._since.get(Subject("drift", column.name, found.window.name)),
        )

    def _change(self, found: ChangeEvaluation, place: int, column: Column) -> Judged:
        return Judged(
            verdict=verdict_name(found.verdict[place], "changed"),
            score=or_none(found.score[place]),
            limit=or_none(found.limit[place]),
            why=found.undecided[place],
            since=self._since.get(Subject("change", column.name, found.window.name)),
        )

    def _check(self, check: QualityCheck, column: Column) -> CheckView:
        return CheckView(
            name=check.check,
            ratio=check.ratio,
            reference_ratio=or_none(check.reference_ratio),
            degraded=check.degraded,
            window=check.window.name,
            why=check.undecided,
            since=self._since.get(Subject(f"data_quality/{check.check}", column.name)),
        )
