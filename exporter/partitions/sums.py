"""Counts of the fleet's versions as sums over all partitions.

Each refresh reads the keys that changed in any partition since the last one, reads their rows in all
partitions, and adds these up in order of the partitions, so that sums of floats do not depend on when they
were read. All is read in one snapshot.
"""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import add
from typing import Any, TypeAlias, TypeVar

import numpy as np
import sqlalchemy as sa

from exporter.aggregates.outcome_layout import outcome_layout
from exporter.aggregates.state import SegmentCounts, Totals, VersionCounts, decode_totals
from exporter.aggregates.timeline import Timeline
from exporter.errors import StoreError, decoding
from exporter.fleet import Fleet, Live, Status, Version
from exporter.partitions.counts import with_blocks, with_outcomes, without_outcomes
from exporter.partitions.tables import BLOCK_KEY, OUTCOMES_KEY, Key, PartitionTables
from exporter.reference.bins import MAX_UNKNOWN_COLUMNS
from exporter.reference.profile import Reference
from exporter.settings import Settings
from exporter.storage.partition import find_partitions
from exporter.storage.store import Store
from exporter.typing import Ints

log = logging.getLogger(__name__)

_Item = TypeVar("_Item")
_Payloads: TypeAlias = Mapping[int, Mapping[Key, list[bytes]]]  # by reference and the rest of the key
_NO_VALUES: Ints = np.zeros(0, np.int64)
# The planner does not know how few rows have changed. As tables without an index then seem to cost very much,
# it would compile the statement and start processes, which takes seconds.
_PLAN = sa.text(
    "SELECT set_config('enable_seqscan', 'off', true), set_config('jit', 'off', true), "
    "set_config('max_parallel_workers_per_gather', '0', true)"
)
MAX_NAMED = 10  # partitions in a text


@dataclass
class _Progress:
    """State of a version as it was last read.

    `kept_time` is that of the last prediction in the shared tables. `reference` is the expected one, if it is
    in memory. `acknowledged` is the reference that each partition counts rows for. `blocks_of` is the
    reference whose blocks are in memory, `outcomes_of` that of the outcomes with their maturation in seconds;
    None where they have to be read whole.
    """

    kept_time: float | None
    expected: int | None = None
    reference: Reference | None = None
    acknowledged: Mapping[int, int] = field(default_factory=dict)
    totals: Totals = field(default_factory=Totals)
    blocks_of: int | None = None
    outcomes_of: tuple[int, float] | None = None


class PartitionSums:
    """Keeps the versions of the fleet equal to the sums over all partitions, in the writer's thread.

    A version shows the oldest of the references that partitions count for, once all of them count for one.
    """

    def __init__(self, store: Store, settings: Settings, fleet: Fleet) -> None:
        self._store = store
        self._settings = settings
        self._fleet = fleet
        self._progress: dict[Version, _Progress] = {}
        self._numbers: tuple[int, ...] = ()  # of all partitions of the topic, known or not
        self._seen: dict[int, int] = {}  # commits that were read, by partition

    def expect(self, version: Version, reference_id: int, reference: Reference | None = None) -> None:
        """Name the stored reference that partitions are to count a version's rows for."""
        progress = self._progress.setdefault(version, _Progress(version.last_prediction))
        progress.expected, progress.reference = reference_id, reference

    def expected(self, version: Version) -> int | None:
        """Reference that partitions are to count a version's rows for; None if it has none."""
        progress = self._progress.get(version)
        return progress.expected if progress is not None else None

    def missing(self, version: Version) -> tuple[int, ...]:
        """Partitions that do not count a version's rows for the expected reference yet."""
        progress = self._progress.get(version)
        if progress is None or progress.expected is None:
            return ()
        expected, known = progress.expected, progress.acknowledged
        return tuple(number for number in self._numbers if known.get(number, 0) < expected)

    def forget(self, version: Version) -> None:
        self._progress.pop(version, None)

    def refresh(self, now: float) -> None:
        """Bring all versions up to date; `now` is the clock's time.

        A version whose counts cannot be read keeps those before, and is read whole next time.

        Raises:
            StoreError: the store failed.
        """
        versions = {version.key: version for version in self._fleet.versions.values()}
        self._progress = {
            version: self._progress.get(version, _Progress(version.last_prediction))
            for version in versions.values()
        }
        with self._store.reading() as connection:
            connection.execution_options(isolation_level="REPEATABLE READ")  # one snapshot
            connection.execute(_PLAN)
            found = find_partitions(connection)
            if found is None:
                return
            tables = PartitionTables(found.numbers)
            self._numbers = tuple(range(found.count))
            marks = tables.load_marks(connection)
            if any(seen < marks[number].swept for number, seen in self._seen.items()):
                self._read_anew()
            states = tables.load_states(connection, self._seen, self._unread(versions))
            for key in states.keys() & versions.keys():
                self._take_state(versions[key], states[key])
            shown = self._find_shown()
            references = set(shown.values())
            maturations = tables.load_maturations(connection, references)
            agreed = {each: self._agree(maturations.get(each, {})) for each in references}
            blocks, outcomes = self._load_rows(connection, tables, shown, agreed)
        for version, reference_id in shown.items():
            self._update(version, reference_id, agreed[reference_id], blocks, outcomes, now)
        for version in versions.values():
            self._tell(version)
        self._seen = {number: mark.commit for number, mark in marks.items()}
        self._keep_times(versions.values())

    def _read_anew(self) -> None:
        """Read all partitions from their beginning: what was deleted since is not known any more."""
        self._seen = {}
        for progress in self._progress.values():
            progress.blocks_of = progress.outcomes_of = None

    def _unread(self, versions: Mapping[int, Version]) -> list[int]:
        return [key for key, version in versions.items() if not self._progress[version].acknowledged]

    def _take_state(self, version: Version, states: Mapping[int, sa.Row[Any]]) -> None:
        """Take over the states of a version in all partitions."""
        progress, rows = self._progress[version], list(states.values())
        try:
            with decoding("the state of a version in a partition"):
                unknown = {name for row in rows for name in json.loads(row.unknown_columns)}
            every = [decode_totals(bytes(row.totals)) for row in rows if row.totals is not None]
        except StoreError as error:
            log.error("%s version %s: %s", *version.names, error)
            progress.acknowledged = {}  # so that it is read again
            return
        progress.acknowledged = {
            number: row.reference_id for number, row in states.items() if row.reference_id is not None
        }
        lengths = {len(totals.values) for totals in every}
        if len({row.reference_id for row in rows}) == 1 and len(lengths) == 1:
            progress.totals = reduce(add, every)
        else:  # of several references there is no sum
            progress.totals = reduce(add, [replace(totals, values=_NO_VALUES) for totals in every], Totals())
        version.live = Live(version.counts, self._totals(version, version.counts))
        version.waiting_rows = sum(row.waiting_rows for row in rows)
        version.unknown_columns = frozenset(sorted(unknown)[:MAX_UNKNOWN_COLUMNS])
        times = [row.last_prediction for row in rows if row.last_prediction is not None]
        if times:
            version.last_prediction = max(times)

    def _totals(self, version: Version, counts: VersionCounts | None) -> Totals:
        """Totals with values in the bins of `counts`; the former ones while partitions differ, or none."""
        progress = self._progress[version]
        if counts is None:
            return replace(progress.totals, values=_NO_VALUES)
        if set(progress.acknowledged.values()) == {counts.reference_id} and len(progress.totals.values):
            return progress.totals
        is_former = version.counts is not None and version.counts.reference_id == counts.reference_id
        values = version.live.totals.values if is_former else _NO_VALUES
        return replace(progress.totals, values=values)

    def _find_shown(self) -> dict[Version, int]:
        """Oldest reference that partitions count for, of the versions for which all have one."""
        return {
            version: min(progress.acknowledged.values())
            for version, progress in self._progress.items()
            if progress.acknowledged.keys() >= set(self._numbers)
        }

    def _agree(self, maturations: Mapping[int, float]) -> float | None:
        """Maturation by which all partitions have counted outcomes, None if there is none."""
        seconds = set(maturations.values())
        return seconds.pop() if len(seconds) == 1 and maturations.keys() >= set(self._numbers) else None

    # -- reading --------------------------------------------------------------------------------------------

    def _load_rows(
        self,
        connection: sa.Connection,
        tables: PartitionTables,
        shown: Mapping[Version, int],
        agreed: Mapping[int, float | None],
    ) -> tuple[_Payloads, _Payloads]:
        """Payloads of the blocks and the outcomes that have changed, or of all where none are in memory."""
        whole, changed = set[int](), set[int]()
        for version, reference_id in shown.items():
            known = self._progress[version].blocks_of == reference_id
            (changed if known else whole).add(reference_id)
        blocks = self._load_table(connection, tables, "aggregates", BLOCK_KEY, whole, changed)
        whole, changed = set(), set()
        for version, reference_id in shown.items():
            seconds = agreed[reference_id]
            if seconds is not None:
                known = self._progress[version].outcomes_of == (reference_id, seconds)
                (changed if known else whole).add(reference_id)
        return blocks, self._load_table(connection, tables, "outcomes", OUTCOMES_KEY, whole, changed)

    def _load_table(
        self,
        connection: sa.Connection,
        tables: PartitionTables,
        table: str,
        key: Mapping[str, str],
        whole: Collection[int],
        changed: Collection[int],
    ) -> _Payloads:
        keys = tables.changed_keys(connection, table, key, {}, whole)
        keys += tables.changed_keys(connection, table, key, self._seen, changed)
        found: dict[int, dict[Key, list[bytes]]] = defaultdict(dict)
        for (reference_id, *rest), payloads in tables.load_payloads(connection, table, key, keys):
            found[reference_id][tuple(rest)] = payloads
        return found

    # -- memory ---------------------------------------------------------------------------------------------

    def _update(
        self,
        version: Version,
        reference_id: int,
        maturation: float | None,
        blocks: _Payloads,
        outcomes: _Payloads,
        now: float,
    ) -> None:
        """Replace the counts of a version by those that were read."""
        progress = self._progress[version]
        try:
            counts = version.counts
            if counts is None or progress.blocks_of != reference_id:
                counts = self._new_counts(version, reference_id)
            counts = with_blocks(counts, self._settings, blocks.get(reference_id, {}))
            if maturation is not None:
                if progress.outcomes_of != (reference_id, maturation):
                    counts = without_outcomes(counts)
                counts = with_outcomes(counts, outcomes.get(reference_id, {}), now)
        except StoreError as error:
            log.error("%s version %s: %s", *version.names, error)
            progress.blocks_of = progress.outcomes_of = None
            return
        counts = replace(counts, maturation_seconds=maturation)
        version.live = Live(counts, self._totals(version, counts))
        progress.blocks_of = reference_id
        progress.outcomes_of = None if maturation is None else (reference_id, maturation)
        version.status = Status.READY

    def _new_counts(self, version: Version, reference_id: int) -> VersionCounts:
        """Counts without any rows.

        Raises:
            StoreError: the reference cannot be read.
        """
        progress = self._progress[version]
        reference = progress.reference if progress.expected == reference_id else None
        reference = reference or self._store.load_reference_by_id(reference_id)
        segments = {segment.name: SegmentCounts(Timeline(self._settings)) for segment in reference.segments}
        timeline, layout = Timeline(self._settings), outcome_layout(reference)
        return VersionCounts(reference_id, reference, timeline, layout, {}, None, segments)

    def _tell(self, version: Version) -> None:
        """Say for users which partitions a version waits for."""
        if self.expected(version) is None:
            return
        missing = self.missing(version)
        if missing:
            named = ", ".join(map(str, missing[:MAX_NAMED])) + (", ..." if len(missing) > MAX_NAMED else "")
            version.detail = f"its reference waits for {len(missing)} partitions to take it: {named}"
        elif version.status is Status.READY:
            version.detail = ""

    def _keep_times(self, versions: Iterable[Version]) -> None:
        """Keep the times of last predictions in the shared tables, for the next start."""
        changed = {
            version: version.last_prediction
            for version in versions
            if version.last_prediction != self._progress[version].kept_time
        }
        if not changed:
            return
        with self._store.begin() as transaction:
            for version, at in changed.items():
                transaction.put_state(version.key, {"last_prediction": at})
        for version, at in changed.items():
            self._progress[version].kept_time = at
