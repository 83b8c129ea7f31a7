"""Records when predictions and labels arrive, in the writer's thread.

It is kept in memory and written with retention: a crash loses what arrived since, of this record only.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf

from exporter.aggregates.activity import ACTIVITY_HOURS, Activity, Hours
from exporter.fleet import Live, Version
from exporter.settings import HOUR_SECONDS
from exporter.storage.activity import expire_activity, load_activity, put_activity
from exporter.storage.store import Store

EXPORTER = 0  # version id under which it is recorded when the exporter itself ran


class Arrivals:
    """Activity of all versions of the last weeks, also of those that are not monitored any more."""

    def __init__(self) -> None:
        self._activities: dict[tuple[str, str], tuple[int, Activity]] = {}
        self._uptime = Activity()
        self._marked: float | None = None
        self._expired = 0

    def load(self, store: Store) -> None:
        """Read what was recorded before this start."""
        with store.reading() as connection:
            found = load_activity(connection)
        self._uptime = Activity(found.get(EXPORTER))
        for stored in store.load_versions():  # of several with the same names, the last was followed last
            if stored.key in found:
                self._activities[stored.model, stored.version] = (stored.key, Activity(found[stored.key]))

    def hours(self, until: float = inf) -> dict[tuple[str, str], Hours]:
        """Copy of the hours with arrivals that began until then, by model and version.

        Any thread may call it.
        """
        return {names: activity.hours(until) for names, (_, activity) in self._activities.copy().items()}

    def uptime(self, until: float = inf) -> Hours:
        """Copy of the hours in which the exporter ran that began until then. Any thread may call it."""
        return self._uptime.hours(until)

    def record(self, lives: Mapping[Version, Live], now: float) -> None:
        """Record what the totals of versions gain by a commit; `lives` will be those after it."""
        for version, live in lives.items():
            before, after = version.live.totals, live.totals
            predictions, labels = after.predictions - before.predictions, after.labels - before.labels
            if predictions:
                self._of(version).add_predictions(predictions, now)
            if labels:
                self._of(version).add_labels(labels, after.label_delay_sum - before.label_delay_sum, now)

    def record_coverage(self, version: Version, ratio: float, now: float) -> None:
        self._of(version).set_coverage(ratio, now)

    def _of(self, version: Version) -> Activity:
        key, activity = self._activities.get(version.names, (None, None))
        if activity is None or key != version.key:  # new, or registered anew
            activity = Activity()
            self._activities[version.names] = (version.key, activity)
        return activity

    def save(self, store: Store, retained: float, now: float) -> None:
        """Write what has changed, and drop what expired.

        Args:
            store: of the table.
            retained: the time that retention has reached.
            now: the clock's time, until which the exporter ran.
        """
        recent = self._marked is not None and 0 <= now - self._marked <= HOUR_SECONDS
        self._uptime.mark(self._marked if recent and self._marked is not None else now, now)
        self._marked = now
        oldest = int(retained // HOUR_SECONDS - ACTIVITY_HOURS) * HOUR_SECONDS
        everything = {EXPORTER: self._uptime, **dict(self._activities.values())}
        changed = {key: activity.take_changed() for key, activity in everything.items()}
        try:
            with store.writing() as connection:
                put_activity(connection, changed)
                if oldest != self._expired:
                    expire_activity(connection, oldest)
        except BaseException:
            for key, activity in everything.items():
                activity.keep_changed(changed[key])
            raise
        if oldest != self._expired:
            self._expired = oldest
            for activity in everything.values():
                activity.drop_before(oldest)
            kept = {names: each for names, each in self._activities.items() if len(each[1].hours())}
            self._activities = kept
