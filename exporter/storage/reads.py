"""Reads of references, counts and waiting rows, through connections that find their tables."""

from __future__ import annotations

import json
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import numpy as np
import sqlalchemy as sa

from exporter.aggregates.block import Block, decode_block
from exporter.aggregates.outcome_layout import OutcomeLayout
from exporter.aggregates.outcomes import Outcomes, decode_outcomes
from exporter.errors import StoreError, decoding
from exporter.reference.profile import Reference, decode_reference
from exporter.storage import schema
from exporter.storage.schema import COARSE, FINE, RawRows


class StoreReads:
    """Reads of a store or of a partition; any thread may use it.

    Args:
        reading: context of a connection for reading, whose errors every method raises.
    """

    def __init__(self, reading: Callable[[], AbstractContextManager[sa.Connection]]) -> None:
        self.reading = reading

    def load_reference(self, version_id: int) -> tuple[int, Reference] | None:
        """Current reference of a version, with its id."""
        query = (
            sa.select(schema.references.c.id, schema.references.c.payload)
            .where(schema.references.c.version_id == version_id)
            .order_by(schema.references.c.id.desc())
            .limit(1)
        )
        with self.reading() as connection:
            row = connection.execute(query).first()
            return None if row is None else (int(row.id), decode_reference(bytes(row.payload)))

    def load_reference_by_id(self, reference_id: int) -> Reference:
        """A reference that is or was that of a version.

        Raises:
            StoreError: there is none.
        """
        query = sa.select(schema.references.c.payload).where(schema.references.c.id == reference_id)
        with self.reading() as connection:
            payload = connection.scalar(query)
        if payload is None:
            raise StoreError(f"reference {reference_id} is not in the store")
        return decode_reference(bytes(payload))

    def load_blocks(self, reference_id: int) -> tuple[dict[int, Block], dict[int, Block]]:
        """Fine and coarse blocks in the bins of a reference, by start."""
        families: tuple[dict[int, Block], dict[int, Block]] = ({}, {})
        query = sa.select(schema.aggregates).filter_by(reference_id=reference_id, segment="")
        with self.reading() as connection:
            for row in connection.execute(query):
                if row.payload:
                    families[row.family][row.start] = decode_block(bytes(row.payload))
        return families

    def load_block(self, reference_id: int, family: int, start: int, segment: str) -> Block:
        """One block that is there."""
        key = {"reference_id": reference_id, "family": family, "start": start, "segment": segment}
        query = sa.select(schema.aggregates.c.payload).filter_by(**key)
        with self.reading() as connection:
            return decode_block(bytes(connection.execute(query).scalar_one()))

    def load_hour(self, reference_id: int, layout: OutcomeLayout, start: int, segment: str) -> Outcomes:
        """Outcomes of one hour that are there."""
        key = {"reference_id": reference_id, "start": start, "segment": segment}
        query = sa.select(schema.outcomes.c.payload).filter_by(**key)
        with self.reading() as connection:
            return decode_outcomes(layout, bytes(connection.execute(query).scalar_one()))

    def load_block_rows(self, version_id: int, first: float, end: float) -> list[tuple[int, int, int]]:
        """(family, start, rows) of blocks with first <= start < end, in the bins of all references so far."""
        blocks, references = schema.aggregates.c, schema.references.c
        query = sa.select(blocks.family, blocks.start, blocks.payload).where(
            blocks.reference_id.in_(sa.select(references.id).where(references.version_id == version_id)),
            blocks.family.in_((FINE, COARSE)),  # with it, the condition below is a range of the primary key
            blocks.start >= int(first),
            blocks.start < end,
            blocks.segment == "",
        )
        with self.reading() as connection:
            return [
                (row.family, row.start, decode_block(bytes(row.payload)).rows)
                for row in connection.execute(query)
                if row.payload
            ]

    def load_segment_blocks(self, reference_id: int) -> dict[str, dict[int, Block]]:
        """Coarse blocks by segment and start."""
        found: dict[str, dict[int, Block]] = defaultdict(dict)
        blocks = schema.aggregates
        query = sa.select(blocks).where(blocks.c.reference_id == reference_id, blocks.c.segment != "")
        with self.reading() as connection:
            for row in connection.execute(query):
                if row.payload:
                    found[row.segment][row.start] = decode_block(bytes(row.payload))
        return found

    def load_segment_outcomes(
        self, reference_id: int, layout: OutcomeLayout
    ) -> dict[str, dict[int, Outcomes]]:
        """Outcomes by segment and start of the hour.

        Raises:
            StoreError: they were counted in another layout.
        """
        found: dict[str, dict[int, Outcomes]] = defaultdict(dict)
        hours = schema.outcomes
        query = sa.select(hours).where(hours.c.reference_id == reference_id, hours.c.segment != "")
        with self.reading() as connection:
            for row in connection.execute(query):
                if row.payload:
                    found[row.segment][row.start] = decode_outcomes(layout, bytes(row.payload))
        return found

    def load_outcomes(self, reference_id: int, layout: OutcomeLayout) -> dict[int, Outcomes]:
        """Outcomes of all rows by start of the hour.

        Raises:
            StoreError: they were counted in another layout.
        """
        query = sa.select(schema.outcomes).filter_by(reference_id=reference_id, segment="")
        with self.reading() as connection:
            return {
                row.start: decode_outcomes(layout, bytes(row.payload))
                for row in connection.execute(query)
                if row.payload
            }

    def load_waiting(self, version_id: int) -> Iterator[RawRows]:
        """Requests that wait for a version's reference, in order of arrival, one at a time in memory."""
        spool = schema.spool
        with self.reading() as connection:
            query = sa.select(spool.c.id).where(spool.c.version_id == version_id).order_by(spool.c.id)
            numbers = connection.scalars(query).all()
        for number in numbers:
            with self.reading() as connection, decoding("a stored request"):
                row = connection.execute(sa.select(spool).where(spool.c.id == number)).first()
                if row is None:  # deleted meanwhile
                    return
                request = RawRows(
                    content_type=row.content_type,
                    query=json.loads(row.query),
                    body=zlib.decompress(bytes(row.body)),
                    row_numbers=np.frombuffer(bytes(row.row_numbers), "<i8").astype(np.int64),
                    times=np.frombuffer(bytes(row.times), "<f8").astype(np.float64),
                )
            yield request
