"""The writes of one database transaction."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import sqlalchemy as sa

from exporter.aggregates.block import Block
from exporter.aggregates.outcome_layout import OutcomeLayout
from exporter.aggregates.outcomes import Outcomes, encode_outcomes
from exporter.aggregates.state import Totals, decode_totals
from exporter.errors import decoding
from exporter.reference.profile import Reference
from exporter.storage import schema
from exporter.storage.alerts import expire_alerts
from exporter.storage.lsm.records import Records
from exporter.storage.lsm.tree import LsmTree
from exporter.storage.partition import COMMIT, MARK, OFFSET, SWEPT, partition_values
from exporter.storage.reference_rows import delete_former_rows, expire_reference_rows, put_reference_rows
from exporter.storage.rows import PREDICTIONS, StoredLabel, StoredPrediction
from exporter.storage.schema import (
    COARSE,
    FINE,
    KEY_RETENTION_SECONDS,
    RETENTION_KEY,
    RawRows,
    upsert,
)

_DELETED = b""  # payload of a deleted row, of which readers of changes are to learn
_ADVANCE = sa.text(
    f"UPDATE meta SET value = (value::bigint + 1)::text WHERE key = '{COMMIT}' RETURNING value"  # noqa: S608
)
TOMBSTONE_SECONDS = 3600.0  # for so long at least readers of changes learn of what was deleted


class Transaction:
    """One database transaction; its writes are visible once the store's `begin` block has ended.

    With `partitioned` it is of a partition, whose changes of counts are numbered and leave tombstones. It
    does not write to tables that partitions share: methods that would do nothing.
    """

    def __init__(
        self,
        connection: sa.Connection,
        predictions: LsmTree[StoredPrediction],
        labels: LsmTree[StoredLabel],
        *,
        partitioned: bool = False,
    ) -> None:
        self.connection = connection
        self.predictions = predictions
        self.labels = labels
        self.partitioned = partitioned

    @cached_property
    def _changed(self) -> dict[str, int]:
        """Number of a partition's commit, as the value of a column; empty elsewhere."""
        # The row of the owner is locked, so that numbers ascend in the order of the commits.
        return {"changed": int(self.connection.execute(_ADVANCE).scalar_one())} if self.partitioned else {}

    def _put(self, table: sa.Table, values: Sequence[dict[str, Any]]) -> None:
        """Insert or overwrite rows of counts, whose columns but the payload are the key."""
        if values:
            columns = ("payload", *self._changed)
            self.connection.execute(
                upsert(table, columns, self.connection.dialect.name), [row | self._changed for row in values]
            )

    def _delete(self, table: sa.Table, *chosen: sa.ColumnElement[bool]) -> None:
        """Delete rows of counts; those of a partition become tombstones."""
        if not self.partitioned:
            self.connection.execute(sa.delete(table).where(*chosen))
            return
        is_there = table.c.payload != _DELETED
        buried = sa.update(table).where(*chosen, is_there).values(payload=_DELETED, **self._changed)
        self.connection.execute(buried)

    def insert_predictions(self, day: int, rows: Records) -> dict[tuple[bytes, int], int]:
        """Insert rows with distinct (id_hash, version_id); stored ones with the same are left as they are.

        Returns:
            Payload hashes of those by (id_hash, version_id).
        """
        known = self.find_predictions(day, rows.ids)
        if known:  # unusual
            keys = PREDICTIONS.keys_of(rows)
            known = {key: known[key] for key in keys if key in known}
            rows = rows.take(np.flatnonzero([key not in known for key in keys]))
        self.predictions.put(day, rows)
        return known

    def find_predictions(self, day: int, hashes: Sequence[bytes]) -> dict[tuple[bytes, int], int]:
        """Payload hashes by (id_hash, version_id) of the stored predictions of a day with the given ids."""
        records = self.predictions.get_many(hashes, [day]).records
        return dict(zip(PREDICTIONS.keys_of(records), records.numbers["payload"].tolist(), strict=True))

    def replace_predictions(self, day: int, rows: Records) -> None:
        """Overwrite predictions of a day whose id came again with another payload: labels join the latest."""
        self.predictions.replace(day, rows)

    def put_aggregates(
        self, reference_id: int, family: int, blocks: Mapping[int, Block], segment: str = ""
    ) -> None:
        key = {"reference_id": reference_id, "family": family, "segment": segment}
        values = [{**key, "start": start, "payload": block.encode()} for start, block in blocks.items()]
        self._put(schema.aggregates, values)

    def delete_aggregates(self, reference_id: int, family: int, starts: Sequence[int]) -> None:
        blocks = schema.aggregates.c
        for start in starts:
            self._delete(
                schema.aggregates,
                blocks.reference_id == reference_id,
                blocks.family == family,
                blocks.start == start,
            )

    def put_outcomes(
        self, reference_id: int, layout: OutcomeLayout, hours: Mapping[int, Outcomes], segment: str = ""
    ) -> None:
        key = {"reference_id": reference_id, "segment": segment}
        encoded = encode_outcomes(layout, list(hours.values()))
        values = [
            {**key, "start": start, "payload": data} for start, data in zip(hours, encoded, strict=True)
        ]
        self._put(schema.outcomes, values)

    def delete_outcomes(self, reference_id: int) -> None:
        """Delete the outcomes of all rows and of segments."""
        self._delete(schema.outcomes, schema.outcomes.c.reference_id == reference_id)

    def find_maturation(self, reference_id: int) -> float | None:
        """Maturation by which outcomes were counted, in seconds; None where they have to be counted anew."""
        states = schema.reference_states.c
        query = sa.select(states.maturation_seconds).where(states.reference_id == reference_id)
        found = self.connection.scalar(query)
        return None if found is None else float(found)

    def set_maturation(self, reference_id: int, seconds: float) -> None:
        put = upsert(schema.reference_states, "maturation_seconds", self.connection.dialect.name)
        self.connection.execute(put, {"reference_id": reference_id, "maturation_seconds": seconds})

    def forget_maturations(self, version_ids: Sequence[int]) -> None:
        """Have the outcomes of versions counted anew when they are followed again."""
        references, states = schema.references.c, schema.reference_states
        own = sa.select(references.id).where(references.version_id.in_(version_ids))
        self.connection.execute(sa.delete(states).where(states.c.reference_id.in_(own)))

    def find_totals(self, version_id: int, reference_id: int) -> Totals | None:
        """Totals of a version in a partition if they are in the bins of a reference, else None."""
        query = sa.select(schema.version_states.c.totals)
        query = query.filter_by(version_id=version_id, reference_id=reference_id)
        found = self.connection.scalar(query)
        return None if found is None else decode_totals(bytes(found))

    def put_state(self, version_id: int, values: Mapping[str, Any]) -> None:
        """Set columns of `version_states` of a version, all but `last_prediction` in a partition only."""
        if not self.partitioned:
            values = {name: value for name, value in values.items() if name == "last_prediction"}
        if values:
            row = {**values, **self._changed}
            put = upsert(schema.version_states, tuple(row), self.connection.dialect.name)
            self.connection.execute(put, {"version_id": version_id, **row})

    def set_offset(self, offset: int) -> None:
        """Store the offset of a partition's next message."""
        put = upsert(schema.meta, "value", self.connection.dialect.name)
        self.connection.execute(put, {"key": OFFSET, "value": str(offset)})

    def set_status(self, version_id: int, status: str) -> None:
        if not self.partitioned:
            self.connection.execute(
                sa.update(schema.versions).where(schema.versions.c.id == version_id).values(status=status)
            )

    def find_key(self, key: bytes, now: float) -> bytes | None:
        """Hash of the body that was committed with an idempotency key within a day, or None."""
        batches = schema.batches.c
        recent = batches.at.between(now - KEY_RETENTION_SECONDS, now + KEY_RETENTION_SECONDS)
        found = self.connection.scalar(sa.select(batches.body).where(batches.key == key, recent))
        return None if found is None else bytes(found)

    def remember_key(self, key: bytes, body: bytes, at: float) -> None:
        # An expired one may still be there.
        self.connection.execute(sa.delete(schema.batches).where(schema.batches.c.key == key))
        self.connection.execute(schema.batches.insert(), {"key": key, "body": body, "at": at})

    def find_source(self, source: str) -> tuple[int, bytes] | None:
        """Last sequence that was taken from a source of counts, and the fingerprint of its counts."""
        sources = schema.aggregate_sources.c
        query = sa.select(sources.sequence, sources.body).where(sources.source == source)
        row = self.connection.execute(query).first()
        return None if row is None else (int(row.sequence), bytes(row.body))

    def put_source(self, source: str, sequence: int, fingerprint: bytes, at: float) -> None:
        sources = schema.aggregate_sources
        self.connection.execute(sa.delete(sources).where(sources.c.source == source))
        values = {"source": source, "sequence": sequence, "body": fingerprint, "at": at}
        self.connection.execute(sources.insert(), values)

    def set_retention(self, at: float) -> None:
        """Store the time that retention has reached."""
        put = upsert(schema.meta, "value", self.connection.dialect.name)
        self.connection.execute(put, {"key": RETENTION_KEY, "value": repr(at)})

    def add_waiting(self, version_id: int, request: RawRows) -> None:
        self.connection.execute(
            schema.spool.insert(),
            {
                "version_id": version_id,
                "content_type": request.content_type,
                "query": json.dumps(request.query),
                "body": zlib.compress(request.body, 1),
                "rows": len(request.times),
                "row_numbers": request.row_numbers.astype("<i8").tobytes(),
                "times": request.times.astype("<f8").tobytes(),
            },
        )

    def delete_waiting(self, version_id: int) -> None:
        self.connection.execute(sa.delete(schema.spool).where(schema.spool.c.version_id == version_id))

    def save_reference(self, version_id: int, reference: Reference, at: float, rows: bytes = b"") -> int:
        """Store a version's reference and make it the current one.

        Args:
            version_id: key of the version.
            reference: its reference.
            at: the time, in seconds since the epoch.
            rows: rows of the reference as Parquet, in place of those of the one before; empty for none.

        Returns:
            Its id, under which its aggregates are kept: counts of different bins are never added up.
        """
        values = {
            "version_id": version_id,
            "digest": reference.digest,
            "created_at": at,
            "payload": reference.encode(),
        }
        key = self.connection.execute(schema.references.insert(), values).inserted_primary_key
        assert key is not None
        delete_former_rows(self.connection, version_id)
        if rows:
            put_reference_rows(self.connection, int(key[0]), rows)
        return int(key[0])

    def forget_recorded(self, version_id: int) -> None:
        """Forget what the audit trail has last of a version: its bad verdicts and its configuration."""
        if self.partitioned:
            return
        states, versions = schema.verdict_states, schema.versions
        self.connection.execute(sa.delete(states).where(states.c.version_id == version_id))
        forgotten = sa.update(versions).where(versions.c.id == version_id).values(config_digest="")
        self.connection.execute(forgotten)

    def expire(
        self,
        keys_before: float,
        blocks_before: float,
        outcomes_before: float,
        alerts_before: float,
        sources_before: float,
        days_before: int,
    ) -> None:
        """Delete idempotency keys, blocks, outcomes, alerts, sources of counts and days of ids from before
        the given times, and the rows of references of versions without a block since."""
        if not self.partitioned:
            expire_alerts(self.connection, alerts_before)
            expire_reference_rows(self.connection, blocks_before)
        self.connection.execute(sa.delete(schema.batches).where(schema.batches.c.at < keys_before))
        sources = schema.aggregate_sources
        self.connection.execute(sa.delete(sources).where(sources.c.at < sources_before))
        for reference_id in self.connection.scalars(sa.select(schema.references.c.id)).all():
            for family in (FINE, COARSE):  # a range of the primary key each: no scan of all blocks
                self._delete(
                    schema.aggregates,
                    schema.aggregates.c.reference_id == reference_id,
                    schema.aggregates.c.family == family,
                    schema.aggregates.c.start < int(blocks_before),
                )
            self._delete(
                schema.outcomes,
                schema.outcomes.c.reference_id == reference_id,
                schema.outcomes.c.start < int(outcomes_before),
            )
        for tree in (self.predictions, self.labels):
            tree.drop_before(days_before)

    def sweep(self, now: float) -> None:
        """Delete tombstones of a partition that are older than `TOMBSTONE_SECONDS`."""
        if not self.partitioned:
            return
        with decoding("the state of the tombstones"):
            found = partition_values(self.connection, [COMMIT, MARK])
            commit, (number, at) = int(found[COMMIT]), json.loads(found.get(MARK, "[0, 0]"))
        if 0 <= now - at < TOMBSTONE_SECONDS:
            return
        for table in (schema.aggregates, schema.outcomes):
            old = sa.and_(table.c.changed <= number, table.c.payload == _DELETED)
            self.connection.execute(sa.delete(table).where(old))
        # What is there now is old enough when the mark is.
        values = {SWEPT: str(number), MARK: json.dumps([commit, now])}
        put = upsert(schema.meta, "value", self.connection.dialect.name)
        self.connection.execute(put, [{"key": key, "value": value} for key, value in values.items()])
