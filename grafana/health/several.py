"""Panels on exporters that share the work."""

from __future__ import annotations

from collections.abc import Iterator

import look
import panels
from links import EXPORTER

from health import queries as q

_SHADES = (look.shaded(look.LIVE),)


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
    behind = panels.lines(
        "Behind, by partition",
        "Age of the last message that a partition of the Kafka group has committed while later ones wait. "
        "More than five minutes, the dashed line, is too much; a partition without a line has no worker.",
        panels.Line("{{partition}}", q.KAFKA_LAG, _SHADES),
        unit="s",
        size=(12, 8),
        nothing="No Kafka group",
    )
    yield panels.limited(behind, 300).id(EXPORTER.id("kafka lag"))
    yield panels.lines(
        "Dead letters",
        "Messages that a worker could not take and sent to the dead-letter topic, by reason.",
        panels.Line("{{reason}}", q.DEAD_LETTERS, _SHADES),
        unit="short",
        decimals=0,
        size=(12, 8),
        nothing="No Kafka group",
    ).id(EXPORTER.id("dead letters"))
