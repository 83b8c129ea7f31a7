"""Panels on exporters that share the work."""

from __future__ import annotations

from collections.abc import Iterator

import look
import panels
from links import EXPORTER

from health import queries as q


def shares() -> Iterator[panels.Panel]:
    yield panels.count_of_bad(
        "Shards missing",
        "Shards whose exporter does not answer: their models are not monitored. Empty where models are not "
        "divided between exporters.",
        q.SHARDS_MISSING,
        look.BAD,
        size=(24, 4),
        nothing="No shards",
    ).id(EXPORTER.id("shards missing"))
